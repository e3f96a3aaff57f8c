"""One request to the back-office, and what is wrong with the answer or with what it wrote."""

import copy
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse

from tests.permissions.roles import Role
from tests.permissions.written import differs, state, taken_back, writes

LOGIN = "/admin/login/"
WITHOUT_SESSION = ("anonymous", "read-only")  # a token opens no page


@dataclass(frozen=True)
class Attempt:
    """Who may send it, the status when it is allowed and when not, and rows more or fewer by table (0: changed).

    A stranger is sent to the login, unless `stranger` is the status for one.
    """

    method: str
    url: str
    may: bool
    status: int = 200
    data: dict[str, Any] | None = None
    effect: dict[str, int] = field(default_factory=dict)
    refused: tuple[int, ...] = (403,)
    stranger: int | None = None


def faults(attempt: Attempt, role: Role) -> list[str]:
    cookies = copy.deepcopy(role.browser.cookies)
    before, tables = writes(), {table: state(table) for table in attempt.effect if attempt.may}
    with taken_back():
        response = getattr(role.browser, attempt.method)(attempt.url, attempt.data)
        found = _wrong_status(attempt, role, response)
        if attempt.may and attempt.effect:
            found += [
                f"{table} should change by {more}"
                for table, more in attempt.effect.items()
                if not differs(tables[table], state(table), more)
            ]
        elif writes() != before:
            found.append(f"wrote {writes()}, before {before}")
    role.browser.cookies = cookies  # a session that was ended or renewed is the former one again
    return [f"{attempt.method} {attempt.url} by {role.name}: {fault}" for fault in found]


def _wrong_status(attempt: Attempt, role: Role, response: HttpResponse) -> list[str]:
    code = response.status_code
    if role.name in WITHOUT_SESSION and not attempt.may:
        if attempt.stranger is not None:
            return [] if code == attempt.stranger else [f"{code}, not {attempt.stranger}"]
        is_login = code == 302 and response["Location"].startswith(LOGIN)
        return [] if is_login else [f"{code}, not the login"]
    expected = (attempt.status,) if attempt.may else attempt.refused
    return [] if code in expected else [f"{code}, not {expected}{_errors(response)}"]


def _errors(response: HttpResponse) -> str:
    context = getattr(response, "context", None)
    form = context and context.get("adminform")
    return f" {form.form.errors}" if form else ""

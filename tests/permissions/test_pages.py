"""The permission matrix of the back-office: every page and place, everyone, and what was written."""

from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME

from tests.permissions.addresses import API, addresses, advice
from tests.permissions.attempts import WITHOUT_SESSION, Attempt, faults
from tests.permissions.backoffice import Rows, form_of
from tests.permissions.pages import PAGES, Page
from tests.permissions.places import PLACES, Place
from tests.permissions.roles import PEOPLE, Role, make_role
from tests.permissions.written import everything, taken_back

COMERS = [*PEOPLE, "read-only"]
REASON = {"post": "yes", "reason": "The test asks for it."}
CONFIRMED = {**REASON, "confirm": "yes", "shown": "1"}


def test_every_page_has_a_line() -> None:
    known = {address for page in PAGES for address in page.addresses()} | {place.address for place in PLACES}
    found = [address for address in addresses() if f" {API}" not in address]
    missing = [address for address in found if address not in known]
    assert not missing, "\n".join(["", *map(advice, missing)])
    assert not known - set(found), "These lines name no page."


@pytest.fixture(scope="module")
def forms(rows: Rows) -> dict[Page, dict[str, Any]]:
    """The forms as they are sent; a superuser opens them, so that a refused person sends them in full too."""
    with taken_back():
        superuser = make_role("superuser")
        return {page: _forms_of(page, rows, superuser) for page in PAGES}


@pytest.mark.django_db
@pytest.mark.parametrize("name", COMERS)
def test_every_page(name: str, rows: Rows, forms: dict[Page, dict[str, Any]]) -> None:
    """The expected status; a refused request writes nothing; an allowed one does what it says."""
    role = make_role(name)
    at_first = everything()
    found = [
        fault
        for page in PAGES
        for attempt in _attempts(page, rows, role, forms[page])
        for fault in faults(attempt, role)
    ]
    assert not found, "\n".join(["", *found])
    assert everything() == at_first


@pytest.mark.django_db
@pytest.mark.parametrize("name", COMERS)
def test_every_place(name: str, rows: Rows) -> None:
    role = make_role(name)
    at_first = everything()
    found = [fault for place in PLACES for fault in faults(_attempt(place, rows, role), role)]
    assert not found, "\n".join(["", *found])
    assert everything() == at_first


def _attempts(page: Page, rows: Rows, role: Role, forms: dict[str, dict[str, Any]]) -> list[Attempt]:
    root, row = f"/{page.root}", f"/{page.root}{rows.key(page.row)}/"
    sees, by = role.may(page.sees), role.may(page.by)
    adds, changes, deletes = by and page.add is not None, by and page.change is not None, by and page.deletes
    changed = {page.table: 0} if page.change else {"django_admin_log": 1}
    picked = {ACTION_CHECKBOX_NAME: [rows.key(page.row)], "action": "delete_selected", **CONFIRMED}
    attempts = [
        Attempt("get", root, sees),
        Attempt("get", row, role.name not in WITHOUT_SESSION, 302),
        Attempt("get", f"{row}change/", sees),
        Attempt("get", f"{row}history/", sees),
        Attempt("get", f"{row}delete/", deletes),
        Attempt("post", f"{row}change/", changes, 302, forms.get("change", {}), changed),
        Attempt("post", f"{row}delete/", deletes, 302, REASON, {page.table: -1}),
        # whoever may see the list may send it; an action that is not theirs is no choice of it
        Attempt("post", root, deletes, 302, picked, {page.table: -1}, refused=(403, 302, 200)),
    ]
    if "add/" in page.suffixes:
        attempts += [
            Attempt("get", f"{root}add/", adds),
            Attempt("post", f"{root}add/", adds, 302, forms.get("add", {}), {page.table: 1}),
        ]
    if "export/" in page.suffixes:
        attempts.append(Attempt("post", f"{root}export/", sees, 200, {"file_format": "csv"}))
    return attempts


def _forms_of(page: Page, rows: Rows, superuser: Role) -> dict[str, dict[str, Any]]:
    forms = {}
    if page.add is not None:
        forms["add"] = form_of(superuser.browser, f"/{page.root}add/") | rows.fill(page.add)
    if page.change is not None:
        url = f"/{page.root}{rows.key(page.row)}/change/"
        forms["change"] = form_of(superuser.browser, url) | rows.fill(page.change)
    return forms


def _attempt(place: Place, rows: Rows, role: Role) -> Attempt:
    return Attempt(
        place.method,
        rows.text(place.url),
        role.may(place.by) or (role.name in WITHOUT_SESSION and "anonymous" in place.by),
        place.status,
        rows.fill(place.data),
        place.effect,
        place.refused,
        place.stranger,
    )

"""Who writes, from where and why: said here, recorded by the database with every change of a registry row.

    with acting(source="REST", actor=request.user):
        with because("ticker renamed by the exchange"):
            assets.update_asset(...)

The triggers of the registry tables read what is said here from settings of the transaction. They travel with each
writing statement, so nothing is left behind on a pooled connection, and a reconnect loses nothing.
"""

import getpass
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.pq import TransactionStatus

from markets.services.values import clean_text

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_REASON = 500
LONGEST_ACTOR = 150  # as a user's name
LONGEST_SOURCE = 32


@dataclass(frozen=True)
class Acting:
    """What a change is recorded with. `actor_id` is the user's, None when the actor is no user of MSM."""

    source: str | None = None
    actor: str | None = None
    actor_id: int | None = None
    reason: str | None = None


NOBODY = Acting()
WRITES = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:INSERT|UPDATE|DELETE|MERGE|WITH|TRUNCATE|DO)\b", re.I | re.S)
_said: ContextVar[Acting | None] = ContextVar("acting", default=None)
_of_process = NOBODY


def current() -> Acting:
    """What is said at this moment: by the innermost block, else by the process."""
    return _said.get() or _of_process


@contextmanager
def acting(*, source: str, actor: "User | str | None" = None, reason: str | None = None) -> Iterator[None]:
    """Changes in the block are recorded with this source, actor and reason.

    What is None stays as an outer block said it. Raises InvalidInput for a blank, too long or unstorable text.
    """
    with _saying(_refined(current(), source=source, actor=actor, reason=reason)):
        yield


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Changes in the block are recorded with this reason. Raises InvalidInput (field "reason") for one that is none."""
    with _saying(replace(current(), reason=clean_reason(reason))):
        yield


def speak_for_process(*, source: str, actor: str | None = None) -> None:
    """What is said outside every block, in all threads: a script or a command is one actor from start to end."""
    global _of_process
    _of_process = _refined(NOBODY, source=source, actor=actor, reason=None)


def operating_system_user() -> str | None:
    try:
        return getpass.getuser()[:LONGEST_ACTOR] or None
    except (KeyError, OSError):  # a container's user may have no name
        return None


def clean_reason(value: object) -> str:
    """A reason of at most 500 characters, without outer white space. Raises InvalidInput (field "reason")."""
    return clean_text(value, field="reason", longest=LONGEST_REASON)


@contextmanager
def _saying(said: Acting) -> Iterator[None]:
    token = _said.set(said)
    try:
        yield
    finally:
        _said.reset(token)


def _refined(outer: Acting, *, source: str, actor: "User | str | None", reason: str | None) -> Acting:
    said = replace(outer, source=clean_text(source, field="source", longest=LONGEST_SOURCE))
    if isinstance(actor, str):
        said = replace(said, actor=clean_text(actor, field="actor", longest=LONGEST_ACTOR), actor_id=None)
    elif actor is not None and actor.is_authenticated:
        said = replace(said, actor=actor.get_username(), actor_id=actor.pk)
    if reason is not None:
        said = replace(said, reason=clean_reason(reason))
    return said


def tell_database(
    execute: Callable[..., Any], statement: Any, parameters: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Django's execute wrapper: puts what is said before each writing statement, in the same message to the server.

    The settings are the transaction's own. Where an earlier statement of it was told something and now nobody speaks,
    they are emptied.
    """
    connection, cursor, said = context["connection"], context["cursor"], current()
    if connection.connection.info.transaction_status == TransactionStatus.IDLE:
        connection.was_told = False  # what was told ended with its transaction
    if said is NOBODY and not getattr(connection, "was_told", False):
        return execute(statement, parameters, many, context)
    text = statement.as_string(cursor.connection) if isinstance(statement, sql.Composable) else statement
    if isinstance(text, bytes):
        text = text.decode()
    if not WRITES.match(text):
        return execute(statement, parameters, many, context)
    settings = _settings(said)
    connection.was_told = not connection.autocommit
    if many and connection.was_told:  # with a second statement the number of rows would be miscounted
        cursor.connection.execute(settings)
        return execute(statement, parameters, many, context)
    if parameters is not None:
        settings = settings.replace("%", "%%")
    answer = execute(settings + text, parameters, many, context)
    if not many:
        cursor.nextset()
    return answer


@lru_cache(maxsize=256)
def _settings(said: Acting) -> str:
    values = {
        "source": said.source,
        "actor": said.actor,
        "actor_id": None if said.actor_id is None else str(said.actor_id),
        "reason": said.reason,
    }
    calls = [
        f"set_config('msm.{name}', {sql.Literal(value or '').as_string()}, true)" for name, value in values.items()
    ]
    return f"SELECT {', '.join(calls)}; "

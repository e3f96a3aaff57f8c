"""Who writes, from where and why: said here, recorded by the database with every change of a registry row.

    with acting(source="REST", actor=request.user):
        with because("ticker renamed by the exchange"):
            assets.update_asset(...)

The triggers of the registry tables read what is said here from settings of the transaction. They travel with each
writing statement, so nothing is left behind on a pooled connection, and a reconnect loses nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from django.contrib.auth.models import User

from markets.services.values import clean_text

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


_NOBODY = Acting()
_said: ContextVar[Acting | None] = ContextVar("acting", default=None)
_of_process = _NOBODY


def current() -> Acting:
    """What is said at this moment: by the innermost block, else by the process."""
    return _said.get() or _of_process


@contextmanager
def acting(*, source: str, actor: User | str | None = None, reason: str | None = None) -> Iterator[None]:
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
    _of_process = _refined(_NOBODY, source=source, actor=actor, reason=None)


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


def _refined(outer: Acting, *, source: str, actor: User | str | None, reason: str | None) -> Acting:
    said = replace(outer, source=clean_text(source, field="source", longest=LONGEST_SOURCE))
    if isinstance(actor, str):
        said = replace(said, actor=clean_text(actor, field="actor", longest=LONGEST_ACTOR), actor_id=None)
    elif actor is not None and actor.is_authenticated:
        said = replace(said, actor=actor.get_username(), actor_id=actor.pk)
    if reason is not None:
        said = replace(said, reason=clean_reason(reason))
    return said

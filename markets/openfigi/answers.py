"""What OpenFIGI answers to one job: five outcomes that stay apart, and rows under our own names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from markets.engine.identifiers import figi_fault
from markets.exceptions import clipped

NOTHING_FOUND = "No identifier found."
REJECTIONS = ("Invalid idValue format.", "Invalid value for ", "Invalid idType")
_NAMES = {  # OpenFIGI's → ours
    "compositeFIGI": "composite",
    "shareClassFIGI": "share_class",
    "ticker": "ticker",
    "name": "name",
    "exchCode": "exchange_code",
    "securityType": "security_type",
    "securityType2": "security_type_2",
    "marketSector": "security_market_sector",
    "securityDescription": "security_description",
    "metadata": "metadata",
}


class Outcome(StrEnum):
    """`not_found` may change with time; `rejected` stays until the input changes; `error` wants another try."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    ERROR = "error"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class FigiRow:
    """One instrument, as OpenFIGI v3 describes it; `raw` is the row as it came."""

    figi: str
    composite: str | None = None
    share_class: str | None = None
    ticker: str | None = None
    name: str | None = None
    exchange_code: str | None = None
    security_type: str | None = None
    security_type_2: str | None = None
    security_market_sector: str | None = None
    security_description: str | None = None
    metadata: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Answer:
    """The outcome of one mapping job; `rows` where it was found, `message` where it was not."""

    outcome: Outcome
    rows: tuple[FigiRow, ...] = ()
    message: str = ""


class MalformedRow(ValueError):
    """A row that is not one of OpenFIGI's."""


def read_mapping(body: Any, jobs: int) -> list[Answer]:
    """An answer for each of `jobs` mapping jobs, in their order.

    Answers are paired with jobs by position alone. Where the numbers differ no pairing can be trusted, and every job
    is malformed.
    """
    if not isinstance(body, list) or len(body) != jobs:
        told = f"{len(body)} answers" if isinstance(body, list) else f"a {type(body).__name__}"
        message = f"OpenFIGI answered {told} to {jobs} jobs; none can be paired with its job."
        return [Answer(Outcome.MALFORMED, message=message)] * jobs
    return [_answer(entry) for entry in body]


def _answer(entry: Any) -> Answer:
    if not isinstance(entry, dict):
        return Answer(Outcome.MALFORMED, message=f"OpenFIGI answered {clipped(repr(entry))} to a job.")
    said = [name for name in ("data", "warning", "error") if entry.get(name) is not None]
    if len(said) != 1:
        what = " and ".join(said) or "neither data nor a warning nor an error"
        return Answer(Outcome.MALFORMED, message=f"OpenFIGI answered {what} to one job.")
    if said == ["data"]:
        return _found(entry["data"])
    message = entry[said[0]]
    if not isinstance(message, str):
        return Answer(Outcome.MALFORMED, message=f"OpenFIGI's {said[0]} is {clipped(repr(message))}, not text.")
    if message == NOTHING_FOUND:  # older versions of the provider call it an error
        return Answer(Outcome.NOT_FOUND, message=message)
    if said == ["error"] and message.startswith(REJECTIONS):
        return Answer(Outcome.REJECTED, message=message)
    return Answer(Outcome.ERROR, message=message)


def _found(data: Any) -> Answer:
    if not isinstance(data, list) or not data:
        return Answer(Outcome.MALFORMED, message=f"OpenFIGI's data is {clipped(repr(data))}, not a list of rows.")
    try:
        return Answer(Outcome.FOUND, rows=read_rows(data))
    except MalformedRow as error:
        return Answer(Outcome.MALFORMED, message=str(error))


def read_rows(data: Sequence[Any]) -> tuple[FigiRow, ...]:
    """Rows under our names, what is missing as None. Raises MalformedRow for a row without a right FIGI."""
    return tuple(_row(item) for item in data)


def _row(item: Any) -> FigiRow:
    if not isinstance(item, dict):
        raise MalformedRow(f"OpenFIGI sent {clipped(repr(item))} for a row.")
    for key in ("figi", *_NAMES):
        value = item.get(key)
        if value is not None and (not isinstance(value, str) or "\x00" in value):
            raise MalformedRow(f"OpenFIGI sent {key}={clipped(repr(value))}, which is no text.")
    for key in ("figi", "compositeFIGI", "shareClassFIGI"):
        value = item.get(key)
        fault = figi_fault(value) if value is not None else "it is missing" if key == "figi" else None
        if fault is not None:
            raise MalformedRow(f"OpenFIGI sent {key}={clipped(repr(value))}: {fault}.")
    return FigiRow(figi=item["figi"], raw=item, **{ours: item.get(theirs) for theirs, ours in _NAMES.items()})

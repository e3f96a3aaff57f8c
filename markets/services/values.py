"""Values that come from outside: cleaned, or refused with a message that names the field and the remedy."""

import datetime as dt
import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar

from markets.exceptions import InvalidInput, clipped

DEEPEST_JSON = 64  # levels: far beyond any metadata, far below the interpreter's recursion limit
LARGEST_ID = 2**63 - 1
EARLIEST_DATE = dt.date(1900, 1, 1)
LATEST_DATE = dt.date(2199, 12, 31)

RowT = TypeVar("RowT")


class Unset(Enum):
    """The type of UNSET: an argument that was not given, where None is a value of its own."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final[Literal[Unset.UNSET]] = Unset.UNSET


@dataclass(frozen=True)
class Upserted(Generic[RowT]):
    """A row that is stored now, and whether this call made it."""

    row: RowT
    created: bool


def given(**values: Any) -> dict[str, Any]:
    """The arguments that were given."""
    return {name: value for name, value in values.items() if value is not UNSET}


def clean_text(value: object, *, field: str, longest: int | None = None) -> str:
    """The text without outer white space. InvalidInput when it is no text, blank, too long or not storable."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be text, not {_shown(value)}.", field=field)
    check_storable(value, field=field)
    text = value.strip()
    if not text:
        raise InvalidInput(f"{field} must not be blank.", field=field)
    if longest is not None and len(text) > longest:
        raise InvalidInput(
            f"{field} has {len(text)} characters; shorten it to at most {longest} ({text[:40]!r}…).", field=field
        )
    return text


def clean_optional_text(value: object, *, field: str, longest: int | None = None) -> str | None:
    """As `clean_text`; None and blank text give None."""
    if value is None or (isinstance(value, str) and not value.strip(" \t\r\n")):
        return None
    return clean_text(value, field=field, longest=longest)


def clean_identifier(value: object, *, field: str = "unique_identifier") -> str:
    """A business key of at most 255 characters, on one line, without outer white space."""
    text = clean_text(value, field=field, longest=255)
    if "\n" in text or "\r" in text:
        raise InvalidInput(f"{field}={text!r} spans several lines. Remove the line break.", field=field)
    return text


def normalise_type_key(value: object, *, field: str) -> str | None:
    """A type's key: stripped, lower case, each run of white space one underscore; None stays None."""
    if value is None:
        return None
    text = clean_text(value, field=field)
    return clean_text("_".join(text.lower().split()), field=field, longest=64)


def check_storable(value: str, *, field: str) -> None:
    """Refuse what PostgreSQL cannot store in a text: the NUL character and lone surrogates."""
    if "\x00" in value:
        raise InvalidInput(f"{field} holds a NUL character. Remove it.", field=field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} holds a lone surrogate, which is no character. Remove it.", field=field) from None


def clean_object(value: object, *, field: str) -> dict[str, Any] | None:
    """A JSON object that can be stored, or None."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInput(f"{field} must be a JSON object, not {_shown(value)}.", field=field)
    _check_json(value, field)
    return value


def _check_json(value: object, field: str) -> None:
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > DEEPEST_JSON:
            raise InvalidInput(f"{field} is nested more than {DEEPEST_JSON} levels deep. Flatten it.", field=field)
        if isinstance(item, str):
            check_storable(item, field=field)
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise InvalidInput(f"{field} holds {item}, which JSON cannot say. Use null.", field=field)
        elif isinstance(item, dict):
            for key, entry in item.items():
                if not isinstance(key, str):
                    raise InvalidInput(f"{field} has the key {_shown(key)}; keys are text.", field=field)
                check_storable(key, field=field)
                pending.append((entry, depth + 1))
        elif isinstance(item, list | tuple):
            pending.extend((entry, depth + 1) for entry in item)
        elif item is not None and not isinstance(item, bool | int):
            raise InvalidInput(f"{field} holds {_shown(item)}, which JSON cannot say.", field=field)


def clean_flag(value: object, *, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{field} must be true or false, not {_shown(value)}.", field=field)
    return value


def clean_date(value: object, *, field: str) -> dt.date:
    """A date, from a date, a datetime (its date) or ISO 8601 text such as 2026-01-31; between 1900 and 2199."""
    if isinstance(value, dt.datetime):
        value = value.date()
    elif isinstance(value, str):
        try:
            if len(value) != 10:
                raise ValueError
            value = dt.date.fromisoformat(value)
        except ValueError:
            raise InvalidInput(f"{field}={_shown(value)} is no date. Write it as 2026-01-31.", field=field) from None
    if not isinstance(value, dt.date):
        raise InvalidInput(f"{field} must be a date, not {_shown(value)}.", field=field)
    if not EARLIEST_DATE <= value <= LATEST_DATE:
        raise InvalidInput(f"{field}={value} must lie between {EARLIEST_DATE} and {LATEST_DATE}.", field=field)
    return value


def clean_instant(value: object, *, field: str) -> dt.datetime:
    """An aware datetime, in UTC; a naive one is refused."""
    if not isinstance(value, dt.datetime):
        raise InvalidInput(f"{field} must be a datetime, not {_shown(value)}.", field=field)
    if value.tzinfo is None:
        raise InvalidInput(
            f"{field}={value.isoformat()} has no time zone. Add one: {value.isoformat()}Z, or tzinfo=datetime.UTC.",
            field=field,
        )
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise InvalidInput(f"{field}={value.isoformat()} is beyond the calendar's years.", field=field) from None


def cannot_be_changed(field: str, stored: object = UNSET) -> str:
    """Why a read-only field is refused; with what is stored, when there is a row."""
    if stored is UNSET:
        return f"{field} cannot be changed. Leave it out."
    return f"{field} cannot be changed. Leave it out, or send it as it is: {str(stored)[:100]}."


def clean_as_of(value: object, *, field: str = "as_of") -> dt.datetime | None:
    """The instant, in UTC, that a point in time names; None stays None.

    A datetime, or text such as 2026-01-31T21:00:00Z, is that instant. A date, or text such as 2026-01-31, is the end of
    that day in UTC: what began or ended on the day has begun or ended.
    """
    if value is None:
        return None
    if isinstance(value, str) and len(value) != 10:
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(
                f"{field}={_shown(value)} is neither a date nor a time. Write 2026-01-31 or 2026-01-31T21:00:00Z.",
                field=field,
            ) from None
    if isinstance(value, dt.datetime):
        return clean_instant(value, field=field)
    return dt.datetime.combine(clean_date(value, field=field), dt.time.max, dt.UTC)


def as_uid(value: object) -> uuid.UUID | None:
    """The uid that a value is or spells in the usual form, else None."""
    if isinstance(value, uuid.UUID):
        return value
    if isinstance(value, str) and len(value) == 36:
        try:
            return uuid.UUID(value)
        except ValueError:
            return None
    return None


def listed(values: Iterable[object], shown: int = 10) -> str:
    """The first values, and how many more there are."""
    texts = [clipped(str(value)) for value in values]
    more = f", … and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or endless nesting
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"

"""Values of positions as people and programs write them: made exact, or refused with a message that names the field."""

import datetime as dt
import math
import numbers
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from markets.exceptions import InvalidInput

# Far beyond any holding, and inside what datetime64[ns] can hold.
EARLIEST = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)


def instant(value: object, *, field: str) -> dt.datetime:
    """An instant in UTC, of an aware datetime or of ISO 8601 text with an offset (2026-05-25T00:00:00Z).

    Raises InvalidInput for a naive time, a date without a time, a number, and years outside 1900 to 2199.
    """
    moment = value
    if isinstance(value, str):
        try:
            if "\x00" in value or len(value) < 16:  # a date alone is no instant
                raise ValueError
            moment = dt.datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(
                f"{field}={shown(value)} is no time. Write it as 2026-01-31T21:00:00Z.", field=field
            ) from None
    if not isinstance(moment, dt.datetime) or moment is pd.NaT:
        raise InvalidInput(f"{field} must be a time with a zone, not {shown(value)}.", field=field)
    if moment.utcoffset() is None:
        raise InvalidInput(
            f"{field}={moment.isoformat()} has no time zone. Add one: {moment.isoformat()}Z, or tzinfo=datetime.UTC.",
            field=field,
        )
    if isinstance(moment, pd.Timestamp):
        if moment.nanosecond:
            raise InvalidInput(
                f"{field}={moment.isoformat()} is finer than a microsecond. Round it: .floor('us').", field=field
            )
        moment = moment.to_pydatetime()
    try:
        moment = moment.astimezone(dt.UTC)
    except OverflowError:
        moment = None
    if moment is None or not EARLIEST <= moment <= LATEST:
        raise InvalidInput(f"{field}={shown(value)} must lie between the years 1900 and 2199.", field=field)
    return moment


def uid(value: object, *, field: str) -> uuid.UUID:
    """A UUID, or one spelt in the usual form with dashes, in either case of letters."""
    if isinstance(value, uuid.UUID):
        return value
    if isinstance(value, str) and len(value) == 36:
        try:
            return uuid.UUID(value)
        except ValueError:
            pass
    raise InvalidInput(f"{field} must be a uid, not {shown(value)}.", field=field)


def finite_number(value: object, *, field: str) -> float:
    """A finite float64, of a number or of text that spells one."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | numbers.Real | Decimal):
        raise InvalidInput(f"{field} must be a number, not {shown(value)}.", field=field)
    try:
        if isinstance(value, str) and "_" in value:
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{field} must be a number, not {shown(value)}.", field=field) from None
    if not math.isfinite(number):
        raise InvalidInput(f"{field} must be a finite number, not {shown(value)}.", field=field)
    return number


def flag(value: object, *, field: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{field} must be True or False, not {shown(value)}.", field=field)
    return bool(value)


def is_absent(value: Any) -> bool:
    """Whether the value is None, NaN, NaT or NA."""
    if value is None or value is pd.NaT or value is pd.NA:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float | np.floating) and math.isnan(value)


def shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or endless nesting
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"

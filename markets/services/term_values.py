"""Values of contract terms: choices, units, sizes and moments; cleaned, or refused with the remedy."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from markets.exceptions import InvalidInput
from markets.services.values import clean_instant, clean_text

DECIMALS = 18
WHOLE_DIGITS = 20


def clean_choice(value: object, choices: Sequence[str], *, field: str) -> str:
    """One of the choices, in whatever letter case it was written."""
    text = clean_text(value, field=field)
    by_case = {choice.lower(): choice for choice in choices}
    if text.lower() not in by_case:
        raise InvalidInput(f"{field}={text[:40]!r} is none of {', '.join(choices)}.", field=field)
    return by_case[text.lower()]


def clean_token(value: object, *, field: str, longest: int = 64) -> str:
    """Capitals, each run of white space one underscore: `last trade` is LAST_TRADE."""
    return clean_text("_".join(clean_text(value, field=field).upper().split()), field=field, longest=longest)


def clean_unit(value: object, *, field: str) -> str:
    """A unit in capitals, of ASCII characters: INDEX_POINT."""
    text = clean_text(clean_text(value, field=field).upper(), field=field, longest=64)
    if not (text.isascii() and text.isprintable()):
        raise InvalidInput(f"{field}={text[:40]!r} must be plain ASCII, such as USD or INDEX_POINT.", field=field)
    return text


def clean_size(value: object, *, field: str) -> Decimal:
    """A positive number with at most 20 digits before and 18 behind the point, from a Decimal, number or text."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise InvalidInput(f"{field} must be a number, not a {type(value).__name__}.", field=field)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
        if not number.is_finite():
            raise InvalidOperation
    except (InvalidOperation, ValueError):
        raise InvalidInput(f"{field}={str(value)[:40]!r} is no finite number.", field=field) from None
    if number <= 0:
        raise InvalidInput(f"{field}={str(number)[:40]} must be positive.", field=field)
    exponent = number.normalize().as_tuple().exponent
    if number.adjusted() >= WHOLE_DIGITS or (isinstance(exponent, int) and -exponent > DECIMALS):
        raise InvalidInput(
            f"{field} has at most {WHOLE_DIGITS} digits before and {DECIMALS} behind the point.", field=field
        )
    return number


def clean_moment(value: object, *, field: str) -> dt.datetime:
    """An aware instant in UTC, from a datetime or ISO 8601 text such as 2026-12-18T22:00:00Z."""
    if isinstance(value, str):
        text = value
        try:
            value = dt.datetime.fromisoformat(text.strip())
        except ValueError:
            raise InvalidInput(
                f"{field}={text[:40]!r} is no time. Write it as 2026-12-18T22:00:00Z.", field=field
            ) from None
    return clean_instant(value, field=field)

"""Query parameters, read strictly: an unknown, repeated or malformed one is refused by name."""

import datetime as dt
import difflib
import uuid
from collections.abc import Collection, Iterable

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from markets.exceptions import InvalidInput
from markets.services.values import clean_as_of


def refuse_unknown(request: Request, known: Collection[str], *, repeatable: Collection[str] = ()) -> None:
    """Raise 400 naming each parameter that is not known, and those given more than once."""
    errors = {}
    for name, values in request.query_params.lists():
        if name not in known:
            shown = name[:60].replace("\x00", "")
            near = difflib.get_close_matches(shown, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            errors[shown or "query"] = f"Unknown parameter {shown!r}.{hint} {_listed(known)}"
        elif len(values) > 1 and name not in repeatable:
            errors[name] = f"{name} is given {len(values)} times. Give it once."
    if errors:
        raise ValidationError(errors, code="unknown_parameter")


def parse_uid(text: str) -> uuid.UUID | None:
    """The uid that a text spells in the usual form with dashes, else None."""
    try:
        uid = uuid.UUID(text)
    except ValueError:
        return None
    return uid if str(uid) == text.lower() else None


def whole_number(text: str, least: int, most: int) -> int | None:
    """The number that plain digits spell, None when they do not or it is out of range."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return None
    number = int(text)
    return number if least <= number <= most else None


def instant(request: Request, name: str) -> dt.datetime | None:
    """An aware datetime in ISO 8601, or None when the parameter is absent."""
    text = request.query_params.get(name)
    if text is None:
        return None
    # In a query a `+` that was not escaped arrives as a space.
    return parse_instant(text.replace(" ", "+") if text[-6:-5] == " " else text, name)


def as_of(request: Request) -> dt.datetime | None:
    """The instant that `as_of` names: a time, or a date for the end of its day; None when it is absent."""
    text = request.query_params.get("as_of")
    if text is None:
        return None
    try:
        return clean_as_of(text.replace(" ", "+") if text[-6:-5] == " " else text)
    except InvalidInput as error:
        raise ValidationError({"as_of": str(error)}) from error


def parse_instant(text: str, name: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValidationError(
            {name: f"{name}={text[:40]!r} is not a time. Use ISO 8601: 2026-01-31T21:00:00Z."}
        ) from None
    if moment.tzinfo is None:
        raise ValidationError({name: f"{name}={text[:40]!r} has no time zone. Add one: {moment.isoformat()}Z."})
    try:
        moment = moment.astimezone(dt.UTC)
    except OverflowError:
        raise ValidationError({name: f"{name}={text[:40]!r} is beyond the calendar's years."}) from None
    return moment


def day(request: Request, name: str) -> dt.date | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        if len(text) != 10:
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValidationError({name: f"{name}={text[:40]!r} is not a date. Write it as 2026-01-31."}) from None


def number(request: Request, name: str, *, least: int, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    value = whole_number(text, least, most)
    if value is None:
        raise ValidationError({name: f"{name}={text[:40]!r} must be a whole number from {least} to {most}."})
    return value


def flag(request: Request, name: str, *, default: str = "false") -> bool:
    text = request.query_params.get(name, default)
    if text not in ("true", "false"):
        raise ValidationError({name: f"{name}={text[:40]!r} must be true or false."})
    return text == "true"


def choice(request: Request, name: str, choices: Collection[str], default: str) -> str:
    text = request.query_params.get(name, default)
    if text not in choices:
        raise ValidationError({name: f"{name}={text[:40]!r} is none of {', '.join(choices)}."})
    return text


def names(request: Request, name: str) -> list[str] | None:
    """Values given as a comma list, by repeating the parameter, or both; None when it is absent."""
    if name not in request.query_params:
        return None
    values = [part.strip() for text in request.query_params.getlist(name) for part in text.split(",")]
    if any(not value or "\x00" in value for value in values):
        raise ValidationError({name: f"{name} holds an empty value or a NUL character. Write it as {name}=A,B."})
    return list(dict.fromkeys(values))


def _listed(known: Iterable[str]) -> str:
    listed = ", ".join(sorted(known))
    return f"Known: {listed}." if listed else "This route takes none."

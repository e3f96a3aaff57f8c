"""Home markets: which country's composite a source means when its identifiers have many listings."""

import re
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput, clipped
from markets.models import HomeMarketPolicy
from markets.services.registry_rows import change, insert_once
from markets.services.values import UNSET, Unset, check_storable, clean_text, given

LONGEST_SOURCE = 64
LONGEST_NOTE = 2_000
MOST_CODES = 50  # more than there are countries with a composite that anybody prefers
_CODE = re.compile(r"[A-Z0-9]{1,8}")
_BETWEEN = re.compile(r"[\s,;]+")


@transaction.atomic
def create_home_market(*, source: str, exchange_codes: object, note: str = "") -> HomeMarketPolicy:
    """The home markets of a source that has none yet. Raises Conflict when it has some."""
    name = clean_text(source, field="source", longest=LONGEST_SOURCE)
    saved = insert_once(HomeMarketPolicy, {"source": name}, _cleaned(exchange_codes=exchange_codes, note=note))
    if not saved.created:
        raise Conflict(f"The source {name!r} has home markets already: {saved.row}. Change those.")
    return saved.row


@transaction.atomic
def update_home_market(
    row: HomeMarketPolicy, *, exchange_codes: object = UNSET, note: str | Unset = UNSET
) -> HomeMarketPolicy:
    """Change the fields that are given; the source never changes. Lists that were given keep what they began with."""
    return change(row, _cleaned(**given(exchange_codes=exchange_codes, note=note)))


def clean_exchange_codes(value: object, *, field: str = "exchange_codes") -> list[str]:
    """Exchange codes in capitals, each once, in their order; from a list, or from a text such as "US, GR".

    Raises InvalidInput when there is none, or one is not 1 to 8 letters and digits.
    """
    if isinstance(value, str):
        value = _BETWEEN.split(value)
    if not isinstance(value, Iterable) or isinstance(value, dict | bytes):
        raise InvalidInput(f"{field} must be a list of exchange codes, such as US and GR.", field=field)
    codes: dict[str, None] = {}
    for item in value:
        if not isinstance(item, str):
            raise InvalidInput(
                f"{field} holds {clipped(repr(item))}, which is no exchange code such as US.", field=field
            )
        code = item.strip().upper()
        if not code:
            continue
        if not _CODE.fullmatch(code):
            raise InvalidInput(
                f"{field} holds {clipped(storable_text(item))!r}. An exchange code of OpenFIGI has 1 to 8 letters and "
                "digits, such as US.",
                field=field,
            )
        codes[code] = None
    if not codes:
        raise InvalidInput("Name at least one home market by its exchange code, such as US.", field=field)
    if len(codes) > MOST_CODES:
        raise InvalidInput(f"{field} holds {len(codes)} codes. Name at most {MOST_CODES}.", field=field)
    return list(codes)


def _cleaned(**fields: Any) -> dict[str, Any]:
    cleaned = dict(fields)
    if "exchange_codes" in fields:
        cleaned["exchange_codes"] = clean_exchange_codes(fields["exchange_codes"])
    if "note" in fields:
        cleaned["note"] = clean_note(fields["note"], field="note", longest=LONGEST_NOTE)
    return cleaned


def clean_note(value: object, *, field: str, longest: int) -> str:
    """A text that may be empty, without outer white space. Raises InvalidInput for one that cannot be stored."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be text.", field=field)
    check_storable(value, field=field)
    if len(value.strip()) > longest:
        raise InvalidInput(f"{field} has {len(value.strip()):,} characters; shorten it to {longest:,}.", field=field)
    return value.strip()

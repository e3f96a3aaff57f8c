"""The conditions and pages of a question: what each may be, with a message for what it may not."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from markets.exceptions import InvalidInput, clipped
from markets.services.values import LARGEST_ID, as_uid, check_storable

OPERATORS = {"contains": "icontains", "in": "in"}


def field_and_operator(name: str) -> tuple[str, str]:
    """`ticker__contains` and `ticker_contains` → ("ticker", "icontains"); a bare field is compared."""
    for suffix, operator in OPERATORS.items():
        for separator in ("__", "_"):
            field = name.removesuffix(f"{separator}{suffix}")
            if field != name:
                return field, operator
    return name, "exact"


def lookups(
    conditions: Mapping[str, Any], *, column: Callable[[str], str], clean: Callable[[str, Any], Any]
) -> list[dict[str, Any]]:
    """Django's lookups of the conditions. `column` gives the column of a field, `clean` its value as it is stored.

    None asks for rows without a value. A part of a text that is empty is in every text.
    """
    found: list[dict[str, Any]] = []
    for name, value in conditions.items():
        field, operator = field_and_operator(name)
        target = column(field)
        if operator == "exact" and value is None:
            found.append({f"{target}__isnull": True})
        elif operator == "icontains" and value in (None, ""):
            continue
        else:
            if operator == "in":
                value = values(value, name)
            found.append({f"{target}__{operator}": clean(target, value)})
    return found


def ordering(order_by: object, *, column: Callable[[str], str]) -> list[str]:
    """Django's ordering of `"name"`, `"-name"` or a list of them."""
    names = [order_by] if isinstance(order_by, str) else values(order_by, "order_by")
    order = []
    for name in names:
        if not isinstance(name, str):
            raise InvalidInput(f"order_by={clipped(repr(name))} must be a field's name.", field="order_by")
        descending = "-" if name.startswith("-") else ""
        order.append(descending + column(name.removeprefix("-")))
    return order


def check_count(value: object, *, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_ID:
        raise InvalidInput(f"{name}={clipped(repr(value))} must be a whole number from {least} on.", field=name)
    return value


def required_uid(value: object) -> uuid.UUID:
    parsed = as_uid(value)
    if parsed is None:
        raise InvalidInput(f"uid={clipped(repr(value))} is not a UUID.", field="uid")
    return parsed


def values(value: Any, name: str) -> list[Any]:
    """A list of what was given as one."""
    if value is None or isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidInput(f"{name}={clipped(repr(value))} must be a list of values.", field=name)
    return list(value)


def storable(text: Any) -> str:
    """An identifier to look for. Raises InvalidInput for what no row can have."""
    if not isinstance(text, str):
        raise InvalidInput(f"unique_identifier={clipped(repr(text))} must be text.", field="unique_identifier")
    check_storable(text, field="unique_identifier")
    return text

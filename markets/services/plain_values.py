"""Bounds of what a person or a program may send as a configuration: checked before anything else looks at it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from markets.engine.text import storable_text
from markets.exceptions import InvalidFields, clipped

MOST_LEVELS = 20  # of lists and objects in each other; configurations have three or four
LONGEST_TEXT = 10_000  # characters: a path or a description is far shorter
MOST_VALUES = 200_000  # a list of every listed share of the world is shorter
LARGEST_NUMBER = 2**63 - 1  # what an integer column holds


def refuse_unusable(values: Mapping[str, Any]) -> None:
    """Raise InvalidFields naming where text cannot be stored, a number is too large, or all of it too deep or long.

    `values` is what JSON can say: objects, lists, text, numbers, true, false and null.
    """
    faults: dict[str, str] = {}
    for seen, (path, value, level) in enumerate(_walk(values), start=1):
        if seen > MOST_VALUES:
            raise InvalidFields({_name(path): f"There are more than {MOST_VALUES:,} values. Give fewer."})
        fault = _fault(value, level)
        if fault:
            faults.setdefault(_name(path), fault)
        if len(faults) >= 20:  # enough to mend
            break
    if faults:
        raise InvalidFields(faults)


def text_fault(text: str) -> str:
    """What is wrong with a text that is to be stored, or nothing."""
    if len(text) > LONGEST_TEXT:
        return f"This has {len(text):,} characters; {LONGEST_TEXT:,} at most."
    if "\x00" in text:
        return "This holds a NUL character, which cannot be stored. Remove it."
    if storable_text(text) != text:
        return "This holds a lone surrogate, which is no character. Remove it."
    return ""


def _fault(value: Any, level: int) -> str:
    if level > MOST_LEVELS:
        return f"This is nested more than {MOST_LEVELS} levels deep. Flatten it."
    if isinstance(value, str):
        return text_fault(value)
    if isinstance(value, dict):
        return next(filter(None, map(text_fault, value)), "")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_NUMBER:
        return f"This number is too large; {LARGEST_NUMBER:,} at most."
    if isinstance(value, float) and not math.isfinite(value):
        return "This is no finite number."
    return ""


def _walk(values: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], Any, int]]:
    """Every value with its path and depth; what is too deep is told once and not entered."""
    pending: list[tuple[tuple[Any, ...], Any, int]] = [((), dict(values), 0)]
    while pending:
        path, value, level = pending.pop()
        yield path, value, level
        if level > MOST_LEVELS:
            continue
        if isinstance(value, dict):
            pending.extend(((*path, name), item, level + 1) for name, item in value.items())
        elif isinstance(value, list):
            pending.extend(((*path, place), item, level + 1) for place, item in enumerate(value))


def _name(path: tuple[Any, ...]) -> str:
    return clipped(storable_text(".".join(map(str, path)))) or "arguments"

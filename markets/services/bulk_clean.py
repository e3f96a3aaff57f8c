"""Rows of a bulk call by column, each value cleaned with the rules of the single-row services."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markets.exceptions import InvalidInput, Rejection
from markets.services.bulk_stage import Clean, Entity
from markets.services.values import UNSET


@dataclass
class Chunk:
    """Rows by column: `columns` has UNSET where a row omits a field, and lists of one length."""

    positions: Sequence[int]
    keys: list[Any]
    columns: dict[str, list[Any]]


@dataclass
class CleanColumns:
    """A value for each field that the entity has, omitted ones by their default; masks of what was given.

    `ever` are the bits of the fields that some row gives, `always` those that all give, `masks` the row's other ones.
    """

    columns: list[list[Any]]
    masks: list[int]
    ever: int
    always: int
    faults: list[Rejection]


def clean_keys(entity: Entity, chunk: Chunk) -> tuple[list[str | None], list[Rejection]]:
    """The natural key of each row, None where there is a fault."""
    keys: list[str | None] = []
    faults: list[Rejection] = []
    for row, value in zip(chunk.positions, chunk.keys, strict=True):
        if value is UNSET:
            faults.append(Rejection(row, entity.key, f"{entity.key} is missing. It names the {entity.noun}."))
            keys.append(None)
            continue
        try:
            keys.append(entity.clean_key(value))
        except InvalidInput as error:
            faults.append(Rejection(row, error.field, str(error)))
            keys.append(None)
    return keys, faults


def clean_columns(entity: Entity, chunk: Chunk, keys: list[str | None], bits: dict[str, int]) -> CleanColumns:
    """Each field's values, cleaned; `bits` gives each field's bit in the masks."""
    masks, ever, always = [0] * len(keys), 0, 0
    columns: list[list[Any]] = []
    faults: list[Rejection] = []
    for name, clean in entity.cleaners.items():
        default = entity.defaults.get(name, _nothing)
        values = chunk.columns.get(name)
        if values is None:
            columns.append([default(key) if key is not None else None for key in keys])
            continue
        bit = bits[name]
        omitted = [place for place, value in enumerate(values) if value is UNSET]
        cleaned = _clean(chunk.positions, values, name, clean, faults)
        for place in omitted:
            key = keys[place]
            cleaned[place] = default(key) if key is not None else None
        if omitted:
            masks = [mask if value is UNSET else mask | bit for mask, value in zip(masks, values, strict=True)]
        else:
            always |= bit
        if len(omitted) < len(values):
            ever |= bit
        columns.append(cleaned)
    return CleanColumns(columns, masks, ever, always, faults)


def _clean(positions: Sequence[int], values: list[Any], name: str, clean: Clean, faults: list[Rejection]) -> list[Any]:
    """The values cleaned, each distinct one once; faults are added to those given."""
    known: dict[Any, Any] = {}
    cleaned: list[Any] = [None] * len(values)
    for place, value in enumerate(values):
        if value is UNSET:
            continue
        token = (value.__class__, value)  # True and 1 are equal, and not the same
        try:
            cleaned[place] = known[token]
            continue
        except KeyError:
            memorable = True
        except (TypeError, RecursionError):  # a dict, a list
            memorable = False
        try:
            cleaned[place] = clean(value)
        except InvalidInput as error:
            faults.append(Rejection(positions[place], error.field or name, str(error)))
            continue
        if memorable:
            known[token] = cleaned[place]
    return cleaned


def _nothing(key: str) -> None:
    return None

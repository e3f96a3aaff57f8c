"""Spells of two owners that become one's: those that overlap are joined, the others move as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spell:
    """From `first`, included, to `last`, excluded; None is open. The times of all spells compare with each other."""

    key: int
    first: Any
    last: Any


@dataclass
class Joining:
    """`moved` change their owner, `removed` go, and `widened` reach from one time to another instead."""

    moved: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    widened: dict[int, tuple[Any, Any]] = field(default_factory=dict)


def join_spells(kept: Sequence[Spell], dropped: Sequence[Spell]) -> Joining:
    """What becomes of the spells when the dropped owner's are given to the kept one.

    No two spells of one owner overlap. Spells that only touch stay apart. Of those that overlap, the earliest of the
    kept owner's is widened to hold them all, and the others go.
    """
    joining = Joining()
    ours = {spell.key for spell in kept}
    spells = sorted([*kept, *dropped], key=_beginning)
    group: list[Spell] = []
    end: Any = None
    for spell in spells:
        if group and _reaches_beyond(end, spell.first):
            group.append(spell)
            end = None if end is None or spell.last is None else max(end, spell.last)
            continue
        _settle(group, end, ours, joining)
        group, end = [spell], spell.last
    _settle(group, end, ours, joining)
    return joining


def _settle(group: list[Spell], end: Any, ours: set[int], joining: Joining) -> None:
    if not group:
        return
    if len(group) == 1:
        if group[0].key not in ours:
            joining.moved.append(group[0].key)
        return
    survivor = next(spell for spell in group if spell.key in ours)
    joining.removed += [spell.key for spell in group if spell.key != survivor.key]
    if (survivor.first, survivor.last) != (group[0].first, end):
        joining.widened[survivor.key] = (group[0].first, end)


def _reaches_beyond(end: Any, first: Any) -> bool:
    return end is None or first is None or end > first


def _beginning(spell: Spell) -> tuple[bool, Any]:
    return (spell.first is not None, spell.first if spell.first is not None else 0)

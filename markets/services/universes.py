"""The past of categories: spells of membership, written as they were, by hand or from a file of dates."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.db import transaction

from markets.engine.universe_files import FileSpell, UniverseFile, read_universe_file
from markets.exceptions import InvalidInput
from markets.models import Asset, AssetCategory, AssetCategoryMembership, OpenFigiDetails
from markets.redirects import refuse_merged
from markets.services.categories import (
    Member,
    get_or_create_category,
    identify_assets,
    lock_members,
    touch,
)
from markets.services.values import check_storable, clean_date, clean_identifier, clean_instant, listed

Moment = dt.datetime | dt.date | str
NAMES_IN_MESSAGE = 10


@dataclass(frozen=True)
class SpellChange:
    """What writing spells did, in numbers of spells. `changed` ones began as before and end at another time."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0


@dataclass(frozen=True)
class UnknownName:
    """A name of a file that is no asset's, and the lines that have it."""

    name: str
    lines: Sequence[int]


@dataclass(frozen=True)
class UniverseReport:
    """What a file holds and what loading it did. `category` is None when nothing was written to a new one."""

    category: AssetCategory | None
    created: bool
    written: bool
    rows: int
    assets: int
    empty: int
    unknown: Sequence[UnknownName]
    change: SpellChange
    members_now: int
    ignored_columns: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class _Spell:
    asset_id: int
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    name: str

    def __str__(self) -> str:
        end = "open" if self.valid_to is None else self.valid_to.isoformat()
        return f"{self.name} from {self.valid_from.isoformat()} to {end}"


@transaction.atomic
def register_spells(category: AssetCategory, spells: Iterable[tuple[Member, Moment, Moment | None]]) -> SpellChange:
    """Give each named asset exactly these spells, (asset, valid_from, valid_to) each; other assets keep theirs.

    A spell holds from `valid_from`, included, to `valid_to`, excluded; None is open. A date is its first instant in
    UTC. A spell that ends when it begins is not kept. Raises InvalidInput for a wrong or overlapping spell,
    UnknownIdentifiers for unknown assets; then nothing was written.
    """
    given = [_checked_triple(item, position) for position, item in enumerate(spells)]
    ids = identify_assets([asset for asset, _, _ in given])
    return _write(
        category,
        [_Spell(pk, first, last, str(asset)) for pk, (asset, first, last) in zip(ids, given, strict=True)],
    )


@transaction.atomic
def register_universe(
    category_identifier: str, path: str | Path, *, skip_unknown: bool = False, dry_run: bool = False
) -> UniverseReport:
    """Load a file of spells (`docs/how-to/point-in-time-universes.md`) into a category, which is made when missing.

    Every asset that the file names has exactly the file's spells afterwards; loading it again changes nothing. A ticker
    names the one asset that has it as its identifier or its OpenFIGI ticker. With unknown names nothing is written,
    unless `skip_unknown`; the report lists them. `dry_run` writes nothing and reports what would be.
    Raises InvalidInput for a wrong file, an ambiguous name or overlapping spells.
    """
    identifier = clean_identifier(category_identifier, field="category")
    file = read_universe_file(path)
    known, unknown = _assets_by_name(file)
    spells = [_dated(known[row.name], row) for row in file.spells if row.name in known]
    lasting = [spell for spell in spells if spell.valid_to is None or spell.valid_to > spell.valid_from]
    _refuse_overlaps(lasting)
    refused = bool(unknown) and not skip_unknown
    category, created, change, members = None, False, SpellChange(), 0
    if not refused:
        savepoint = transaction.savepoint()
        saved = get_or_create_category(unique_identifier=identifier, display_name=identifier)
        category, created = saved.row, saved.created
        change = _write(category, spells)
        members = AssetCategoryMembership.objects.filter(category=category).at().count()
        if dry_run:
            transaction.savepoint_rollback(savepoint)
        else:
            transaction.savepoint_commit(savepoint)
    return UniverseReport(
        category=None if dry_run and created else category,
        created=created,
        written=not refused and not dry_run,
        rows=len(file.spells),
        assets=len({spell.asset_id for spell in spells}),
        empty=len(spells) - len(lasting),
        unknown=unknown,
        change=change,
        members_now=members,
        ignored_columns=file.ignored_columns,
    )


def _write(category: AssetCategory, spells: Sequence[_Spell]) -> SpellChange:
    lock_members(category)
    lasting = [spell for spell in spells if spell.valid_to is None or spell.valid_to > spell.valid_from]
    _refuse_overlaps(lasting)
    named = {spell.asset_id for spell in spells}
    wanted = {(spell.asset_id, spell.valid_from): spell for spell in lasting}
    stored = {
        (row.asset_id, row.valid_from): row
        for row in AssetCategoryMembership.objects.filter(category=category)
        if row.asset_id in named
    }
    removed = [row.pk for key, row in stored.items() if key not in wanted]
    changed = []
    for key in stored.keys() & wanted.keys():
        row = stored[key]
        if row.valid_to != wanted[key].valid_to:
            row.valid_to = wanted[key].valid_to
            changed.append(row)
    new = [
        AssetCategoryMembership(
            category=category, asset_id=spell.asset_id, valid_from=spell.valid_from, valid_to=spell.valid_to
        )
        for key, spell in wanted.items()
        if key not in stored
    ]
    AssetCategoryMembership.objects.filter(pk__in=removed).delete()
    if removed or changed or new:
        touch(category)
    for row in changed:
        row.updated_at = category.updated_at
    AssetCategoryMembership.objects.bulk_update(changed, ["valid_to", "updated_at"], batch_size=1_000)
    AssetCategoryMembership.objects.bulk_create(new, batch_size=5_000)
    kept = len(stored) - len(removed) - len(changed)
    return SpellChange(added=len(new), changed=len(changed), removed=len(removed), kept=kept)


def _checked_triple(item: object, position: int) -> tuple[Member, dt.datetime, dt.datetime | None]:
    where = f"spells[{position}]"
    if not isinstance(item, tuple | list) or len(item) != 3:
        raise InvalidInput(f"{where} must be (asset, valid_from, valid_to).", field="spells")
    asset, start, end = item
    first = _instant(start, f"{where}.valid_from")
    last = None if end is None else _instant(end, f"{where}.valid_to")
    if last is not None and last < first:
        raise InvalidInput(f"{where} ends {last.isoformat()} before it begins {first.isoformat()}.", field="spells")
    return asset, first, last


def _refuse_overlaps(spells: Sequence[_Spell]) -> None:
    by_asset: dict[int, list[_Spell]] = defaultdict(list)
    for spell in spells:
        by_asset[spell.asset_id].append(spell)
    overlaps = []
    for of_asset in by_asset.values():
        of_asset.sort(key=lambda spell: spell.valid_from)
        for before, after in pairwise(of_asset):
            if before.valid_to is None or before.valid_to > after.valid_from:
                overlaps.append(f"{before} and {after}")
    if overlaps:
        raise InvalidInput(
            f"{len(overlaps)} spell{'' if len(overlaps) == 1 else 's'} of one asset overlap: "
            f"{listed(overlaps, NAMES_IN_MESSAGE)}. End each before the next begins; nothing was changed.",
            field="spells",
        )


def _assets_by_name(file: UniverseFile) -> tuple[dict[str, int], list[UnknownName]]:
    """Name → id of the asset, and the names that are no asset's. Raises InvalidInput for names of several assets."""
    lines: dict[str, list[int]] = defaultdict(list)
    for row in file.spells:
        check_storable(row.name, field=file.name_column)
        lines[row.name].append(row.line)
    found: dict[str, dict[int, str]] = defaultdict(dict)
    merged: list[int] = []
    rows = Asset.objects.filter(unique_identifier__in=lines).values_list("pk", "unique_identifier", "merged_into_id")
    for pk, identifier, into in rows:
        found[identifier][pk] = identifier
        if into is not None:
            merged.append(pk)
    if merged:
        refuse_merged(merged)
    if file.name_column in ("ticker", "figi"):
        details = OpenFigiDetails.objects.filter(**{f"{file.name_column}__in": list(lines)})
        for name, pk, identifier in details.values_list(file.name_column, "asset_id", "asset__unique_identifier"):
            found[name][pk] = identifier
    ambiguous = [f"{name} ({', '.join(sorted(ids.values()))})" for name, ids in sorted(found.items()) if len(ids) > 1]
    if ambiguous:
        raise InvalidInput(
            f"{len(ambiguous)} {file.name_column} name several assets: {listed(ambiguous, NAMES_IN_MESSAGE)}. Name "
            "assets by the column asset_identifier instead; nothing was changed.",
            field="path",
        )
    known = {name: next(iter(ids)) for name, ids in found.items()}
    unknown = [UnknownName(name, rows) for name, rows in sorted(lines.items()) if name not in known]
    return known, unknown


def _dated(asset_id: int, row: FileSpell) -> _Spell:
    end = None if row.end is None else _midnight(row.end)
    return _Spell(asset_id, _midnight(row.start), end, f"line {row.line}: {row.name}")


def _instant(value: Any, field: str) -> dt.datetime:
    if isinstance(value, str) and len(value) != 10:
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(
                f"{field}={value[:40]!r} is neither a date nor a time. Write it as 2026-01-31 or 2026-01-31T21:00:00Z.",
                field="spells",
            ) from None
    if isinstance(value, dt.datetime):
        moment = clean_instant(value, field=field)
        clean_date(moment, field=field)
        return moment
    return _midnight(clean_date(value, field=field))


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)

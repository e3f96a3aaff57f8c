"""Histories of identifiers from files that are loaded again and again: what is new is added, what ended is ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from markets.models import AssetIdentifier
from markets.services import identifier_clashes as clashes
from markets.services.identifiers import IdentifierRow, clean_source, locked_assets, refused_by_database, write
from markets.services.registry_rows import change


@dataclass(frozen=True)
class LoadedHistory:
    """What became of the rows; `changed` have another end than the same source gave before.

    `unknown` are assets that there are not, `conflicts` what is in the way of a row. Where `is_refused` nothing was
    written for one or the other; a dry run writes nothing either.
    """

    added: int
    changed: int
    kept: int
    unknown: tuple[str, ...]
    conflicts: tuple[str, ...]
    is_refused: bool
    is_dry_run: bool

    @property
    def written(self) -> bool:
        return not (self.is_refused or self.is_dry_run)


@transaction.atomic
def load_history(
    rows: Sequence[IdentifierRow],
    *,
    source: str,
    skip_unknown: bool = False,
    skip_conflicts: bool = False,
    dry_run: bool = False,
) -> LoadedHistory:
    """Make the spells of this source those of the file, all or none; what the file does not name is left alone.

    A spell is known again by its asset, value, venue and first day: with another last day it is ended, or goes on. One
    that another source recorded, or that overlaps one of another asset, is a conflict.
    """
    source = clean_source(source)
    assets = locked_assets(row.asset_identifier for row in rows)
    unknown = tuple(sorted({row.asset_identifier for row in rows} - assets.keys()))
    wanted = [row for row in rows if row.asset_identifier in assets]
    clashes.lock(row.key for row in wanted)
    stored = _stored(assets, source)
    same = clashes.stored_already(wanted, assets)
    open_rows = [row for row, is_same in zip(wanted, same, strict=True) if not is_same]
    olds = [stored.get((assets[row.asset_identifier], row.key, row.valid_from)) for row in open_rows]
    told = clashes.of_rows(open_rows, assets, without=[old.pk for old in olds if old is not None])
    is_refused = bool((unknown and not skip_unknown) or (told and not skip_conflicts))
    pairs = [pair for place, pair in enumerate(zip(open_rows, olds, strict=True)) if place not in told]
    fresh = [row for row, old in pairs if old is None]
    ended = [(row, old) for row, old in pairs if old is not None]
    if not (is_refused or dry_run):
        # Those that become shorter come first: another may begin on the day on which they end.
        ended.sort(key=lambda pair: _goes_on(*pair))
        with refused_by_database():
            for row, old in ended:
                change(old, {"valid_to": row.valid_to})
        write(fresh, assets, source=source)
    return LoadedHistory(
        added=len(fresh),
        changed=len(ended),
        kept=sum(same),
        unknown=unknown,
        conflicts=tuple(told[place] for place in sorted(told)),
        is_refused=is_refused,
        is_dry_run=dry_run,
    )


def _stored(assets: dict[str, int], source: str) -> dict[object, AssetIdentifier]:
    rows = AssetIdentifier.objects.filter(asset_id__in=assets.values(), source=source)
    return {(row.asset_id, clashes.key_of(row), row.valid_from): row for row in rows}


def _goes_on(row: IdentifierRow, old: AssetIdentifier) -> bool:
    return row.valid_to is None or (old.valid_to is not None and row.valid_to > old.valid_to)

"""Time-indexed rows of a merged asset, which name it by its identifier: given to the asset that stays, or left.

Where the asset that stays has no rows of that kind in a table, all move. Where it has, somebody chooses: leave them, or
fill the gaps. The statistics are recounted from the rows, and whoever read them is marked as stale.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from psycopg import sql

from markets import locks
from markets.data_nodes import staleness
from markets.data_nodes.reads import ASSET_DIMENSION
from markets.data_nodes.sealing import unseal
from markets.data_nodes.statistics import Identity
from markets.exceptions import Conflict
from markets.models import (
    Asset,
    AssetMerge,
    AssetMergeRows,
    NodeRun,
    NodeUpdate,
    RowsChoice,
    RunStatus,
    StorageNode,
    UpdateStatistic,
)
from markets.services.merging.parts import ImpactItem, Part
from markets.services.merging.steps import Steps

RECORD = sql.Identifier(AssetMergeRows._meta.db_table)
ASSET = sql.Identifier(ASSET_DIMENSION)
FINGERPRINT = sql.SQL("coalesce(sum(hashtextextended((to_jsonb(t) - {})::text, 0)::numeric), 0)::text").format(
    sql.Literal(ASSET_DIMENSION)
)


@dataclass(frozen=True)
class _Portion:
    """The dropped asset's rows of one identity; `rest` are the key's values beside time and asset."""

    storage: StorageNode
    rest: tuple[str, ...]
    row_count: int
    first: dt.datetime
    is_shared: bool

    @property
    def table(self) -> sql.Identifier:
        return sql.Identifier(self.storage.table_name)


def lock_series(*assets: Asset) -> None:
    """Nobody else writes or seals rows of tables with these assets until the transaction ends.

    Before anything else is locked or looked at, as every run does; so what is planned then is what is there.
    """
    held = UpdateStatistic.objects.filter(asset__in=assets).values_list("storage", flat=True)
    moved = AssetMergeRows.objects.filter(merge__dropped__in=assets).values_list("storage", flat=True)
    locks.take_for_transaction(locks.LockSpace.TABLE_PROGRESS, {*held, *moved})


def plan_series(kept: Asset, dropped: Asset, rows: str) -> Part:
    """What becomes of the rows of each table. Reads only."""
    portions = _portions(kept, dropped)
    part = Part(refusals=_running(kept, dropped), warnings=_scopes(dropped))
    by_table: dict[int, list[_Portion]] = defaultdict(list)
    for portion in portions:
        by_table[portion.storage.pk].append(portion)
    shared_tables = []
    for group in by_table.values():
        name = str(group[0].storage)
        moved = sum(portion.row_count for portion in group if not portion.is_shared)
        shared = [portion for portion in group if portion.is_shared]
        count = sum(portion.row_count for portion in shared)
        filled = sum(_gaps(portion, kept, dropped) for portion in shared) if rows == RowsChoice.FILL else 0
        note = ""
        if shared:
            shared_tables.append(f"{name} ({count:,} rows)")
            note = f"Both have rows: {count:,} of {dropped}, {_rows_of(kept, group[0].storage, shared):,} of {kept}."
        part.items.append(
            ImpactItem(
                f"rows.{group[0].storage.table_name}", name, moved=moved + filled, left=count - filled, note=note
            )
        )
    if shared_tables and rows == RowsChoice.REFUSE:
        part.refusals.append(
            f"Both have time-indexed rows in {', '.join(shared_tables)}. Choose what becomes of those of {dropped}: "
            f"{RowsChoice.LEAVE.value} them under its identifier, or {RowsChoice.FILL.value} the gaps of {kept} with "
            "them."
        )

    def apply(steps: Steps) -> None:
        changes: dict[int, dict[Identity, dt.datetime]] = defaultdict(dict)
        for portion in portions:
            if portion.is_shared and rows != RowsChoice.FILL:
                continue
            if _give(portion, kept, dropped, steps.merge):
                for owner in (kept, dropped):
                    changes[portion.storage.pk][_identity(portion.storage, portion.rest, owner)] = portion.first
        _settle(changes, [kept, dropped], f"Rows of {dropped} became those of {kept}.")

    part.apply = apply
    return part


def take_back(merge: AssetMerge) -> None:
    """Give the moved rows back. Raises Conflict where one of them was changed or deleted since."""
    changes: dict[int, dict[Identity, dt.datetime]] = defaultdict(dict)
    kept, dropped = merge.kept, merge.dropped
    rows = merge.moved_rows.defer("times").select_related("storage")
    for moved in rows:
        since = _return(merge, moved)
        for owner in (kept, dropped):
            changes[moved.storage_id][_identity(moved.storage, tuple(moved.rest), owner)] = since
    _settle(changes, [kept, dropped], f"Rows of {kept} became those of {dropped} again.")


def _portions(kept: Asset, dropped: Asset) -> list[_Portion]:
    found = UpdateStatistic.objects.filter(asset__in=[kept, dropped]).select_related("storage")
    ours = {(row.storage_id, _rest(row)) for row in found if row.asset_id == kept.pk}
    return [
        _Portion(row.storage, _rest(row), row.row_count, row.first_time_index, (row.storage_id, _rest(row)) in ours)
        for row in sorted(found, key=lambda row: (row.storage_id, row.identity))
        if row.asset_id == dropped.pk and ASSET_DIMENSION in row.storage.index_names
    ]


def _rest(row: UpdateStatistic) -> tuple[str, ...]:
    dimensions = row.storage.index_names[1:]
    if ASSET_DIMENSION not in dimensions:
        return tuple(row.identity)
    place = dimensions.index(ASSET_DIMENSION)
    return (*row.identity[:place], *row.identity[place + 1 :])


def _identity(storage: StorageNode, rest: tuple[str, ...], owner: Asset) -> Identity:
    place = storage.index_names[1:].index(ASSET_DIMENSION)
    return (*rest[:place], owner.unique_identifier, *rest[place:])


def _of(storage: StorageNode, rest: Sequence[str], alias: str = "t") -> sql.Composable:
    """The condition on the rest of the key; its values are written out."""
    names = [name for name in storage.index_names[1:] if name != ASSET_DIMENSION]
    parts = [
        sql.SQL(" AND {}.{} = {}").format(sql.Identifier(alias), sql.Identifier(name), sql.Literal(value))
        for name, value in zip(names, rest, strict=True)
    ]
    return sql.SQL("").join(parts)


def _not_kept(portion: _Portion) -> sql.Composable:
    return sql.SQL(" AND NOT EXISTS (SELECT FROM {} AS k WHERE k.{} = %s AND k.time_index = t.time_index{})").format(
        portion.table, ASSET, _of(portion.storage, portion.rest, "k")
    )


def _gaps(portion: _Portion, kept: Asset, dropped: Asset) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT count(*) FROM {} AS t WHERE t.{} = %s{}{}").format(
                portion.table, ASSET, _of(portion.storage, portion.rest), _not_kept(portion)
            ),
            [dropped.unique_identifier, kept.unique_identifier],
        )
        return int(cursor.fetchone()[0])


def _rows_of(kept: Asset, storage: StorageNode, shared: Sequence[_Portion]) -> int:
    identities = [list(_identity(storage, portion.rest, kept)) for portion in shared]
    rows = UpdateStatistic.objects.filter(storage=storage, identity__in=identities)
    return sum(rows.values_list("row_count", flat=True))


def _give(portion: _Portion, kept: Asset, dropped: Asset, merge: AssetMerge) -> int:
    """Move the rows, and keep which they were."""
    chosen = sql.SQL("t.{} = %s{}{}").format(ASSET, _of(portion.storage, portion.rest), _not_kept(portion))
    names = [dropped.unique_identifier, kept.unique_identifier]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {} (merge_id, storage_id, rest, times, row_count, fingerprint) "
                "SELECT %s, %s, %s::varchar[], array_agg(t.time_index ORDER BY t.time_index), count(*), {} "
                "FROM {} AS t WHERE {} HAVING count(*) > 0"
            ).format(RECORD, FINGERPRINT, portion.table, chosen),
            [merge.pk, portion.storage.pk, list(portion.rest), *names],
        )
        if not cursor.rowcount:
            return 0
        cursor.execute(
            sql.SQL("UPDATE {} AS t SET {} = %s WHERE {}").format(portion.table, ASSET, chosen),
            [kept.unique_identifier, *names],
        )
        return int(cursor.rowcount)


def _return(merge: AssetMerge, moved: AssetMergeRows) -> dt.datetime:
    table = sql.Identifier(moved.storage.table_name)
    chosen = sql.SQL("t.{} = %s{}").format(ASSET, _of(moved.storage, moved.rest))
    times = sql.SQL("(SELECT unnest(r.times) AS time_index FROM {} AS r WHERE r.id = %s) AS w").format(RECORD)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT count(*), {}, min(t.time_index) FROM {}, {} AS t WHERE {} AND t.time_index = w.time_index"
            ).format(FINGERPRINT, times, table, chosen),
            [moved.pk, merge.kept.unique_identifier],
        )
        count, fingerprint, first = cursor.fetchone()
        if (count, fingerprint) != (moved.row_count, moved.fingerprint):
            raise Conflict(
                f"{merge} cannot be undone: of the {moved.row_count:,} rows that it moved in {moved.storage}, some "
                "were changed or deleted since. Nothing was changed."
            )
        try:
            with transaction.atomic():
                cursor.execute(
                    sql.SQL("UPDATE {} AS t SET {} = %s FROM {} WHERE {} AND t.time_index = w.time_index").format(
                        table, ASSET, times, chosen
                    ),
                    [merge.dropped.unique_identifier, moved.pk, merge.kept.unique_identifier],
                )
        except IntegrityError as error:
            raise Conflict(
                f"{merge} cannot be undone: {moved.storage} holds rows of {merge.dropped} at the same times again. "
                "Nothing was changed."
            ) from error
    return first


def _settle(changes: dict[int, dict[Identity, dt.datetime]], owners: Sequence[Asset], reason: str) -> None:
    """Recount the statistics of the identities, and mark who read their rows."""
    storages = StorageNode.objects.in_bulk(sorted(changes))
    for pk in sorted(changes):
        storage = storages[pk]
        for identity in sorted(changes[pk]):
            owner = next(asset for asset in owners if asset.unique_identifier in identity)
            _recount(storage, identity, owner)
        unseal(storage, min(changes[pk].values()), None)
        staleness.mark_dependents(storage, changes[pk], reason=reason)


def _recount(storage: StorageNode, identity: Identity, owner: Asset) -> None:
    conditions: Iterable[sql.Composable] = (
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in zip(storage.index_names[1:], identity, strict=True)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT min(time_index), max(time_index), count(*) FROM {} WHERE {}").format(
                sql.Identifier(storage.table_name), sql.SQL(" AND ").join(conditions)
            )
        )
        first, last, count = cursor.fetchone()
    if not count:
        UpdateStatistic.objects.filter(storage=storage, identity=list(identity)).delete()
        return
    UpdateStatistic.objects.update_or_create(
        storage=storage,
        identity=list(identity),
        defaults={"asset": owner, "first_time_index": first, "last_time_index": last, "row_count": count},
    )


def _running(kept: Asset, dropped: Asset) -> list[str]:
    tables = UpdateStatistic.objects.filter(asset__in=[kept, dropped]).values("storage")
    names = [kept.unique_identifier, dropped.unique_identifier]
    running = NodeRun.objects.filter(
        Q(node_update__storage__in=tables) | Q(node_update__asset_scope__overlap=names), status=RunStatus.RUNNING
    ).select_related("node_update__storage")
    return [
        f"{run.node_update} runs at this moment and has these assets. Wait until it has ended." for run in running[:5]
    ]


def _scopes(dropped: Asset) -> list[str]:
    updates = NodeUpdate.objects.filter(asset_scope__contains=[dropped.unique_identifier]).select_related("storage")
    found = sorted(str(update) for update in updates[:20])
    if not found:
        return []
    return [
        f"{', '.join(found)} read or write {dropped} by its identifier: their next run is refused rows of it. Give "
        "them the identifier of the asset that stays."
    ]

"""Which updates rest on rows that came late or changed after they were read: they are stale from that instant on."""

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Max
from django.utils import timezone

from markets import locks
from markets.data_nodes.plain_rows import prepared_cursor
from markets.data_nodes.progress import stored_progress
from markets.data_nodes.statistics import ASSET_DIMENSION, Identity
from markets.models import NodeRun, NodeUpdate, RunStatus, StorageNode, UpdateStatistic

logger = logging.getLogger("msm.nodes.staleness")
PATIENCE_WITH_WRITERS = 60.0  # seconds: what a writer does after it looked for readers takes a few
BY_ASSET = ["time_index", ASSET_DIMENSION]
Changes = Mapping[Identity, dt.datetime]


@dataclass(frozen=True)
class _Written:
    """Rows that are new, differ or are gone, of one table: identity → the earliest of them, and which update wrote."""

    table: StorageNode
    changes: Changes
    writer: NodeUpdate | None


def mark_dependents(
    storage: StorageNode,
    changes: Changes,
    *,
    reason: str = "",
    writer: NodeUpdate | None = None,
    by: NodeUpdate | None = None,
) -> list[NodeUpdate]:
    """Mark as stale every update that had already gone past rows of this table which are new, differ or are gone.

    Whoever writes a table that DataNodes read calls it, a run as well as a service, so that every door marks alike.
    `changes` maps each identity to the earliest instant among its rows. `writer` is given where several updates share
    the table, each with a part of its own: then only who reads that one is asked. An update that has not come that far
    yet will read the rows on its next run and is left alone, unless it runs now; so is one whose assets are others, and
    `by`, which writes the rows and may read its own table.
    Runs in the transaction that writes the rows, and keeps readers that begin now from reading until it ends, see
    `await_writers`; returns what it marked.
    """
    reason = reason or f"{storage} has late, changed or deleted rows."
    marked: dict[int, tuple[NodeUpdate, dt.datetime]] = {}
    waiting = [_Written(storage, changes, writer)]
    while waiting:
        written = waiting.pop()
        if not written.changes:
            continue
        locks.share_for_transaction(locks.LockSpace.TABLE_CHANGES, written.table.pk)
        for update in _readers(written):
            if by is not None and update.pk == by.pk:
                continue
            affected = _affected(update, written)
            if not affected:
                continue
            since = min(affected.values())
            if update.pk in marked and marked[update.pk][1] <= since:
                continue
            _mark(update, since, reason)
            marked[update.pk] = update, since
            # Tables of the engine are read whole; of one that a migration owns each update has a part.
            part = None if update.storage.is_engine_table else update
            waiting.append(_Written(update.storage, _own_rows(update, written, affected), part))
    return [update for update, _ in marked.values()]


def await_writers(tables: Sequence[int]) -> None:
    """Wait until whoever has looked for readers of these tables (their ids) and not found this run has committed.

    A run calls it once its record says that it runs: a writer that looks later finds it and marks it, and of one that
    looked before it reads the new rows. Waits a minute at most; it holds nothing while it waits.
    """
    if not locks.await_sharers(locks.LockSpace.TABLE_CHANGES, tables, patience=PATIENCE_WITH_WRITERS):
        logger.warning("another transaction has changed a table that is read here and has not ended: it is left out")


def _readers(written: _Written) -> Sequence[NodeUpdate]:
    """Who reads the rows: through the node that writes them, or by the identifier of their table.

    Most writes have no reader, so that is asked first, in plain SQL: it takes a tenth of building the query of models.
    """
    edges = NodeUpdate.dependencies.through._meta.db_table
    of_writer = "w.storage_id = %s" if written.writer is None else "w.id = %s"
    with prepared_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT n.id FROM "{NodeUpdate._meta.db_table}" AS n
            WHERE n.tables_read @> ARRAY[%s]::varchar(255)[] OR n.id IN (
                SELECT e.from_nodeupdate_id FROM "{edges}" AS e
                JOIN "{NodeUpdate._meta.db_table}" AS w ON w.id = e.to_nodeupdate_id WHERE {of_writer}
            )
            """,
            [written.table.storage_hash, written.table.pk if written.writer is None else written.writer.pk],
        )
        found = [pk for (pk,) in cursor.fetchall()]
    return list(NodeUpdate.objects.filter(pk__in=found).select_related("storage").order_by("pk")) if found else []


def stale_notice(update: NodeUpdate) -> str:
    """One sentence on a stale update: from when on, and why."""
    assert update.stale_from is not None
    return f"Rows from {update.stale_from:%Y-%m-%d %H:%M:%S} UTC on are stale: {update.stale_reason}"


def mark_own(update: NodeUpdate, since: dt.datetime, reason: str) -> None:
    """The update's own rows from `since` on rest on earlier ones of its own that changed."""
    _mark(update, since, reason)


def clear(update: NodeUpdate, *, marked_at: dt.datetime | None) -> None:
    """The update is fresh again, unless it was marked once more since `marked_at`."""
    NodeUpdate.objects.filter(pk=update.pk, stale_marked_at=marked_at).update(
        stale_from=None, stale_reason="", stale_marked_at=None
    )


def remember_scope(update: NodeUpdate, assets: Sequence[str] | None) -> None:
    """Keep which assets the update reads; None where it does not say, so that every change concerns it."""
    scope = None if assets is None else sorted(assets)
    if update.asset_scope != scope:
        NodeUpdate.objects.filter(pk=update.pk).update(asset_scope=scope)
        update.asset_scope = scope


def _in_scope(written: _Written, scope: Iterable[str] | None) -> Changes:
    dimensions = written.table.index_names[1:]
    if scope is None or ASSET_DIMENSION not in dimensions:
        return written.changes
    wanted, place = set(scope), dimensions.index(ASSET_DIMENSION)
    return {identity: instant for identity, instant in written.changes.items() if identity[place] in wanted}


def _affected(update: NodeUpdate, written: _Written) -> Changes:
    """The part of the changes that the update had gone past: by asset where both tables are kept by asset."""
    if NodeRun.objects.filter(node_update=update, status=RunStatus.RUNNING).exists():
        return written.changes  # it may have read the old rows, and those of other assets than its last run
    changes = _in_scope(written, update.asset_scope)
    if not changes:
        return {}
    earliest = min(changes.values())
    if not UpdateStatistic.objects.filter(storage=update.storage, last_time_index__gte=earliest).exists():
        return {}
    if written.table.index_names == update.storage.index_names == BY_ASSET:
        progress = stored_progress(update.storage, sorted(changes))
        return {
            identity: instant
            for identity, instant in changes.items()
            if identity in progress and progress[identity] >= instant
        }
    last = NodeRun.objects.filter(node_update=update).aggregate(last=Max("last_time_index"))["last"]
    return changes if last is not None and last >= earliest else {}


def _own_rows(update: NodeUpdate, written: _Written, affected: Changes) -> Changes:
    """The rows of the update's own table that rest on the affected ones."""
    if written.table.index_names == update.storage.index_names == BY_ASSET:
        return affected
    since = min(affected.values())
    rows = UpdateStatistic.objects.filter(storage=update.storage, last_time_index__gte=since)
    return {tuple(identity): since for identity in rows.values_list("identity", flat=True)}


def _mark(update: NodeUpdate, since: dt.datetime, reason: str) -> None:
    stored = NodeUpdate.objects.select_for_update().get(pk=update.pk)
    if stored.stale_from is not None and stored.stale_from <= since:
        since = stored.stale_from
    update.stale_from, update.stale_reason, update.stale_marked_at = since, reason[:255], timezone.now()
    update.save(update_fields=["stale_from", "stale_reason", "stale_marked_at", "updated_at"])

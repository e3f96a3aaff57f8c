"""Which updates rest on rows that came late or changed after they were read: they are stale from that instant on."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from django.db.models import Max
from django.utils import timezone

from markets.data_nodes.progress import stored_progress
from markets.data_nodes.statistics import ASSET_DIMENSION, Identity
from markets.models import NodeRun, NodeUpdate, StorageNode, UpdateStatistic

BY_ASSET = ["time_index", ASSET_DIMENSION]
Changes = Mapping[Identity, dt.datetime]


def mark_dependents(storage: StorageNode, changes: Changes, *, reason: str) -> list[NodeUpdate]:
    """Mark as stale every update that had already gone past rows of this table which are new or differ now.

    `changes` maps each identity to the earliest instant among its new rows. An update that has not come that far yet
    will read them on its next run and is left alone, and so is one whose assets are others. Runs in the transaction
    that writes the rows; returns what it marked.
    """
    marked: dict[int, NodeUpdate] = {}
    waiting: list[tuple[StorageNode, Changes]] = [(storage, changes)]
    while waiting:
        table, changed = waiting.pop()
        if not changed:
            continue
        readers = NodeUpdate.objects.filter(dependencies__storage=table).exclude(pk__in=marked)
        for update in readers.select_related("storage").distinct():
            affected = _affected(update, _in_scope(changed, table, update.asset_scope))
            if not affected:
                continue
            _mark(update, min(affected.values()), reason)
            marked[update.pk] = update
            waiting.append((update.storage, affected))
    return list(marked.values())


def stale_notice(update: NodeUpdate) -> str:
    """One sentence on a stale update: from when on, and why."""
    assert update.stale_from is not None
    return f"Rows from {update.stale_from:%Y-%m-%d %H:%M:%S} UTC on are stale: {update.stale_reason}"


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


def _in_scope(changes: Changes, table: StorageNode, scope: Iterable[str] | None) -> Changes:
    dimensions = table.index_names[1:]
    if scope is None or ASSET_DIMENSION not in dimensions:
        return changes
    wanted, place = set(scope), dimensions.index(ASSET_DIMENSION)
    return {identity: instant for identity, instant in changes.items() if identity[place] in wanted}


def _affected(update: NodeUpdate, changes: Changes) -> Changes:
    """The part of the changes that the update had gone past: by asset where its own table is kept by asset."""
    if not changes:
        return {}
    earliest = min(changes.values())
    if not UpdateStatistic.objects.filter(storage=update.storage, last_time_index__gte=earliest).exists():
        return {}
    by_asset = len(next(iter(changes))) == 1
    if by_asset and update.storage.index_names == BY_ASSET:
        progress = stored_progress(update.storage, sorted(changes))
        return {
            identity: instant
            for identity, instant in changes.items()
            if identity in progress and progress[identity] >= instant
        }
    last = NodeRun.objects.filter(node_update=update).aggregate(last=Max("last_time_index"))["last"]
    return changes if last is not None and last >= earliest else {}


def _mark(update: NodeUpdate, since: dt.datetime, reason: str) -> None:
    stored = NodeUpdate.objects.select_for_update().get(pk=update.pk)
    if stored.stale_from is not None and stored.stale_from <= since:
        since = stored.stale_from
    update.stale_from, update.stale_reason, update.stale_marked_at = since, reason[:255], timezone.now()
    update.save(update_fields=["stale_from", "stale_reason", "stale_marked_at", "updated_at"])

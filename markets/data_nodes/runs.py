"""Runs a DataNode and its dependencies: the nine steps, one active run an update, a record that tells the truth."""

import datetime as dt
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from django.db import connection, transaction
from django.utils import timezone

from markets import locks
from markets.data_nodes import faults, quality, registration, staleness
from markets.data_nodes.access import APIDataNode
from markets.data_nodes.coordinates import Coordinate, named_tail
from markets.data_nodes.hash_namespaces import hash_namespace
from markets.data_nodes.output import NodeOutput
from markets.data_nodes.progress import lock_progress
from markets.data_nodes.reads import aware, empty_frame
from markets.data_nodes.run_locks import NodeBusy, lock_node
from markets.data_nodes.run_logs import LOGGER_NAME, RunLog, keep_log
from markets.data_nodes.run_records import claim, close_failed, close_succeeded, open_run
from markets.data_nodes.sharding import (
    of_shard,
    refuse_foreign_assets,
    refuse_undeclared_columns,
    remember_scope_of_shard,
)
from markets.data_nodes.statistics import ASSET_DIMENSION, UpdateStatistics, identifiers_of, load_statistics
from markets.data_nodes.tails import DeletedTail, DimensionFilters, delete_tail, refuse_shared_tables, rewound
from markets.data_nodes.windows import Window
from markets.data_nodes.writes import Write
from markets.engine.shards import WHOLE, Shard
from markets.engine.text import storable_text
from markets.exceptions import DependencyCycleError, InvalidInput
from markets.models import Job, NodeRun, NodeUpdate, RunStatus, StorageNode

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

logger = logging.getLogger(f"{LOGGER_NAME}.runs")
PATIENCE_WITH_DEPENDENCIES = 600.0  # seconds: two trees that share a node take turns at it


class Observer:
    """Who watches a tree of runs. A subclass overrides what it wants to hear."""

    job: Job | None = None

    def node_started(self, node: "DataNode", position: int, total: int) -> None: ...
    def node_progressed(self, node: "DataNode", done: int, total: int | None, text: str) -> None: ...
    def node_counted(self, node: "DataNode", **counts: int) -> None:
        """What became known: `assets_done`, `assets_total`, `rows_returned`."""

    def node_finished(self, node: "DataNode", result: "RunResult") -> None: ...


@dataclass(frozen=True)
class RunResult:
    """How one node's run ended. `frame` holds the persisted rows; `timings` seconds a step."""

    run: NodeRun
    status: str
    frame: pd.DataFrame
    rows_returned: int
    rows_written: int
    timings: dict[str, float]


def run_tree(
    head: "DataNode",
    *,
    update_tree: bool = True,
    update_only_tree: bool = False,
    recompute_stale: bool = False,
    override_update_stats: UpdateStatistics | None = None,
    observer: Observer | None = None,
) -> pd.DataFrame:
    """Run a node's dependencies, each once and before whoever reads it, then the node; return its persisted rows.

    A dependency that another process is updating is waited for; the head itself raises AlreadyRunning at once. An
    error stops the tree: what ran before stays, what depends on the failed node does not run. With `recompute_stale`
    every stale node of the tree is computed again from where its data changed.
    """
    order = execution_order(head)
    if update_only_tree:
        order = order[:-1]
    elif not update_tree:
        order = order[-1:]
    frame = pd.DataFrame()
    for position, node in enumerate(order):
        if observer is not None:
            observer.node_started(node, position, len(order))
        if node is head:
            result = run_node(node, observer, override=override_update_stats, recompute_stale=recompute_stale)
        else:
            patience = PATIENCE_WITH_DEPENDENCIES
            result = run_node(node, observer, recompute_stale=recompute_stale, patience=patience)
        if observer is not None:
            observer.node_finished(node, result)
        frame = result.frame if node is head else frame
    return frame


def run_window(
    node: "DataNode", window: Window, *, observer: Observer | None = None, patience: float = 0.0
) -> RunResult:
    """Run one node over a window of the past. Raises AlreadyRunning when another run outlasts the patience."""
    return run_node(node, observer, patience=patience, window=window)


def execution_order(head: "DataNode") -> "list[DataNode]":
    """The nodes that `head` rests on, each once, dependencies first, `head` last.

    Raises DependencyCycleError naming the circle.
    """
    order: dict[str, DataNode] = {}
    path: list[str] = []

    def visit(node: "DataNode") -> None:
        if node.update_hash in order:
            return
        if node.update_hash in path:
            circle = [*path[path.index(node.update_hash) :], node.update_hash]
            raise DependencyCycleError(f"DataNodes depend on each other in a circle: {' → '.join(circle)}.")
        path.append(node.update_hash)
        for dependency in nodes_read(node):
            visit(dependency)
        path.pop()
        order[node.update_hash] = node

    visit(head)
    return list(order.values())


def nodes_read(node: "DataNode") -> "list[DataNode]":
    """The nodes that this one reads directly and that run before it; what it reads by identifier is not among them."""
    return [read for read in node.upstream().values() if not isinstance(read, APIDataNode)]


def run_node(
    node: "DataNode",
    observer: Observer | None = None,
    *,
    override: UpdateStatistics | None = None,
    recompute_stale: bool = False,
    shard: Shard = WHOLE,
    patience: float = 0.0,
    window: Window | None = None,
) -> RunResult:
    """Run one node, or one shard of it, as it stands; what it reads is read as it is.

    Raises NodeBusy when another process runs it and does not end within `patience` seconds.
    """
    storage = registration.ensure_storage(node)  # step 1
    update = registration.ensure_update(node, storage)  # step 2
    node.last_run, node._scope_of_run = None, ()
    for dependency in node.upstream().values():
        dependency.forget_statistics()  # what the node asks of it is asked anew
    observer = observer or Observer()
    if patience and locks.is_held(locks.LockSpace.NODE_UPDATE, update.pk):
        observer.node_progressed(node, 0, None, "waiting for another run of it to end")
    with lock_node(update, shard, patience=patience):
        run = open_run(update, observer.job, shard, window)
        recompute = _Recompute.of(update) if recompute_stale and override is None else None
        node._observer = observer
        with keep_log() as log:
            if update.stale_from is not None and recompute is None:
                logger.warning("%s Recompute it: run with force_update=True.", staleness.stale_notice(update))
            try:
                staleness.await_writers(_tables_read(node, update))
                # Inside a transaction of the caller's a failed query must not take the run's record with it.
                with (
                    transaction.atomic() if connection.in_atomic_block else nullcontext(),
                    hash_namespace(node.hash_namespace),
                ):
                    node.last_run = _steps(node, storage, run, override, recompute, shard, log, window)
                return node.last_run
            except BaseException as error:
                logger.error("failed: %s", storable_text(str(error)))
                told = faults.explained(error)
                close_failed(run, told, log)
                node.last_run = RunResult(run, run.status, pd.DataFrame(), run.rows_returned, run.rows_written, {})
                _after_failure(node)
                if told is not error:
                    raise told from error
                raise
            finally:
                node._observer = None


def _tables_read(node: "DataNode", update: NodeUpdate) -> list[int]:
    """The ids of the tables that the node reads directly."""
    hashes = [*update.tables_read, *(item.storage_hash for item in node.upstream().values())]
    if not hashes:
        return []
    return sorted(StorageNode.objects.filter(storage_hash__in=hashes).values_list("pk", flat=True))


@dataclass(frozen=True)
class _Recompute:
    """From where a stale node is computed again, and when that was asked for."""

    since: dt.datetime
    marked_at: dt.datetime | None

    @classmethod
    def of(cls, update: NodeUpdate) -> "_Recompute | None":
        return cls(update.stale_from, update.stale_marked_at) if update.stale_from is not None else None


def _steps(
    node: "DataNode",
    storage: StorageNode,
    run: NodeRun,
    override: UpdateStatistics | None,
    recompute: _Recompute | None,
    shard: Shard,
    log: RunLog,
    window: Window | None,
) -> RunResult:
    timings: dict[str, float] = {}
    begun = time.perf_counter()
    idle = False
    with _timed(timings, "statistics"):  # steps 3 and 4
        node.update_statistics = load_statistics(storage, node.statistics_scope()) if override is None else override
        if recompute is not None:
            refuse_shared_tables((node, *node.companions()))
            logger.info("computing again from %s", f"{recompute.since:%Y-%m-%d %H:%M:%S} UTC")
            node.update_statistics = rewound(node.update_statistics, storage, recompute.since, node.statistics_scope())
        assets = node.get_asset_list()
        if not shard.is_whole:
            node.update_statistics = of_shard(node, node.update_statistics, shard, assets)
        if window is not None:
            node.update_statistics = window.statistics(node, storage, assets)
        elif assets is not None and override is None:
            everything = identifiers_of(assets)
            identifiers = everything if shard.is_whole else shard.cut(everything)
            # An empty part is not an empty list: `update()` might take that for "all there are".
            idle = not shard.is_whole and bool(everything or shard.index) and not identifiers
            node.node_counted(assets_total=len(identifiers))
            node.update_statistics = node.update_statistics.update_assets(
                identifiers, init_fallback_date=node.OFFSET_START
            )
        elif node._falls_back and override is None:
            node.update_statistics = node.update_statistics.update_assets(init_fallback_date=node.OFFSET_START)
        node._scope_of_run = (node.update_statistics.asset_list,)
    with _timed(timings, "update"):  # step 5
        output = NodeOutput(pd.DataFrame()) if idle else _as_output(node.update())
    with _timed(timings, "validate"):
        writes = _writes(node, storage, output)
        if window is not None:
            window.clip(writes)
        for write in writes:
            write.is_whole = shard.is_whole
        if not shard.is_whole:
            refuse_foreign_assets(writes, shard)
            refuse_undeclared_columns(writes)
    with _timed(timings, "quality"):
        outcomes = quality.judge(node, writes[0])
        run.quality = quality.as_json(outcomes)
        quality.refuse_critical(outcomes)
    rows_returned = sum(len(write.valid) for write in writes if write.valid is not None)
    node.node_counted(rows_returned=rows_returned)
    began = time.perf_counter()
    with transaction.atomic():  # steps 6 to 9
        claim(run)
        _lock_tables(node, writes, is_deleting=recompute is not None)
        if recompute is not None:
            for member in (node, *node.companions()):
                table = registration.ensure_storage(member)
                gone = delete_tail(table, recompute.since, _own_filters(member, node.update_statistics.asset_list))
                _mark_readers(member, run.node_update, table, dict.fromkeys(gone.identities, recompute.since))
            if shard.is_whole:  # shards: when the last of them is done
                staleness.clear(run.node_update, marked_at=recompute.marked_at)
        if shard.is_whole and window is None:  # one that mends a few assets is no word on what the node reads
            staleness.remember_scope(run.node_update, node.assets_read())
        registration.record_companions(run.node_update, (write.storage for write in writes[1:]))
        for write in writes:
            write.execute()
            registration.record_metadata(write.node, write.storage, write.tokens, write.metadata)
            _mark_readers(write.node, run.node_update, write.storage, write.changes)
        node.run_post_update_routines(error_on_last_update=False)
        if not shard.is_whole:  # last: it locks the update's row, and shards are written side by side
            remember_scope_of_shard(run.node_update, node.assets_read(), shard)
        head = writes[0]
        total = sum(write.written for write in writes)
        run.status = RunStatus.SUCCEEDED if total else RunStatus.UP_TO_DATE
        run.rows_returned, run.rows_written = rows_returned, total
        run.last_time_index = head.last_time
        if window is not None:
            window.conclude(node, run, head)
        run.finished_at = max(timezone.now(), run.started_at)  # a clock may have been set back
        timings["write"] = round(time.perf_counter() - began, 6)
        timings["total"] = round(time.perf_counter() - begun, 6)
        run.timings = timings
        logger.info("%s rows written, %s returned", total, rows_returned)
        run.log = log.text()
        close_succeeded(run)
    frame = head.frame if len(head.frame) or not head.storage.columns else empty_frame(head.storage)
    return RunResult(run, run.status, frame, rows_returned, total, timings)


def _lock_tables(node: "DataNode", writes: Sequence[Write], *, is_deleting: bool) -> None:
    """Lock what the run writes, in one order for all runs; a table without columns yet is made under another lock."""
    alone: dict[int, tuple[StorageNode, bool]] = {}
    if is_deleting:
        tables = [registration.ensure_storage(member) for member in (node, *node.companions())]
        alone = {table.pk: (table, True) for table in tables}
    for write in writes:
        if write.storage.columns and write.valid is not None:
            alone.setdefault(write.storage.pk, (write.storage, write.is_alone))
            write.is_locked = True
    for pk in sorted(alone):
        lock_progress(alone[pk][0], alone=alone[pk][1])


def delete_after_date(
    node: "DataNode",
    after_date: dt.datetime,
    dimension_filters: DimensionFilters | None,
    index_coordinates: Iterable[Coordinate] | None = None,
) -> DeletedTail:
    """Delete the rows of a node's table and its companions' at or after an instant; mark what reads them as stale."""
    since = aware(after_date, "after_date")
    if since is None:
        raise InvalidInput("after_date is missing. Name the first instant to delete.", field="after_date")
    update = node.get_node_update()
    wanted = named_tail(update.storage, node.statistics_scope(), dimension_filters, index_coordinates)
    with locks.held(locks.LockSpace.NODE_UPDATE, update.pk) as free:
        if not free:
            raise NodeBusy(update)
        with transaction.atomic():
            _lock_tables(node, (), is_deleting=True)
            deleted = delete_tail(update.storage, since, wanted.filters, wanted.identities)
            for companion in node.companions():
                table = registration.ensure_storage(companion)
                delete_tail(table, since, *wanted.of_companion(table, companion.statistics_scope()))
            _mark_readers(node, update, update.storage, dict.fromkeys(deleted.identities, since))
    return deleted


def _mark_readers(node: "DataNode", update: NodeUpdate, table: StorageNode, changes: staleness.Changes) -> None:
    """Mark who reads these rows; where several updates have each a part of the table, who reads this one's."""
    writer = update if node.statistics_scope() and update.storage_id == table.pk else None
    staleness.mark_dependents(table, changes, writer=writer, by=update)


def _own_filters(node: "DataNode", assets: Sequence[str] | None) -> dict[str, Sequence[str]]:
    """The filters that keep to what this run writes anew: another update of the table may have the other assets."""
    filters: dict[str, Sequence[str]] = {name: [value] for name, value in node.statistics_scope().items()}
    if assets is not None and ASSET_DIMENSION in node.index_names:
        filters[ASSET_DIMENSION] = assets
    return filters


def _as_output(returned: pd.DataFrame | NodeOutput) -> NodeOutput:
    return returned if isinstance(returned, NodeOutput) else NodeOutput(returned)


def _writes(node: "DataNode", storage: StorageNode, output: NodeOutput) -> list[Write]:
    writes = [Write(node, storage, output.frame, list(node.get_column_metadata() or []))]  # step 7's declarations
    for companion, frame in output.companions:
        writes.append(
            Write(companion, registration.ensure_storage(companion), frame, list(companion.get_column_metadata() or []))
        )
    for write in writes:
        if isinstance(write.frame, pd.DataFrame) and len(write.frame) == 0:
            continue  # an empty frame says "nothing new", whatever its columns
        write.validate()
    return writes


def _after_failure(node: "DataNode") -> None:
    try:
        with transaction.atomic():
            node.run_post_update_routines(error_on_last_update=True)
    except Exception:
        logger.exception("run_post_update_routines failed after a failed run")


@contextmanager
def _timed(timings: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings[step] = round(time.perf_counter() - start, 6)

"""The record of a run: opened before anything is read, closed in the transaction that writes, never left to lie."""

import logging

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from markets.data_nodes.plain_rows import prepared_cursor
from markets.data_nodes.run_locks import NodeBusy, is_alive
from markets.data_nodes.run_logs import LOGGER_NAME, LONGEST_LOG, RunLog
from markets.data_nodes.windows import Window
from markets.engine.shards import Shard
from markets.engine.text import storable_text
from markets.exceptions import RunSuperseded
from markets.models import Job, NodeRun, NodeUpdate, RunStatus

logger = logging.getLogger(f"{LOGGER_NAME}.runs")
DIED = "The process that ran this update died or lost its database. Nothing of the run was written; run it again."
_TOLD_AT_THE_END = {
    "status",
    "finished_at",
    "rows_returned",
    "rows_written",
    "last_time_index",
    "timings",
    "log",
    "quality",
}
_CHANGING = ("stale_from", "stale_reason", "stale_marked_at", "asset_scope", "companion_tables")


def open_run(update: NodeUpdate, job: Job | None, shard: Shard, window: Window | None) -> NodeRun:
    """A new run record; reads anew what others change of the update. The lock of the run must be held.

    A record that still says "running" without a lock belongs to a process that died, and is closed.
    """
    run = NodeRun(
        node_update=update,
        job=job,
        started_at=timezone.now(),
        shard=shard.index,
        shard_count=shard.count,
        **(window.run_fields() if window is not None else {}),
    )
    if shard.is_whole and _opened_alone(run):
        return run
    with transaction.atomic():
        # Two shards open one after the other; the storage is the node's own, which this row need not name yet.
        stored = NodeUpdate.objects.select_for_update().get(pk=update.pk)
        for name in _CHANGING:
            setattr(update, name, getattr(stored, name))
        for other in NodeRun.objects.filter(node_update=update, status=RunStatus.RUNNING):
            part = Shard(other.shard, other.shard_count)
            if shard.is_whole or part == shard or not is_alive(update.pk, part):
                _close_interrupted(NodeRun.objects.filter(pk=other.pk))
            elif part.count != shard.count:  # the class was changed meanwhile: their assets overlap
                raise NodeBusy(update)
        run.save(force_insert=True)
    return run


def _opened_alone(run: NodeRun) -> bool:
    """Insert the record where no other of its node says "running", in one statement; whether it was inserted."""
    fields = [field for field in NodeRun._meta.concrete_fields if not field.primary_key]
    values = [field.get_db_prep_save(field.pre_save(run, add=True), connection) for field in fields]
    update = run.node_update
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH opened AS (
                INSERT INTO "{NodeRun._meta.db_table}" ({", ".join(f'"{field.column}"' for field in fields)})
                SELECT {", ".join(f"%s::{field.db_type(connection)}" for field in fields)}
                WHERE NOT EXISTS (
                    SELECT FROM "{NodeRun._meta.db_table}" WHERE node_update_id = %s AND status = %s
                )
                RETURNING id
            )
            SELECT opened.id, {", ".join(f"u.{name}" for name in _CHANGING)}
            FROM opened, "{NodeUpdate._meta.db_table}" AS u WHERE u.id = %s
            """,
            [*values, update.pk, RunStatus.RUNNING, update.pk],
        )
        row = cursor.fetchone()
    if row is None:
        return False
    run.pk = row[0]
    run._state.adding, run._state.db = False, connection.alias
    for name, value in zip(_CHANGING, row[1:], strict=True):
        setattr(update, name, value)
    return True


def claim(run: NodeRun) -> None:
    """Lock this run's record until the transaction ends.

    Raises RunSuperseded when another process has closed it because the connection of this one was lost.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            f'SELECT FROM "{NodeRun._meta.db_table}" WHERE id = %s AND status = %s FOR NO KEY UPDATE',
            [run.pk, RunStatus.RUNNING],
        )
        if not cursor.rowcount:
            raise RunSuperseded("This run lost its database connection and another run took over. Nothing was written.")


def close_succeeded(run: NodeRun) -> None:
    """Keep how the run ended; the last statement of the transaction that wrote its rows."""
    fields = [field for field in NodeRun._meta.concrete_fields if field.name in _TOLD_AT_THE_END]
    settings = ", ".join(f'"{field.column}" = %s' for field in fields)
    values = [field.get_db_prep_save(getattr(run, field.attname), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "{NodeRun._meta.db_table}" SET {settings} WHERE id = %s', [*values, run.pk])


def close_failed(run: NodeRun, error: BaseException, log: RunLog) -> None:
    """Record the failure, with a new connection when the old one is gone; what fails here must not hide the error."""
    try:
        _record_failure(run, error, log)
    except Exception:
        logger.exception("the failure of run %s cannot be recorded", run.uid)
        run.status, run.rows_written = RunStatus.FAILED, 0  # as far as this process can tell; the next run closes it


def _record_failure(run: NodeRun, error: BaseException, log: RunLog) -> None:
    if not connection.in_atomic_block and connection.connection is not None and not connection.is_usable():
        connection.close()
    message = str(error) or type(error).__name__
    if not isinstance(error, Exception):
        message = f"The run was interrupted ({type(error).__name__}). Run it again."
    NodeRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).update(
        status=RunStatus.FAILED,
        finished_at=max(timezone.now(), run.started_at),
        error_type=type(error).__name__,
        error_message=storable_text(message)[:LONGEST_LOG],
        log=log.text(error),
        quality=run.quality,
    )
    run.refresh_from_db()


def close_runs(runs: QuerySet[NodeRun], error_type: str, message: str) -> int:
    """Record those of the runs that still say "running" as failed; returns how many."""
    return runs.filter(status=RunStatus.RUNNING).update(
        status=RunStatus.FAILED,
        finished_at=Greatest("started_at", timezone.now()),  # a clock may have been set back
        error_type=error_type,
        error_message=message,
    )


def _close_interrupted(dead: QuerySet[NodeRun]) -> int:
    return close_runs(dead, "Interrupted", DIED)


def close_interrupted_runs() -> int:
    """Record as failed every run whose process died; returns how many.

    A run takes its lock before it makes its record, so a record that says "running" beside a free lock has no process.
    """
    running = NodeRun.objects.filter(status=RunStatus.RUNNING)
    names = ("pk", "node_update_id", "shard", "shard_count")
    dead = [pk for pk, update, index, count in running.values_list(*names) if not is_alive(update, Shard(index, count))]
    return _close_interrupted(NodeRun.objects.filter(pk__in=dead)) if dead else 0

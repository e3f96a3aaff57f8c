"""Does a step in a worker: takes it once, runs its node, records how that ended, whatever dies on the way."""

import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from markets import locks
from markets.data_nodes import run_records, runs
from markets.data_nodes.configuration import build_node
from markets.data_nodes.node import DataNode
from markets.data_nodes.run_locks import NodeBusy, is_busy
from markets.engine.failures import is_transient, retry_delay
from markets.exceptions import InvalidInput, NotFound
from markets.models import Job, NodeRun, NodeStep, NodeUpdate, RunStatus, StepStatus, StopReason
from markets.services import audit, jobs, steps
from markets.services.step_watch import SUPERSEDED, Interruption, StepObserver, StepWatch, mark_being_mended

logger = logging.getLogger(__name__)

SHORTEST_WAIT, LONGEST_WAIT = 0.5, 5.0  # seconds between two looks at a node that another process runs
SECONDS_TO_RECORD = 60.0  # while the database restarts; later, recovery finds the step without its worker
SECONDS_TO_TAKE_AGAIN = 3.0  # the server notices within that time that the former connection is closed
LATE_ENOUGH = 0.2  # seconds: a message that comes so little early is not sent round again


def execute(uid: str, *, redelivered: bool = False, may_kill: bool = False) -> None:
    """Do the step with this uid. A second message for it does nothing; one that outlived its worker takes it over.

    `may_kill` tells that this process is a worker's, which ends itself when the node's code cannot be stopped.
    """
    step = _find(uid)
    if step is None or step.is_finished:
        return
    patience = jobs.SECONDS_FOR_A_DEAD_WORKER if redelivered else 0.0
    with locks.held(locks.LockSpace.STEP, step.pk, patience=patience) as free:
        step = _find(uid)
        if not free or step is None:
            return
        if step.status == StepStatus.RUNNING:  # beside a free lock: its worker died
            bury(step)
            step = _find(uid)
        if step is None or step.status != StepStatus.QUEUED or _is_settled(step) or not _is_due(step):
            return
        if is_busy(step.node_update_id, steps.shard_of(step)):
            steps.wait_for_other(step, delay=_patience_with_others(step))
        elif _claim(step):
            _do(step, may_kill=may_kill)


def work_off(job: Job) -> None:
    """Do the job's steps in this process, one after the other, as long as no other process has them."""
    while True:
        ready = job.steps.filter(status=StepStatus.QUEUED)
        step = ready.order_by(F("next_try_at").asc(nulls_first=True), "position").first()
        if step is None:
            return
        pause = 0.0 if step.next_try_at is None else (step.next_try_at - steps.database_now()).total_seconds()
        if pause > 0.0:
            time.sleep(min(pause, 1.0))
            continue
        execute(str(step.uid))
        if ready.filter(pk=step.pk, attempts=step.attempts, next_try_at=step.next_try_at).exists():
            return  # another process holds it


def _find(uid: str) -> NodeStep | None:
    return (
        NodeStep.objects.select_related("job__requested_by", "job__cancelled_by", "node_update__storage")
        .filter(uid=uid)
        .first()
    )


# --- before ----------------------------------------------------------------------------------------------------------
def _is_settled(step: NodeStep) -> bool:
    """Whether a run that began after the step was ready has done its work: another job's, or its own before it died."""
    shard = steps.shard_of(step)
    found = (
        NodeRun.objects.filter(node_update=step.node_update_id, pk__gt=step.runs_seen)
        .filter(shard=shard.index, shard_count=shard.count, status__in=[RunStatus.SUCCEEDED, RunStatus.UP_TO_DATE])
        .order_by("-id")
        .first()
    )
    if found is None:
        return False
    is_own = found.job_id == step.job_id
    stale = NodeUpdate.objects.filter(pk=step.node_update_id, stale_from__isnull=False).exists()
    if not is_own and stale and step.job.arguments.get("recompute_stale", False):
        return False
    return steps.succeed(step, found, by_other=not is_own)


def _is_due(step: NodeStep) -> bool:
    if step.next_try_at is None:
        return True
    early = (step.next_try_at - steps.database_now()).total_seconds()
    if early <= LATE_ENOUGH:
        return True
    steps.publish(step, delay=early)
    return False


def _patience_with_others(step: NodeStep) -> float:
    """Seconds until the next look: a tenth of what it has waited, so that neither is much too late nor too often."""
    waited = (steps.database_now() - step.queued_at).total_seconds() if step.queued_at else 0.0
    return min(max(waited / 10, SHORTEST_WAIT), LONGEST_WAIT)


def _claim(step: NodeStep) -> bool:
    """Take the queued step, unless its job was cancelled meanwhile."""
    queued = NodeStep.objects.filter(
        pk=step.pk, attempts=step.attempts, status=StepStatus.QUEUED, job__cancel_requested_at__isnull=True
    )
    taken = queued.update(
        status=StepStatus.RUNNING,
        attempts=F("attempts") + 1,
        started_at=Now(),
        heartbeat_at=Now(),
        next_try_at=None,
        note="",
        error_type="",
        error="",
        stop_reason="",
        rows_returned=0,
        progress_done=0,
        progress_total=None,
        progress_text="",
        assets_done=None,
        assets_total=None,
    )
    if taken:
        step.refresh_from_db(fields=["attempts", "status", "started_at"])
        if step.shard_count > 1:
            mark_being_mended(step)
    return bool(taken)


# --- the run ---------------------------------------------------------------------------------------------------------
def _do(step: NodeStep, *, may_kill: bool) -> None:
    job = step.job
    with audit.acting(source="task", actor=job.requested_by, reason=f"job: {job.title}"):
        try:
            node = _member(step)
        except Exception as error:
            logger.exception("the node of step %s cannot be built", step.uid)
            _end(step, error, None)
            return
        watch = StepWatch(step, time_limit=node.time_limit, may_kill=may_kill)
        watch.start()
        ended: BaseException | None = None
        result: runs.RunResult | None = None
        try:
            watch.arm()
            result = runs.run_node(
                node,
                StepObserver(step, watch),
                recompute_stale=job.arguments.get("recompute_stale", False),
                shard=steps.shard_of(step),
            )
            watch.disarm()
        except (Exception, Interruption) as error:
            ended = error
        finally:
            watch.close()
        if ended is None and result is not None:
            _record(step, lambda: steps.succeed(step, result.run, news=watch.unsaid()))
        elif isinstance(ended, Interruption):
            _stopped(step, node, watch)
        elif ended is not None:
            logger.error("step %s failed", step.uid, exc_info=ended)
            _end(step, ended, node)


def _member(step: NodeStep) -> DataNode:
    """The step's node as the head of its tree builds it.

    Raises NotFound for a head that was deleted, InvalidInput for a tree that has changed since it was laid out.
    """
    arguments = step.job.arguments
    update = NodeUpdate.objects.filter(uid=arguments["node_update"]).first()
    if update is None:
        raise NotFound("The DataNode of this job was deleted.")
    for node in runs.execution_order(build_node(update.build_configuration)):
        if node.update_hash == step.node_update.update_hash:
            return node
    raise InvalidInput(f"{update} does not rest on {step.node_update} any more. Ask for the run again.")


def _end(step: NodeStep, error: BaseException, node: DataNode | None) -> None:
    """Record what the error means: a wait, another try, or the end."""
    if isinstance(error, NodeBusy) and error.update_id == step.node_update_id:
        _record(step, lambda: steps.wait_for_other(step, delay=SHORTEST_WAIT))
        return
    if node is not None and step.retries + 1 < step.most_tries and is_transient(error, node.retry_on):
        delay = retry_delay(step.retries, base=node.retry_delay, chance=random.random())  # noqa: S311
        _record(step, lambda: steps.try_again(step, error, delay=delay))
        return
    message = str(error) or "no message"
    if step.retries and is_transient(error, node.retry_on if node is not None else ()):
        message = f"{message} It was tried {step.retries + 1} times. Mend the cause and run it again."
    _record(step, lambda: steps.fail(step, type(error).__name__, message))


def _stopped(step: NodeStep, node: DataNode, watch: StepWatch) -> None:
    """The node's code was interrupted, wherever it was: nothing of its connection is trusted any more."""
    if watch.reason == SUPERSEDED:  # whoever took over has closed the run
        _renew_connection()
        return
    if not _mend_connection(step):
        return
    step.stop_reason = watch.reason
    _record(step, lambda: close_stopped(step, limit=node.time_limit))


def close_stopped(step: NodeStep, *, limit: float | None = None) -> bool:
    """Record the end of a step that was stopped. A run that had committed before it was reached stays what it is."""
    run = steps.last_run(step)
    if run is not None and run.status in (RunStatus.SUCCEEDED, RunStatus.UP_TO_DATE):
        return steps.succeed(step, run)
    runs_open = NodeRun.objects.filter(pk=run.pk) if run is not None else NodeRun.objects.none()
    if step.stop_reason == StopReason.TIME_LIMIT:
        limit = limit if limit is not None else _limit_of(step)
        within = f"within its time limit of {limit:,.0f} s" if limit is not None else "within its time limit"
        message = (
            f"It did not end {within}, and nothing of this run was written. Let the node write less in one run, "
            "share its assets out with asset_shards, or raise time_limit on its class."
        )
        _correct(runs_open, "TimeLimitExceeded", message)
        return steps.fail(step, "TimeLimitExceeded", message)
    if step.stop_reason == StopReason.CANCELLED:
        step.job.refresh_from_db()  # it was read before anybody cancelled it
        _correct(runs_open, "Cancelled", f"{jobs.told_who_cancelled(step.job)} Nothing of this run was written.")
        return steps.cancelled(step)
    raise AssertionError(f"step {step.uid} was stopped for no reason")


def _correct(run_rows: "QuerySet[NodeRun]", error_type: str, message: str) -> None:
    """Say why the run ended, whether or not the interrupted process could still record that it did."""
    run_records.close_runs(run_rows, error_type, message)
    run_rows.filter(status=RunStatus.FAILED).update(error_type=error_type, error_message=message)


def _limit_of(step: NodeStep) -> float | None:
    with suppress(Exception):
        return _member(step).time_limit
    return None


# --- after a death ---------------------------------------------------------------------------------------------------
def bury(step: NodeStep) -> bool:
    """Record what a dead worker left of the step, whose lock the caller holds; it is queued again, or over.

    A death is counted once: the step is changed only while it is still that worker's.
    """
    with transaction.atomic():
        job = steps.locked(step.job_id)
        stored = NodeStep.objects.select_for_update(of=("self",)).filter(
            pk=step.pk, attempts=step.attempts, status=StepStatus.RUNNING
        )
        current = stored.select_related("job__cancelled_by", "node_update__storage").first()
        if job is None or current is None:
            return False
        run = steps.last_run(current)
        if run is not None and run.status in (RunStatus.SUCCEEDED, RunStatus.UP_TO_DATE):
            return steps.succeed(current, run)  # it died between the commit and the word of it
        if job.cancel_requested_at is not None:
            current.stop_reason = StopReason.CANCELLED
        if current.stop_reason:
            return close_stopped(current)
        if run is not None:
            run_records.close_runs(NodeRun.objects.filter(pk=run.pk), "Interrupted", run_records.DIED)
        if current.deaths + 1 >= jobs.MOST_ATTEMPTS:
            NodeStep.objects.filter(pk=current.pk).update(deaths=F("deaths") + 1)
            return steps.fail(
                current,
                "Interrupted",
                f"Its worker died {current.deaths + 1} times. Look for the cause in the worker's log (most often the "
                "machine's memory), mend it, and run it again.",
            )
        return steps.queue_after_death(current, job)


# --- the connection --------------------------------------------------------------------------------------------------
def _record(step: NodeStep, say: Callable[[], bool]) -> None:
    """Say how the step ended, with patience for a database that restarts."""
    deadline = time.monotonic() + SECONDS_TO_RECORD
    while True:
        try:
            lost = connection.connection is None or not connection.is_usable()
            if not lost or _mend_connection(step):
                say()
            return
        except Error:
            if time.monotonic() > deadline:
                raise
            logger.warning("the end of step %s cannot be recorded yet", step.uid, exc_info=True)
            connection.close()
            time.sleep(1.0)


def _mend_connection(step: NodeStep) -> bool:
    """A new connection in place of one whose state is not known; it takes the step's lock again, or says it cannot."""
    _renew_connection()
    deadline = time.monotonic() + SECONDS_TO_TAKE_AGAIN
    while not locks.try_lock(locks.LockSpace.STEP, step.pk):
        if time.monotonic() > deadline:
            return False
        time.sleep(locks.SECONDS_BETWEEN_TRIES)
    return True


def _renew_connection() -> None:
    with suppress(Exception):
        raw = connections[DEFAULT_DB_ALIAS].connection
        if raw is not None:
            raw.close()
    del connections[DEFAULT_DB_ALIAS]

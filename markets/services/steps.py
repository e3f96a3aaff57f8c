"""The steps of a job that runs a tree: laid out once, set going as what they wait for is done, summed up in the job.

Every change of a step that concerns others is made in a transaction that holds the job's row, so that of two steps that
end together one sees the other. Messages are sent when it commits.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Count, F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Least, Now, NullIf
from django.utils import timezone

from markets import namespaces
from markets.data_nodes import registration, runs, staleness
from markets.data_nodes.node import DataNode
from markets.data_nodes.sharding import shards_of
from markets.engine import step_order
from markets.engine.shards import Shard
from markets.engine.text import storable_text
from markets.models import (
    DONE_STEPS,
    UNFINISHED_JOBS,
    UNFINISHED_STEPS,
    Job,
    JobMessage,
    JobStatus,
    NodeRun,
    NodeStep,
    NodeUpdate,
    StepStatus,
)
from markets.services import jobs

logger = logging.getLogger(__name__)
UNITS = 1000  # of progress, for each step
LONGEST_NOTE = 1000  # characters of an error within a sentence
NAMES_IN_ERROR = 10


# --- laying out ------------------------------------------------------------------------------------------------------
def plan(job: Job, head: DataNode, *, update_tree: bool) -> None:
    """Lay out the steps of the tree and set going those that wait for nothing. Doing it twice changes nothing."""
    order = runs.execution_order(head) if update_tree else [head]
    updates = {node.update_hash: registration.ensure_update(node) for node in order}
    nodes = {node.update_hash: node for node in order}
    places = step_order.lay_out(
        list(nodes),
        {name: [read.update_hash for read in runs.nodes_read(node)] for name, node in nodes.items()},
        {name: shards_of(node) for name, node in nodes.items()},
    )
    with transaction.atomic():
        stored = locked(job.pk)
        if stored is None or stored.is_finished or stored.steps.exists():
            return
        NodeStep.objects.bulk_create(
            NodeStep(
                job=stored,
                node_update=updates[place.node],
                position=place.position,
                level=place.level,
                depends_on=list(place.depends_on),
                shard=place.shard,
                shard_count=place.shard_count,
                most_tries=max(nodes[place.node].max_retries, 0) + 1,
            )
            for place in places
        )
        advance(stored)


def locked(job_id: int) -> Job | None:
    """The job's row, locked; None when it was deleted."""
    return Job.objects.select_for_update(of=("self",)).filter(pk=job_id).first()


# --- going on --------------------------------------------------------------------------------------------------------
def advance(job: Job) -> None:
    """Set going what may begin, skip what cannot, and end the job when nothing is left; under the job's lock."""
    if job.cancel_requested_at is not None:
        job.steps.filter(status__in=[StepStatus.WAITING, StepStatus.QUEUED]).update(
            status=StepStatus.CANCELLED, finished_at=Now(), next_try_at=None, note=jobs.told_who_cancelled(job)
        )
    else:
        _go_on(job)
    sum_up(job)
    if not job.steps.filter(status__in=UNFINISHED_STEPS).exists():
        _finish(job)


def advance_job(job_id: int) -> bool:
    """`advance` the job, unless it is over."""
    with transaction.atomic():
        job = locked(job_id)
        if job is None or job.is_finished:
            return False
        advance(job)
    return True


def cancel_steps(job: Job) -> None:
    """Cancel what has not begun; what runs hears of it at its next heartbeat. Under the job's lock."""
    if job.steps.exists():
        advance(job)


def _go_on(job: Job) -> None:
    steps = {step.position: step for step in job.steps.select_related("node_update__storage")}
    decisions = step_order.decide(
        step_order.State(step.position, step.status, tuple(step.depends_on)) for step in steps.values()
    )
    latest = NodeRun.objects.filter(node_update=OuterRef("node_update")).order_by("-id").values("id")[:1]
    ready = [steps[position] for position in decisions.queue]
    if ready:
        NodeStep.objects.filter(pk__in=[step.pk for step in ready]).update(
            status=StepStatus.QUEUED, queued_at=Now(), published_at=Now(), runs_seen=Coalesce(Subquery(latest), 0)
        )
    for step in ready:
        publish_on_commit(step)
    for position, causes in decisions.skip.items():
        named = dict.fromkeys(str(steps[cause].node_update) for cause in causes if cause in steps)
        told = ", ".join(named) or "a DataNode that was deleted"
        NodeStep.objects.filter(pk=steps[position].pk).update(
            status=StepStatus.SKIPPED, finished_at=Now(), note=f"Not run, because it rests on {told}."
        )


def publish_on_commit(step: NodeStep, *, delay: float = 0.0) -> None:
    transaction.on_commit(lambda: publish(step, delay=delay))


def publish(step: NodeStep, *, delay: float = 0.0) -> None:
    """Put the step on the queue. Without a broker it stays queued, and recovery sends it as soon as there is one."""
    from celery import current_app

    try:
        current_app.send_task(
            "markets.execute_step",
            args=[str(step.uid)],
            queue=namespaces.queue(),
            retry=False,
            countdown=delay or None,
        )
    except Exception as error:
        logger.exception("cannot queue step %s", step.uid)
        NodeStep.objects.filter(pk=step.pk).update(
            published_at=None,
            note=f"The broker cannot be reached ({error}). Start Redis, or check REDIS_URL; it goes on by itself then.",
        )


# --- how a step ends -------------------------------------------------------------------------------------------------
def succeed(step: NodeStep, run: NodeRun, *, by_other: bool = False, news: Mapping[str, Any] | None = None) -> bool:
    """The run ended well, so the step has. False when the step is not this holder's any more."""
    assets = (news or {}).get("assets_total", F("assets_total"))
    with transaction.atomic():
        job = locked(step.job_id)
        if job is None or not _end(
            step,
            StepStatus(run.status),
            node_run=run,
            rows_returned=run.rows_returned,
            rows_written=0 if by_other else run.rows_written,
            progress_done=UNITS,
            progress_total=UNITS,
            assets_total=assets,
            assets_done=assets,
            note="Another job ran it meanwhile." if by_other else "",
            error_type="",
            error="",
        ):
            return False
        if step.shard_count > 1:
            _clear_staleness(step)
        seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else 0.0
        told = f"{run.get_status_display().lower()}, {run.rows_written:,} rows written in {seconds:.2f} s"
        say(job, f"{name_of(step)}: {'run by another job meanwhile' if by_other else told}")
        advance(job)
    return True


def fail(step: NodeStep, error_type: str, message: str) -> bool:
    """The step is over and what rests on it will not run."""
    with transaction.atomic():
        job = locked(step.job_id)
        fields = {"error_type": error_type[:255], "error": storable_text(message), "node_run": last_run(step)}
        if job is None or not _end(step, StepStatus.FAILED, **fields):
            return False
        say(job, f"{name_of(step)}: {error_type}: {message}", "error")
        advance(job)
    return True


def cancelled(step: NodeStep) -> bool:
    """The running step was stopped because somebody cancelled the job."""
    with transaction.atomic():
        job = locked(step.job_id)
        if job is None or not _end(
            step, StepStatus.CANCELLED, note=jobs.told_who_cancelled(job), node_run=last_run(step)
        ):
            return False
        advance(job)
    return True


def try_again(step: NodeStep, error: BaseException, *, delay: float) -> bool:
    """Queue the step once more after an error that may pass; it says when and why."""
    with transaction.atomic():
        job = locked(step.job_id)
        at = database_now() + dt.timedelta(seconds=delay)
        what = f"{type(error).__name__}: {error}"[:LONGEST_NOTE]
        note = f"Try {step.retries + 2} of {step.most_tries} at {at:%H:%M:%S} UTC, because {what}"
        if job is None or not _requeue(
            step,
            next_try_at=at,
            retries=F("retries") + 1,
            note=storable_text(note),
            error_type=type(error).__name__[:255],
            error=storable_text(str(error)),
            node_run=last_run(step),
        ):
            return False
        say(job, f"{name_of(step)}: {note[0].lower()}{note[1:]}", "warning")
        advance(job)  # a job that was cancelled meanwhile ends here
        if job.cancel_requested_at is None:
            publish_on_commit(step, delay=delay)
    return True


def wait_for_other(step: NodeStep, *, delay: float) -> bool:
    """Put the step back while another process runs its node; no worker waits with it."""
    with transaction.atomic():
        at = database_now() + dt.timedelta(seconds=delay)
        note = "Waiting for another run of it to end."
        if not _requeue(step, next_try_at=at, note=note):
            return False
        publish_on_commit(step, delay=delay)
    return True


def queue_after_death(step: NodeStep, job: Job) -> bool:
    """Queue a step whose worker died; under the job's lock."""
    note = "The worker that ran it died; it is run again from where its data stand."
    if not _requeue(step, next_try_at=None, deaths=F("deaths") + 1, note=note):
        return False
    say(job, f"{name_of(step)}: the worker that ran it died; it is run again from where its data stand.", "warning")
    publish_on_commit(step)
    return True


def _end(step: NodeStep, status: StepStatus, **fields: Any) -> bool:
    held = NodeStep.objects.filter(pk=step.pk, attempts=step.attempts, status__in=UNFINISHED_STEPS)
    return bool(held.update(status=status, finished_at=Now(), next_try_at=None, **fields))


def _requeue(step: NodeStep, **fields: Any) -> bool:
    held = NodeStep.objects.filter(
        pk=step.pk, attempts=step.attempts, status__in=[StepStatus.RUNNING, StepStatus.QUEUED]
    )
    return bool(held.update(status=StepStatus.QUEUED, published_at=Now(), **fields))


def last_run(step: NodeStep) -> NodeRun | None:
    """The latest run that this step made."""
    runs_made = NodeRun.objects.filter(
        node_update=step.node_update_id, job=step.job_id, shard=step.shard, shard_count=step.shard_count
    )
    return runs_made.filter(pk__gt=step.runs_seen).order_by("-id").first()


def shard_of(step: NodeStep) -> Shard:
    return Shard(step.shard, step.shard_count)


def name_of(step: NodeStep) -> str:
    """The published identifier of the step's table, else the node's class; with the shard where there are several."""
    update = NodeUpdate.objects.select_related("storage").get(pk=step.node_update_id)
    name = update.storage.identifier or update.class_name
    return name if step.shard_count == 1 else f"{name} ({shard_of(step)})"


def say(job: Job, text: str, level: str = "info") -> None:
    JobMessage.objects.create(job=job, level=level, text=storable_text(text))


def database_now() -> dt.datetime:
    """The database's clock: the one that heartbeats and delays are told by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: dt.datetime = cursor.fetchone()[0]
    return found


def _clear_staleness(step: NodeStep) -> None:
    """The node is fresh again when all of its shards mended one and the same mark; else it stays stale."""
    shards = list(NodeStep.objects.filter(job=step.job_id, node_update=step.node_update_id))
    marks = {shard.stale_marked_at for shard in shards}
    if all(shard.status in DONE_STEPS for shard in shards) and len(marks) == 1 and (mark := marks.pop()) is not None:
        staleness.clear(step.node_update, marked_at=mark)


# --- the job ---------------------------------------------------------------------------------------------------------
def sum_up(job: Job) -> None:
    """Bring the job's progress and counters up to its steps."""
    done = Q(status__in=DONE_STEPS)
    over = ~Q(status__in=UNFINISHED_STEPS)
    found = job.steps.aggregate(
        steps=Count("pk"),
        over=Count("pk", filter=over),
        rows=Sum("rows_written"),
        nodes=Count("node_update", distinct=True),
        undone=Count("node_update", distinct=True, filter=~done),
        part=Sum(share_of_running(), filter=Q(status=StepStatus.RUNNING)),
    )
    Job.objects.filter(pk=job.pk, status__in=UNFINISHED_JOBS).update(
        progress_done=found["over"] * UNITS + int(found["part"] or 0),
        progress_total=found["steps"] * UNITS,
        progress_text=_doing(job),
        counters={"nodes": found["nodes"] - found["undone"], "rows_written": found["rows"] or 0},
        updated_at=timezone.now(),
    )


def share_of_running() -> Any:
    """Units of progress of one running step, as an expression."""
    share = F("progress_done") * Value(UNITS) / NullIf(F("progress_total"), Value(0))
    return Coalesce(Greatest(Least(share, Value(UNITS)), Value(0)), Value(0), output_field=BigIntegerField())


def _doing(job: Job) -> str:
    """What is being done now, in a line."""
    running = list(
        job.steps.filter(status=StepStatus.RUNNING).select_related("node_update__storage").order_by("position")[:4]
    )
    if not running:
        waiting = job.steps.filter(status=StepStatus.QUEUED).exclude(note="").order_by("position").first()
        return f"{name_of(waiting)}: {waiting.note}"[:255] if waiting is not None else ""
    told = [
        f"{step.node_update.storage.identifier or step.node_update.class_name}"
        + (f" ({shard_of(step)})" if step.shard_count > 1 else "")
        + (f": {step.progress_text}" if step.progress_text else "")
        for step in running[:3]
    ]
    return ("; ".join(told) + ("; …" if len(running) > 3 else ""))[:255]


def _finish(job: Job) -> None:
    steps = list(job.steps.select_related("node_update__storage"))
    failed = [step for step in steps if step.status == StepStatus.FAILED]
    if job.cancel_requested_at is not None and any(step.status == StepStatus.CANCELLED for step in steps):
        jobs.finish(job, JobStatus.CANCELLED, error=jobs.told_who_cancelled(job))
    elif failed or not steps:
        jobs.finish(job, JobStatus.FAILED, error=_told_failure(steps, failed))
    else:
        jobs.finish(job, JobStatus.SUCCEEDED)


def _told_failure(steps: list[NodeStep], failed: list[NodeStep]) -> str:
    if not failed:
        return "Its DataNodes were deleted while it ran."
    lines = []
    for step in failed:
        where = f" (DataNode {name_of(step)})" if len(steps) > 1 else ""
        lines.append(f"{step.error_type}: {step.error}{where}")
    skipped = list(dict.fromkeys(str(step.node_update) for step in steps if step.status == StepStatus.SKIPPED))
    if skipped:
        more = f" and {len(skipped) - NAMES_IN_ERROR} more" if len(skipped) > NAMES_IN_ERROR else ""
        lines.append(f"Not run because of it: {', '.join(skipped[:NAMES_IN_ERROR])}{more}.")
    return "\n".join(lines)

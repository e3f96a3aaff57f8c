"""Jobs: asked for here, done by a worker, watched by a person; a killed worker loses none."""

import datetime as dt
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.utils import timezone

from markets import locks, namespaces
from markets.engine.text import storable_text
from markets.exceptions import Conflict, NotFound
from markets.models import UNFINISHED_JOBS, Job, JobMessage, JobStatus
from markets.services import audit

logger = logging.getLogger(__name__)

QUEUE_PATIENCE = dt.timedelta(minutes=2)  # a job that waits longer may have lost its message: it gets another
SECONDS_FOR_A_DEAD_WORKER = 5.0  # a job is redelivered before PostgreSQL has noticed that its worker is gone
MOST_ATTEMPTS = 3  # a job that kills its worker three times and comes no further would kill the next one too
LATEST_MESSAGES = 500  # what a page can show; the run's own log has the rest
SECONDS_BETWEEN_REPORTS = 0.3  # often enough for a live bar, rare enough to cost nothing


class JobInterrupted(Exception):
    """The database connection that held the job's lock is gone: the job is unfinished and is to be done again."""


Handler = Callable[["JobProgress"], dict[str, Any] | None]
OnJob = Callable[[Job], None]
_handlers: dict[str, Handler] = {}
_stoppers: dict[str, OnJob] = {}
_finishers: dict[str, OnJob] = {}


def handles(kind: str, *, stop: OnJob | None = None, work_off: OnJob | None = None) -> Callable[[Handler], Handler]:
    """Register the function that does jobs of this kind.

    It returns the job's counters, or None where the job goes on in steps of its own. `stop` cancels a job that is
    running; it is called under the lock of the job's row. `work_off` does the steps in this process.
    """

    def register(handler: Handler) -> Handler:
        _handlers[kind] = handler
        if stop is not None:
            _stoppers[kind] = stop
        if work_off is not None:
            _finishers[kind] = work_off
        return handler

    return register


class JobProgress:
    """What a handler uses to tell how far its job has come. Each report is visible at once."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._reported_at = 0.0
        self._beside: BaseDatabaseWrapper | None = None

    def report(self, done: int, total: int | None, text: str = "", *, always: bool = False) -> None:
        """`done` of `total` units, with a line on what is being done. Frequent calls are thinned out."""
        if connection.in_atomic_block and not always:
            return  # nobody could see it before the transaction ends
        if not self._is_due(always):
            return
        Job.objects.filter(pk=self.job.pk).update(
            progress_done=done,
            progress_total=total,
            progress_text=storable_text(text)[:255],
            updated_at=timezone.now(),
        )

    def report_beside(self, done: int, total: int | None, text: str = "") -> None:
        """As `report`, from within a long transaction: over a connection of its own, so that it is visible at once."""
        if not self._is_due(always=False):
            return
        if self._beside is None:
            self._beside = connections.create_connection(DEFAULT_DB_ALIAS)
        with suppress(Error), self._beside.cursor() as cursor:  # a report that is lost fails no job
            cursor.execute(
                "UPDATE markets_job SET progress_done = %s, progress_total = %s, progress_text = %s, "
                "updated_at = now() WHERE id = %s",
                [done, total, storable_text(text)[:255], self.job.pk],
            )

    def came_further(self) -> None:
        """The job has done for good a part of its work: it does not count as one that kills its workers in vain."""
        Job.objects.filter(pk=self.job.pk, attempts__gt=1).update(attempts=1)

    def close(self) -> None:
        if self._beside is not None:
            self._beside.close()
            self._beside = None

    def _is_due(self, always: bool) -> bool:
        now = time.monotonic()
        if not always and now - self._reported_at < SECONDS_BETWEEN_REPORTS:
            return False
        self._reported_at = now
        return True

    def say(self, text: str, level: str = "info") -> None:
        JobMessage.objects.create(job=self.job, level=level, text=storable_text(text))


def submit(kind: str, title: str, arguments: dict[str, Any], *, user: User | None = None) -> Job:
    """A new job, handed to the workers when the current transaction commits.

    When the broker cannot be reached the job is recorded as failed, with the remedy, rather than lost.
    """
    job = record(kind, title, arguments, user=user)
    transaction.on_commit(lambda: publish(job))
    return job


def record(kind: str, title: str, arguments: dict[str, Any], *, user: User | None = None) -> Job:
    """A new job that this process does itself, by `execute`; a worker takes it over when the process dies."""
    return Job.objects.create(
        kind=kind, title=title[:255], arguments=arguments, requested_by=user, queued_at=timezone.now()
    )


def publish(job: Job) -> None:
    """Put the job on the queue."""
    from celery import current_app

    try:
        current_app.send_task("markets.execute_job", args=[str(job.uid)], queue=namespaces.queue(), retry=False)
    except Exception as error:
        logger.exception("cannot queue job %s", job.uid)
        finish(
            job,
            JobStatus.FAILED,
            error=f"The broker cannot be reached ({error}). Start Redis, or check REDIS_URL, then ask again.",
        )


def execute(uid: str, *, hand_out: bool = False) -> None:
    """Do the job with this uid. Doing it twice is harmless: a finished or running job is left alone.

    With `hand_out`, as in a worker, a job that goes on in steps leaves them to whichever worker is free.
    """
    try:
        job = Job.objects.get(uid=uid)
    except Job.DoesNotExist:
        raise NotFound(f"There is no job {uid}.") from None
    with locks.held(locks.LockSpace.JOB, job.pk, patience=SECONDS_FOR_A_DEAD_WORKER) as free:
        if not free:
            return
        job.refresh_from_db()
        if job.is_finished or job.steps.exists():
            return
        if job.attempts >= MOST_ATTEMPTS:
            finish(job, JobStatus.FAILED, error=f"Its worker died {job.attempts} times. See the worker's log.")
            return
        _do(job)
    if not hand_out and not job.is_finished and job.kind in _finishers:
        _finishers[job.kind](job)


def _do(job: Job) -> None:
    progress = JobProgress(job)
    if job.attempts:
        progress.say(
            "The worker that did this job died or lost its database; it is done again from where its data stands.",
            "warning",
        )
    if not _claim(job):
        return
    try:
        with audit.acting(source="task", actor=job.requested_by, reason=f"job: {job.title}"):
            counters = _handler(job.kind)(progress)
    except Exception as error:
        logger.exception("job %s failed", job.uid)
        if connection.connection is not None and not connection.is_usable():
            connection.close()
        if not locks.is_ours(locks.LockSpace.JOB, job.pk):  # another worker may be doing it by now
            raise JobInterrupted(f"Job {job.uid} lost its database connection.") from error
        progress.say(str(error), "error")
        finish(job, JobStatus.FAILED, error=f"{type(error).__name__}: {error}")
    else:
        if counters is not None:
            finish(job, JobStatus.SUCCEEDED, counters=counters)
    finally:
        progress.close()


def _claim(job: Job) -> bool:
    """Say that the job is being done. One that was cancelled before it began ends here."""
    now = max(timezone.now(), job.queued_at)  # another host's clock may be ahead, or ours set back
    waiting = Job.objects.filter(pk=job.pk, status__in=UNFINISHED_JOBS, cancel_requested_at__isnull=True)
    if waiting.update(status=JobStatus.RUNNING, attempts=job.attempts + 1, started_at=now, updated_at=now):
        job.refresh_from_db()
        return True
    job.refresh_from_db()
    if job.cancel_requested_at is not None:
        finish(job, JobStatus.CANCELLED, error=told_who_cancelled(job))
    return False


def cancel(job: Job, *, user: User | None = None) -> Job:
    """Cancel a job. What has not begun is over at once; a DataNode that is running is stopped in its worker.

    Asking twice is harmless. Raises Conflict for a job that is over, and for a running one of a kind that cannot be
    stopped without leaving half of its work.
    """
    with transaction.atomic():
        stored = Job.objects.select_for_update(of=("self",)).filter(pk=job.pk).first()
        if stored is None:
            raise NotFound("The job was deleted.")
        if stored.is_finished:
            raise Conflict(f"The job is over ({stored.get_status_display().lower()}). There is nothing to cancel.")
        if stored.status == JobStatus.RUNNING and stored.kind not in _stoppers:
            raise Conflict("The job is under way and is not stopped half-way. Wait until it has ended.")
        if stored.cancel_requested_at is None:
            stored.cancel_requested_at, stored.cancelled_by = timezone.now(), user
            stored.save(update_fields=["cancel_requested_at", "cancelled_by", "updated_at"])
            JobMessage.objects.create(job=stored, level="warning", text=told_who_cancelled(stored))
        if stored.status == JobStatus.QUEUED:
            finish(stored, JobStatus.CANCELLED, error=told_who_cancelled(stored))
        else:
            _stoppers[stored.kind](stored)
            stored.refresh_from_db()
    return stored


def stop_between_parts(job: Job) -> None:
    """Cancel a job that is done in parts: the part under way still ends, and no further one is begun."""
    finish(job, JobStatus.CANCELLED, error=f"{told_who_cancelled(job)} What was done stays; ask again for the rest.")


def may_be_cancelled(job: Job) -> bool:
    """Whether `cancel` would take it, and nobody has asked yet."""
    can_stop = job.status == JobStatus.QUEUED or (job.status == JobStatus.RUNNING and job.kind in _stoppers)
    return can_stop and job.cancel_requested_at is None


def told_who_cancelled(job: Job) -> str:
    return f"Cancelled by {job.cancelled_by.get_username()}." if job.cancelled_by is not None else "Cancelled."


def _handler(kind: str) -> Handler:
    if kind not in _handlers:
        raise NotFound(f"No worker knows jobs of kind {kind!r}. Known: {', '.join(sorted(_handlers))}.")
    return _handlers[kind]


def finish(job: Job, status: str, *, error: str = "", counters: dict[str, Any] | None = None) -> None:
    """Record how the job ended, unless it has ended before."""
    now = max(filter(None, [timezone.now(), job.queued_at, job.started_at]))  # a clock may have been set back
    fields: dict[str, Any] = {"status": status, "error": storable_text(error), "finished_at": now, "updated_at": now}
    if counters is not None:
        fields["counters"] = counters
    unfinished = Job.objects.filter(pk=job.pk, status__in=UNFINISHED_JOBS)
    if unfinished.update(**fields):
        for name, value in fields.items():
            setattr(job, name, value)


def latest_messages(job: Job) -> list[JobMessage]:
    """The last LATEST_MESSAGES of what the job said, oldest first."""
    return list(job.messages.order_by("-id")[:LATEST_MESSAGES])[::-1]


def recover_interrupted_jobs() -> list[Job]:
    """Queue anew every job whose worker died (it says "running" while nobody holds its lock) or whose message is lost.

    A second message for a job does no harm. Jobs that go on in steps are left to those who know of these.
    """
    recovered = []
    for job in Job.objects.filter(status=JobStatus.RUNNING, steps__isnull=True):
        with locks.held(locks.LockSpace.JOB, job.pk) as free:
            if not free:
                continue
            changed = Job.objects.filter(pk=job.pk, status=JobStatus.RUNNING, steps__isnull=True).update(
                status=JobStatus.QUEUED, updated_at=timezone.now()
            )
        if changed:
            recovered.append(job)
            publish(job)
    now = timezone.now()
    forgotten = Job.objects.filter(
        Q(updated_at__lt=now - QUEUE_PATIENCE) | Q(updated_at__gt=now + QUEUE_PATIENCE),  # a clock was set back
        status=JobStatus.QUEUED,
    )
    for job in forgotten:
        if forgotten.filter(pk=job.pk).update(updated_at=timezone.now()):
            recovered.append(job)
            publish(job)
    return recovered

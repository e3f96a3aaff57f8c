"""Finds the steps whose worker is dead or hung, and those whose message was lost, and sets them going again."""

import datetime as dt
import logging
import time

from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from markets import locks
from markets.models import UNFINISHED_STEPS, Job, JobStatus, NodeStep, StepStatus
from markets.services import step_watch, steps
from markets.services.step_runs import bury

logger = logging.getLogger(__name__)

# A message that nobody took for so long may have died with a worker that had fetched it. The pause doubles from one to
# the next, so that a long queue does not fill with copies.
MESSAGE_PATIENCE = dt.timedelta(seconds=30)
SECONDS_FOR_A_BACKEND = 5.0  # an ended connection is gone within milliseconds


def recover_steps() -> int:
    """Mend the steps that nobody works on; returns how many were set going again or ended."""
    return _bury_the_dead() + _send_again() + _end_jobs_without_steps()


def _bury_the_dead() -> int:
    limit = dt.timedelta(seconds=step_watch.HEARTBEAT_LIMIT)
    mended = 0
    running = NodeStep.objects.filter(status=StepStatus.RUNNING)
    hung = set(running.filter(heartbeat_at__lt=Now() - limit).values_list("pk", flat=True))
    for step in running.select_related("job"):
        if step.pk in hung and locks.is_held(locks.LockSpace.STEP, step.pk):
            _end_hung_worker(step)
        with locks.held(locks.LockSpace.STEP, step.pk) as free:
            mended += bool(free and bury(step))
    return mended


def _end_hung_worker(step: NodeStep) -> None:
    """End the connection of a worker that does not answer, so that it can never write when it wakes."""
    stale = NodeStep.objects.filter(pk=step.pk, status=StepStatus.RUNNING, attempts=step.attempts)
    limit = dt.timedelta(seconds=step_watch.HEARTBEAT_LIMIT)
    if not stale.filter(heartbeat_at__lt=Now() - limit).exists():
        return  # it woke
    logger.warning(
        "the worker of step %s gave no heartbeat for %.0f s; its connection is ended", step.uid, limit.seconds
    )
    locks.end_holders(locks.LockSpace.STEP, step.pk)
    deadline = time.monotonic() + SECONDS_FOR_A_BACKEND
    while locks.is_held(locks.LockSpace.STEP, step.pk) and time.monotonic() < deadline:
        time.sleep(locks.SECONDS_BETWEEN_TRIES)


def _send_again() -> int:
    queued = NodeStep.objects.filter(status=StepStatus.QUEUED, job__cancel_requested_at__isnull=True).filter(
        Q(next_try_at__isnull=True) | Q(next_try_at__lt=Now() - MESSAGE_PATIENCE) | Q(published_at__isnull=True)
    )
    pause = Greatest(F("published_at") - F("queued_at"), MESSAGE_PATIENCE)
    lost = queued.filter(Q(published_at__isnull=True) | Q(published_at__lt=Now() - pause))
    sent = 0
    for step in lost:
        was = NodeStep.objects.filter(pk=step.pk, status=StepStatus.QUEUED, published_at=step.published_at)
        if was.update(published_at=Now()):
            steps.publish(step)
            sent += 1
    return sent


def _end_jobs_without_steps() -> int:
    """A job all of whose open steps went with a deleted DataNode has nobody left to end it."""
    planned = Job.objects.filter(status=JobStatus.RUNNING, steps__isnull=False)
    idle = planned.exclude(steps__status__in=UNFINISHED_STEPS).distinct()
    ended = 0
    for pk in list(idle.values_list("pk", flat=True)):
        ended += steps.advance_job(pk)
    return ended

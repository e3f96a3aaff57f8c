"""Schedules of DataNodes: set, read in words, and what happens when one comes due."""

import datetime as dt
import logging
import uuid
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cron_descriptor import Options, get_description
from django.db import transaction
from django.utils import timezone
from django_celery_beat.tzcrontab import TzAwareCrontab

from markets import locks
from markets.data_nodes.schedules import (
    clean_cron,
    clean_zone,
    follows,
    remove_schedule,
    schedule_of,
    set_schedule,
)
from markets.exceptions import MSMError
from markets.models import Job, JobStatus, NodeSchedule, NodeUpdate
from markets.services import audit, jobs
from markets.services.node_runs import RUN_NODE, request_run

__all__ = ["clean_cron", "clean_zone", "described", "remove_schedule", "run_scheduled", "schedule_of", "set_schedule"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Described:
    """A schedule for a person. `next_due_at` is None while it is disabled; `problem` tells what to do, if anything."""

    words: str
    next_due_at: dt.datetime | None
    problem: str = ""


def described(schedule: NodeSchedule, now: dt.datetime | None = None) -> Described:
    """In words, and when beat runs it next by its own reckoning."""
    problem = ""
    if not follows(schedule):
        problem = (
            "The task of Celery beat was changed elsewhere and does not do this. Save the schedule to put it right."
        )
    return Described(
        words=in_words(schedule.cron, schedule.timezone),
        next_due_at=next_due(schedule.cron, schedule.timezone, now or timezone.now()) if schedule.is_enabled else None,
        problem=problem,
    )


def in_words(cron: str, zone: str) -> str:
    """At 22:30, Monday through Friday (America/New_York)."""
    options = Options()
    options.use_24hour_time_format = True
    return f"{get_description(cron, options)} ({zone})"


def next_due(cron: str, zone: str, now: dt.datetime) -> dt.datetime:
    """The next instant, in UTC, at which beat runs a schedule that last ran, or began, at `now`."""
    minute, hour, day_of_month, month_of_year, day_of_week = cron.split()
    times = TzAwareCrontab(minute, hour, day_of_week, day_of_month, month_of_year, tz=ZoneInfo(zone))
    here = now.astimezone(ZoneInfo(zone))
    times.nowfun = lambda: here
    return (now + times.remaining_estimate(here)).astimezone(dt.UTC)


def run_scheduled(update_uid: str) -> Job | None:
    """What beat's task does: ask a worker to run the node. While a run is asked for or under way, no second one is.

    Returns the job; None when the schedule was removed or disabled, or the node runs in another process. A node that
    cannot be built leaves a failed job that says why.
    """
    try:
        uid = uuid.UUID(update_uid)
    except (ValueError, AttributeError, TypeError):
        logger.warning("a schedule names %.60r, which is no DataNode: nothing was run", update_uid)
        return None
    with transaction.atomic():
        update = NodeUpdate.objects.select_for_update(of=("self",)).select_related("storage").filter(uid=uid).first()
        schedule = NodeSchedule.objects.filter(node_update=update).first() if update is not None else None
        if update is None or schedule is None or not schedule.is_enabled:
            logger.warning("the schedule of DataNode %s is gone or disabled: nothing was run", uid)
            return None
        NodeSchedule.objects.filter(pk=schedule.pk).update(last_fired_at=timezone.now())
        unfinished = Job.objects.filter(
            kind=RUN_NODE,
            status__in=[JobStatus.QUEUED, JobStatus.RUNNING],
            arguments__node_update=str(update.uid),
        ).first()
        if unfinished is not None:
            logger.info("%s: a run is asked for already; its schedule asks for no other", update)
            return unfinished
        if locks.is_held(locks.LockSpace.NODE_UPDATE, update.pk):
            logger.info("%s: it is running; its schedule asks for no other run", update)
            return None
        because = f"scheduled {schedule}"
        with audit.acting(source="task", actor=f"schedule {schedule}"[: audit.LONGEST_ACTOR], reason=because):
            try:
                return request_run(
                    update,
                    update_tree=schedule.update_tree,
                    recompute_stale=schedule.recompute_stale,
                    because=because,
                )
            except MSMError as error:
                return _failed(update, because, error)


def _failed(update: NodeUpdate, because: str, error: MSMError) -> Job:
    """A job that was never begun, so that whoever looks at the jobs sees why nothing ran."""
    job = jobs.record(RUN_NODE, f"Run {update}, {because}", {"node_update": str(update.uid), "update_tree": True})
    job.status, job.finished_at, job.error = JobStatus.FAILED, timezone.now(), f"{type(error).__name__}: {error}"
    job.save(update_fields=["status", "finished_at", "error", "updated_at"])
    return job

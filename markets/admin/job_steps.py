"""The steps of a job as a table, and what the progress bar tells of them."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from markets.admin.formatting import NOTHING, count, counted, duration, lines, link, status_badge, utc
from markets.admin.tables import Column, Table
from markets.models import Job, NodeStep, StepStatus
from markets.services import job_pace, step_watch

SILENT = dt.timedelta(seconds=5 * step_watch.SECONDS_BETWEEN_BEATS)  # some missed beats are a busy machine
LONELY = dt.timedelta(seconds=10)  # a worker that is free takes a step at once


def steps_table(steps: list[NodeStep]) -> Table:
    """Node, level, shard, status, tries, rows, assets, seconds, and what went wrong."""
    now = timezone.now()
    sharded = any(step.shard_count > 1 for step in steps)
    return Table(
        label="Steps",
        columns=[
            Column("DataNode"),
            Column("Level", numeric=True),
            *([Column("Shard", numeric=True)] if sharded else []),
            Column("Status"),
            Column("Tries", numeric=True),
            Column("Rows written", numeric=True),
            Column("Assets", numeric=True),
            Column("Took", numeric=True),
            Column("What happened"),
        ],
        rows=[
            (
                _node(step),
                step.level,
                *([f"{step.shard + 1} of {step.shard_count}" if step.shard_count > 1 else NOTHING] if sharded else []),
                status_badge(step.status, step.get_status_display()),
                step.tries or NOTHING,
                _rows(step),
                _assets(step),
                duration(_seconds(step, now)),
                _told(step),
            )
            for step in steps
        ],
        empty="The job has no steps: a worker lays them out when it takes the job.",
    )


def told_counts(steps: list[NodeStep]) -> str:
    """'2 of 5 steps ended, 12,000 rows written, 300 of 800 assets' for the line under the bar."""
    if not steps:
        return ""
    done = sum(step.is_finished for step in steps)
    parts = [f"{done} of {counted(len(steps), 'step')} ended"]
    if returned := sum(step.rows_returned for step in steps):
        written = sum(step.rows_written for step in steps)
        parts.append(f"{counted(returned, 'row')} returned, {written:,} written")
    if total := sum(step.assets_total or 0 for step in steps):
        parts.append(f"{sum(step.assets_done or 0 for step in steps):,} of {counted(total, 'asset')}")
    return ", ".join(parts)


def warning_of(job: Job, steps: list[NodeStep]) -> str:
    """Why a running job may not be moving; empty while all is well."""
    now = timezone.now()
    if job.cancel_requested_at is not None:
        return "It is being cancelled: what runs is stopped within a few seconds."
    running = [step for step in steps if step.status == StepStatus.RUNNING]
    silent = [step for step in running if step.heartbeat_at is not None and now - step.heartbeat_at > SILENT]
    if silent:
        names = ", ".join(dict.fromkeys(str(step.node_update) for step in silent))
        return (
            f"The worker of {names} has given no sign of life for "
            f"{duration(max((now - step.heartbeat_at).total_seconds() for step in silent if step.heartbeat_at))}. It "
            "is run again, from where its data stand, as soon as that worker is found dead, while make run is up."
        )
    waiting = [step for step in steps if step.status == StepStatus.QUEUED and step.next_try_at is None]
    since = [now - step.queued_at for step in waiting if step.queued_at is not None]
    if not running and since and min(since) > LONELY:
        return (
            f"No worker has taken its next step for {duration(min(since).total_seconds())}. Either all are busy with "
            "other jobs, or none runs: make run starts web, worker and beat."
        )
    return ""


def _node(step: NodeStep) -> SafeString:
    return link(reverse("admin:markets_nodeupdate_change", args=(step.node_update_id,)), step.node_update)


def _rows(step: NodeStep) -> SafeString | str:
    if step.status == StepStatus.RUNNING and step.rows_returned:
        return format_html('<span class="msm-quiet">{} returned</span>', count(step.rows_returned))
    return count(step.rows_written) if step.is_finished and step.started_at else NOTHING


def _assets(step: NodeStep) -> str:
    if step.assets_total is None:
        return NOTHING
    return f"{step.assets_done or 0:,} of {step.assets_total:,}"


def _seconds(step: NodeStep, now: dt.datetime) -> float | None:
    if step.started_at is None or (not step.is_finished and step.status != StepStatus.RUNNING):
        return None
    return max(((step.finished_at or now) - step.started_at).total_seconds(), 0.0)


def _told(step: NodeStep) -> Any:
    parts: list[Any] = []
    if step.status == StepStatus.RUNNING and step.progress_text:
        parts.append(step.progress_text)
    if step.error and step.status == StepStatus.FAILED:
        parts.append(f"{step.error_type}: {step.error}")
    if step.note:
        parts.append(step.note)
    if step.node_run is not None:
        run = reverse("admin:markets_noderun_change", args=(step.node_run_id,))
        parts.append(link(run, f"Run of {utc(step.node_run.started_at)}"))
    return format_html('<div class="msm-told">{}</div>', lines(parts)) if parts else NOTHING


def steps_of(job: Job) -> list[NodeStep]:
    return job_pace.steps_of(job)

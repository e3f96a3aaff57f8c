"""What the progress bar shows of a job: its state as JSON, with the remedy when it does not move."""

import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from markets import locks
from markets.admin.formatting import counted, duration
from markets.admin.job_steps import steps_of, told_counts, warning_of
from markets.models import Job, JobStatus, NodeStep
from markets.services import jobs
from markets.services.job_pace import eta_seconds

PATIENCE = dt.timedelta(seconds=10)  # a worker that is free takes a job at once
MOST_MESSAGES = 20
CANCEL_PERMISSION = "markets.change_job"
START_WORKER = "Start one: make run (web, worker and beat), or .venv/bin/celery -A msm_project worker"


def job_state(job: Job, request: HttpRequest) -> dict[str, Any]:
    """Status, progress, messages and what to do, in the words that the page shows."""
    now = timezone.now()
    steps = steps_of(job)
    remaining = eta_seconds(job)
    state: dict[str, Any] = {
        "title": job.title,
        "status": job.status,
        "status_text": job.get_status_display(),
        "done": job.progress_done,
        "total": job.progress_total,
        "text": job.progress_text,
        "elapsed": _elapsed(job, now),
        "counts": "" if job.is_finished else told_counts(steps),
        "eta": "" if remaining is None else f"about {duration(max(remaining, 1.0))} left",
        "finished": job.is_finished,
        "cancellable": request.user.has_perm(CANCEL_PERMISSION) and jobs.may_be_cancelled(job),
        "messages": [
            {"level": level, "text": text, "time": f"{time:%H:%M:%S}"}
            for level, text, time in reversed(
                job.messages.order_by("-id").values_list("level", "text", "created_at")[:MOST_MESSAGES]
            )
        ],
        "warning": _warning(job, steps, now),
        "error": job.error,
        "result": "",
        "run_url": "",
        "job_url": "",
    }
    if request.user.has_perm("markets.view_job"):
        state["job_url"] = reverse("admin:markets_job_change", args=(job.pk,))
    if job.is_finished:
        state["result"] = _result(job)
        run = job.node_runs.order_by("-id").first()
        if run is not None and request.user.has_perm("markets.view_noderun"):
            state["run_url"] = reverse("admin:markets_noderun_change", args=(run.pk,))
    return state


def _elapsed(job: Job, now: dt.datetime) -> str:
    begin = job.started_at or job.queued_at
    seconds = max(((job.finished_at or now) - begin).total_seconds(), 0.0)
    return duration(seconds) if job.is_finished or seconds >= 10 else f"{seconds:.0f} s"


def _warning(job: Job, steps: list[NodeStep], now: dt.datetime) -> str:
    """Why a job that is not finished may not be moving, and what to do; empty while all is well."""
    waited = now - max(job.queued_at, job.updated_at)
    if job.status == JobStatus.QUEUED and waited > PATIENCE:
        busy = Job.objects.filter(status=JobStatus.RUNNING).count()
        if busy:
            return f"Waiting: the workers are busy with {counted(busy, 'other job')}. It begins when one is free."
        return f"No worker has taken this job for {duration(waited.total_seconds())}. {START_WORKER}"
    if job.status == JobStatus.RUNNING and steps:
        return warning_of(job, steps)
    if job.status == JobStatus.RUNNING and not locks.is_held(locks.LockSpace.JOB, job.pk):
        return (
            "The worker that did this job is gone. It is done again, from where its data stand, within half a minute "
            "while make run is up."
        )
    return ""


def _result(job: Job) -> str:
    if job.status == JobStatus.CANCELLED:
        return "Cancelled. Nothing of what was stopped was written."
    if job.status == JobStatus.FAILED:
        return "The run failed. Nothing of the failed step was written."
    if job.kind.endswith("_import"):
        told = ", ".join(f"{number:,} {name}" for name, number in job.counters.items() if number)
        return f"Done: {told}." if told else "Done."
    if "rows_written" in job.counters:
        rows, nodes = job.counters["rows_written"], job.counters.get("nodes", 1)
        written = f"{counted(rows, 'row')} written" if rows else "nothing new to write"
        return f"Done: {counted(nodes, 'DataNode')} run, {written}."
    return "Done."

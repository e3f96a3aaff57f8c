"""How fast a job goes: what its steps have done, and when it will be done at that pace."""

from django.utils import timezone

from markets.models import Job, JobStatus, NodeStep

LEAST_SHARE = 0.02  # below it a pace says nothing
LEAST_SECONDS = 2.0
MOST_STEPS = 1000  # what a page and an answer can show


def eta_seconds(job: Job) -> float | None:
    """Seconds until the job is done at the pace of its finished units; None while that cannot be told."""
    if job.status != JobStatus.RUNNING or job.started_at is None or not job.progress_total:
        return None
    share = min(job.progress_done / job.progress_total, 1.0)
    elapsed = (timezone.now() - job.started_at).total_seconds()
    if share < LEAST_SHARE or elapsed < LEAST_SECONDS:
        return None
    return round(elapsed * (1.0 - share) / share, 1)


def steps_of(job: Job) -> list[NodeStep]:
    """The steps in their order, with their DataNodes and runs."""
    steps = job.steps.select_related("node_update__storage", "node_run").order_by("position")
    return list(steps[:MOST_STEPS])

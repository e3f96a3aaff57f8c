"""The jobs of imports: the one place where a step of an import is carried out, by a worker or by the command."""

from collections.abc import Callable
from typing import Any

from markets.exceptions import NotFound
from markets.models import ImportRun, ImportStatus
from markets.services import audit, jobs
from markets.services.imports.apply import apply
from markets.services.imports.preview import preview
from markets.services.imports.runs import APPLY, PREVIEW, UNDO, step_failed
from markets.services.imports.undo import undo

Step = Callable[[ImportRun, jobs.JobProgress], dict[str, int]]


def carry_out(progress: jobs.JobProgress, status: ImportStatus, step: Step) -> dict[str, Any]:
    """Do the step that the job asks for, unless a former attempt ended it; a refused step puts the import back."""
    run = ImportRun.objects.filter(uid=progress.job.arguments["import"]).first()
    if run is None:
        raise NotFound("The import of this job was deleted.")
    if run.status != status or run.job_id != progress.job.pk:
        return dict(run.results or run.counts)  # the worker died after the step and before it could say so
    reason = run.undo_reason if status == ImportStatus.UNDOING else run.reason
    told = f"{progress.job.title}: {reason}" if reason else progress.job.title
    try:
        with audit.because(told[: audit.LONGEST_REASON]):
            return dict(step(run, progress))
    except Exception as error:
        step_failed(run, progress.job, str(error) or type(error).__name__)
        raise


@jobs.handles(PREVIEW)
def preview_job(progress: jobs.JobProgress) -> dict[str, Any]:
    return carry_out(progress, ImportStatus.UPLOADED, preview)


@jobs.handles(APPLY)
def apply_job(progress: jobs.JobProgress) -> dict[str, Any]:
    return carry_out(progress, ImportStatus.APPLYING, apply)


@jobs.handles(UNDO)
def undo_job(progress: jobs.JobProgress) -> dict[str, Any]:
    return carry_out(progress, ImportStatus.UNDOING, undo)

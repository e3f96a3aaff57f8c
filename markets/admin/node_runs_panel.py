"""The latest runs of a DataNode on its page, each with its log to unfold."""

from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Value
from django.db.models.functions import Coalesce, Length, Right
from django.urls import reverse
from django.utils.safestring import SafeString

from markets.admin.formatting import counted, duration, status_badge, utc
from markets.admin.node_runs import seconds_of
from markets.models import NodeUpdate, RunStatus

RUNS_SHOWN = 8
LONGEST_LOG = 20_000  # characters, from the end: a page is no place for more, the run's own has it all


@dataclass(frozen=True)
class RunShown:
    url: str
    badge: SafeString
    started: str
    took: str
    wrote: str
    failure: str
    error: str
    log: str
    is_cut: bool
    is_open: bool


def latest_runs(update: NodeUpdate) -> list[RunShown]:
    """The latest runs, newest first; a failed newest one is unfolded."""
    runs = (
        update.runs.defer("log", "quality")
        .annotate(
            log_end=Right(Coalesce("log", Value("")), LONGEST_LOG, output_field=CharField()), log_length=Length("log")
        )
        .order_by("-id")[:RUNS_SHOWN]
    )
    return [_shown(run, is_newest=place == 0) for place, run in enumerate(runs)]


def _shown(run: Any, *, is_newest: bool) -> RunShown:
    error = f"{run.error_type}: {run.error_message}" if run.error_message else run.error_type
    return RunShown(
        url=reverse("admin:markets_noderun_change", args=(run.pk,)),
        badge=status_badge(run.status, RunStatus(run.status).label),
        started=utc(run.started_at),
        took=duration(seconds_of(run)),
        wrote=f"{counted(run.rows_written, 'row')} written",
        failure=error.split("\n", 1)[0],
        error=error,
        log=run.log_end,
        is_cut=(run.log_length or 0) > LONGEST_LOG,
        is_open=is_newest and run.status == RunStatus.FAILED,
    )


def all_runs_url(update: NodeUpdate) -> str:
    return f"{reverse('admin:markets_noderun_changelist')}?node_update__id__exact={update.pk}"

"""Runs: what each execution of a DataNode did, and how it ended."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin
from markets.admin.formatting import NOTHING, badge, count, duration, link, status_badge, utc
from markets.admin.tables import Column, Fact, Table
from markets.models import NodeRun

RUN_COMMAND = ".venv/bin/python manage.py run_node"


@admin.register(NodeRun)
class NodeRunAdmin(ReadOnlyAdmin):
    list_display = ("node", "state", "started", "num_duration", "num_returned", "num_written", "error_start")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_select_related = ("node_update__storage",)
    sortable_by = ()
    change_form_template = "admin/msm/node_run.html"
    empty_help = format_html(
        "No DataNode has run yet. Run one from its page under "
        '<a class="msm-link" href="/admin/markets/nodeupdate/">DataNodes</a>, or type {}',
        format_html('<code class="msm-command">{}</code>', f"{RUN_COMMAND} IDENTIFIER"),
    )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return lookup == "node_update__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="DataNode")
    def node(self, run: NodeRun) -> str:
        return str(run.node_update)

    @display(description="status")
    def state(self, run: NodeRun) -> str:
        return status_badge(run.status, run.get_status_display())

    @display(description="started (UTC)")
    def started(self, run: NodeRun) -> str:
        return utc(run.started_at, zone=False)

    @display(description="took")
    def num_duration(self, run: NodeRun) -> str:
        return duration(seconds_of(run))

    @display(description="rows returned")
    def num_returned(self, run: NodeRun) -> str:
        return count(run.rows_returned)

    @display(description="rows written")
    def num_written(self, run: NodeRun) -> str:
        return count(run.rows_written)

    @display(description="error")
    def error_start(self, run: NodeRun) -> str:
        return format_html('<span class="msm-clip" title="{0}">{0}</span>', run.error_message[:300])

    def page_context(self, request: HttpRequest, obj: NodeRun) -> dict[str, Any]:
        update = obj.node_update
        job = link(reverse("admin:markets_job_change", args=(obj.job.pk,)), obj.job) if obj.job else NOTHING
        return {
            "facts": [
                Fact("DataNode", link(reverse("admin:markets_nodeupdate_change", args=(update.pk,)), update)),
                Fact("Status", status_badge(obj.status, obj.get_status_display())),
                Fact("Started", utc(obj.started_at)),
                Fact("Finished", utc(obj.finished_at)),
                Fact("Took", duration(seconds_of(obj))),
                Fact("Rows returned", count(obj.rows_returned)),
                Fact("Rows written", count(obj.rows_written)),
                Fact("Last time written", utc(obj.last_time_index)),
                *([Fact("Backfill of", _window_of(obj))] if obj.is_backfill else []),
                Fact("Job", job),
            ],
            "timings": Table(
                label="Seconds spent in each step",
                columns=[Column("Step"), Column("Took", numeric=True)],
                rows=[(name, duration(seconds)) for name, seconds in obj.timings.items()],
                empty="Timings are kept when a run ends well.",
            ),
            "quality": quality_table(obj),
            "run": obj,
        }


def quality_table(run: NodeRun) -> Table:
    """The outcome of the run's quality checks, failed ones first."""
    outcomes = sorted(run.quality, key=lambda item: item["passed"])
    return Table(
        label="Quality checks",
        columns=[
            Column("Check"),
            Column("Severity"),
            Column("Outcome"),
            Column("Checked", numeric=True),
            Column("Failed", numeric=True),
            Column("Found"),
        ],
        rows=[
            (
                item["check"],
                item["severity"],
                badge("passed", "good") if item["passed"] else badge("failed", _tone(item["severity"])),
                count(item["checked"]),
                count(item["failed"]),
                item["message"],
            )
            for item in outcomes
        ],
        empty="The node declares no quality checks, or the run returned no rows.",
    )


def _window_of(run: NodeRun) -> str:
    assert run.window_end is not None
    return f"{utc(run.window_start)} to {utc(run.window_end.replace(microsecond=0))}"


def _tone(severity: str) -> str:
    return "bad" if severity == "critical" else "wait"


def seconds_of(run: NodeRun) -> float | None:
    return (run.finished_at - run.started_at).total_seconds() if run.finished_at else None


def runs_table(runs: list[NodeRun], *, empty: Any, with_node: bool = False) -> Table:
    """Runs, the latest first; a column for errors where there is one."""
    has_errors = any(run.error_message for run in runs)
    columns = [
        Column("Started (UTC)"),
        Column("Status"),
        Column("Rows", numeric=True),
        Column("Took", numeric=True),
        *([Column("Error")] if has_errors else []),
    ]
    rows = []
    for run in runs:
        started = link(
            reverse("admin:markets_noderun_change", args=(run.pk,)), utc(run.started_at.replace(second=0), zone=False)
        )
        cells: list[Any] = [
            started,
            status_badge(run.status, run.get_status_display()),
            count(run.rows_written),
            duration(seconds_of(run)),
        ]
        if has_errors:
            cells.append(format_html('<span class="msm-clip" title="{0}">{0}</span>', run.error_message[:300]))
        if with_node:
            url = reverse("admin:markets_nodeupdate_change", args=(run.node_update_id,))
            cells.insert(0, link(url, run.node_update))
        rows.append(cells)
    return Table(label="Runs", columns=[Column("DataNode"), *columns] if with_node else columns, rows=rows, empty=empty)

"""The first page: what there is, how fresh it is, what ran, what failed."""

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from markets.admin.base import command
from markets.admin.data_node_page import what_kind
from markets.admin.formatting import age, badge, count, link, status_badge, utc
from markets.admin.freshness_policies import overdue_cells
from markets.admin.node_runs import runs_table
from markets.admin.tables import Column, Table
from markets.models import Asset, AssetCategory, Calendar, Job, JobStatus, NodeRun, NodeUpdate, RunStatus
from markets.services import freshness
from markets.services.freshness import freshness_of, with_latest_run
from portfolios.models import Portfolio

COUNTED = (
    (Asset, "Assets", "finance"),
    (AssetCategory, "Categories", "folder"),
    (Calendar, "Calendars", "calendar_month"),
    (NodeUpdate, "DataNodes", "account_tree"),
    (Portfolio, "Portfolios", "pie_chart"),
)
EXACT_TO = 50_000  # counting more than that takes longer than a page should; then the planner's estimate is shown
RUNS_SHOWN = 8
NODES_SHOWN = 15
OVERDUE_SHOWN = 15
FAILURES_SHOWN = 8

admin.site.index_template = "admin/portfolios/dashboard.html"
admin.site.index_title = "Dashboard"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the first page; what a person may not view is left out."""
    now = timezone.now()
    user = request.user
    tiles = [
        _tile(*entry)
        for entry in COUNTED
        if user.has_perm(f"{entry[0]._meta.app_label}.view_{entry[0]._meta.model_name}")
    ]  # type: ignore[union-attr]
    context |= {
        "tiles": tiles,
        "is_empty": bool(tiles) and not any(tile["is_filled"] for tile in tiles),
        "now": utc(now),
    }
    if user.has_perm("markets.view_noderun"):  # type: ignore[union-attr]
        runs = NodeRun.objects.select_related("node_update__storage")
        failed = runs.filter(status=RunStatus.FAILED, finished_at__gte=now - dt.timedelta(hours=24))
        context["failed_runs"] = runs_table(
            list(failed[:FAILURES_SHOWN]), empty="No run has failed in the last 24 hours.", with_node=True
        )
        context["latest_runs"] = runs_table(
            list(runs[:RUNS_SHOWN]), empty="Nothing has run yet. Open a DataNode and press Run now.", with_node=True
        )
    if user.has_perm("markets.view_nodeupdate"):  # type: ignore[union-attr]
        context["overdue"] = _overdue(now)
        context["freshness"] = _freshness(now)
    if user.has_perm("markets.view_job"):  # type: ignore[union-attr]
        context["jobs_table"] = _jobs(now)
    return context


def _tile(model: type, label: str, icon: str) -> dict[str, Any]:
    options = model._meta  # type: ignore[attr-defined]
    number, is_exact = _number_of_rows(model)
    return {
        "label": label,
        "icon": icon,
        "number": count(number) if is_exact else f"≈ {count(number)}",
        "is_filled": number > 0,
        "url": reverse(f"admin:{options.app_label}_{options.model_name}_changelist"),
    }


def _number_of_rows(model: Any) -> tuple[int, bool]:
    number = model.objects.order_by()[:EXACT_TO].count()
    if number < EXACT_TO:
        return number, True
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [f'"{model._meta.db_table}"'])
        return max(int(cursor.fetchone()[0]), number), False


def _overdue(now: dt.datetime) -> Table:
    found = freshness.overdue(now)
    empty: Any = "Nothing is overdue."
    if not found and not freshness.any_policy():
        empty = "No node has a freshness policy: set one on its page."
    rest = len(found) - OVERDUE_SHOWN
    return Table(
        label="Overdue",
        columns=[Column("DataNode"), Column("Expected"), Column("Due since"), Column("Last run")],
        rows=[
            (
                link(f"{reverse('admin:markets_nodeupdate_change', args=(item.update.pk,))}#freshness", item.update),
                *overdue_cells(item, now),
                status_badge(item.update.last_status, _last_run(item.update)),
            )
            for item in found[:OVERDUE_SHOWN]
        ],
        empty=empty,
        footer=f"… and {rest:,} more: manage.py overdue_nodes lists all." if rest > 0 else "",
    )


def _last_run(update: Any) -> str:
    return str(RunStatus(update.last_status).label) if update.last_status else "Never ran"


def _freshness(now: dt.datetime) -> Table:
    updates: list[Any] = list(with_latest_run(NodeUpdate.objects.all())[: NODES_SHOWN + 1])
    shown = updates[:NODES_SHOWN]
    ages = freshness_of(shown, {row.pk: row.last_time for row in shown}, now)
    more = format_html(
        '<a class="msm-link" href="{}">All DataNodes</a>', reverse("admin:markets_nodeupdate_changelist")
    )
    return Table(
        label="Freshness",
        columns=[Column("DataNode"), Column("Last run"), Column("Last time (UTC)"), Column("Age")],
        rows=[
            (
                format_html(
                    "{}<div class='msm-quiet'>{}</div>",
                    link(reverse("admin:markets_nodeupdate_change", args=(row.pk,)), row),
                    what_kind(row),
                ),
                status_badge(row.last_status, RunStatus(row.last_status).label if row.last_status else "Never ran"),
                utc(row.last_time, zone=False),
                badge(ages[row.pk].text, ages[row.pk].tone),
            )
            for row in shown
        ],
        empty=format_html("No DataNode is registered. The demo makes some: {}", command("make demo")),
        footer=more if len(updates) > NODES_SHOWN else "",
    )


def _jobs(now: dt.datetime) -> Table:
    jobs = Job.objects.filter(status__in=[JobStatus.QUEUED, JobStatus.RUNNING])[:20]
    return Table(
        label="Jobs in progress",
        columns=[Column("Job"), Column("Status"), Column("Progress", numeric=True), Column("Since", numeric=True)],
        rows=[
            (
                format_html(
                    "{}<div class='msm-quiet'>{}</div>",
                    link(reverse("admin:markets_job_change", args=(job.pk,)), job),
                    job.progress_text,
                ),
                status_badge(job.status, job.get_status_display()),
                f"{100 * job.progress_done / job.progress_total:.0f} %" if job.progress_total else "",
                age(job.started_at or job.queued_at, now),
            )
            for job in jobs
        ],
        empty="No job is waiting or running.",
    )

"""The page that backfills a DataNode: what is wanted, what that would do, and what became of earlier ones."""

import hashlib
import re
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from markets.admin.formatting import NOTHING, badge, count, counted, link, utc
from markets.admin.tables import Column, Table
from markets.exceptions import MSMError
from markets.models import Backfill, BackfillPart, JobStatus, NodeUpdate, PartStatus
from markets.services import backfills

RUN_PERMISSION = "markets.run_nodeupdate"
EARLIER_SHOWN = 10
FAILED_SHOWN = 20
LONGEST_PASTE = 2_000_000  # characters: a hundred thousand identifiers
DATE = {"type": "date"}
FAULTS_OF = {"start": "start", "end": "end", "assets": "assets", "calendar": "calendar"}


class BackfillForm(forms.Form):
    start = forms.DateField(label="From", widget=UnfoldAdminTextInputWidget(attrs=DATE), help_text="That UTC day on.")
    end = forms.DateField(label="To", widget=UnfoldAdminTextInputWidget(attrs=DATE), help_text="Included.")
    assets = forms.CharField(
        required=False,
        max_length=LONGEST_PASTE,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Identifiers, one a line or with commas between them. Leave it empty for all.",
    )
    failed_only = forms.BooleanField(
        label="Failed and missing only",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text="Only the sessions that are missing by the calendar, and what failed before. Stored rows stay.",
    )
    update_tree = forms.BooleanField(
        label="Backfill what it reads first",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text="The DataNodes that this one reads, over the same days, before it.",
    )
    calendar = forms.CharField(
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Whose sessions are expected, such as XNYS, where the DataNode names none.",
    )

    def clean_assets(self) -> list[str] | None:
        names = [name for name in re.split(r"[\s,;]+", self.cleaned_data["assets"]) if name]
        return names or None

    def wanted(self) -> backfills.BackfillRequest:
        """The request; raises what the service refuses."""
        values = dict(self.cleaned_data)
        return backfills.clean_request(values.pop("start"), values.pop("end"), **values)

    def refuse(self, error: MSMError) -> None:
        name = FAULTS_OF.get(getattr(error, "field", None) or "")
        self.add_error(name, str(error))


def urls(page: Any) -> list[URLPattern]:
    """For the admin of DataNodes."""

    def view(request: HttpRequest, pk: int) -> HttpResponse:
        return backfill_page(page, request, pk)

    return [path("<int:pk>/backfill/", page.admin_site.admin_view(view), name="markets_nodeupdate_backfill")]


def backfill_page(page: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """A form; then what it would do, with a button; then a worker does it and the page shows how far it is."""
    if not request.user.has_perm(RUN_PERMISSION):
        raise PermissionDenied
    update = get_object_or_404(NodeUpdate.objects.select_related("storage"), pk=pk)
    address = reverse("admin:markets_nodeupdate_backfill", args=(pk,))
    form = BackfillForm(request.POST) if request.method == "POST" else BackfillForm(initial=_asked(request))
    plan: backfills.BackfillPlan | None = None
    if request.method == "POST" and form.is_valid():
        try:
            wanted = form.wanted()
            if request.POST.get("confirm") and request.POST.get("shown") == _mark(wanted):
                job = backfills.request_backfill(update, wanted, user=request.user)  # type: ignore[arg-type]
                page.message_user(request, f"{job.title}: a worker does it.", messages.SUCCESS)
                return HttpResponseRedirect(address)
            plan = backfills.plan(update, wanted)
            if request.POST.get("confirm"):
                form.add_error(None, "The form has changed since it was previewed. Look at what it would do now.")
        except MSMError as error:
            form.refuse(error)
    earlier = backfills.latest_backfills(update, EARLIER_SHOWN)
    running = next((row.job for row in earlier if row.job is not None and not row.job.is_finished), None)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Backfill {update}",
        "update": update,
        "form": form,
        "plan": plan,
        "windows": _windows(plan) if plan is not None else None,
        "mark": _mark(plan.request) if plan is not None else "",
        "progress_url": reverse("admin:job_progress", args=(running.uid,)) if running else "",
        "earlier": _earlier(earlier, request),
        "failed": _failed(update),
        "media": page.media + form.media,
        "node_url": reverse("admin:markets_nodeupdate_change", args=(pk,)),
        "gaps_url": reverse("admin:markets_nodeupdate_gaps", args=(pk,)),
    }
    return TemplateResponse(request, "admin/msm/backfill.html", context)


def _asked(request: HttpRequest) -> dict[str, Any]:
    """What a link to the page fills in."""
    given = {name: request.GET.get(name, "").replace("\x00", "") for name in ("start", "end", "assets", "calendar")}
    return {**given, "failed_only": request.GET.get("failed_only") == "1"}


def _mark(wanted: backfills.BackfillRequest) -> str:
    """Names a request, so that what is confirmed is what was shown."""
    return hashlib.sha256(repr(wanted).encode(errors="replace")).hexdigest()[:16]


def _windows(plan: backfills.BackfillPlan) -> Table:
    shown = plan.as_json()["windows"]
    parts = plan.parts[: len(shown)]
    more = len(plan.parts) - len(parts)
    return Table(
        label="What would be done",
        columns=[
            Column("DataNode"),
            Column("From (UTC)"),
            Column("To (UTC)"),
            Column("Assets"),
            Column("What"),
            Column("Rows expected", numeric=True),
        ],
        rows=[
            (
                part.node,
                utc(part.start, zone=False),
                utc(part.end.replace(microsecond=0), zone=False),
                "all" if part.assets is None else _names(part.assets),
                "fill in" if part.mode == "fill" else "write over",
                count(part.rows),
            )
            for part in parts
        ],
        footer=f"… and {counted(more, 'more part')}." if more else "",
        empty="Nothing to do: no session is missing and no part has failed.",
    )


def _names(assets: Any) -> str:
    return assets[0] if len(assets) == 1 else counted(len(assets), "asset")


def _earlier(rows: list[Backfill], request: HttpRequest) -> Table:
    counts = {
        item["backfill"]: item
        for item in BackfillPart.objects.filter(backfill__in=rows)
        .values("backfill")
        .annotate(
            parts=Count("pk"),
            done=Count("pk", filter=Q(status__in=[PartStatus.DONE, PartStatus.MENDED])),
            failed=Count("pk", filter=Q(status=PartStatus.FAILED)),
            written=Sum("rows_written"),
        )
        .order_by()
    }
    nothing = {"parts": 0, "done": 0, "failed": 0, "written": 0}
    may_see_jobs = request.user.has_perm("markets.view_job")
    cells = []
    for row in rows:
        found = counts.get(row.pk, nothing)
        state = _state(row, found)
        if row.job is not None and may_see_jobs:
            state = link(reverse("admin:markets_job_change", args=(row.job.pk,)), state)
        cells.append(
            (
                utc(row.created_at.replace(second=0), zone=False),
                f"{row.start:%Y-%m-%d} to {row.end:%Y-%m-%d}",
                "all" if row.assets is None else _names(row.assets),
                "failed and missing" if row.failed_only else "whole range",
                state,
                f"{found['done']:,} of {found['parts']:,}" if row.planned_at is not None else NOTHING,
                count(found["written"]),
            )
        )
    return Table(
        label="Earlier backfills",
        columns=[
            Column("Asked (UTC)"),
            Column("Range"),
            Column("Assets"),
            Column("What"),
            Column("State"),
            Column("Parts done", numeric=True),
            Column("Rows written", numeric=True),
        ],
        rows=cells,
        empty="It was never backfilled. Choose the days above and press Preview.",
    )


def _state(row: Backfill, found: dict[str, int]) -> Any:
    if row.job is not None and not row.job.is_finished:
        return badge(row.job.get_status_display(), "busy" if row.job.status == JobStatus.RUNNING else "wait")
    if found["failed"] or (row.job is not None and row.planned_at is None):
        return badge("Failed", "bad")
    if row.planned_at is None or found["done"] < found["parts"]:
        return badge("Unfinished", "wait")
    return badge("Done", "good") if found["parts"] else badge("Nothing to do", "plain")


def _failed(update: NodeUpdate) -> Table:
    parts = (
        BackfillPart.objects.filter(node_update=update, status=PartStatus.FAILED)
        .select_related("run")
        .order_by("-pk")[:FAILED_SHOWN]
    )
    return Table(
        label="Failed parts",
        columns=[Column("From (UTC)"), Column("To (UTC)"), Column("Assets"), Column("Run"), Column("Error")],
        rows=[
            (
                utc(part.start, zone=False),
                utc(part.end.replace(microsecond=0), zone=False),
                "all" if part.assets is None else _names(part.assets),
                link(reverse("admin:markets_noderun_change", args=(part.run.pk,)), "run") if part.run else NOTHING,
                part.error[:300],
            )
            for part in parts
        ],
        empty="None.",
        footer="“Failed and missing only” does them again.",
    )

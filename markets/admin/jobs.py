"""Jobs: what was asked of the workers, and how far it has come."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin
from markets.admin.formatting import NOTHING, age, duration, link, pretty_json, status_badge, utc
from markets.admin.job_progress import CANCEL_PERMISSION, job_state
from markets.admin.job_steps import steps_of, steps_table
from markets.admin.tables import Column, Fact, Table
from markets.exceptions import MSMError
from markets.models import Job
from markets.services import jobs


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("title", "state", "asked", "by", "num_duration", "progress_text_short")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_select_related = ("requested_by", "cancelled_by")
    sortable_by = ()
    search_fields = ("title__icontains",)
    search_help_text = "Words of the title"
    change_form_template = "admin/msm/job.html"
    empty_help = mark_safe(
        "A job is work that a worker does, such as running a DataNode. Ask for one with <b>Run now</b> on the page of "
        'a <a class="msm-link" href="/admin/markets/nodeupdate/">DataNode</a>.'
    )

    class Media:
        js = ("markets/job_progress.js",)

    @display(description="status")
    def state(self, job: Job) -> str:
        return status_badge(job.status, job.get_status_display())

    @display(description="asked (UTC)")
    def asked(self, job: Job) -> str:
        return utc(job.queued_at, zone=False)

    @display(description="by")
    def by(self, job: Job) -> str:
        return str(job.requested_by or NOTHING)

    @display(description="took")
    def num_duration(self, job: Job) -> str:
        return duration(_seconds(job))

    @display(description="progress")
    def progress_text_short(self, job: Job) -> str:
        return format_html('<span class="msm-clip">{}</span>', job.error or job.progress_text)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.progress)
        cancel = self.admin_site.admin_view(require_POST(self.cancel))
        return [
            path("<uuid:uid>/progress/", view, name="job_progress"),
            path("<int:pk>/cancel/", cancel, name="markets_job_cancel"),
            *super().get_urls(),
        ]

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel the job; the page tells how that went."""
        if not (request.user.has_perm(CANCEL_PERMISSION) and self.has_view_permission(request)):
            raise PermissionDenied
        job = get_object_or_404(Job, pk=pk)
        try:
            job = jobs.cancel(job, user=request.user)  # type: ignore[arg-type]
        except MSMError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            told = "is cancelled" if job.is_finished else "is being cancelled; what runs stops within a few seconds"
            self.message_user(request, f"The job {told}.")
        return HttpResponseRedirect(reverse("admin:markets_job_change", args=(pk,)))

    def progress(self, request: HttpRequest, uid: Any) -> JsonResponse:
        """The state of one job, for the progress bar."""
        if not (self.has_view_permission(request) or request.user.has_perm("markets.view_nodeupdate")):
            raise PermissionDenied
        state = job_state(get_object_or_404(Job, uid=uid), request)
        return JsonResponse(state, headers={"Cache-Control": "no-store"})

    def page_context(self, request: HttpRequest, obj: Job) -> dict[str, Any]:
        now = timezone.now()
        steps = steps_of(obj)
        return {
            "may_cancel": request.user.has_perm(CANCEL_PERMISSION) and jobs.may_be_cancelled(obj),
            "cancel_url": reverse("admin:markets_job_cancel", args=(obj.pk,)),
            "has_steps": bool(steps),
            "steps_table": steps_table(steps),
            "facts": [
                Fact("Status", status_badge(obj.status, obj.get_status_display())),
                Fact("Asked", f"{utc(obj.queued_at)} ({age(obj.queued_at, now)} ago)"),
                Fact("By", obj.requested_by or NOTHING),
                Fact("Started", utc(obj.started_at)),
                Fact("Finished", utc(obj.finished_at)),
                Fact("Took", duration(_seconds(obj))),
                *([] if steps else [Fact("Attempts", obj.attempts)]),
                *([Fact("Cancelled", jobs.told_who_cancelled(obj))] if obj.cancel_requested_at else []),
                Fact("Counters", ", ".join(f"{name}: {value:,}" for name, value in obj.counters.items()) or NOTHING),
            ],
            "progress_url": reverse("admin:job_progress", args=(obj.uid,)),
            "messages_table": Table(
                label="Messages",
                columns=[Column("Time (UTC)"), Column("Level"), Column("Message")],
                rows=[(utc(row.created_at, zone=False), row.level, row.text) for row in jobs.latest_messages(obj)],
                empty="The job has said nothing yet.",
            ),
            "runs_table": Table(
                label="Runs",
                columns=[Column("Run"), Column("Status"), Column("Rows written", numeric=True)],
                rows=[
                    (
                        link(reverse("admin:markets_noderun_change", args=(run.pk,)), run.node_update),
                        status_badge(run.status, run.get_status_display()),
                        f"{run.rows_written:,}",
                    )
                    for run in obj.node_runs.select_related("node_update__storage").order_by("id")[:200]
                ],
                empty="The job has run no DataNode yet.",
            ),
            "arguments": pretty_json(obj.arguments),
        }


def _seconds(job: Job) -> float | None:
    return (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None

"""Resolutions: paste or upload a list of identifiers, watch it being resolved, look at what became of each."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin, command
from markets.admin.counts import number_of
from markets.admin.formatting import NOTHING, count, link, status_badge, utc
from markets.admin.job_progress import job_state
from markets.admin.resolution_page import MOST_LINES, RESOLVE, ResolveForm, page_of
from markets.engine.identifier_schemes import SCHEMES
from markets.exceptions import MSMError
from markets.models import ItemStatus, Resolution, ResolutionItem
from markets.services import resolutions


@admin.register(Resolution)
class ResolutionAdmin(ReadOnlyAdmin):
    list_display = ("title", "state", "num_lines", "num_waiting", "said_source", "by", "given_utc")
    list_filter = (("job__status", ChoicesDropdownFilter),)
    list_select_related = ("requested_by", "job")
    sortable_by = ()
    search_fields = ("title__icontains", "source__istartswith")
    search_help_text = "Part of the title, or beginning of the source"
    change_form_template = "admin/msm/resolution.html"
    empty_help = format_html(
        "A resolution turns a list of FIGIs, ISINs, CUSIPs, SEDOLs or tickers into registered assets. Press Add to "
        "paste or upload one, or type {}",
        command(".venv/bin/python manage.py resolve_figis FILE"),
    )

    class Media:
        js = ("markets/job_progress.js",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(RESOLVE))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Resolution]:
        waiting = number_of(ResolutionItem.objects.filter(status=ItemStatus.REVIEW), "resolution")
        rows = super().get_queryset(request).select_related("requested_by", "job")
        return rows.annotate(number_waiting=waiting).order_by("-id")

    # --- the list ----------------------------------------------------------------------------------------------------
    @display(description="status")
    def state(self, row: Resolution) -> str:
        return status_badge(row.job.status, row.job.get_status_display()) if row.job is not None else NOTHING

    @display(description="identifiers")
    def num_lines(self, row: Resolution) -> str:
        return count(row.lines - row.repeated)

    @display(description="to be decided")
    def num_waiting(self, row: Resolution) -> str:
        number = row.number_waiting  # type: ignore[attr-defined]
        if not number:
            return count(number)
        return link(f"{reverse('admin:markets_resolutionitem_changelist')}?resolution={row.pk}", count(number))

    @display(description="source")
    def said_source(self, row: Resolution) -> str:
        return row.source or NOTHING

    @display(description="by")
    def by(self, row: Resolution) -> str:
        return str(row.requested_by or "a command")

    @display(description="given (UTC)")
    def given_utc(self, row: Resolution) -> str:
        return utc(row.created_at, zone=False)

    # --- the pages ---------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/progress/", wrap(self.progress), name="resolution_progress"),
            path("<int:pk>/outcomes/", wrap(self.outcomes), name="resolution_outcomes"),
            path("<int:pk>/resume/", wrap(require_POST(self.resume)), name="resolution_resume"),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form that takes a list."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ResolveForm(request.POST, request.FILES) if request.method == "POST" else ResolveForm()
        if request.method == "POST" and form.is_valid():
            try:
                return _to(self._submit(request, form.cleaned_data))
            except MSMError as error:
                field = getattr(error, "field", None)
                form.add_error(field if field in form.fields else None, str(error))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Resolve identifiers",
            "form": form,
            "sources": resolutions.known_sources(),
            "schemes": list(SCHEMES),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/msm/resolve.html", context)

    def _submit(self, request: HttpRequest, values: dict[str, Any]) -> Resolution:
        file = values["file"]
        lines: Any = values["identifiers"].splitlines()
        if file:
            lines = resolutions.lines_of_file(file.file, size=file.size)
        submitted = resolutions.submit_resolution(
            lines,
            title=values["title"] or (file.name if file else f"Pasted {timezone.now():%Y-%m-%d %H:%M} UTC"),
            source=values["source"],
            user=request.user,  # type: ignore[arg-type]
            most=MOST_LINES,
        )
        return submitted.resolution

    def page_context(self, request: HttpRequest, obj: Resolution) -> dict[str, Any]:
        return page_of(obj, request)

    def progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The state of the resolution's job, for the progress bar."""
        row = self._row(request, pk)
        if row.job is None:
            return JsonResponse({}, status=404)
        return JsonResponse(job_state(row.job, request), headers={"Cache-Control": "no-store"})

    def outcomes(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """The table of outcomes as CSV, with the filters of the page."""
        row = self._row(request, pk)
        status, scheme = request.GET.get("status", ""), request.GET.get("scheme", "")
        content = resolutions.outcome_file(
            row,
            status=status if status in ItemStatus.values else "",
            scheme=scheme if scheme in SCHEMES else "",
            search=request.GET.get("q", "").replace("\x00", "").strip(),
        )
        response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="resolution-{row.pk}.csv"'
        response["X-Accel-Buffering"] = "no"
        return response

    def resume(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A new job for what has no outcome yet, and for what failed."""
        row = self._row(request, pk)
        if not request.user.has_perm(RESOLVE):
            raise PermissionDenied
        try:
            resolutions.resume_resolution(row, user=request.user)  # type: ignore[arg-type]
        except MSMError as error:
            self.message_user(request, str(error), messages.ERROR)
        return _to(row)

    def _row(self, request: HttpRequest, pk: int) -> Resolution:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=pk)


def _to(row: Resolution) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:markets_resolution_change", args=(row.pk,)))

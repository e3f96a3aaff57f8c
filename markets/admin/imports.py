"""Imports: upload a file, look at what each row would do, change how it is read, apply it, undo it."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from markets.admin.base import ReadOnlyAdmin, command
from markets.admin.formatting import NOTHING, utc
from markets.admin.import_page import (
    UploadForm,
    mapping_from,
    may_import,
    may_see_all,
    may_undo,
    page_of,
    status_of,
    summary_of,
)
from markets.admin.job_progress import job_state
from markets.exceptions import MSMError
from markets.models import ImportRun
from markets.services import imports

ACTIONS = {
    "apply": {
        "title": "Apply {run}?",
        "text": "It writes {writes}. What somebody changed since the preview is left as it is and told as a conflict.",
        "button": "Apply",
        "asks": "Why (for the record)",
    },
    "undo": {
        "title": "Undo {run}?",
        "text": "Assets that it made are deleted, fields that it changed are put back. What somebody touched since, or "
        "rests on such an asset, is kept and told.",
        "button": "Undo the import",
        "asks": "Why it is undone",
    },
    "discard": {
        "title": "Delete the record of {run}?",
        "text": "The preview and the rows of the import are deleted; an import that was applied can then not be undone "
        "any more. Assets stay as they are.",
        "button": "Delete the record",
        "asks": "",
    },
}


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    list_display = ("file_name", "state", "num_rows", "summary", "by", "uploaded_utc")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_select_related = ("uploaded_by", "job")
    sortable_by = ()
    search_fields = ("file_name__icontains",)
    search_help_text = "Part of the file's name"
    change_form_template = "admin/msm/import_run.html"
    empty_help = format_html(
        "An import brings assets from a CSV, XLSX or Parquet file: it first shows what each row would do, writes it "
        "when you apply it, and can be undone. Press Add, or type {}",
        command(".venv/bin/python manage.py import_assets FILE"),
    )

    class Media:
        js = ("markets/job_progress.js",)

    # --- who may -----------------------------------------------------------------------------------------------------
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_all(request) or may_import(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_import(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRun]:
        rows = super().get_queryset(request).select_related("uploaded_by", "applied_by", "undone_by", "job")
        return rows if may_see_all(request) else rows.filter(uploaded_by=request.user.pk)

    # --- the list ----------------------------------------------------------------------------------------------------
    @display(description="status")
    def state(self, run: ImportRun) -> str:
        return status_of(run)

    @display(description="rows")
    def num_rows(self, run: ImportRun) -> str:
        return f"{run.counts['rows']:,}" if run.counts else NOTHING

    @display(description="result")
    def summary(self, run: ImportRun) -> str:
        return summary_of(run)

    @display(description="by")
    def by(self, run: ImportRun) -> str:
        return str(run.uploaded_by or "a command")

    @display(description="uploaded (UTC)")
    def uploaded_utc(self, run: ImportRun) -> str:
        return utc(run.created_at, zone=False)

    # --- the pages ---------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/progress/", wrap(self.progress), name="import_progress"),
            path("<int:pk>/errors/", wrap(self.errors), name="import_errors"),
            path("<int:pk>/mapping/", wrap(require_POST(self.mapping)), name="import_mapping"),
            *(
                path(f"<int:pk>/{name}/", wrap(self.confirm), {"action": name}, name=f"import_{name}")
                for name in ACTIONS
            ),
            *super().get_urls(),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form that takes a file."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        if request.method == "POST" and form.is_valid():
            file = form.cleaned_data["file"]
            try:
                run = imports.upload_import(
                    file.file,
                    name=file.name,
                    size=file.size,
                    asset_type=form.cleaned_data["asset_type"],
                    empty_cells=form.cleaned_data["empty_cells"],
                    user=request.user,  # type: ignore[arg-type]
                )
                return _to(run)
            except MSMError as error:
                field = getattr(error, "field", None)
                form.add_error(field if field in form.fields else None, str(error))
        most = settings.IMPORT_MAX_BYTES / 2**20
        context = {"title": "Import assets from a file", "form": form, "most": f"{most:,.0f} MiB", "media": self.media}
        return self._answer(request, "admin/msm/import_upload.html", context)

    def page_context(self, request: HttpRequest, obj: ImportRun) -> dict[str, Any]:
        return page_of(obj, request)

    def progress(self, request: HttpRequest, pk: int) -> JsonResponse:
        """The state of the import's job, for the progress bar."""
        run = self._run(request, pk)
        if run.job is None:
            return JsonResponse({}, status=404)
        return JsonResponse(job_state(run.job, request), headers={"Cache-Control": "no-store"})

    def errors(self, request: HttpRequest, pk: int) -> StreamingHttpResponse:
        """The refused rows as a file."""
        run = self._run(request, pk)
        response = StreamingHttpResponse(imports.errors_file(run), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = f'attachment; filename="{imports.errors_name(run)}"'
        return response

    def mapping(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take the form of the mapping, and preview anew."""
        run = self._run(request, pk)
        if not may_import(request):
            raise PermissionDenied
        try:
            imports.change_mapping(run, **mapping_from(run, request.POST), user=request.user)  # type: ignore[arg-type]
        except MSMError as error:
            self.message_user(request, str(error), messages.ERROR)
        return _to(run)

    def confirm(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Ask, with the reason; then apply, undo or discard."""
        run = self._run(request, pk)
        if not (may_undo(request) if action == "undo" else may_import(request)):
            raise PermissionDenied
        error = ""
        if request.method == "POST":
            try:
                return self._act(request, run, action, request.POST.get("reason", ""))
            except MSMError as refused:
                error = str(refused)
        words = ACTIONS[action]
        writes = f"{run.counts.get('create', 0):,} new assets and changes {run.counts.get('update', 0):,}"
        context = {
            "title": words["title"].format(run=run),
            "run": run,
            "text": words["text"].format(writes=writes),
            "button": words["button"],
            "asks": words["asks"],
            "is_dangerous": action != "apply",
            "error": error,
            "reason": request.POST.get("reason", ""),
            "back_url": reverse("admin:markets_importrun_change", args=(run.pk,)),
        }
        return self._answer(request, "admin/msm/import_confirm.html", context)

    def _act(self, request: HttpRequest, run: ImportRun, action: str, reason: str) -> HttpResponse:
        user: Any = request.user
        if action == "apply":
            imports.request_apply(run, reason=reason, user=user)
        elif action == "undo":
            force = user.has_perm("markets.force_delete_public_asset")
            imports.request_undo(run, reason=reason, user=user, force=force)
        else:
            imports.discard(run)
            self.message_user(request, f"The record of {run} is deleted.", messages.SUCCESS)
            return HttpResponseRedirect(reverse("admin:markets_importrun_changelist"))
        return _to(run)

    def _run(self, request: HttpRequest, pk: int) -> ImportRun:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=pk)

    def _answer(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        return TemplateResponse(
            request, template, {**self.admin_site.each_context(request), "opts": self.opts, **context}
        )


def _to(run: ImportRun) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:markets_importrun_change", args=(run.pk,)))

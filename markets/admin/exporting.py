"""Export of lists: the selected rows, or everything that the list's filters and search find, as CSV or XLSX."""

import tempfile
from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import slugify
from unfold.widgets import UnfoldAdminSelectWidget

from markets.admin.base import MarketAdmin
from markets.admin.formatting import counted
from markets.admin.selecting import EXAMPLES, Question, Selection, ask
from markets.services.exports import MOST_SHEET_ROWS, csv_stream, write_sheet

NATURAL_KEYS = ("unique_identifier", "group_name", "allocation_model_name", "update_hash", "uid")
ROWS_AT_ONCE = 2_000
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class FormatForm(forms.Form):
    file_format = forms.ChoiceField(
        label="Format",
        choices=[("csv", "CSV, for programs and any number of rows"), ("xlsx", "XLSX, for spreadsheets")],
        widget=UnfoldAdminSelectWidget(),
        help_text="Identifiers stay text in XLSX; a spreadsheet that opens CSV may turn 00123 into 123.",
    )

    def __init__(self, *args: Any, rows: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows

    def clean_file_format(self) -> str:
        chosen: str = self.cleaned_data["file_format"]
        if chosen == "xlsx" and self.rows > MOST_SHEET_ROWS:
            raise forms.ValidationError(
                f"A sheet takes at most {MOST_SHEET_ROWS:,} rows here, and these are {self.rows:,}. Choose CSV, or "
                "filter the list."
            )
        return chosen


class ExportingAdmin(MarketAdmin):
    """`export_columns` are pairs of a heading and the path to its value; by default the model's own columns."""

    can_export = True
    export_columns: ClassVar[tuple[tuple[str, str], ...]] = ()

    def get_export_columns(self) -> tuple[tuple[str, str], ...]:
        return self.export_columns or tuple(_columns_of(self.model))

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export_view), name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Everything that the list of the same parameters finds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        list_url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(list_url)
        answer = self._export(request, rows, action="")
        if hasattr(answer, "context_data"):
            answer.context_data["back_url"] = f"{list_url}?{request.GET.urlencode()}"
        return answer

    @admin.action(description="Export selected %(verbose_name_plural)s", permissions=["view"])
    def export_rows(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._export(request, queryset, action="export_rows")

    def _export(self, request: HttpRequest, rows: QuerySet[Any], *, action: str) -> HttpResponse:
        number = rows.count()
        form = FormatForm(request.POST if "file_format" in request.POST else None, rows=number)
        if form.is_valid():
            return _download(rows, self.get_export_columns(), form.cleaned_data["file_format"])
        noun, plural = str(self.opts.verbose_name), str(self.opts.verbose_name_plural)
        examples = [str(row) for row in rows[:EXAMPLES]]
        selection = Selection(range(number), noun, plural, examples, is_all=not action)
        question = Question(
            title=f"Export {selection.counted}",
            button="Download",
            will=[_will(self, request, number, action)],
            form=form,
        )
        return ask(self, request, action, selection, question)


def _will(page: ExportingAdmin, request: HttpRequest, number: int, action: str) -> str:
    columns = counted(len(page.get_export_columns()), "column")
    if action or not request.GET:
        return f"A line each, with {columns}."
    return f"All that the list finds with its filters and search, a line each, with {columns}."


def _download(rows: QuerySet[Any], columns: tuple[tuple[str, str], ...], file_format: str) -> HttpResponse:
    header = [heading for heading, _ in columns]
    plural = str(rows.model._meta.verbose_name_plural)
    name = f"{slugify(plural)}-{timezone.now():%Y-%m-%d}.{file_format}"
    values = _values(rows.values_list(*(path for _, path in columns)))
    if file_format == "csv":
        response = StreamingHttpResponse(csv_stream(header, values), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["X-Accel-Buffering"] = "no"
        return response
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the response closes it)
    write_sheet(file, header, values, title=plural)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=name, content_type=SHEET_TYPE)


def _values(rows: QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows from a cursor of the database, which one transaction keeps open and consistent."""
    with transaction.atomic():
        yield from rows.iterator(chunk_size=ROWS_AT_ONCE)


def _columns_of(model: type[models.Model]) -> Iterator[tuple[str, str]]:
    for field in model._meta.concrete_fields:
        if field.primary_key and field.remote_field is None:
            continue
        if field.primary_key:
            yield "uid", f"{field.name}__uid"
            yield "unique_identifier", f"{field.name}__unique_identifier"
        elif field.remote_field is None:
            yield field.name, field.name
        else:
            names = {related.name for related in field.remote_field.model._meta.concrete_fields}
            key = next(name for name in NATURAL_KEYS if name in names)
            yield field.name, f"{field.name}__{key}"

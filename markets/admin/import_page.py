"""What the page of one import shows: the preview row by row, how the file is read, and what may be done next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from markets.admin.formatting import NOTHING, badge, counted, lines, link, utc
from markets.admin.tables import Column, Fact, Pages, Table
from markets.models import Asset, EmptyCells, ImportOutcome, ImportRow, ImportRun, ImportStatus
from markets.services import imports
from markets.services.imports.kinds import ImportField

TONES = {"create": "good", "update": "info", "same": "plain", "conflict": "wait", "error": "bad", "kept": "wait"}
STATUS_TONES = {"applied": "good", "failed": "bad", "applying": "busy", "undoing": "busy", "previewed": "info"}
MEANINGS = {
    "create": "new assets",
    "update": "assets that change",
    "same": "rows that change nothing",
    "conflict": "rows that contradict what is stored, or each other",
    "error": "rows that cannot be read",
}
LONGEST_VALUE = 120  # characters of one value in the table


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt,.xlsx,.parquet"}),
        help_text="CSV (UTF-8), XLSX or Parquet, with the names of its columns in the first row.",
    )
    asset_type = forms.CharField(
        label="Type of new assets",
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "equity"}),
        help_text="For rows in which the file says none. Assets that exist keep theirs.",
    )
    empty_cells = forms.ChoiceField(
        label="An empty cell",
        choices=[(value, f"{label.lower()}") for value, label in EmptyCells.choices],
        widget=UnfoldAdminSelectWidget(),
        help_text="What it does to the field of an asset that exists.",
    )


@dataclass(frozen=True)
class MappedColumn:
    """A column of the file in the form of the mapping."""

    number: int
    name: str
    field: str
    hint: str
    unusable: str


def status_of(run: ImportRun) -> SafeString:
    status = ImportStatus(imports.standing(run))
    label = str(status.label)
    if status == ImportStatus.UPLOADED and not imports.is_busy(run):
        label = "Waits for a choice"
    elif status == ImportStatus.UPLOADED:
        label = "Being previewed"
    return badge(label, STATUS_TONES.get(status, "plain"))


def summary_of(run: ImportRun) -> str:
    if run.status == ImportStatus.UNDONE:
        return _told(run.results, ("deleted", "restored", "kept"))
    if run.applied_at is not None:
        return _told(run.results, ("created", "updated", "conflicts"))
    return _told(run.counts, ("create", "update", "same", "conflict", "error"))


def may_see_all(request: HttpRequest) -> bool:
    return request.user.has_perm("markets.view_importrun")


def may_import(request: HttpRequest) -> bool:
    return all(request.user.has_perm(name) for name in imports.kind_of("asset").permissions)


def may_undo(request: HttpRequest) -> bool:
    return all(request.user.has_perm(name) for name in imports.kind_of("asset").undo_permissions)


def page_of(run: ImportRun, request: HttpRequest) -> dict[str, Any]:
    status, busy = imports.standing(run), imports.is_busy(run)
    changeable = not busy and status in (ImportStatus.UPLOADED, ImportStatus.PREVIEWED, ImportStatus.FAILED)
    writes = run.counts.get("create", 0) + run.counts.get("update", 0)
    job = imports.job_of(run)
    outcome = request.GET.get("outcome", "")
    return {
        "run": run,
        "status": status,
        "progress_url": reverse("admin:import_progress", args=(run.pk,)) if job else "",
        "error": "" if busy else imports.error_of(run),
        "named_by": run.identifier_column if imports.guessed_identifier(run) else "",
        "needs_choice": changeable and not run.identifier_column,
        "tiles": _tiles(run, outcome),
        "may_apply": changeable and status == ImportStatus.PREVIEWED and writes and may_import(request),
        "writes": counted(writes, "asset"),
        "may_undo": not busy and status == ImportStatus.APPLIED and may_undo(request),
        "may_discard": not busy and may_import(request),
        "has_refused": imports.refused_rows(run).exists(),
        "may_change": changeable and may_import(request),
        "columns": _columns(run),
        "fields": [field.name for field in imports.kind_of(run.entity).fields],
        "identifiers": _identifiers(run),
        "empty_cells": EmptyCells.choices,
        "facts": _facts(run),
        "rows_table": _rows_table(run, request, outcome),
        "outcome": outcome,
        "outcomes": imports.FILTERS if run.undone_at else ImportOutcome.values,
        "key": request.GET.get("key", ""),
    }


def mapping_from(run: ImportRun, values: Any) -> dict[str, Any]:
    """What a person chose in the form of the mapping; columns are named by their number."""
    mapping = {
        column: values.get(f"column-{number}", "")
        for number, column in enumerate(run.columns)
        if values.get(f"column-{number}")
    }
    by_field = {field: column for column, field in mapping.items()}
    chosen = values.get("identifier", "")
    if imports.kind_of(run.entity).key in by_field:
        chosen = ""  # it names the rows by itself
    return {
        "mapping": mapping,
        "identifier_column": by_field.get(chosen, chosen) or None,
        "asset_type": values.get("asset_type", ""),
        "empty_cells": values.get("empty_cells", run.empty_cells),
    }


def _told(numbers: dict[str, int], names: tuple[str, ...]) -> str:
    return ", ".join(f"{numbers[name]:,} {name}" for name in names if numbers.get(name)) or NOTHING


def _tiles(run: ImportRun, outcome: str) -> list[dict[str, Any]]:
    if not run.counts:
        return []
    return [
        {
            "name": name,
            "number": f"{run.counts.get(name, 0):,}",
            "meaning": meaning,
            "url": f"?outcome={name}#rows" if name != outcome else "?#rows",
            "chosen": name == outcome,
        }
        for name, meaning in MEANINGS.items()
    ]


def _columns(run: ImportRun) -> list[MappedColumn]:
    kind = imports.kind_of(run.entity)
    columns = []
    for number, name in enumerate(run.columns):
        field = run.mapping.get(name, "")
        near = None if field else imports.suggestion(kind, name)
        hint = f"Did you mean {near}?" if near and near not in run.mapping.values() else ""
        columns.append(MappedColumn(number, name, field, hint, run.unusable_columns.get(name, "")))
    return columns


def _identifiers(run: ImportRun) -> list[tuple[str, str, bool]]:
    """(field, how it is shown, whether it is chosen) of the fields by which a file may name each asset."""
    kind = imports.kind_of(run.entity)
    by_field = {field: column for column, field in run.mapping.items()}
    fields = [kind.key] if kind.key in by_field else kind.identifiers
    return [
        (field, f"{field} (column {by_field[field]})" if field in by_field else f"{field} (map a column to it)", chosen)
        for field in fields
        for chosen in [bool(run.identifier_column) and by_field.get(field) == run.identifier_column]
    ]


def _facts(run: ImportRun) -> list[Fact]:
    read_as = ", ".join(f"{column} → {run.mapping[column]}" for column in run.columns if column in run.mapping)
    facts = [
        Fact("Status", status_of(run)),
        Fact("File", f"{run.file_name} ({run.file_format.upper()}, {filesizeformat(run.file_size)})"),
        Fact("Rows", f"{run.counts['rows']:,}" if run.counts else NOTHING),
        Fact("Uploaded", f"{utc(run.created_at)} by {run.uploaded_by or 'a command'}"),
        Fact("Each asset is named by", run.identifier_column or NOTHING),
        Fact("Columns", read_as or NOTHING, wide=True),
    ]
    unknown = imports.unknown_columns(run)
    if unknown:
        facts.append(Fact("Not imported", ", ".join(unknown), wide=True))
    if run.applied_at:
        facts += [
            Fact("Applied", f"{utc(run.applied_at)} by {run.applied_by or 'a command'}"),
            Fact("Result", summary_of(run)),
            *([Fact("Reason", run.reason, wide=True)] if run.reason else []),
        ]
    if run.undone_at:
        facts += [
            Fact("Undone", f"{utc(run.undone_at)} by {run.undone_by or NOTHING}"),
            Fact("Reason for undoing", run.undo_reason, wide=True),
        ]
    return facts


def _rows_table(run: ImportRun, request: HttpRequest, outcome: str) -> Table:
    known = outcome if outcome in imports.FILTERS else None
    key = request.GET.get("key", "").replace("\x00", "").strip()
    pages = Pages(
        request, imports.rows_of(run, outcome=known, key=key), prefix="rows", sorts={"row": "row"}, then="row"
    )
    keys = [row.key for row in pages.items if row.key]
    assets = dict(Asset.objects.filter(unique_identifier__in=keys).values_list("unique_identifier", "pk"))
    return Table(
        label="Rows",
        columns=[Column("Row", numeric=True), Column("Identifier"), Column("Outcome"), Column("What it says")],
        rows=[_row(run, row, assets) for row in pages.items],
        pages=pages,
        empty="No row is like that." if known or key else "There is no preview yet.",
    )


def _row(run: ImportRun, row: ImportRow, assets: dict[str, int]) -> tuple[Any, ...]:
    key: Any = row.key or NOTHING
    if row.key in assets:
        key = link(reverse("admin:markets_asset_change", args=(assets[row.key],)), row.key)
    result = imports.result_of(run, row)
    outcome = badge(result or row.outcome, TONES["kept"] if row.kept else TONES[row.outcome])
    return f"{row.row:,}", key, outcome, _told_of(row, imports.kind_of(run.entity).fields)


def _told_of(row: ImportRow, fields: Sequence[ImportField]) -> SafeString:
    parts: list[Any] = [row.kept] if row.kept else []
    parts += [_fault(**fault) for fault in row.faults or []]
    changes = row.changes or {}
    order = [field.name for field in fields if field.name in changes]
    shown = [_change(name, *changes[name]) for name in order if not _is_usual(row, name, changes[name])]
    if shown and row.outcome == ImportOutcome.CREATE:
        parts.append(format_html_join("", '<span class="msm-pair">{}</span>', ((item,) for item in shown)))
    else:
        parts += shown
    if row.cells and row.outcome != ImportOutcome.SAME:
        shown = format_html_join(" · ", "{}", ((_value(cell),) for cell in row.cells[:8] if cell))
        parts.append(format_html('<span class="msm-quiet">{}</span>', shown))
    return lines(parts)


def _fault(field: str | None, reason: str) -> str:
    if not field or reason.startswith(field):
        return reason
    return format_html("<strong>{}</strong> {}", field, reason)


def _is_usual(row: ImportRow, name: str, pair: list[Any]) -> bool:
    """Whether a new row has what every new row has unless the file says otherwise."""
    return row.outcome == ImportOutcome.CREATE and name == "is_custom_by_organization" and pair[1] is True


def _change(name: str, stored: Any, given: Any) -> SafeString:
    if stored is None:
        return format_html('<span class="msm-quiet">{}</span> {}', name, _value(given))
    return format_html('<span class="msm-quiet">{}</span> <del>{}</del> → {}', name, _value(stored), _value(given))


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"

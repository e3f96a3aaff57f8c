"""The rows of an import for people: filtered, with what became of each; and the file of those that were refused."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.db.models import Q, QuerySet

from markets.engine.import_cells import harmless_cell
from markets.models import ImportOutcome, ImportRow, ImportRun, ImportStatus

KEPT = "kept"
FILTERS = (*ImportOutcome.values, KEPT)
ROWS_IN_PART = 2_000


def rows_of(run: ImportRun, *, outcome: str | None = None, key: str | None = None) -> QuerySet[ImportRow]:
    """Rows in the file's order; `outcome` is one of FILTERS, `key` the beginning of an identifier."""
    rows = run.rows.all()
    if outcome == KEPT:
        rows = rows.filter(kept__isnull=False)
    elif outcome:
        rows = rows.filter(outcome=outcome)
    if key:
        rows = rows.filter(key__startswith=key)
    return rows.order_by("row")


def result_of(run: ImportRun, row: ImportRow) -> str | None:
    """What became of the row: created, updated, deleted, restored, kept; None when it wrote nothing."""
    if row.outcome not in (ImportOutcome.CREATE, ImportOutcome.UPDATE):
        return None
    made = row.outcome == ImportOutcome.CREATE
    if run.status in (ImportStatus.APPLIED, ImportStatus.UNDOING):
        return "created" if made else "updated"
    if run.status == ImportStatus.UNDONE:
        return KEPT if row.kept else "deleted" if made else "restored"
    return None


def refused_rows(run: ImportRun) -> QuerySet[ImportRow]:
    """Rows with an error or a conflict, and those that undoing kept."""
    return run.rows.filter(Q(outcome__in=[ImportOutcome.CONFLICT, ImportOutcome.ERROR]) | Q(kept__isnull=False))


def errors_file(run: ImportRun) -> Iterator[bytes]:
    """CSV (UTF-8 with a byte order mark, for spreadsheets): row, outcome, field, reason, and the original cells.

    A row with several faults has several lines. A cell that a spreadsheet would take for a formula begins with `'`.
    """
    yield b"\xef\xbb\xbf" + _lines([["row", "outcome", "field", "reason", *run.columns]])
    after = -1
    while part := list(refused_rows(run).filter(row__gt=after).order_by("row")[:ROWS_IN_PART]):
        yield _lines(line for row in part for line in _error_lines(run, row))
        after = part[-1].row


def errors_name(run: ImportRun) -> str:
    """A file name of plain letters and digits, that any header can hold."""
    stem = run.file_name.rpartition(".")[0] or run.file_name
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in stem)
    return f"{plain[:100]}_errors.csv"


def _error_lines(run: ImportRun, row: ImportRow) -> Iterator[list[Any]]:
    cells = row.cells or [None] * len(run.columns)
    if row.kept:
        yield [row.row, KEPT, "", row.kept, *cells]
        return
    for fault in row.faults or []:
        yield [row.row, row.outcome, fault["field"] or "", fault["reason"], *cells]


def _lines(rows: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([harmless_cell(cell) for cell in row])
    return text.getvalue().encode()

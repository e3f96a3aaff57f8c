"""The preview: each row of the file is read, cleaned by the rules of bulk calls, and compared with what is stored."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from markets.engine.import_cells import read_cell, shown_cell
from markets.engine.import_files import Record, open_import_file
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, Rejection, clipped
from markets.models import EmptyCells, ImportOutcome, ImportRun, ImportStatus
from markets.models.base import new_uid
from markets.services.bulk import ROWS_IN_CHUNK
from markets.services.bulk_clean import Chunk, clean_columns, clean_keys
from markets.services.imports import marks
from markets.services.imports.files import kept_file
from markets.services.imports.kinds import ImportKind, kind_of, with_default_type
from markets.services.imports.stage import ImportStage, numbered
from markets.services.jobs import JobProgress
from markets.services.values import UNSET

LONGEST_SHOWN_CELL = 2_000  # characters: enough to recognise a row by
_COLUMNS = '(run_id, "row", key, outcome, faults, cells, had_details)'


def preview(run: ImportRun, progress: JobProgress) -> dict[str, int]:
    """Write what each row would do, in one transaction, and the run's counts. Nothing else is written.

    Raises InvalidInput when the file cannot be read to its end.
    """
    kind = kind_of(run.entity)
    with transaction.atomic():
        run.rows.all().delete()
        call = _Preview(run, kind, progress)
        call.stage.create()
        call.stage.join_as_sets()
        with kept_file(run) as file:
            layout, records = open_import_file(file)  # type: ignore[arg-type]
            if layout.columns != run.columns:
                raise InvalidInput("The file is not the one that was uploaded. Upload it again.", field="file")
            while chunk := list(islice(records, ROWS_IN_CHUNK)):
                call.take(chunk)
        call.compare()
        counts = counts_of(run)
        _finish(run, counts)
        with (
            connection.cursor() as cursor
        ):  # applying joins these rows long before autovacuum would have looked at them
            cursor.execute("ANALYZE markets_importrow")
    return counts


def counts_of(run: ImportRun) -> dict[str, int]:
    """Number of rows by outcome."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT outcome, count(*) FROM markets_importrow WHERE run_id = %s GROUP BY outcome", [run.pk])
        found = dict(cursor.fetchall())
    counts = {str(outcome): found.get(outcome, 0) for outcome in ImportOutcome.values}
    return {"rows": sum(counts.values()), **counts}


def keep_cells(run: ImportRun) -> None:
    """Keep the original cells of the refused rows that have none yet, from a second look at the file."""
    missing = set(
        run.rows.filter(outcome__in=[ImportOutcome.CONFLICT, ImportOutcome.ERROR], cells__isnull=True).values_list(
            "row", flat=True
        )
    )
    if not missing:
        return
    with kept_file(run) as file:
        _, records = open_import_file(file)  # type: ignore[arg-type]
        found = (record for record in records if record.number in missing)
        while part := list(islice(found, 1_000)):
            marks.remember_cells(run, {record.number: _shown(record.cells) for record in part})


class _Preview:
    def __init__(self, run: ImportRun, kind: ImportKind, progress: JobProgress) -> None:
        self.run, self.kind, self.progress = run, kind, progress
        self.entity = with_default_type(kind, run.default_asset_type)
        self.stage = ImportStage(self.entity)
        self.key_place = run.columns.index(run.identifier_column)
        self.places = {
            run.columns.index(column): kind.field(name) for column, name in run.mapping.items() if name != kind.key
        }
        self.empty: Any = None if run.empty_cells == EmptyCells.CLEAR else UNSET
        self.read = 0

    def take(self, records: list[Record]) -> None:
        """Clean a part of the file: sound rows are staged, the others written as errors."""
        faults = [Rejection(record.number, None, record.fault) for record in records if record.fault]
        sound = [record for record in records if not record.fault]
        positions = [record.number for record in sound]
        raw_keys, found = self._column(sound, self.key_place, self.entity.key, "identifier", UNSET)
        faults += found
        columns = {}
        for place, field in self.places.items():
            empty = UNSET if field.kind == "flag" else self.empty
            columns[field.name], found = self._column(sound, place, field.name, field.kind, empty)
            faults += found
        chunk = Chunk(positions, raw_keys, columns)
        keys, found = clean_keys(self.entity, chunk)
        already = {fault.row for fault in faults if fault.field == self.entity.key}
        faults += [self._named(fault) for fault in found if fault.row not in already]
        clean = clean_columns(self.entity, chunk, keys, self.stage.bits)
        faults += clean.faults
        wrong = {fault.row for fault in faults}
        self.stage.copy(
            (
                (row, mask | clean.always, new_uid(), key, *values)
                for row, mask, key, *values in zip(positions, clean.masks, keys, *clean.columns, strict=True)
                if row not in wrong
            ),
            ever=clean.ever,
            always=clean.always,
        )
        shown_keys = dict(zip(positions, keys, strict=True))
        cells = {record.number: record.cells for record in records if record.number in wrong}
        self._write_refused(ImportOutcome.ERROR, _by_row(faults), cells, shown_keys)
        self.read += len(records)
        self.progress.report_beside(self.read, None, f"{self.read:,} rows read")

    def compare(self) -> None:
        """What only all rows together, and the stored ones, can tell."""
        self.progress.report_beside(self.read, None, "Comparing with what is stored")
        self._settle_duplicates()
        self.stage.settle()
        missing = {
            row: [_fault(name, f"{name} is missing. A new {self.entity.noun} needs it.")]
            for name in self.entity.required
            for row in self.stage.missing(name)
        }
        refused: dict[int, list[dict[str, Any]]] = {}
        for row, name, reason in self.stage.faults():
            refused.setdefault(row, []).append(_fault(name, reason))
        for outcome, faults in ((ImportOutcome.ERROR, missing), (ImportOutcome.CONFLICT, refused)):
            self._write_staged(outcome, faults)
        self.stage.remove([*missing, *refused])
        self.stage.classify(self.run)
        self.stage.drop()
        keep_cells(self.run)

    def _settle_duplicates(self) -> None:
        same: dict[int, list[dict[str, Any]]] = {}
        differing: dict[int, list[dict[str, Any]]] = {}
        for key, rows, fields in self.stage.duplicates():
            if fields:
                told = f"{numbered(rows).capitalize()} name {clipped(key)} and differ in {', '.join(fields)}. Keep one."
                differing |= {row: [_fault(fields[0], told)] for row in rows}
            else:
                same |= {row: [_fault(None, f"Row {rows[0]:,} says the same.")] for row in rows[1:]}
        self._write_staged(ImportOutcome.SAME, same)
        self._write_staged(ImportOutcome.CONFLICT, differing)
        self.stage.remove([*same, *differing])

    def _column(
        self, records: list[Record], place: int, name: str, kind: Any, empty: Any
    ) -> tuple[list[Any], list[Rejection]]:
        values: list[Any] = []
        faults: list[Rejection] = []
        for record in records:
            try:
                value = read_cell(record.cells[place], kind)
            except ValueError as error:
                faults.append(Rejection(record.number, name, str(error)))
                value = None
            values.append(empty if value is None else value)
        return values, faults

    def _named(self, fault: Rejection) -> Rejection:
        """A fault of the natural key, in the words of the file's own column."""
        column = self.run.identifier_column
        if column != self.entity.key and fault.reason.startswith(f"{self.entity.key} is missing"):
            return Rejection(fault.row, fault.field, f"{clipped(column)} is empty. It names the {self.entity.noun}.")
        return fault

    def _write_staged(self, outcome: ImportOutcome, faults: dict[int, list[dict[str, Any]]]) -> None:
        """Write rows that are staged with another outcome than the stage would tell."""
        keys = self.stage.keys_of(list(faults))
        self._copy((row, keys[row], str(outcome), told, None) for row, told in sorted(faults.items()))

    def _write_refused(
        self,
        outcome: ImportOutcome,
        faults: dict[int, list[dict[str, Any]]],
        cells: dict[int, Sequence[object]],
        keys: dict[int, str | None],
    ) -> None:
        self._copy((row, keys.get(row), str(outcome), told, _shown(cells[row])) for row, told in sorted(faults.items()))

    def _copy(self, rows: Iterator[tuple[Any, ...]]) -> None:
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY markets_importrow {_COLUMNS} FROM STDIN") as copy,
        ):
            for row, key, outcome, faults, cells in rows:
                copy.write_row(
                    (self.run.pk, row, key, outcome, Jsonb(faults), None if cells is None else Jsonb(cells), False)
                )


def _by_row(faults: list[Rejection]) -> dict[int, list[dict[str, Any]]]:
    told: dict[int, list[dict[str, Any]]] = {}
    for fault in faults:
        told.setdefault(fault.row, []).append(_fault(fault.field, fault.reason))
    return told


def _fault(field: str | None, reason: str) -> dict[str, Any]:
    return {"field": field, "reason": storable_text(reason)}


def _shown(cells: Sequence[object]) -> list[str | None]:
    return [_beginning(shown_cell(cell)) for cell in cells]


def _beginning(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_SHOWN_CELL else f"{text[:LONGEST_SHOWN_CELL]}…"


def _finish(run: ImportRun, counts: dict[str, int]) -> None:
    now = timezone.now()
    changed = ImportRun.objects.filter(pk=run.pk, status=ImportStatus.UPLOADED, job=run.job_id).update(
        status=ImportStatus.PREVIEWED, previewed_at=now, updated_at=now, counts=counts, error=""
    )
    if not changed:
        raise InvalidInput("The import was changed meanwhile. Look at it again.")

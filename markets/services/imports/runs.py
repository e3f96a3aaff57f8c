"""An import's life: uploaded, previewed, applied, undone. Each step is asked for here and done by a job."""

import datetime as dt
from collections.abc import Callable
from itertools import islice
from pathlib import PurePath
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from markets.engine.import_cells import read_cell
from markets.engine.import_files import Record, open_import_file
from markets.engine.text import storable_text
from markets.exceptions import Conflict, InvalidInput
from markets.models import EmptyCells, ImportRun, ImportStatus, Job, JobStatus
from markets.services import jobs
from markets.services.imports.files import check_size, keep_file
from markets.services.imports.kinds import (
    ImportKind,
    check_identifier_column,
    check_mapping,
    identifier_choices,
    kind_of,
    propose_mapping,
)
from markets.services.stored import locked
from markets.services.values import UNSET, Unset, normalise_type_key

PREVIEW, APPLY, UNDO = "preview_import", "apply_import", "undo_import"
ROWS_LOOKED_AT = 1_000  # of the beginning, from which the column that names the rows is proposed
KEPT_FOR = dt.timedelta(days=30)  # what nobody applied
LONGEST_REASON = 1_000
BUSY = {ImportStatus.UPLOADED: PREVIEW, ImportStatus.APPLYING: APPLY, ImportStatus.UNDOING: UNDO}
STEP_BACK = {
    ImportStatus.UPLOADED: ImportStatus.FAILED,
    ImportStatus.APPLYING: ImportStatus.PREVIEWED,
    ImportStatus.UNDOING: ImportStatus.APPLIED,
}

Start = Callable[..., Job]  # jobs.submit: a worker does it; jobs.record: the caller does


def upload_import(
    stream: BinaryIO,
    *,
    name: str,
    size: int,
    kind: str = "asset",
    mapping: Any = None,
    identifier_column: str | None = None,
    asset_type: str | None = None,
    empty_cells: str = EmptyCells.KEEP,
    user: User | None = None,
    start: Start = jobs.submit,
) -> ImportRun:
    """Keep a file and ask for its preview. Columns are mapped by name unless `mapping` says how.

    Where the file has no column of the natural key and `identifier_column` is not given, a column that may name the
    rows, and is filled and different in each of the first rows, is taken. When there is none, a person has to choose
    one (`change_mapping`) before there is a preview. `asset_type` is the type of new rows for which the file says none.
    Raises InvalidInput when the file, a mapping or an option is wrong; then nothing is kept.
    """
    chosen = kind_of(kind)
    if size == 0:
        raise InvalidInput("The file is empty. It needs a header row and rows.", field="file")
    check_size(size)
    layout, records = open_import_file(stream)
    sample = list(islice(records, ROWS_LOOKED_AT))
    if not sample:
        raise InvalidInput("The file has a header and no rows. Check where it comes from.", field="file")
    mapping = (
        propose_mapping(chosen, layout.columns, layout.unusable)
        if mapping is None
        else check_mapping(chosen, mapping, layout.columns, layout.unusable)
    )
    if identifier_column:
        column = check_identifier_column(chosen, identifier_column, mapping)
    else:
        column = _proposed_identifier(chosen, mapping, layout.columns, sample)
    options = _options(asset_type=asset_type, empty_cells=empty_cells)
    with transaction.atomic():
        run = ImportRun.objects.create(
            entity=chosen.name,
            file_name=_file_name(name),
            file_format=layout.format,
            file_size=size,
            columns=layout.columns,
            unusable_columns=dict(layout.unusable),
            notes=layout.notes,
            mapping=mapping,
            identifier_column=column,
            uploaded_by=user,
            **options,
        )
        keep_file(run, stream)
        if column:
            _start(run, PREVIEW, f"Preview {run}", user, start)
    return run


@transaction.atomic
def change_mapping(
    run: ImportRun,
    *,
    mapping: Any = None,
    identifier_column: str | None = None,
    asset_type: str | Unset | None = UNSET,
    empty_cells: str | Unset = UNSET,
    user: User | None = None,
    start: Start = jobs.submit,
) -> ImportRun:
    """Change how the file is read, where given, and ask for a new preview.

    Raises InvalidInput for a wrong mapping or option, Conflict when the import is busy or was applied.
    """
    run = _locked_run(run)
    refuse_unless(run, "change", ImportStatus.UPLOADED, ImportStatus.PREVIEWED, ImportStatus.FAILED)
    kind = kind_of(run.entity)
    if mapping is not None:
        run.mapping = check_mapping(kind, mapping, run.columns, run.unusable_columns)
    choices = identifier_choices(kind, run.mapping)
    if identifier_column is None and kind.key in run.mapping.values():
        identifier_column = choices[0]
    run.identifier_column = check_identifier_column(kind, identifier_column or run.identifier_column, run.mapping)
    for name, value in _options(asset_type=asset_type, empty_cells=empty_cells).items():
        setattr(run, name, value)
    run.status, run.previewed_at, run.error, run.counts = ImportStatus.UPLOADED, None, "", {}
    run.save()
    _start(run, PREVIEW, f"Preview {run}", user, start)
    return run


@transaction.atomic
def request_apply(
    run: ImportRun, *, reason: str = "", user: User | None = None, start: Start = jobs.submit
) -> ImportRun:
    """Ask for the previewed rows to be written. Raises Conflict when the import is not in the state for it, or when
    no row would write anything.
    """
    run = _locked_run(run)
    refuse_unless(run, "apply", ImportStatus.PREVIEWED)
    if not run.counts.get("create", 0) + run.counts.get("update", 0):
        raise Conflict("No row of this import would write anything. There is nothing to apply.")
    run.status, run.reason, run.applied_by, run.error = ImportStatus.APPLYING, clean_reason(reason), user, ""
    run.save()
    _start(run, APPLY, f"Apply {run}", user, start)
    return run


@transaction.atomic
def request_undo(
    run: ImportRun, *, reason: str, user: User | None = None, start: Start = jobs.submit, force: bool = False
) -> ImportRun:
    """Ask for an applied import to be taken back. `force` also deletes what it made of the public master."""
    run = _locked_run(run)
    refuse_unless(run, "undo", ImportStatus.APPLIED)
    reason = clean_reason(reason)
    if not reason:
        raise InvalidInput("Say why the import is undone.", field="reason")
    run.status, run.undo_reason, run.undone_by, run.error = ImportStatus.UNDOING, reason, user, ""
    run.save()
    _start(run, UNDO, f"Undo {run}", user, start, force=force)
    return run


@transaction.atomic
def discard(run: ImportRun) -> None:
    """Delete an import with its file and rows; what it wrote stays. Raises Conflict while it is busy."""
    run = _locked_run(run)
    if is_busy(run):
        raise Conflict("The import is being worked on. Wait until it is done.")
    run.delete()


def tidy_imports() -> int:
    """Delete the imports that nobody applied in KEPT_FOR, with their files; returns how many."""
    old = ImportRun.objects.filter(
        status__in=[ImportStatus.UPLOADED, ImportStatus.PREVIEWED, ImportStatus.FAILED],
        updated_at__lt=timezone.now() - KEPT_FOR,
    )
    tidied = 0
    for run in old:
        with transaction.atomic():
            stored = ImportRun.objects.select_for_update(skip_locked=True).filter(pk=run.pk).first()
            if stored is not None and stored.updated_at == run.updated_at and not is_busy(stored):
                stored.delete()
                tidied += 1
    return tidied


def is_busy(run: ImportRun) -> bool:
    """Whether a job of it waits or runs. One whose job is gone or has failed is free again."""
    return run.status in BUSY and run.job is not None and not run.job.is_finished


def standing(run: ImportRun) -> str:
    """The status that counts: of a run whose job came to an end without finishing it, the one before."""
    status = ImportStatus(run.status)
    if status not in BUSY or is_busy(run) or (status == ImportStatus.UPLOADED and run.job is None):
        return status
    return STEP_BACK[status]


def refuse_unless(run: ImportRun, action: str, *statuses: ImportStatus) -> None:
    """Raise Conflict telling why an import cannot be applied, changed or undone now."""
    if run.status in statuses and not is_busy(run):
        return
    told = {
        ImportStatus.UPLOADED: "it is not previewed yet",
        ImportStatus.PREVIEWED: "it was not applied",
        ImportStatus.APPLYING: "it is being applied",
        ImportStatus.APPLIED: "it was applied already",
        ImportStatus.UNDOING: "it is being undone",
        ImportStatus.UNDONE: "it was undone; upload the file again",
        ImportStatus.FAILED: "its file could not be read; change the mapping or upload it again",
    }[ImportStatus(run.status)]
    raise Conflict(f"The import {run} cannot be {_PARTICIPLES[action]}: {told}.")


_PARTICIPLES = {"apply": "applied", "undo": "undone", "change": "changed"}


def clean_reason(reason: object) -> str:
    if not isinstance(reason, str):
        raise InvalidInput("reason must be text.", field="reason")
    text = reason.strip()
    if text != storable_text(text):
        raise InvalidInput("reason holds a character that cannot be stored. Remove it.", field="reason")
    if len(text) > LONGEST_REASON:
        raise InvalidInput(f"reason has {len(text):,} characters; the most are {LONGEST_REASON:,}.", field="reason")
    return text


def _locked_run(run: ImportRun) -> ImportRun:
    """The stored run, locked; one whose job came to an end without finishing it is put back first."""
    stored = locked(run)
    status = standing(stored)
    if status != stored.status:
        stored.status = status
        stored.error = stored.error or (stored.job.error if stored.job else "Its job is gone.")
        stored.save(update_fields=["status", "error", "updated_at"])
    return stored


def _start(run: ImportRun, kind: str, title: str, user: User | None, start: Start, **arguments: Any) -> None:
    run.job = start(kind, title, {"import": str(run.uid), **arguments}, user=user)
    run.save(update_fields=["job", "updated_at"])


def _options(*, asset_type: Any = UNSET, empty_cells: Any = UNSET) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if asset_type is not UNSET:
        options["default_asset_type"] = normalise_type_key(asset_type or None, field="asset_type")
    if empty_cells is not UNSET:
        if empty_cells not in EmptyCells.values:
            raise InvalidInput(f"empty_cells must be {' or '.join(EmptyCells.values)}.", field="empty_cells")
        options["empty_cells"] = empty_cells
    return options


def _file_name(name: str) -> str:
    text = PurePath(storable_text(name).replace("\\", "/")).name.strip() or "file"
    return text if len(text) <= 255 else f"{text[:250]}…"


def _proposed_identifier(kind: ImportKind, mapping: dict[str, str], columns: list[str], sample: list[Record]) -> str:
    """The column of the natural key, else one that is filled and different in every row of the sample, else none."""
    choices = identifier_choices(kind, mapping)
    if kind.key in mapping.values():
        return choices[0]
    for column in choices:
        place = columns.index(column)
        values = [record.cells[place] if place < len(record.cells) else None for record in sample]
        texts = {_text_of(value) for value in values}
        if None not in texts and len(texts) == len(values):
            return column
    return ""


def _text_of(value: object) -> str | None:
    try:
        text = read_cell(value, "identifier")
    except ValueError:
        return None
    return text if isinstance(text, str) else None


def step_failed(run: ImportRun, job: Job, error: str) -> None:
    """Put the run back to where it was before the step, with the reason."""
    status = ImportStatus(run.status)
    ImportRun.objects.filter(pk=run.pk, status=status, job=job).update(
        status=STEP_BACK[status], error=storable_text(error), updated_at=timezone.now()
    )


def error_of(run: ImportRun) -> str:
    """Why its last step came to nothing, empty when it did not."""
    if run.error or standing(run) == run.status or run.job is None:
        return run.error
    return run.job.error


def guessed_identifier(run: ImportRun) -> bool:
    """Whether the rows are named by another column than that of the natural key."""
    return bool(run.identifier_column) and kind_of(run.entity).key not in run.mapping.values()


def unknown_columns(run: ImportRun) -> list[str]:
    """The columns of the file that fill no field."""
    return [column for column in run.columns if column not in run.mapping and column != run.identifier_column]


def job_of(run: ImportRun) -> Job | None:
    """The job that is being waited for, None when nothing is under way."""
    return run.job if run.job is not None and run.job.status in (JobStatus.QUEUED, JobStatus.RUNNING) else None

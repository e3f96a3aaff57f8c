"""Imports for the tests: a file from text, carried through its steps in this process."""

import io
from typing import Any

from markets.models import ImportRun
from markets.services import imports, jobs


def upload(content: str | bytes, name: str = "assets.csv", **options: Any) -> ImportRun:
    """Uploaded, and previewed where a column names the rows."""
    data = content.encode() if isinstance(content, str) else content
    run = imports.upload_import(io.BytesIO(data), name=name, size=len(data), start=jobs.record, **options)
    return done(run)


def apply(run: ImportRun, **options: Any) -> ImportRun:
    return done(imports.request_apply(run, start=jobs.record, **options))


def undo(run: ImportRun, reason: str = "A test", **options: Any) -> ImportRun:
    return done(imports.request_undo(run, reason=reason, start=jobs.record, **options))


def done(run: ImportRun) -> ImportRun:
    if run.job is not None:
        jobs.execute(str(run.job.uid))
    run.refresh_from_db()
    return run


def rows(run: ImportRun) -> list[tuple[Any, ...]]:
    return list(run.rows.order_by("row").values_list("row", "key", "outcome"))


def reasons(run: ImportRun) -> dict[int, list[tuple[str | None, str]]]:
    """Row → (field, reason) of each fault."""
    told = run.rows.filter(faults__isnull=False).order_by("row")
    return {row.row: [(fault["field"], fault["reason"]) for fault in row.faults] for row in told}

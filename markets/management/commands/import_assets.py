"""Imports assets from a file: tells what each row would do, and writes it when asked."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.exceptions import InvalidInput
from markets.models import EmptyCells, ImportRun, ImportStatus
from markets.services import imports, jobs

SHOWN_FAULTS = 20


class Command(BaseCommand):
    help = (
        "Preview the assets in a CSV, XLSX or Parquet file: what would be created, updated, left the same, or refused. "
        "With --apply they are written; without it the preview waits in the back-office under Imports."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV (UTF-8), XLSX or Parquet")
        parser.add_argument("--apply", action="store_true", help="write what the preview would create or update")
        parser.add_argument("--identifier", default="", help="the column that names each asset")
        parser.add_argument("--asset-type", help="the type of new assets for which the file says none")
        parser.add_argument("--empty-cells", default="keep", choices=EmptyCells.values, help="what an empty cell does")
        parser.add_argument("--errors", help="write the refused rows to this CSV file")
        parser.add_argument("--reason", default="", help="why, for the record")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        run = _previewed(options)
        if options["apply"] and imports.guessed_identifier(run) and not options["identifier"]:
            raise CommandError(
                f"The file has no column unique_identifier; the preview names assets by {run.identifier_column}. To "
                f"write, say so: --identifier {run.identifier_column}"
            )
        if options["apply"] and run.counts["create"] + run.counts["update"]:
            run = _done(imports.request_apply(run, reason=options["reason"], start=jobs.record))
            if run.status != ImportStatus.APPLIED:
                raise CommandError(f"Nothing was written. {run.error}")
        if options["errors"]:
            with Path(options["errors"]).open("wb") as file:
                file.writelines(imports.errors_file(run))
        if options["json"]:
            self.stdout.write(json.dumps(_body(run)))
        else:
            for line in _lines(run, wanted_apply=options["apply"]):
                self.stdout.write(line)


def _previewed(options: dict[str, Any]) -> ImportRun:
    path = Path(options["file"])
    try:
        with path.open("rb") as stream:
            run = imports.upload_import(
                stream,
                name=path.name,
                size=path.stat().st_size,
                identifier_column=options["identifier"] or None,
                asset_type=options["asset_type"],
                empty_cells=options["empty_cells"],
                start=jobs.record,
            )
    except FileNotFoundError:
        raise InvalidInput(f"{path} does not exist. Check the path.", field="file") from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a directory. Name one file.", field="file") from None
    except PermissionError:
        raise InvalidInput(f"{path} cannot be read by this user. Change its permissions.", field="file") from None
    if not run.identifier_column:
        choices = imports.identifier_choices(imports.kind_of(run.entity), run.mapping)
        imports.discard(run)
        may = f"one of --identifier {', --identifier '.join(choices)}" if choices else "none of its columns may"
        raise CommandError(f"The file has no column unique_identifier. Say which column names each asset: {may}.")
    run = _done(run)
    if run.status != ImportStatus.PREVIEWED:
        error = run.error
        imports.discard(run)
        raise CommandError(error)
    return run


def _done(run: ImportRun) -> ImportRun:
    assert run.job is not None
    jobs.execute(str(run.job.uid))
    run.refresh_from_db()
    return run


def _lines(run: ImportRun, *, wanted_apply: bool) -> list[str]:
    lines = [*run.notes]
    if imports.guessed_identifier(run):
        lines.append(f"assets are named by the column {run.identifier_column}")
    unknown = imports.unknown_columns(run)
    if unknown:
        lines.append(f"columns not imported: {', '.join(unknown)}")
    refused = imports.refused_rows(run).order_by("row")
    for row in refused[:SHOWN_FAULTS]:
        lines += [f"row {row.row}: {row.outcome}: {fault['reason']}" for fault in row.faults]
    number = run.counts["conflict"] + run.counts["error"]
    if number > SHOWN_FAULTS:
        lines.append(f"… and {number - SHOWN_FAULTS:,} more refused rows; --errors FILE writes all of them")
    counts = ", ".join(f"{run.counts[name]:,} {name}" for name in ("create", "update", "same", "conflict", "error"))
    if run.status == ImportStatus.APPLIED:
        done = f"{run.results['created']:,} created, {run.results['updated']:,} updated"
    elif wanted_apply:
        done = "nothing to write"
    else:
        done = f"nothing written; apply it in the back-office, or with --apply (import {run.uid})"
    return [*lines, f"{run.file_name}: {run.counts['rows']:,} rows: {counts}; {done}"]


def _body(run: ImportRun) -> dict[str, Any]:
    return {
        "uid": str(run.uid),
        "file": run.file_name,
        "status": run.status,
        "identifier_column": run.identifier_column,
        "mapping": run.mapping,
        "unknown_columns": imports.unknown_columns(run),
        "counts": run.counts,
        "results": run.results,
    }

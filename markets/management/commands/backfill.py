"""Computes a stretch of a DataNode's past again, in this process."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.engine.text import counted
from markets.exceptions import InvalidInput
from markets.models import BackfillPart
from markets.services import backfills, node_runs

FAILURES_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Compute the past of a DataNode again: rows that differ are written over, missing ones inserted. It may be "
        "killed: the same command again goes on with the parts that are not done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("identifier", help="published identifier, update hash or uid")
        parser.add_argument("--start", required=True, help="first date, or time with a zone")
        parser.add_argument("--end", required=True, help="last date, or time with a zone; included")
        parser.add_argument("--assets", nargs="+", help="identifiers, or @FILE with one a line; all unless told")
        parser.add_argument("--failed-only", action="store_true", help="only what failed before and what is missing")
        parser.add_argument("--tree", action="store_true", help="backfill what the node reads first")
        parser.add_argument("--calendar", default="", help="whose sessions are expected, where the node names none")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done and write nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        update = node_runs.find_node_update(options["identifier"])
        request = backfills.clean_request(
            options["start"],
            options["end"],
            assets=_assets(options["assets"]),
            failed_only=options["failed_only"],
            update_tree=options["tree"],
            calendar=options["calendar"],
        )
        if options["dry_run"]:
            self._print_plan(backfills.plan(update, request), as_json=options["json"])
            return
        watcher = _Lines(None if options["json"] else self.stdout)
        outcome = backfills.run_in_process(update, request, watcher)
        watcher.end()
        if options["json"]:
            self.stdout.write(json.dumps({**outcome.counters(), "failures": outcome.failed, "notes": outcome.notes}))
        else:
            for failure in outcome.failed[:FAILURES_SHOWN]:
                self.stderr.write(failure)
            self.stdout.write(outcome.text)
        if outcome.failed:
            raise CommandError("Parts failed. The same command again does them again.")

    def _print_plan(self, plan: backfills.BackfillPlan, *, as_json: bool) -> None:
        body = plan.as_json()
        if as_json:
            self.stdout.write(json.dumps(body))
            return
        for window in body["windows"]:
            assets = "all assets" if window["assets"] is None else counted(window["assets"], "asset")
            rows = "" if window["rows_expected"] is None else f", {counted(window['rows_expected'], 'row')} expected"
            self.stdout.write(
                f"{window['node']}: {window['mode']} {window['start']} to {window['end']}, {assets}{rows}"
            )
        if body["parts"] > len(body["windows"]):
            self.stdout.write(f"… and {counted(body['parts'] - len(body['windows']), 'more part')}")
        for note in plan.notes:
            self.stdout.write(note)
        if not body["parts"]:
            self.stdout.write("Nothing to do: no session is missing and no part has failed.")
            return
        missing = "" if plan.missing is None else f", {plan.missing:,} missing"
        self.stdout.write(
            f"{body['parts']:,} parts, {body['rows_expected']:,} rows expected{missing}. Nothing was done."
        )


def _assets(given: list[str] | None) -> list[str] | None:
    """The identifiers, those of a file for `@FILE`; commas part them too."""
    if given is None:
        return None
    names: list[str] = []
    for item in given:
        text = _read(item[1:]) if item.startswith("@") else item
        names += [part.strip() for part in text.replace("\n", ",").split(",")]
    return [name for name in names if name]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--assets @{path} cannot be read: {error}.", field="assets") from None


class _Lines(backfills.Watcher):
    """One line that changes on a terminal, a line for each part elsewhere, nothing without a stream."""

    def __init__(self, stdout: Any) -> None:
        self.stdout = stdout
        self.is_terminal = stdout is not None and stdout.isatty()
        self.pace = backfills.Pace()
        self.rows_written = 0

    def planned(self, plan: backfills.BackfillPlan) -> None:
        if self.stdout is not None:
            for note in plan.notes:
                self.stdout.write(note)

    def resumed(self, done: int, total: int) -> None:
        if self.stdout is not None:
            self.stdout.write(f"{done:,} of {total:,} parts were done before")

    def part_started(self, part: BackfillPart, place: int, total: int) -> None:
        if self.is_terminal:
            self.stdout.write(f"\r\x1b[K{self.pace.text(part, place, total, self.rows_written)}", ending="")
            self.stdout.flush()

    def part_finished(self, part: BackfillPart, place: int, total: int, outcome: backfills.BackfillOutcome) -> None:
        self.rows_written = outcome.rows_written
        if self.stdout is not None and not self.is_terminal:
            what = "failed" if part.error else f"{counted(part.rows_written, 'row')} written"
            self.stdout.write(f"{place:,} of {total:,}: {part}: {what}")

    def end(self) -> None:
        if self.is_terminal:
            self.stdout.write("")

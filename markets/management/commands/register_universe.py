"""Loads dated memberships of a category from a file."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.services.universes import UniverseReport, register_universe


class Command(BaseCommand):
    help = (
        "Load spells of membership (ticker or identifier, start_date, end_date) into a category, which is made when "
        "it is missing. Loading a file again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("category", help="the category's identifier")
        parser.add_argument("file", help="CSV (also .csv.gz) or Parquet")
        parser.add_argument("--skip-unknown", action="store_true", help="load the rest when names are no asset's")
        parser.add_argument("--dry-run", action="store_true", help="report only; write nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        report = register_universe(
            options["category"], options["file"], skip_unknown=options["skip_unknown"], dry_run=options["dry_run"]
        )
        refused = bool(report.unknown) and not options["skip_unknown"]
        if options["json"]:
            self.stdout.write(json.dumps(_body(options["category"], report)))
        else:
            for line in _lines(options["category"], report, refused=refused):
                self.stdout.write(line)
        if refused and not options["dry_run"]:
            raise CommandError(
                f"{len(report.unknown):,} unknown name{'' if len(report.unknown) == 1 else 's'}: nothing was written. "
                "Register those assets first, or load the rest with --skip-unknown."
            )


def _lines(category: str, report: UniverseReport, *, refused: bool) -> list[str]:
    lines = []
    if report.ignored_columns:
        lines.append(f"ignored columns: {', '.join(report.ignored_columns)}")
    for item in report.unknown:
        numbers = ", ".join(str(number) for number in item.lines)
        lines.append(f"unknown: {item.name} (line{'' if len(item.lines) == 1 else 's'} {numbers})")
    if report.empty:
        lines.append(f"{report.empty:,} spells end on the day they begin and are not kept")
    counts = f"{report.rows:,} spells read, {report.assets:,} assets known, {len(report.unknown):,} names unknown"
    if refused:
        return [*lines, f"{category}: {counts}; nothing written"]
    change = report.change
    done = "" if report.written else "; dry run, nothing written"
    return [
        *lines,
        f"{category}: {counts}; {change.added:,} added, {change.changed:,} changed, {change.removed:,} removed, "
        f"{change.kept:,} kept; {report.members_now:,} members now{done}",
    ]


def _body(category: str, report: UniverseReport) -> dict[str, Any]:
    return {
        "category": category,
        "uid": None if report.category is None else str(report.category.uid),
        "created": report.created,
        "written": report.written,
        "rows": report.rows,
        "assets": report.assets,
        "empty": report.empty,
        "unknown": [{"name": item.name, "lines": list(item.lines)} for item in report.unknown],
        "added": report.change.added,
        "changed": report.change.changed,
        "removed": report.change.removed,
        "kept": report.change.kept,
        "members_now": report.members_now,
        "ignored_columns": list(report.ignored_columns),
    }

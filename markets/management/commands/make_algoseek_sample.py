"""Writes a generated sample in the shape of AlgoSeek's files, for the tutorial."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.engine.algoseek_sample import SECURITIES, write_sample

FIRST_DAY, LAST_DAY = dt.date(2024, 1, 2), dt.date(2024, 3, 28)
HOLIDAYS = {dt.date(2024, 1, 15), dt.date(2024, 2, 19)}  # of the New York Stock Exchange in these months


class Command(BaseCommand):
    help = (
        "Write a small sample in the shape that AlgoSeek documents: a security master, daily and minute bars, and the "
        "two lookups. The FIGIs are real; all prices are generated. See docs/tutorial-algoseek.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", help="where to write; made when it is missing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        directory = Path(options["directory"])
        days = [day for day in _weekdays(FIRST_DAY, LAST_DAY) if day not in HOLIDAYS]
        try:
            written = write_sample(directory, days=days)
        except OSError as error:
            raise CommandError(f"{directory} cannot be written: {error}. Name another directory.") from error
        if options["json"]:
            self.stdout.write(json.dumps({name: str(path) for name, path in written.items()}))
            return
        for path in written.values():
            self.stdout.write(str(path))
        self.stdout.write(f"generated: {len(SECURITIES)} SecIds, {len(days)} days ({days[0]} to {days[-1]})")


def _weekdays(first: dt.date, last: dt.date) -> list[dt.date]:
    days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5]

"""Registers the US Treasuries of an auction file, and asks OpenFIGI for their FIGIs."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandParser

from markets.engine.treasury_auctions import read_auctions
from markets.exceptions import InvalidInput
from markets.services.treasuries import describe_treasuries, register_treasuries


class Command(BaseCommand):
    help = (
        "Register the securities of a file of US Treasury auctions (CSV, also .gz): one bond a CUSIP, however often it "
        "was reopened. Doing it again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--no-openfigi", action="store_true", help="do not ask OpenFIGI for their FIGIs")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        with _text_of(Path(options["file"])) as lines:
            issues = read_auctions(lines)
        registered = register_treasuries(issues)
        described = None if options["no_openfigi"] else describe_treasuries([issue.cusip for issue in issues])
        if options["json"]:
            told = {"registered": asdict(registered), "openfigi": asdict(described) if described else None}
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(
            f"{registered.bonds:,} bonds ({registered.created:,} new, {registered.updated:,} changed), "
            f"{registered.reopenings:,} reopenings"
        )
        if described is not None:
            self.stdout.write(
                f"OpenFIGI: {described.described:,} described, {described.not_found:,} not found, "
                f"{described.ambiguous:,} ambiguous, {described.requests:,} requests"
            )


@contextmanager
def _text_of(path: Path) -> Iterator[TextIO]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield file
    except (OSError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read ({error}).", field="file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no text in UTF-8 ({error.reason}).", field="file") from error

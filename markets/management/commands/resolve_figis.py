"""Resolves a list of identifiers in this process: identifiers in, a table of outcomes out."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from markets.exceptions import InvalidInput, MSMError
from markets.models import JobStatus, ResolutionItem
from markets.services import jobs
from markets.services.resolutions import Submitted, outcome_counts, resolve_pending, submit_resolution


class Command(BaseCommand):
    help = (
        "Register the assets that a list of identifiers names, one a line: FIGI, ISIN, CUSIP, SEDOL, ticker, "
        "TICKER@MIC or scheme:value. What leaves a choice waits in the review inbox."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="the list; - reads standard input")
        parser.add_argument("--pending", action="store_true", help="instead of a list: all that wait for OpenFIGI")
        parser.add_argument("--source", default="", help="whose list it is: names the home markets to prefer")
        parser.add_argument("--title", default="")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        submitted = _submit(options)
        jobs.execute(str(submitted.job.uid))
        submitted.job.refresh_from_db()
        resolution = submitted.resolution
        resolution.refresh_from_db()
        counts = outcome_counts(resolution)
        rows = ResolutionItem.objects.filter(resolution=resolution).select_related("asset").order_by("line")
        if options["json"]:
            items = [_as_json(item) for item in rows.iterator()]
            told = {"resolution": str(resolution.uid), "counts": counts, "requests": resolution.requests_sent}
            self.stdout.write(json.dumps(told | {"items": items}))
        else:
            self.stdout.write("line\tidentifier\toutcome\tasset\tmessage")
            for item in rows.iterator():
                asset = item.asset.unique_identifier if item.asset is not None else ""
                self.stdout.write(f"{item.line}\t{item.text}\t{item.status}\t{asset}\t{item.message}")
            told = ", ".join(f"{number:,} {status.replace('_', ' ')}" for status, number in counts.items())
            self.stdout.write(f"{resolution.lines:,} lines, {resolution.requests_sent:,} requests: {told}")
        if submitted.job.status != JobStatus.SUCCEEDED:
            raise MSMError(f"{submitted.job.error} What was resolved is kept; run the command again for the rest.")


def _submit(options: dict[str, Any]) -> Submitted:
    if options["pending"] == bool(options["file"]):
        raise InvalidInput("Name a FILE (- reads standard input), or give --pending; one of them.", field="file")
    if options["pending"]:
        return resolve_pending(here=True)
    with _lines(options["file"]) as lines:
        title = options["title"] or ("standard input" if options["file"] == "-" else options["file"])
        return submit_resolution(lines, title=title, source=options["source"], here=True)


@contextmanager
def _lines(name: str) -> Iterator[Iterable[str]]:
    if name == "-":
        yield sys.stdin
        return
    try:
        with open(name, encoding="utf-8", errors="strict") as file:
            yield file
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read ({error.strerror}).", field="file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is no text in UTF-8 ({error.reason}). Save it as UTF-8.", field="file") from error


def _as_json(item: ResolutionItem) -> dict[str, Any]:
    return {
        "line": item.line,
        "text": item.text,
        "scheme": item.scheme,
        "value": item.value,
        "venue": item.venue,
        "status": item.status,
        "asset": item.asset.unique_identifier if item.asset is not None else None,
        "figi": item.figi or None,
        "message": item.message,
    }

"""What the commands that load identifiers have in common: text files in, a report out, an error where refused."""

import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from markets.exceptions import InvalidInput
from markets.services.identifier_histories import LoadedHistory


def lines_of(path: str | Path) -> list[str]:
    """The lines of a text file in UTF-8, also .gz. Raises InvalidInput for one that cannot be read."""
    path = Path(path)
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be read ({error}).", field="file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no text in UTF-8 ({error.reason}).", field="file") from error


def add_options(parser: CommandParser, *, conflicts: bool = False) -> None:
    parser.add_argument("--skip-unknown", action="store_true", help="load the rest when assets are not registered")
    if conflicts:
        parser.add_argument("--skip-conflicts", action="store_true", help="load the rest when some are in the way")
    parser.add_argument("--dry-run", action="store_true", help="report only; write nothing")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def report(
    command: BaseCommand, loaded: LoadedHistory, *, as_json: bool, notes: Sequence[tuple[str, str]] = ()
) -> None:
    """Print what became of the file; `notes` are (kind, text). Raises CommandError where nothing was written for it."""
    if as_json:
        told: dict[str, Any] = {**asdict(loaded), "written": loaded.written}
        for kind, text in notes:
            told.setdefault(kind, []).append(text)
        command.stdout.write(json.dumps(told))
    else:
        for kind, text in [
            *notes,
            *(("unknown", name) for name in loaded.unknown),
            *(("conflict", text) for text in loaded.conflicts),
        ]:
            command.stdout.write(f"{kind}: {text}")
        done = "" if loaded.written else "; dry run, nothing written" if loaded.is_dry_run else "; nothing written"
        command.stdout.write(
            f"{loaded.added:,} added, {loaded.changed:,} changed, {loaded.kept:,} kept, {len(loaded.unknown):,} assets "
            f"unknown, {len(loaded.conflicts):,} conflicts{done}"
        )
    if loaded.is_refused and not loaded.is_dry_run:
        why = []
        if loaded.unknown:
            why.append(f"{len(loaded.unknown):,} assets are not registered (load the rest with --skip-unknown)")
        if loaded.conflicts:
            why.append(f"{len(loaded.conflicts):,} identifiers are in the way (close those, or correct the file)")
        raise CommandError(f"Nothing was written: {'; '.join(why)}.")

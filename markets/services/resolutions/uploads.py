"""Lists of identifiers in a file: the first column of each line."""

import csv
import io
import re
from collections.abc import Iterator
from typing import IO

from django.conf import settings

from markets.engine.identifier_schemes import SCHEMES
from markets.exceptions import InvalidInput

HEADINGS = {*SCHEMES, "identifier", "identifiers", "symbol", "id_isin"}  # of a first line that names its column
_SEPARATOR = re.compile(r"[,;\t]")
LARGEST_FILE = 20 * 2**20  # bytes: a hundred thousand lines of the longest kind


def lines_of_file(file: IO[bytes], *, size: int) -> Iterator[str]:
    """The first cell of each line of a CSV or text file in UTF-8; a heading gives a blank line, so that numbers stay.

    Raises InvalidInput (field "file") for a file that is too large or no such text.
    """
    most = min(LARGEST_FILE, settings.IMPORT_MAX_BYTES)
    if size > most:
        raise InvalidInput(
            f"The file has {size / 2**20:,.1f} MiB, and a list takes {most / 2**20:,.0f}. Split it, or use "
            "manage.py resolve_figis FILE.",
            field="file",
        )
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline=None)
    try:
        for number, line in enumerate(text):
            cell = _first_cell(line)
            is_heading = number == 0 and re.sub(r"\W+", "_", cell.strip().casefold()) in HEADINGS
            yield "" if is_heading else cell
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The file is no text in UTF-8 ({error.reason}). Save it as UTF-8.", field="file") from error
    finally:
        text.detach()  # the upload's file is closed by the request


def _first_cell(line: str) -> str:
    found = _SEPARATOR.search(line)
    if found is None and '"' not in line:
        return line.strip()
    try:
        cells = next(csv.reader([line], delimiter=found.group() if found else ","), [])
    except csv.Error:
        return line.strip()
    return cells[0].strip() if cells else ""

"""Rows of a CSV file: UTF-8, separated by commas, semicolons or tabs."""

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO

from markets.exceptions import InvalidInput

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
LOOKED_AT = 65_536  # bytes from which the separator is told
LONGEST_CELL = csv.field_size_limit()  # characters: a longer one is a quote that was never closed


class CsvSource:
    format = "csv"
    unusable: Mapping[str, str] = {}
    first_row = 1
    ragged = True

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.separator = _separator(stream)
        self.notes = [] if self.separator == "," else [f"The columns are separated by {SEPARATORS[self.separator]}."]

    def rows(self) -> Iterator[list[str]]:
        self.stream.seek(0)
        text = io.TextIOWrapper(self.stream, encoding="utf-8-sig", newline="")
        try:
            yield from _parsed(csv.reader(text, delimiter=self.separator, strict=True))
        finally:
            with suppress(ValueError):  # the caller has closed its stream before it let go of the rows
                text.detach()  # the stream belongs to the caller


def _parsed(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    row = 0
    try:
        for cells in reader:
            row += 1
            yield cells
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The file is not UTF-8 text: after row {row} comes the byte 0x{error.object[error.start]:02X}. Save it as "
            "“CSV UTF-8”.",
            field="file",
        ) from None
    except csv.Error as error:
        raise InvalidInput(f"Row {row + 1} cannot be read: {_reason(str(error))}", field="file") from None


def _reason(text: str) -> str:
    if "unexpected end of data" in text:
        return "a quote that opens in it is never closed. Close it, or double the quotes within a cell."
    if "field larger" in text:
        return f"a cell has more than {LONGEST_CELL:,} characters; a quote may not be closed."
    if "expected after" in text:
        return "text follows a closing quote. Double the quotes within a cell."
    return f"{text}. Save the file anew as CSV."


def _separator(stream: BinaryIO) -> str:
    """The one that splits the header into the most columns; a comma when none does."""
    stream.seek(0)
    start = stream.read(LOOKED_AT).decode("utf-8-sig", errors="replace")
    lines = iter([line for line in start.splitlines(keepends=True) if line.strip()])
    header = next(lines, "")
    found = {}
    for mark in SEPARATORS:
        try:
            found[mark] = len(next(csv.reader([header, *_following(start, header)], delimiter=mark), []))
        except csv.Error:
            found[mark] = 0
    return max(found, key=lambda mark: found[mark])


def _following(start: str, header: str) -> list[str]:
    """The lines after the header's first: a quoted name may go on there."""
    return start[start.index(header) + len(header) :].splitlines(keepends=True)[:20] if header.count('"') % 2 else []

"""Tables for spreadsheets and programs: CSV as a stream of any length, XLSX within its row limit.

Whoever opens such a file in a spreadsheet runs what its cells say. A text that a spreadsheet would take for a formula
is therefore made harmless: in CSV by an apostrophe before it, in XLSX by the type of the cell, which changes nothing.
"""

import csv
import datetime as dt
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

MOST_SHEET_ROWS = 250_000  # half a minute's work; a sheet itself ends at 1,048,575
LONGEST_CELL = 32_767  # characters, by the format
EXACT_DIGITS = 15  # of a spreadsheet's numbers; a longer one stays text
FORMULA = re.compile(r"[=+\-@\t\r\n]")
UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
LINES_AT_ONCE = 500

Row = Sequence[Any]


class _Echo:
    """A file for the csv module that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_stream(header: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """UTF-8 with a mark of the encoding, for without it spreadsheets break accents; memory does not grow with rows."""
    writer: Any = csv.writer(_Echo())
    lines = ["\ufeff", writer.writerow(header)]
    for row in rows:
        lines.append(writer.writerow([_harmless(value) for value in row]))
        if len(lines) >= LINES_AT_ONCE:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


def write_sheet(file: IO[bytes], header: Sequence[str], rows: Iterable[Row], *, title: str) -> int:
    """Write a workbook of one sheet; returns the number of rows. Identifiers are text, whatever they look like.

    The caller bounds the rows by `MOST_SHEET_ROWS`.
    """
    book = Workbook(write_only=True)
    sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", title)[:31])
    sheet.freeze_panes = "A2"
    cells = [WriteOnlyCell(sheet) for _ in header]  # one a column: a row is on disk before the next one is put in
    for cell in cells:
        cell.number_format = "@"
    sheet.append([_filled(*pair) for pair in zip(cells, header, strict=True)])
    number = 0
    for row in rows:
        sheet.append([_filled(*pair) for pair in zip(cells, row, strict=True)])
        number += 1
    book.save(file)
    return number


def plain(value: Any) -> Any:
    """A stored value as files hold it: times in ISO 8601 and UTC, numbers without noise, objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, uuid.UUID):
        return str(value)
    return value


def _harmless(value: Any) -> Any:
    text = plain(value)
    if isinstance(value, str | dict | list) and FORMULA.match(text):
        return f"'{text}"
    return text


def _filled(cell: Any, value: Any) -> Any:
    """The value itself where it is a number that a sheet holds exactly, else the cell with its text, or nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and len(value.normalize().as_tuple().digits) <= EXACT_DIGITS:
        return value
    text = UNWRITABLE.sub("\ufffd", str(plain(value)))
    if not text:
        return None
    if len(text) > LONGEST_CELL:
        text = f"({len(text):,} characters: too long for a cell of a sheet. Export CSV.)"
    cell.value = text
    cell.data_type = "s"  # or else a text that begins with = would be a formula
    return cell

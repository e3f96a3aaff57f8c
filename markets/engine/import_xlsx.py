"""Rows of the first sheet of an XLSX workbook, as it is streamed; a bomb is refused before it is unpacked."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import openpyxl
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from markets.exceptions import InvalidInput

MOST_UNPACKED = 512 * 2**20  # bytes of all parts together; openpyxl holds the table of shared texts in memory
MOST_SHARED_TEXTS = 128 * 2**20  # bytes of that table
MOST_PARTS = 5_000
SHARED_TEXTS = "xl/sharedStrings.xml"


class XlsxSource:
    format = "xlsx"
    unusable: Mapping[str, str] = {}
    first_row = 1
    ragged = False

    def __init__(self, stream: BinaryIO, *, most_rows: int, most_columns: int) -> None:
        _refuse_hostile_archive(stream)
        stream.seek(0)
        self.most_rows, self.most_columns = most_rows, most_columns
        try:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        except Exception as error:  # hostile XML may raise anything
            raise _unreadable(error) from error
        if not sheets:
            raise InvalidInput("The workbook has no visible sheet with cells.", field="file")
        self.sheet: ReadOnlyWorksheet = sheets[0]
        self.notes = []
        if len(book.worksheets) > 1:
            others = len(book.worksheets) - 1
            self.notes.append(f"The sheet “{self.sheet.title}” is read; {others} more in the workbook are not.")

    def rows(self) -> Iterator[Sequence[object]]:
        try:
            self.sheet.reset_dimensions()  # a file may claim any size
            for number, cells in enumerate(self.sheet.iter_rows(values_only=True), start=1):
                if number > self.most_rows + 1:
                    raise InvalidInput(f"The sheet has more than {self.most_rows:,} rows. Split it.", field="file")
                if len(cells) > self.most_columns and any(cell is not None for cell in cells[self.most_columns :]):
                    raise InvalidInput(
                        f"Row {number} has more than {self.most_columns:,} cells. Remove what stands far to the right.",
                        field="file",
                    )
                yield cells[: self.most_columns]
        except InvalidInput:
            raise
        except Exception as error:
            raise _unreadable(error) from error


def _refuse_hostile_archive(stream: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _unreadable(error) from error
    names = {part.filename for part in parts}
    if "[Content_Types].xml" not in names or not any(name.endswith("workbook.xml") for name in names):
        raise InvalidInput(
            "The file is a ZIP archive and no XLSX workbook. Send the file inside, as CSV, XLSX or Parquet.",
            field="file",
        )
    if any(part.flag_bits & 0x1 for part in parts):
        raise InvalidInput("The workbook is encrypted. Save it without a password.", field="file")
    unpacked = sum(part.file_size for part in parts)
    texts = sum(part.file_size for part in parts if part.filename == SHARED_TEXTS)
    if len(parts) > MOST_PARTS or unpacked > MOST_UNPACKED or texts > MOST_SHARED_TEXTS:
        raise InvalidInput(
            f"The workbook unpacks to {unpacked / 2**20:,.0f} MiB in {len(parts):,} parts; the most are "
            f"{MOST_UNPACKED // 2**20:,} MiB, of them {MOST_SHARED_TEXTS // 2**20:,} MiB of texts, and {MOST_PARTS:,} "
            "parts. Send CSV or Parquet, which have no such limit.",
            field="file",
        )


def _unreadable(error: Any) -> InvalidInput:
    return InvalidInput(
        f"The workbook cannot be read ({str(error)[:200]}). Open it in a spreadsheet program and save it anew as .xlsx "
        "or as CSV.",
        field="file",
    )

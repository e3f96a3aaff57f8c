"""Reads the table in an uploaded file (CSV, XLSX, Parquet) row by row: neither size nor faults fill memory."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from markets.engine import import_csv, import_parquet, import_xlsx
from markets.exceptions import InvalidInput, clipped

MOST_COLUMNS = 1_000
MOST_ROWS = 2_000_000
LONGEST_COLUMN_NAME = 255
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Record:
    """A row under the header: `number` counts as a spreadsheet does, the header being 1 (Parquet: the first row is 1).

    `cells` has one value a column, text as it stands, None where there is nothing. `fault` says why the row could not
    be brought under the header; then `cells` are as many as it had.
    """

    number: int
    cells: Sequence[object]
    fault: str | None = None


class Source(Protocol):
    """A format: the cells of the header, then those of each row with its number."""

    format: str
    notes: list[str]
    unusable: Mapping[str, str]
    first_row: int
    ragged: bool

    def rows(self) -> Iterator[Sequence[object]]: ...


@dataclass(frozen=True)
class ImportFile:
    """`columns` are unique and not empty; `unusable` says of a column why its cells cannot be read."""

    format: str
    columns: list[str]
    notes: list[str] = field(default_factory=list)
    unusable: Mapping[str, str] = field(default_factory=dict)


def open_import_file(stream: BinaryIO) -> tuple[ImportFile, Iterator[Record]]:
    """The header, and the rows under it as they are asked for. `stream` must be seekable and stay open.

    Raises InvalidInput (also while the rows are read) when the whole cannot be read: wrong encoding, a quote that is
    never closed, no header, a column twice, an encrypted or hostile workbook; with the row and the remedy.
    """
    source = _source(stream)
    rows = source.rows()
    number = source.first_row - 1
    header: Sequence[object] | None = None
    for header in rows:
        number += 1
        if not _is_blank(header):
            break
    else:
        raise InvalidInput("The file is empty. It needs a header row with the names of its columns.", field="file")
    columns = _columns(header)
    if source.format == "parquet":
        number = 0
    layout = ImportFile(source.format, columns, source.notes, source.unusable)
    return layout, _records(rows, columns, number, ragged=source.ragged)


def _source(stream: BinaryIO) -> Source:
    stream.seek(0)
    start = stream.read(512)
    stream.seek(0)
    if not start.strip():
        raise InvalidInput("The file is empty. It needs a header row and rows.", field="file")
    if start.startswith(b"PK\x03\x04"):
        return import_xlsx.XlsxSource(stream, most_rows=MOST_ROWS, most_columns=MOST_COLUMNS)
    if start.startswith(b"PAR1"):
        return import_parquet.ParquetSource(stream, most_rows=MOST_ROWS)
    if start.startswith(_OLE):
        raise InvalidInput(
            "The file is an old .xls workbook, or one with a password. Save it as .xlsx without a password, or as CSV.",
            field="file",
        )
    if start.startswith(b"\x1f\x8b"):
        raise InvalidInput("The file is compressed with gzip. Unpack it and send the file inside.", field="file")
    if start.startswith(_UTF16):
        raise InvalidInput("The file is UTF-16 text. Save it as “CSV UTF-8”.", field="file")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InvalidInput("The file is a web page or XML, not a table. Save it as CSV or XLSX.", field="file")
    return import_csv.CsvSource(stream)


def _columns(header: Sequence[object]) -> list[str]:
    texts = ["" if value is None else str(value).strip() for value in header]
    while texts and not texts[-1]:
        texts.pop()
    if len(texts) > MOST_COLUMNS:
        raise InvalidInput(f"The header has {len(texts):,} columns; the most are {MOST_COLUMNS:,}.", field="file")
    columns = [text or f"(column {place})" for place, text in enumerate(texts, start=1)]
    for text in columns:
        if len(text) > LONGEST_COLUMN_NAME or "\x00" in text or not _is_text(text):
            shown = clipped(text.replace("\x00", "").encode(errors="replace").decode())
            raise InvalidInput(
                f"The header has the name {shown!r}, which is too long or holds a character that is none. The first "
                "row must hold the names of the columns.",
                field="file",
            )
    twice = [text for text, times in Counter(columns).items() if times > 1]
    if twice:
        places = [str(place) for place, text in enumerate(columns, start=1) if text == twice[0]]
        raise InvalidInput(
            f"The column {clipped(twice[0])!r} stands {len(places)} times in the header (columns "
            f"{', '.join(places[:10])}). Give each column a name of its own.",
            field="file",
        )
    return columns


def _records(rows: Iterator[Sequence[object]], columns: list[str], number: int, *, ragged: bool) -> Iterator[Record]:
    width = len(columns)
    for cells in rows:
        number += 1
        if number > MOST_ROWS + 1:
            raise InvalidInput(f"The file has more than {MOST_ROWS:,} rows. Split it.", field="file")
        if len(cells) == width:
            if not _is_blank(cells):
                yield Record(number, cells)
            continue
        if _is_blank(cells):
            continue
        if len(cells) > width and _is_blank(cells[width:]):
            yield Record(number, cells[:width])
        elif len(cells) < width and not ragged:
            yield Record(number, [*cells, *[None] * (width - len(cells))])
        else:
            fault = f"The row has {len(cells)} cells where the header has {width}."
            remedy = "Give it all of them, or quote a cell that holds the separator."
            yield Record(number, list(cells[:MOST_COLUMNS]), f"{fault} {remedy}")


def _is_blank(cells: Sequence[object]) -> bool:
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

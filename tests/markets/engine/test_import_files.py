"""Reading uploaded tables: what each format gives, and what is refused before it does harm."""

import datetime as dt
import io
import zipfile
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from markets.engine import import_files, import_xlsx
from markets.engine.import_cells import harmless_cell, read_cell, shown_cell
from markets.engine.import_files import open_import_file
from markets.exceptions import InvalidInput

MARCH = dt.datetime(2026, 3, 1)  # noqa: DTZ001 - a workbook's times have no zone


def read(data: bytes) -> tuple[list[str], list[tuple[int, list[Any], bool]]]:
    layout, records = open_import_file(io.BytesIO(data))
    return layout.columns, [(record.number, list(record.cells), record.fault is not None) for record in records]


def workbook(*rows: list[Any], **sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, more in sheets.items():
        sheet = book.create_sheet(title)
        for row in more:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


# --- CSV -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_separator_is_told_from_the_header(mark: str) -> None:
    text = f'a{mark}"b, c; d"{mark}e\n007{mark}"x{mark}y"{mark}\n'
    assert read(text.encode()) == (["a", "b, c; d", "e"], [(2, ["007", f"x{mark}y", ""], False)])


def test_a_byte_order_mark_blank_rows_and_line_breaks_are_no_cells() -> None:
    assert read('\ufeffa,b\r\n\r\n1,2\r\n,\r\n3,"4\n5"'.encode()) == (
        ["a", "b"],
        [(3, ["1", "2"], False), (5, ["3", "4\n5"], False)],
    )


def test_rows_that_do_not_fit_the_header_are_told_and_empty_excess_is_not() -> None:
    assert read(b"a,b\n1\n1,2,3\n1,2,,\n") == (
        ["a", "b"],
        [(2, ["1"], True), (3, ["1", "2", "3"], True), (4, ["1", "2"], False)],
    )


def test_nameless_columns_get_a_name_and_trailing_ones_go() -> None:
    assert read(b"a,,c,,\n1,2,3,,\n")[0] == ["a", "(column 2)", "c"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n\n ", "is empty"),
        (b"a, a\n", "'a' stands 2 times in the header \\(columns 1, 2\\)"),
        (b'a\n"x', "Row 2 cannot be read: a quote that opens in it is never closed"),
        (b'a\n"x"y\n', "Row 2 cannot be read: text follows a closing quote"),
        (b'a\n"' + b"x" * 200_000, "more than 131,072 characters"),
        (b"a\nx\n\xe9", "after row 2 comes the byte 0xE9"),
        (b"\xfe\xff\x00a", "UTF-16"),
        (",".join(f"c{n}" for n in range(1_001)).encode(), "1,001 columns"),
        (b"x" * 256 + b"\n1", "too long"),
        (b"a\x00\n1", "too long or holds a character"),
    ],
)
def test_a_csv_file_that_cannot_be_read_says_why(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(data)


def test_too_many_rows_are_refused_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "MOST_ROWS", 3)
    assert len(read(b"a\n1\n2\n3\n")[1]) == 3
    with pytest.raises(InvalidInput, match="more than 3 rows"):
        read(b"a\n1\n2\n3\n4\n")


# --- XLSX ------------------------------------------------------------------------------------------------------------
def test_a_workbook_gives_its_first_sheet_with_the_types_of_its_cells() -> None:
    data = workbook(["a", "b", None], ["007", 7], [], [None, MARCH], More=[["x"]])
    layout, _ = open_import_file(io.BytesIO(data))
    assert (layout.format, layout.notes) == ("xlsx", ["The sheet “Sheet” is read; 1 more in the workbook are not."])
    assert read(data) == (
        ["a", "b"],
        [(2, ["007", 7], False), (4, [None, MARCH], False)],
    )


def test_a_workbook_whose_size_is_a_lie_is_read_by_its_cells() -> None:
    assert read(_changed(b'ref="A1:B2"', b'ref="A1:XFD1048576"'))[1] == [(2, ["1", "2"], False)]
    assert read(_changed(b'ref="A1:B2"', b'ref="A1"'))[1] == [(2, ["1", "2"], False)]


def test_a_cell_far_to_the_right_or_below_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than 1,000 cells"):
        read(_changed(b'r="B2"', b'r="XFD2"'))
    with pytest.raises(InvalidInput, match=r"more than 2,000,000 rows"):
        read(_changed(b'r="2"', b'r="999999999"'))


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
        archive.writestr("xl/sharedStrings.xml", b"\x00" * (import_xlsx.MOST_SHARED_TEXTS + 1))
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_, **__: pytest.fail("it was opened"))
    assert len(bomb.getvalue()) < 2**20
    with pytest.raises(InvalidInput, match="unpacks to 128 MiB"):
        read(bomb.getvalue())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04 nothing more", "cannot be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old .xls workbook, or one with a password"),
    ],
)
def test_what_is_no_workbook_says_so(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(data)


def test_another_archive_and_broken_parts_are_refused() -> None:
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("prices.csv", "a\n1\n")
    with pytest.raises(InvalidInput, match="no XLSX workbook"):
        read(other.getvalue())
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(_changed(b"<sheetData>", b"<sheetData><broken>"))
    entities = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
    )
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(_changed(b"<sheetData>", b"<sheetData>&j;", before=entities + b"]>"))


def _changed(old: bytes, new: bytes, *, before: bytes = b"") -> bytes:
    """A workbook of two rows, whose sheet has been tampered with."""
    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(["a", "b"], ["1", "2"]))) as source,
        zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert old in content
                content = before + content.replace(old, new)
            target.writestr(name, content)
    return changed.getvalue()


# --- Parquet ---------------------------------------------------------------------------------------------------------
def test_a_parquet_file_gives_its_values_and_tells_nested_columns() -> None:
    data = parquet(a=["007", None], n=[1, 2], l=[[1], [2]], s=[{"x": 1}, None], b=[b"x", b"y"])
    layout, _ = open_import_file(io.BytesIO(data))
    assert sorted(layout.unusable) == ["b", "l", "s"]
    assert "nested or binary" in layout.unusable["l"]
    assert read(data) == (
        ["a", "n", "l", "s", "b"],
        [(1, ["007", 1, None, None, None], False), (2, [None, 2, None, None, None], False)],
    )


def test_a_dictionary_of_a_frame_is_text() -> None:
    column = pa.array(["x", "y", "x"]).dictionary_encode()
    assert [cells for _, cells, _ in read(parquet(a=column))[1]] == [["x"], ["y"], ["x"]]


def test_a_truncated_parquet_file_and_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(a=list(range(100)))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(data[:-40])
    monkeypatch.setattr(import_files, "MOST_ROWS", 99)
    with pytest.raises(InvalidInput, match="100 rows; the most are 99"):
        read(data)


# --- cells -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, "identifier", None),
        ("  ", "identifier", None),
        (float("nan"), "identifier", None),
        (" 007 ", "identifier", "007"),
        ("1E5", "identifier", "1E5"),
        ("BRK/B", "identifier", "BRK/B"),
        (360, "text", "360"),
        (360.0, "text", "360"),
        (1.5, "text", "1.5"),
        (Decimal("1.50"), "text", "1.50"),
        ("9.19E+109", "text", "9.19E+109"),
        (True, "flag", True),
        ("Yes", "flag", True),
        ("0", "flag", False),
        (0, "flag", False),
    ],
)
def test_what_a_cell_says(value: Any, kind: Any, expected: Any) -> None:
    found = read_cell(value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("9.19E+109", "identifier", "scientific notation.*Format the column as text"),
        ("1,5e-7", "identifier", "scientific notation"),
        ("#REF!", "identifier", "spreadsheet's error #REF!"),
        ("#N/A", "text", "spreadsheet's error"),
        (700, "identifier", "number 700, so leading zeros"),
        (9.19e109, "identifier", "number 9.19e\\+109"),
        (MARCH, "identifier", "date 2026-03-01T00:00:00: the spreadsheet"),
        (True, "identifier", "truth value True"),
        (dt.date(2026, 3, 1), "text", "date 2026-03-01"),
        (b"x", "text", "no text"),
        ("perhaps", "flag", "neither yes nor no"),
        (2, "flag", "neither yes nor no"),
        (1.0, "flag", "neither yes nor no"),
    ],
)
def test_what_a_spreadsheet_has_changed_is_refused(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_cell(value, kind)


def test_an_integer_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="The cell is the number a int"):
        read_cell(10**5_000, "identifier")
    with pytest.raises(ValueError, match="The cell is the number a int"):
        read_cell(10**5_000, "text")


def test_cells_for_spreadsheets_begin_no_formula() -> None:
    for text in ("=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1"):  # noqa: RUF001
        assert harmless_cell(text) == f"'{text}"
    assert [harmless_cell(value) for value in ("a=1", None, 5, "")] == ["a=1", "", "5", ""]
    assert shown_cell("a\x00\ud800") == "a\N{REPLACEMENT CHARACTER}?"
    assert (shown_cell(None), shown_cell(1.5)) == (None, "1.5")

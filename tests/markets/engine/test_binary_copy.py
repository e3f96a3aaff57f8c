"""Binary COPY, checked by a decoder that reads the format as its documentation describes it."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.engine import binary_copy
from markets.engine.binary_copy import HEADER, TRAILER, FixedField, TextField, pack_rows

FORMATS = {">f8": ">d", ">f4": ">f", ">i8": ">q", ">i4": ">i", ">i2": ">h", "u1": ">B"}


def packed(fields, rows):
    return b"".join(pack_rows(fields, rows))


def decoded(data, wires):
    """Rows as tuples; `wires` are numpy dtypes, None for text."""
    assert data[:19] == b"PGCOPY\n\xff\r\n\x00" + bytes(8)
    place, rows = 19, []
    while True:
        (count,) = struct.unpack_from(">h", data, place)
        place += 2
        if count == -1:
            assert place == len(data)
            return rows
        assert count == len(wires)
        row = []
        for wire in wires:
            (size,) = struct.unpack_from(">i", data, place)
            place += 4
            if size == -1:
                row.append(None)
                continue
            raw = data[place : place + size]
            place += size
            row.append(raw.decode() if wire is None else struct.unpack(FORMATS[wire], raw)[0])
        rows.append(tuple(row))


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 120))
    numbers = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=rows, max_size=rows))
    number_nulls = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    labels = draw(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), max_size=6))
    codes = draw(st.lists(st.integers(0, max(len(labels) - 1, 0)), min_size=rows, max_size=rows))
    text_nulls = [True] * rows if not labels else draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    return numbers, number_nulls, labels, codes, text_nulls


@given(tables(), st.sampled_from([1, 7, 65_536]), st.sampled_from([0, 64]))
def test_what_is_packed_is_what_the_server_reads(table, rows_in_chunk, longest_record_text):
    # given any mix of lengths and nulls, chunks of any size, packed as records or byte by byte
    numbers, number_nulls, labels, codes, text_nulls = table
    fields = [
        TextField(np.array(codes, dtype=np.int64), labels, np.array(text_nulls, dtype=bool)),
        FixedField(np.array(numbers, dtype=np.int64), ">i8", np.array(number_nulls, dtype=bool)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binary_copy, "ROWS_IN_CHUNK", rows_in_chunk)
        patch.setattr(binary_copy, "LONGEST_RECORD_TEXT", longest_record_text)
        # when
        data = packed(fields, len(numbers))
    # then
    assert decoded(data, [None, ">i8"]) == [
        (None if no_text else labels[code], None if no_number else number)
        for code, no_text, number, no_number in zip(codes, text_nulls, numbers, number_nulls, strict=True)
    ]


def test_exact_bytes_of_one_row():
    fields = [TextField(np.array([0]), ["Aé"]), FixedField(np.array([1.5]), ">f8"), FixedField(np.array([True]), "u1")]
    assert packed(fields, 1) == (
        HEADER
        + b"\x00\x03"
        + b"\x00\x00\x00\x03A\xc3\xa9"
        + b"\x00\x00\x00\x08\x3f\xf8\x00\x00\x00\x00\x00\x00"
        + b"\x00\x00\x00\x01\x01"
        + TRAILER
    )


@pytest.mark.parametrize(
    ("wire", "values"),
    [
        (">f8", np.array([1.5, -0.0, 1e308])),
        (">f4", np.array([1.5, -2.25, 3e38], dtype=np.float32)),
        (">i8", np.array([2**63 - 1, -(2**63), 0])),
        (">i4", np.array([2**31 - 1, -(2**31), 0], dtype=np.int32)),
        (">i2", np.array([2**15 - 1, -(2**15), 0], dtype=np.int16)),
        ("u1", np.array([True, False, True])),
    ],
)
@pytest.mark.parametrize("null_pattern", [None, [False, True, False]])
def test_every_wire_type_in_both_paths(wire, values, null_pattern):
    is_null = None if null_pattern is None else np.array(null_pattern)
    long_text = TextField(np.zeros(3, dtype=np.int64), ["x" * 65])  # forces the path of single bytes
    expected = [None if is_null is not None and is_null[row] else values[row].item() for row in range(3)]
    assert [row[0] for row in decoded(packed([FixedField(values, wire, is_null)], 3), [wire])] == expected
    assert [row[0] for row in decoded(packed([FixedField(values, wire, is_null), long_text], 3), [wire, None])] == (
        expected
    )


def test_more_rows_than_a_chunk_with_texts_of_mixed_lengths():
    # given 70,000 rows, so two chunks, texts of 1 to 40 bytes and a null here and there
    rows = 70_000
    labels = ["é" * (1 + number % 20) for number in range(50)]
    codes = np.arange(rows) % 50
    is_null = np.arange(rows) % 997 == 0
    values = np.arange(rows, dtype=np.float64)
    # when
    data = packed([TextField(codes, labels), FixedField(values, ">f8", is_null)], rows)
    # then
    found = decoded(data, [None, ">f8"])
    assert len(found) == rows
    assert found == [
        (labels[code], None if null else value)
        for code, null, value in zip(codes.tolist(), is_null.tolist(), values.tolist(), strict=True)
    ]


def test_long_texts_are_cut_into_chunks_by_their_bytes():
    # given 40 rows of a megabyte each, of which one alone is longer than a chunk
    labels = ["x" * 2**20, "y" * (5 * 2**20)]
    codes = np.array([0] * 20 + [1] + [0] * 19)
    # when
    chunks = list(pack_rows([TextField(codes, labels)], 40))
    # then no chunk is much longer than its limit, but for the long row, which is alone
    sizes = [len(chunk) for chunk in chunks]
    assert sum(size > binary_copy.BYTES_IN_CHUNK + 1024 for size in sizes) == 1
    assert [row[0][:1] for row in decoded(b"".join(chunks), [None])] == ["xy"[code] for code in codes]
    assert len(sizes) == 13  # header, 5 x 4 rows, the long one, 4 x 4 rows, 3 rows, trailer


def test_a_text_column_of_nulls_only():
    # regression: a column without any label had nothing for the codes of its rows to point at
    nothing = TextField(np.zeros(2, dtype=np.int64), [], np.ones(2, dtype=bool))
    assert decoded(packed([nothing], 2), [None]) == [(None,), (None,)]


def test_no_rows():
    assert packed([FixedField(np.empty(0), ">f8")], 0) == HEADER + TRAILER

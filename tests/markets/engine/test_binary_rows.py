"""Rows of a COPY … TO STDOUT, unpacked whatever their widths and wherever the stream is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.engine import binary_rows
from markets.engine.binary_copy import HEADER, TRAILER, FixedField, TextField, pack_rows
from markets.engine.binary_rows import unpack_rows

WORDS = ["", "A", "é", "BBG000BLNNH6", "x" * 300]


def stream(numbers, *texts):
    """COPY's bytes of float64 numbers and columns of text, None where null."""
    fields = [FixedField(np.array(numbers, dtype=np.float64), ">f8")]
    for column in texts:
        is_null = np.array([text is None for text in column], dtype=bool)
        labels = sorted({text or "" for text in column})
        codes = np.array([labels.index(text or "") for text in column], dtype=np.int64)
        fields.append(TextField(codes, labels, is_null))
    return b"".join(pack_rows(fields, len(numbers)))


def blocks(data, size):
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


def unpacked(parts, texts):
    numbers, columns = [], [[] for _ in range(texts)]
    for batch in unpack_rows(parts, [">f8"], texts):
        assert batch.fixed[0].dtype == np.dtype("=f8")
        numbers += batch.fixed[0].tolist()
        for column, array in zip(columns, batch.texts, strict=True):
            array.validate(full=True)
            column += array.to_pylist()
    return numbers, columns


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([*WORDS, None])), max_size=120),
    st.integers(1, 700),
    st.integers(1, 900),
)
def test_any_texts_in_any_blocks(rows, block, batch):
    # given rows of mixed widths, nulls among them, cut anywhere, and batches of a few rows
    first, second = [row[0] for row in rows], [row[1] for row in rows]
    numbers = [float(place) for place in range(len(rows))]
    data = stream(numbers, first, second)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(binary_rows, "BYTES_IN_BATCH", batch)
        # when, then
        assert unpacked(blocks(data, block), 2) == (numbers, [first, second])


def test_long_segments_of_one_width_between_rows_of_all_widths():
    # given 5,000 rows alike, 3,000 of changing widths (more than are walked at a time), 5,000 alike
    alike = ["BBG000BLNNH6"] * 5_000
    texts = [*alike, *("y" * (place % 7) for place in range(3_000)), *alike]
    numbers = np.random.default_rng(3).standard_normal(13_000).tolist()
    assert unpacked([stream(numbers, texts)], 1) == (numbers, [texts])


def test_a_row_longer_than_a_batch(monkeypatch):
    monkeypatch.setattr(binary_rows, "BYTES_IN_BATCH", 100)
    texts = ["z" * 5_000, "A", None]
    assert unpacked(blocks(stream([1.0, 2.0, 3.0], texts), 64), 1) == ([1.0, 2.0, 3.0], [texts])


def test_batches_are_no_longer_than_they_must_be(monkeypatch):
    monkeypatch.setattr(binary_rows, "BYTES_IN_BATCH", 1_000)
    batches = list(unpack_rows(blocks(stream([1.0] * 1_000), 10), [">f8"], 0))
    assert sum(len(batch.fixed[0]) for batch in batches) == 1_000
    assert max(len(batch.fixed[0]) for batch in batches) <= 1_000 // 14 + 1


@pytest.mark.parametrize("texts", [0, 2])
def test_no_rows(texts):
    assert list(unpack_rows([HEADER + TRAILER], [">f8"], texts)) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The server's COPY stream is incomplete."),
        (HEADER, "The server's COPY stream is incomplete."),
        (b"g" * len(HEADER) + TRAILER, "The server's COPY stream is incomplete."),
        (stream([1.0] * 40)[:-1], "The server's COPY stream is incomplete."),
        (stream([1.0] * 40)[:-9], "The server's COPY stream is incomplete."),
        (stream([1.0]) + b"more", "The server's COPY stream is incomplete."),
        (stream([1.0], ["A"]), "The server's COPY stream does not consist of the rows that were asked for."),
    ],
)
def test_a_broken_stream_is_refused(data, message):
    with pytest.raises(ValueError) as caught:
        list(unpack_rows([data], [">f8"], 0))
    assert str(caught.value) == message

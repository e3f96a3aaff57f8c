"""Packs rows that lie by time into a few long columns, and gives a stretch of them back as they were, bit for bit."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from markets.engine.frame_building import SortedRows, Values

TEXT_NULL = -1
_DTYPES = {
    "float64": "<f8",
    "float32": "<f4",
    "int64": "<i8",
    "int32": "<i4",
    "int16": "<i2",
    "bool": "|b1",
    "timestamp with time zone": "<i8",
    "date": "<i4",
}
_CODES = {1: "<i1", 2: "<i2", 4: "<i4"}


@dataclass(frozen=True)
class PackedColumn:
    """`cells` (n,) of `width` bytes each, `labels` of text, `is_null` a byte a row; `token` empty for an identity."""

    name: str
    token: str
    width: int
    cells: bytes
    labels: bytes | None = None
    is_null: bytes | None = None


@dataclass(frozen=True)
class PackedBlock:
    """`moments` (m,) int64 distinct times in microseconds since 1970, `starts` (m,) int64 first row of each."""

    row_count: int
    moments: bytes
    starts: bytes
    columns: list[PackedColumn]


def pack_block(rows: SortedRows, identity_names: Sequence[str], tokens: Mapping[str, str]) -> PackedBlock:
    """The rows, at least one of them, as columns of bytes."""
    starts = np.flatnonzero(np.concatenate([[True], rows.ranks[1:] != rows.ranks[:-1]]))
    columns = [
        _packed_codes(name, "", codes, labels)
        for name, (labels, codes) in zip(identity_names, rows.levels, strict=True)
    ]
    for name, token in tokens.items():
        values, missing = rows.values[name]
        if token == "string":
            encoded = values.dictionary_encode()
            codes = encoded.indices.fill_null(TEXT_NULL).to_numpy(zero_copy_only=False)
            columns.append(_packed_codes(name, token, codes, encoded.dictionary))
            continue
        cells = np.ascontiguousarray(values, dtype=_DTYPES[token])
        is_null = missing.astype("|b1").tobytes() if missing is not None and missing.any() else None
        columns.append(PackedColumn(name, token, cells.itemsize, cells.tobytes(), is_null=is_null))
    return PackedBlock(len(rows.ranks), rows.moments.astype("<i8").tobytes(), starts.astype("<i8").tobytes(), columns)


def unpacked_times(moments: bytes, starts: bytes, row_count: int, first: int, last: int) -> np.ndarray:
    """The times of the rows from `first` until before `last`: int64 microseconds since 1970."""
    begins = np.append(np.frombuffer(starts, dtype="<i8"), row_count)
    counts = np.diff(np.clip(begins, first, last))
    return np.repeat(np.frombuffer(moments, dtype="<i8"), counts)


def rows_between(
    moments: bytes, starts: bytes, row_count: int, since: int | None, until: int | None
) -> tuple[int, int]:
    """The number of the first row at or after `since` and of the first after `until`, both in microseconds."""
    times = np.frombuffer(moments, dtype="<i8")
    begins = np.append(np.frombuffer(starts, dtype="<i8"), row_count)
    first = 0 if since is None else int(begins[np.searchsorted(times, since, side="left")])
    last = row_count if until is None else int(begins[np.searchsorted(times, until, side="right")])
    return first, max(first, last)


def unpacked_identity(column: PackedColumn) -> pa.DictionaryArray:
    """The text of each row, as codes and their labels."""
    assert column.labels is not None
    codes = np.frombuffer(column.cells, dtype=_CODES[column.width])
    return pa.DictionaryArray.from_arrays(pa.array(codes), unpacked_labels(column.labels))


def unpacked_values(column: PackedColumn) -> Values:
    """The values as `FrameBuilder.add` takes them."""
    if column.token == "string":
        assert column.labels is not None
        codes = np.frombuffer(column.cells, dtype=_CODES[column.width])
        indices = pa.array(codes, mask=codes == TEXT_NULL)
        return pa.DictionaryArray.from_arrays(indices, unpacked_labels(column.labels)).cast(pa.large_string()), None
    values = np.frombuffer(column.cells, dtype=_DTYPES[column.token])
    return values, None if column.is_null is None else np.frombuffer(column.is_null, dtype="|b1")


def unpacked_labels(packed: bytes) -> pa.LargeStringArray:
    """The labels, none of them made a Python string."""
    (count,) = struct.unpack_from("<q", packed)
    offsets = 8 * (count + 1)
    return pa.LargeStringArray.from_buffers(
        count, pa.py_buffer(packed[8 : 8 + offsets]), pa.py_buffer(packed[8 + offsets :])
    )


def _packed_codes(name: str, token: str, codes: np.ndarray, labels: pa.Array) -> PackedColumn:
    width = next(width for width in _CODES if len(labels) <= np.iinfo(_CODES[width]).max)
    encoded = [label.encode() for label in labels.to_pylist()]
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in encoded])]).astype("<i8")
    packed = struct.pack("<q", len(encoded)) + offsets.tobytes() + b"".join(encoded)
    return PackedColumn(name, token, width, codes.astype(_CODES[width]).tobytes(), labels=packed)

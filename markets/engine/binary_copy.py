"""Packs rows for PostgreSQL's binary COPY, with numpy instead of a Python loop.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
ROWS_IN_CHUNK = 65_536  # a chunk of packed rows stays within a few megabytes and the processor's cache
BYTES_IN_CHUNK = 4 * 2**20  # rows with long texts: their scatter needs a score of bytes of memory a byte
LONGEST_RECORD_TEXT = 64  # longer texts would waste a fixed-width record
SHORTEST_SEGMENT = 32  # below this many rows alike in a row, one scatter is faster than many small records


@dataclass(frozen=True)
class FixedField:
    """`values` (n,) in the machine's byte order, `wire` the big-endian dtype, `is_null` (n,) bool or None."""

    values: np.ndarray
    wire: str
    is_null: np.ndarray | None = None


@dataclass(frozen=True)
class TextField:
    """Row i holds `labels[codes[i]]`."""

    codes: np.ndarray
    labels: Sequence[str] | np.ndarray
    is_null: np.ndarray | None = None


Field = FixedField | TextField


def pack_rows(fields: Sequence[Field], number_of_rows: int) -> Iterator[bytes]:
    """Header, rows in their order, trailer: the chunks of one COPY … FROM STDIN (FORMAT binary)."""
    yield HEADER
    packers = [_TextPacker(field) if isinstance(field, TextField) else _FixedPacker(field) for field in fields]
    for start, stop in _chunks(packers, number_of_rows):
        yield _pack_chunk(packers, start, stop)
    yield TRAILER


def _chunks(packers: Sequence["_Packer"], number_of_rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows of at most ROWS_IN_CHUNK rows and, unless one row alone is longer, BYTES_IN_CHUNK bytes."""
    long_texts = any(isinstance(packer, _TextPacker) and packer.matrix is None for packer in packers)
    for start in range(0, number_of_rows, ROWS_IN_CHUNK):
        stop = min(start + ROWS_IN_CHUNK, number_of_rows)
        if not long_texts:
            yield start, stop
            continue
        ends = np.cumsum(sum(np.maximum(packer.sizes(start, stop), 0) for packer in packers))
        first = 0
        while first < len(ends):
            before = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, before + BYTES_IN_CHUNK, side="right")), first + 1)
            yield start + first, start + last
            first = last


class _FixedPacker:
    def __init__(self, field: FixedField) -> None:
        self.values = field.values
        self.wire = np.dtype(field.wire)
        self.is_null = field.is_null

    def sizes(self, start: int, stop: int) -> np.ndarray | int:
        if self.is_null is None:
            return self.wire.itemsize
        return np.where(self.is_null[start:stop], -1, self.wire.itemsize)

    def record_type(self, size: int) -> str | tuple[str, int]:
        return self.wire.str

    def record_values(self, start: int, stop: int, size: int) -> np.ndarray:
        return self.values[start:stop]

    def scatter(self, buffer: np.ndarray, at: np.ndarray, start: int, stop: int) -> None:
        values = self.values[start:stop].astype(self.wire)
        if self.is_null is not None:
            present = ~self.is_null[start:stop]
            values, at = values[present], at[present]
        raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), self.wire.itemsize)
        for position in range(self.wire.itemsize):
            buffer[at + position] = raw[:, position]


class _TextPacker:
    def __init__(self, field: TextField) -> None:
        encoded = [label.encode() for label in field.labels] or [b""]  # null rows have codes, too
        self.codes = field.codes
        self.is_null = field.is_null
        self.lengths = np.array([len(text) for text in encoded], dtype=np.int64)
        self.blob = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)
        longest = int(self.lengths.max(initial=0))
        self.matrix = (
            np.array(encoded, dtype=f"S{max(longest, 1)}").view(np.uint8).reshape(len(encoded), max(longest, 1))
            if longest <= LONGEST_RECORD_TEXT
            else None
        )

    def sizes(self, start: int, stop: int) -> np.ndarray | int:
        sizes = self.lengths[self.codes[start:stop]]
        return sizes if self.is_null is None else np.where(self.is_null[start:stop], -1, sizes)

    def record_type(self, size: int) -> tuple[str, int]:
        return ("u1", size)

    def record_values(self, start: int, stop: int, size: int) -> np.ndarray:
        assert self.matrix is not None
        return self.matrix[self.codes[start:stop], :size]

    def scatter(self, buffer: np.ndarray, at: np.ndarray, start: int, stop: int) -> None:
        codes = self.codes[start:stop]
        if self.is_null is not None:
            present = ~self.is_null[start:stop]
            codes, at = codes[present], at[present]
        lengths = self.lengths[codes]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        buffer[np.repeat(at, lengths) + within] = self.blob[np.repeat(self.starts[codes], lengths) + within]


_Packer = _FixedPacker | _TextPacker


def _pack_chunk(packers: Sequence[_Packer], start: int, stop: int) -> bytes:
    count = stop - start
    sizes = [packer.sizes(start, stop) for packer in packers]
    changes = np.zeros(count - 1, dtype=bool) if count else np.zeros(0, dtype=bool)
    for size in sizes:
        if isinstance(size, np.ndarray):
            changes |= size[1:] != size[:-1]
    bounds = np.concatenate([[0], np.flatnonzero(changes) + 1, [count]])
    short_texts = all(not isinstance(packer, _TextPacker) or packer.matrix is not None for packer in packers)
    if not short_texts or len(bounds) - 1 > max(count // SHORTEST_SEGMENT, 1):
        return _scatter_chunk(packers, sizes, start, stop)
    parts = []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        widths = [int(size[first]) if isinstance(size, np.ndarray) else size for size in sizes]
        parts.append(_record_segment(packers, widths, start + first, start + last))
    return b"".join(parts)


def _record_segment(packers: Sequence[_Packer], widths: list[int], start: int, stop: int) -> bytes:
    """Rows whose fields all have one width: a numpy record array."""
    layout: list[tuple] = [("fields", ">i2")]
    for position, (packer, width) in enumerate(zip(packers, widths, strict=True)):
        layout.append((f"size{position}", ">i4"))
        if width > 0:
            kind = packer.record_type(width)
            layout.append((f"value{position}", *kind) if isinstance(kind, tuple) else (f"value{position}", kind))
    records = np.empty(stop - start, dtype=np.dtype(layout))
    records["fields"] = len(packers)
    for position, (packer, width) in enumerate(zip(packers, widths, strict=True)):
        records[f"size{position}"] = width
        if width > 0:
            values = packer.record_values(start, stop, width)
            target = records[f"value{position}"]
            target[...] = values.reshape(target.shape)
    return records.tobytes()


def _scatter_chunk(packers: Sequence[_Packer], sizes: Sequence[np.ndarray | int], start: int, stop: int) -> bytes:
    """Rows of any shape: each byte is put at its own place."""
    count = stop - start
    widths = [np.maximum(size, 0) if isinstance(size, np.ndarray) else np.full(count, size) for size in sizes]
    row_bytes = 2 + sum(4 + width for width in widths)
    ends = np.cumsum(row_bytes)
    buffer = np.empty(int(ends[-1]), dtype=np.uint8)
    at = ends - row_bytes
    at = _scatter_integer(buffer, at, np.full(count, len(packers)), ">i2")
    for packer, size, width in zip(packers, sizes, widths, strict=True):
        at = _scatter_integer(buffer, at, np.broadcast_to(size, count), ">i4")
        packer.scatter(buffer, at, start, stop)
        at = at + width
    return buffer.tobytes()


def _scatter_integer(buffer: np.ndarray, at: np.ndarray, values: np.ndarray, wire: str) -> np.ndarray:
    width = np.dtype(wire).itemsize
    raw = np.ascontiguousarray(values.astype(wire)).view(np.uint8).reshape(len(values), width)
    for position in range(width):
        buffer[at + position] = raw[:, position]
    return at + width

"""Unpacks the rows of PostgreSQL's binary COPY into arrays, batch by batch, with numpy instead of a Python loop.

Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from markets.engine.binary_copy import HEADER, TRAILER

BYTES_IN_BATCH = 4 * 2**20  # stays within the processor's cache, and no second copy of a large read is ever held
SHORTEST_SEGMENT = 32  # rows of one width; below this, walking row by row is faster than looking for more of them
ROWS_ON_FOOT = 1_024  # then so many are walked before the next look
_INCOMPLETE = "The server's COPY stream is incomplete."
_size_at = struct.Struct(">i").unpack_from


@dataclass(frozen=True)
class RowBatch:
    """`fixed`: an array (n,) of each fixed-width field, in the machine's byte order; `texts`: the text fields."""

    fixed: list[np.ndarray]
    texts: list[pa.LargeStringArray]


def unpack_rows(blocks: Iterable[bytes | memoryview], wires: Sequence[str], texts: int) -> Iterator[RowBatch]:
    """The rows of one COPY … TO STDOUT (FORMAT binary), cut anywhere into blocks.

    A row has `len(wires)` fields of fixed width that are never null, with these big-endian dtypes, then `texts` fields
    of UTF-8 text, null or not. Raises ValueError for a stream that breaks off or holds other rows.
    """
    layout = _Layout(wires, texts)
    data = bytearray()
    begin = len(HEADER)
    wanted = BYTES_IN_BATCH
    for block in blocks:
        data += block
        if len(data) < wanted:
            continue
        starts, end = layout.row_starts(data, begin)
        if len(starts):
            yield layout.batch(data, starts)
            data, begin, wanted = data[end:], 0, BYTES_IN_BATCH
        else:
            wanted = 2 * len(data)  # one row alone is longer
    if begin and bytes(data[:begin]) != HEADER:
        raise ValueError(_INCOMPLETE)
    starts, end = layout.row_starts(data, begin)
    if len(starts):
        yield layout.batch(data, starts)
    if data[end:] != TRAILER:
        raise ValueError(_INCOMPLETE)


class _Layout:
    def __init__(self, wires: Sequence[str], texts: int) -> None:
        fields: list[tuple] = [("fields", ">i2")]
        for position, wire in enumerate(wires):
            fields += [(f"size{position}", ">i4"), (f"value{position}", wire)]
        self.record = np.dtype(fields)
        self.wires = wires
        self.texts = texts
        self.fields = len(wires) + texts

    # --- where the rows are ------------------------------------------------------------------------------------------
    def row_starts(self, data: bytearray, begin: int) -> tuple[np.ndarray, int]:
        """(n,) int64 places of the rows that `data` holds as a whole, and the place behind the last of them.

        Neighbours are often of one width, as identifiers are: such a segment is recognised at once.
        """
        pieces: list[np.ndarray] = []
        at = begin
        while True:
            row = self._walk(data, at, 1)
            if not row[0]:
                return (np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)), at
            width = row[1] - at
            count = self._alike(data, at, width)
            if count >= SHORTEST_SEGMENT:
                pieces.append(at + width * np.arange(count, dtype=np.int64))
                at += width * count
            else:
                places, at = self._walk(data, at, ROWS_ON_FOOT)
                pieces.append(np.array(places, dtype=np.int64))

    def _walk(self, data: bytearray, at: int, most: int) -> tuple[list[int], int]:
        """The places of the next rows, at most so many, and the place behind them."""
        places: list[int] = []
        total = len(data)
        for _ in range(most):
            position = at + self.record.itemsize
            if position > total or data[at : at + 2] == TRAILER:
                break
            for _ in range(self.texts):
                if position + 4 > total:
                    return places, at
                (size,) = _size_at(data, position)
                position += 4 + size if size > 0 else 4
            if position > total:
                break
            places.append(at)
            at = position
        return places, at

    def _alike(self, data: bytearray, at: int, width: int) -> int:
        """How many rows from here on are laid out as the first one, which is `width` bytes wide."""
        offsets = [0]
        position = at + self.record.itemsize
        for _ in range(self.texts):
            offsets.append(position - at)
            (size,) = _size_at(data, position)
            position += 4 + max(size, 0)
        kind = np.dtype(
            {
                "names": [f"part{place}" for place in range(len(offsets))],
                "formats": [">i2", *[">i4"] * self.texts],
                "offsets": offsets,
                "itemsize": width,
            }
        )
        possible = (len(data) - at) // width
        found, look = 0, 2 * SHORTEST_SEGMENT
        while found < possible:
            rows = np.frombuffer(data, dtype=kind, count=min(look, possible - found), offset=at + found * width)
            same = rows["part0"] == self.fields
            for place in range(1, len(offsets)):
                same &= rows[f"part{place}"] == _size_at(data, at + offsets[place])[0]
            if not same.all():
                return found + int(same.argmin())
            found += len(rows)
            look *= 4
        return found

    # --- what they hold ----------------------------------------------------------------------------------------------
    def batch(self, data: bytearray, starts: np.ndarray) -> RowBatch:
        raw = np.frombuffer(data, dtype=np.uint8)
        records = _slices(raw, starts, self.record.itemsize).view(self.record)[:, 0]
        sound = (records["fields"] == self.fields).all()
        for position, wire in enumerate(self.wires):
            sound &= (records[f"size{position}"] == np.dtype(wire).itemsize).all()
        if not sound:
            raise ValueError("The server's COPY stream does not consist of the rows that were asked for.")
        fixed = [
            records[f"value{position}"].astype(np.dtype(wire).newbyteorder("="))
            for position, wire in enumerate(self.wires)
        ]
        texts: list[pa.LargeStringArray] = []
        at = starts + self.record.itemsize
        for _ in range(self.texts):
            sizes = _slices(raw, at, 4).view(">i4")[:, 0].astype(np.int64)
            texts.append(_texts(raw, at + 4, sizes))
            at = at + 4 + np.maximum(sizes, 0)
        return RowBatch(fixed, texts)


def _slices(raw: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """(n, width) the bytes from each of these places on."""
    return np.lib.stride_tricks.sliding_window_view(raw, width)[starts]


def _texts(raw: np.ndarray, begins: np.ndarray, sizes: np.ndarray) -> pa.LargeStringArray:
    """The texts of these sizes (-1 where null) at these places."""
    lengths = np.maximum(sizes, 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    longest = int(lengths.max())
    if longest == 0:
        joined = np.empty(0, dtype=np.uint8)
    elif (lengths == longest).all():
        joined = _slices(raw, begins, longest)
    else:
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        joined = raw[np.repeat(begins, lengths) + within]
    nulls = int((sizes < 0).sum())
    present = pa.py_buffer(np.packbits(sizes >= 0, bitorder="little")) if nulls else None
    return pa.LargeStringArray.from_buffers(
        len(sizes), pa.py_buffer(offsets), pa.py_buffer(joined.ravel()), present, nulls
    )

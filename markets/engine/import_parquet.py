"""Rows of a Parquet file, batch by batch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from markets.exceptions import InvalidInput

ROWS_IN_BATCH = 10_000
MOST_UNPACKED = 8 * 2**30  # bytes that the file claims to unpack to; it is read in batches


class ParquetSource:
    """A nested or binary column is not read: its cells are None, and `unusable` says so."""

    format = "parquet"
    first_row = 0
    ragged = False

    def __init__(self, stream: BinaryIO, *, most_rows: int) -> None:
        try:
            self.file = pq.ParquetFile(stream, pre_buffer=False)
            self.schema = self.file.schema_arrow
            metadata = self.file.metadata
            unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError) as error:
            raise _unreadable(error) from error
        if metadata.num_rows > most_rows:
            raise InvalidInput(
                f"The file has {metadata.num_rows:,} rows; the most are {most_rows:,}. Split it.", field="file"
            )
        if unpacked > MOST_UNPACKED:
            raise InvalidInput(
                f"The file unpacks to {unpacked / 2**30:,.1f} GiB; the most are {MOST_UNPACKED // 2**30}. Split it.",
                field="file",
            )
        self.notes: list[str] = []
        self.unusable: Mapping[str, str] = {
            column.name: f"It is nested or binary ({str(column.type)[:60]}). Save it as a column of plain values."
            for column in self.schema
            if pa.types.is_nested(column.type) or _is_binary(column.type)
        }

    def rows(self) -> Iterator[Sequence[object]]:
        names = list(self.schema.names)
        yield names
        plain = [name for name in names if name not in self.unusable]
        if len(set(names)) < len(names):
            return  # the caller refuses such a header
        try:
            for batch in self.file.iter_batches(batch_size=ROWS_IN_BATCH, columns=plain, use_threads=False):
                values = {name: batch.column(name).to_pylist() for name in plain}
                nothing = [None] * batch.num_rows
                yield from zip(*(values.get(name, nothing) for name in names), strict=True)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise _unreadable(error) from error


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _unreadable(error: Exception) -> InvalidInput:
    return InvalidInput(f"The Parquet file cannot be read ({str(error)[:200]}). Write it anew.", field="file")

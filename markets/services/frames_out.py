"""Sends frames out as JSON, CSV, Parquet or Arrow, piece by piece, so that no piece fills the server's memory."""

import csv
import datetime as dt
import io
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from django.db.models import Max, Min, Sum
from pyarrow import parquet

from markets.data_nodes.reads import aware, read_frame
from markets.data_nodes.tails import read_last_before
from markets.exceptions import InvalidInput
from markets.models import StorageNode, UpdateStatistic

Format = Literal["json", "csv", "parquet", "arrow"]
CONTENT_TYPES: Mapping[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
ROWS_A_READ = 250_000  # about 20 MB of prices: a query's fixed cost is nothing beside it
ROWS_A_PIECE = 20_000  # about 1 MB of text
RESOLUTION = dt.timedelta(microseconds=1)
_ARROW: Mapping[str, pa.DataType] = {
    "float64": pa.float64(),
    "float32": pa.float32(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "int16": pa.int16(),
    "bool": pa.bool_(),
    "timestamp with time zone": pa.timestamp("ns", tz="UTC"),
    "date": pa.date32(),
    "string": pa.string(),
}

_EMPTY: Mapping[str, Any] = {"timestamp with time zone": "datetime64[ns, UTC]", "date": object, "string": "str"}


@dataclass(frozen=True)
class FrameLayout:
    """The names of the index, `time_index` first, and name → dtype token of the value columns."""

    index_names: tuple[str, ...]
    columns: Mapping[str, str]

    @classmethod
    def of(cls, storage: StorageNode, columns: Sequence[str] | None = None) -> "FrameLayout":
        known = {column["column_name"]: column["dtype"] for column in storage.columns}
        names = known if columns is None else [name for name in dict.fromkeys(columns) if name in known]
        return cls(tuple(storage.index_names), {name: known[name] for name in names})

    @property
    def names(self) -> list[str]:
        return [*self.index_names, *self.columns]

    def arrow_schema(self) -> pa.Schema:
        fields = [pa.field(self.index_names[0], pa.timestamp("ns", tz="UTC"), nullable=False)]
        fields += [pa.field(name, pa.string(), nullable=False) for name in self.index_names[1:]]
        return pa.schema(fields + [pa.field(name, _ARROW[token]) for name, token in self.columns.items()])


def empty_frame(layout: FrameLayout) -> pd.DataFrame:
    """No rows, in the dtypes that rows would have."""
    stamps = pd.DatetimeIndex([], tz="UTC", name=layout.index_names[0]).as_unit("ns")
    labels = [pd.Index([], dtype="str", name=name) for name in layout.index_names[1:]]
    index = pd.MultiIndex.from_arrays([stamps, *labels]) if labels else stamps
    values = {name: pd.Series([], dtype=_EMPTY.get(token, token)) for name, token in layout.columns.items()}
    return pd.DataFrame(
        {name: series.to_numpy() if series.dtype == object else series.array for name, series in values.items()},
        index=index,
    )


def read_parts(
    storage: StorageNode,
    *,
    start_date: dt.datetime | None = None,
    end_date: dt.datetime | None = None,
    dimension_filters: Mapping[str, Sequence[str]] | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
) -> Iterator[pd.DataFrame]:
    """The rows of a table in its order, as frames of consecutive times; at least one, which may be empty.

    The first frame is read before this returns, so that every refusal of `read_frame` is raised here. Rows that arrive
    while the parts are read are left out. `limit` keeps the first rows.
    """
    windows = _windows(storage, aware(start_date, "start_date"), aware(end_date, "end_date"), dimension_filters)

    def read(window: "_Window") -> pd.DataFrame:
        return read_frame(
            storage,
            start_date=window.start,
            end_date=window.end,
            less_or_equal=window.includes_end,
            dimension_filters=dimension_filters,
            columns=columns,
            most_rows=ROWS_A_READ + 1 if window.halves() else None,
        )

    frames = _within_budget(windows, read)
    first = next(frames)

    def parts() -> Iterator[pd.DataFrame]:
        remaining = math.inf if limit is None else limit
        for frame in itertools.chain([first], frames):
            yield frame if len(frame) <= remaining else frame.iloc[: int(remaining)]
            remaining -= len(frame)
            if remaining <= 0:
                return

    return parts()


def read_as_of(
    storage: StorageNode,
    as_of: dt.datetime,
    *,
    dimension_filters: Mapping[str, Sequence[str]] | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The latest row of each identity at or before an aware instant; see `read_frame` for the rest."""
    instant = aware(as_of, "as_of")
    if instant is None:
        raise InvalidInput("as_of is missing. Name an instant.", field="as_of")
    return read_last_before(storage, instant, dimension_filters=dimension_filters, columns=columns)


def stream(parts: Iterator[pd.DataFrame], layout: FrameLayout, format: Format) -> Iterator[bytes]:
    """The frames, one after the other, as the bytes of one document.

    json: {"columns": [names of index and values], "index": [names of the index], "data": [[…], …]}, a row a list in the
    order of `columns`, times as ISO 8601 text ending in Z, NaN, infinity and null as null.
    csv: a header and a line for each row, times likewise, null as the empty field.
    parquet, arrow (IPC stream): the same columns, times as timestamp[ns, UTC]; pandas restores the index.
    """
    if format not in CONTENT_TYPES:
        raise InvalidInput(f"format={format!r} is none of {', '.join(CONTENT_TYPES)}.", field="format")
    return {"json": _json, "csv": _csv, "parquet": _parquet, "arrow": _arrow}[format](parts, layout)


# --- in windows of time ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Window:
    start: dt.datetime | None
    end: dt.datetime | None
    includes_end: bool = True

    def halves(self) -> "list[_Window]":
        """The window in two, nothing where it is unbounded or cannot be divided: the database counts microseconds."""
        if self.start is None or self.end is None:
            return []
        middle = self.start + max((self.end - self.start) // 2, RESOLUTION)
        if middle > self.end or (middle == self.end and not self.includes_end):
            return []
        return [_Window(self.start, middle, includes_end=False), _Window(middle, self.end, self.includes_end)]


def _windows(
    storage: StorageNode,
    start: dt.datetime | None,
    end: dt.datetime | None,
    filters: Mapping[str, Sequence[str]] | None,
) -> list[_Window]:
    """Windows of equal length that hold about ROWS_A_READ rows each, judged by the table's statistics."""
    statistics = UpdateStatistic.objects.filter(storage=storage)
    for name, values in (filters or {}).items():
        if name in storage.index_names[1:]:
            position = storage.index_names.index(name) - 1
            statistics = statistics.filter(**{f"identity__{position}__in": list(values)})
    known = statistics.aggregate(rows=Sum("row_count"), first=Min("first_time_index"), last=Max("last_time_index"))
    if not known["rows"] or known["rows"] <= ROWS_A_READ:
        return [_Window(start, end)]
    first = known["first"] if start is None else max(known["first"], start)
    last = known["last"] if end is None else min(known["last"], end)
    whole = max((known["last"] - known["first"]).total_seconds(), 1.0)
    share = max((last - first).total_seconds(), 0.0) / whole
    count = max(math.ceil(known["rows"] * share / ROWS_A_READ), 1)
    bounds = [first + (last - first) * number / count for number in range(count)]
    windows = [_Window(left, right, includes_end=False) for left, right in itertools.pairwise(bounds)]
    return [*windows, _Window(bounds[-1], last)]


def _within_budget(windows: Sequence[_Window], read: Callable[[_Window], pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The windows' frames that hold rows, at least one frame.

    A window of more than ROWS_A_READ rows, where rows are denser than elsewhere, is read again in halves, down to a
    single time.
    """
    pending = list(reversed(windows))
    is_first = True
    while pending:
        window = pending.pop()
        frame = read(window)
        if len(frame) > ROWS_A_READ and (halves := window.halves()):
            pending.extend(reversed(halves))
        elif len(frame) or (is_first and not pending):
            yield frame
            is_first = False


# --- in four formats -------------------------------------------------------------------------------------------------
def _json(parts: Iterator[pd.DataFrame], layout: FrameLayout) -> Iterator[bytes]:
    head = {"columns": layout.names, "index": list(layout.index_names)}
    yield json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "data": ['
    separator = ""
    for rows in _rows(parts, layout, not_finite=None):
        text = json.dumps(list(rows), ensure_ascii=False, allow_nan=False, separators=(",", ":"))[1:-1]
        if text:
            yield (separator + text).encode()
            separator = ","
    yield b"]}"


def _csv(parts: Iterator[pd.DataFrame], layout: FrameLayout) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(layout.names)
    yield buffer.getvalue().encode()
    for rows in _rows(parts, layout, not_finite=""):
        buffer.seek(0)
        buffer.truncate()
        writer.writerows(rows)
        yield buffer.getvalue().encode()


def _parquet(parts: Iterator[pd.DataFrame], layout: FrameLayout) -> Iterator[bytes]:
    sink = _Sink()
    tables = _tables(parts, layout)
    first = next(tables)
    with parquet.ParquetWriter(sink, first.schema) as writer:
        for table in itertools.chain([first], tables):
            writer.write_table(table)
            yield sink.drain()
    yield sink.drain()


def _arrow(parts: Iterator[pd.DataFrame], layout: FrameLayout) -> Iterator[bytes]:
    sink = _Sink()
    tables = _tables(parts, layout)
    first = next(tables)
    with pa.ipc.new_stream(sink, first.schema) as writer:
        for table in itertools.chain([first], tables):
            for batch in table.to_batches(max_chunksize=ROWS_A_PIECE):
                writer.write_batch(batch)
                yield sink.drain()
    yield sink.drain()


def _tables(parts: Iterator[pd.DataFrame], layout: FrameLayout) -> Iterator[pa.Table]:
    """Arrow tables of one schema; its metadata lets pandas restore the index."""
    schema = layout.arrow_schema()
    described = False
    for frame in parts:
        if not described:
            schema, described = schema.with_metadata(pa.Schema.from_pandas(frame).metadata), True
        arrays = [_arrow_level(frame.index, name, schema.field(name).type) for name in layout.index_names]
        arrays += [pa.array(frame[name], type=schema.field(name).type, from_pandas=True) for name in layout.columns]
        yield pa.Table.from_arrays(arrays, schema=schema)


def _arrow_level(index: pd.Index, name: str, kind: pa.DataType) -> pa.Array:
    """One level of the index, through its codes: no Python text a row."""
    if not isinstance(index, pd.MultiIndex):
        return pa.array(index, type=kind)
    place = index.names.index(name)
    return pa.array(index.levels[place], type=kind).take(pa.array(index.codes[place]))


def _rows(parts: Iterator[pd.DataFrame], layout: FrameLayout, *, not_finite: Any) -> Iterator[Iterator[tuple]]:
    tokens = {
        layout.index_names[0]: "timestamp with time zone",
        **dict.fromkeys(layout.index_names[1:], "string"),
        **layout.columns,
    }
    for frame in parts:
        for begin in range(0, len(frame), ROWS_A_PIECE):
            piece = frame.iloc[begin : begin + ROWS_A_PIECE].reset_index()
            yield zip(*(_plain(piece[name], token, not_finite) for name, token in tokens.items()), strict=True)


def _plain(column: pd.Series, token: str, missing: Any) -> list[Any]:
    """The values as Python would write them in JSON; what is null or not finite as `missing`."""
    if token == "timestamp with time zone":
        return _iso_times(column, missing)
    if token in ("float64", "float32"):
        values = column.to_numpy(dtype=np.float64 if token == "float64" else np.float32)
        if token == "float32":
            values = values.astype(str).astype(np.float64)  # 0.1 stays 0.1
        if np.isfinite(values).all():
            return values.tolist()
        return [value if math.isfinite(value) else missing for value in values.tolist()]
    if token == "date":
        return [missing if value is None else value.isoformat() for value in column.tolist()]
    if not column.isna().any():
        return column.tolist()
    return [missing if value is pd.NA or value != value else value for value in column.tolist()]


def _iso_times(column: pd.Series, missing: Any) -> list[Any]:
    """ISO 8601 with Z: to the second where all are whole seconds, else to the microsecond."""
    stamps = pd.DatetimeIndex(column).as_unit("us").asi8
    present = stamps != np.iinfo(np.int64).min
    unit: Literal["s", "us"] = "us" if (stamps[present] % 1_000_000).any() else "s"
    texts = np.datetime_as_string(stamps.astype("M8[us]").astype(f"M8[{unit}]")).tolist()
    return [f"{text}Z" if text != "NaT" else missing for text in texts]


class _Sink(io.RawIOBase):
    """Keeps what is written until it is drained."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._position

    def drain(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

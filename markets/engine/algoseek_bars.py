"""Reads AlgoSeek's files of bars, one a SecId, in blocks of bounded size; a wrong file is refused with every fault.

What is read is checked as arrays. Where that finds a fault the file is read once more, row by row, to name the lines.
"""

import csv
import datetime as dt
import functools
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from markets.engine.algoseek_csv import Faults, checked_header, open_csv, parse_date, text_rows
from markets.engine.algoseek_layouts import BarLayout, Kind
from markets.exceptions import InvalidInput, clipped

BLOCK = 4 * 2**20  # bytes of text read at a time
TAIL_BLOCK = 2**16  # bytes read from the end of a file at a time: about three hundred days
MOST_BYTES = 2**34  # unpacked: a security traded each minute of thirty years takes a tenth of it
SECONDS_A_DAY = 86_400
FIRST_DAY = dt.date(1970, 1, 1).toordinal()
_ARROW: dict[Kind, pa.DataType] = {
    "secid": pa.string(),
    "date": pa.string(),
    "time": pa.string(),
    "text": pa.string(),
    "price": pa.float64(),
    "factor": pa.float64(),
    "number": pa.float64(),
    "count": pa.int64(),
}


class _WrongError(Exception):
    """Some row of the file is wrong."""


@dataclass(frozen=True)
class BarRows:
    """Rows of a file, in its order. `table` has the columns of the layout by their source names, null where blank.

    `dates` (n,) datetime64[D]; `opens` and `closes` (n,) float64 seconds since midnight in New York, NaN where the file
    tells none. `stray` counts rows whose first or last price lies outside of lowest to highest.
    """

    table: pa.Table
    dates: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    stray: int

    def __len__(self) -> int:
        return len(self.dates)

    def take(self, places: np.ndarray) -> "BarRows":
        return BarRows(
            self.table.take(pa.array(places)), self.dates[places], self.opens[places], self.closes[places], self.stray
        )


def secid_of(path: Path) -> str:
    """`33449` of `33449.csv` and `33449.csv.gz`; what is no number stays as it is."""
    stem = path.name.partition(".")[0]
    return str(int(stem)) if _is_secid(stem) else stem


def _is_secid(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def bar_files(directory: str | Path, *, suffixes: tuple[str, ...], field: str) -> list[Path]:
    """The files of bars in a directory, by SecId. Raises InvalidInput for no directory, or two files of one SecId.

    A file is `<SecId>` with one of the suffixes; others are left out.
    """
    directory = Path(directory)
    try:
        found = [path for path in directory.iterdir() if path.name.endswith(suffixes) and _is_secid(secid_of(path))]
    except FileNotFoundError:
        raise InvalidInput(
            f"{directory} does not exist. Check the path on the machine that runs MSM.", field=field
        ) from None
    except NotADirectoryError:
        raise InvalidInput(f"{directory} is a file. Name the directory with one file a SecId.", field=field) from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{clipped(str(directory))} cannot be read: {error}.", field=field) from error
    if not found:
        raise InvalidInput(
            f"{directory} holds no file <SecId>{' or <SecId>'.join(suffixes)}. Check the directory.", field=field
        )
    by_secid: dict[str, Path] = {}
    for path in sorted(found):
        other = by_secid.setdefault(secid_of(path), path)
        if other != path:
            raise InvalidInput(f"{directory} has {other.name} and {path.name} of one SecId. Keep one.", field=field)
    return [by_secid[secid] for secid in sorted(by_secid, key=int)]


def read_bars(path: Path, layout: BarLayout, *, after: dt.date | None = None) -> Iterator[BarRows]:
    """The rows of a file in blocks, in the order of time; with `after`, those from that day on at least.

    Of a .csv the end alone is read then, as far back as it is wanted. Raises InvalidInput telling every fault with its
    line: columns, SecId, dates, times, prices, counts, rows that are not in the order of time.
    """
    try:
        yield from _blocks(path, layout, after)
    except _WrongError as error:
        _raise_faults(path, layout, str(error))


def last_day(path: Path, layout: BarLayout) -> dt.date | None:
    """The day of the last row of a .csv, from its end alone; None where that cannot be told."""
    if path.suffix.lower() != ".csv":
        return None
    with open_csv(path) as stream:
        names = _first_line(stream)
        stream.seek(0, io.SEEK_END)
        size = stream.tell()
        stream.seek(max(size - TAIL_BLOCK, 0))
        lines = stream.read().rstrip().splitlines()
    return _day(lines[-1], names, layout) if len(lines) > 1 else None


# --- blocks of arrays ------------------------------------------------------------------------------------------------
def _blocks(path: Path, layout: BarLayout, after: dt.date | None) -> Iterator[BarRows]:
    with open_csv(path) as stream:
        header = next(csv.reader([_first_line(stream)]), [])
        if not header:
            raise InvalidInput(f"{path} is empty. It needs the columns {', '.join(layout.sources)}.", field="path")
        names = checked_header(header, path, required=layout.sources, known=layout.sources, what=layout.what).names
        if after is not None and path.suffix.lower() == ".csv":
            _seek_day(stream, names, layout, after)
        kinds = {column.source: _ARROW[column.kind] for column in layout.columns}
        previous: np.ndarray | None = None
        for table in _tables(stream, names, kinds, path):
            rows, previous = _checked(table, layout, secid_of(path), previous)
            if len(rows):
                yield rows


def _tables(stream: BinaryIO, names: tuple[str, ...], kinds: dict[str, pa.DataType], path: Path) -> Iterator[pa.Table]:
    """The rest of the stream as tables. Raises _WrongError for what is no table of these kinds."""
    start = stream.tell()
    if not stream.read(1):
        return
    stream.seek(start)
    try:
        with pa_csv.open_csv(
            _Bounded(stream, path),
            read_options=pa_csv.ReadOptions(column_names=list(names), block_size=BLOCK, use_threads=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=kinds, include_columns=list(kinds), null_values=[""], strings_can_be_null=True
            ),
        ) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as error:
        raise _WrongError(str(error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be unpacked: {error}. Fetch it again.", field="path") from error


class _Bounded(io.RawIOBase):
    """A stream that refuses to hold more than MOST_BYTES, for a small file may unpack to any size."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self.stream = stream
        self.path = path
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size if size >= 0 else BLOCK)
        self.count += len(data)
        if self.count > MOST_BYTES:
            raise InvalidInput(f"{self.path} unpacks to more than {MOST_BYTES // 2**30} GiB.", field="path")
        return data


def _checked(
    table: pa.Table, layout: BarLayout, secid: str, previous: np.ndarray | None
) -> tuple[BarRows, np.ndarray | None]:
    """The rows, and the instant of the last one. Raises _WrongError."""
    if any((text or "").strip().lstrip("0") != secid for text in pc.unique(table["SecId"]).to_pylist()):
        raise _WrongError("SecId")
    dates = _dates(table[layout.date])
    nothing = np.full(len(table), np.nan)
    opens = _seconds(table[layout.opens]) if layout.opens else nothing
    closes = _seconds(table[layout.closes]) if layout.closes else nothing
    for column in layout.columns:
        values = table[column.source]
        if column.kind == "time" and column.name is not None:
            _seconds(values)
        elif column.kind in ("price", "factor", "number", "count"):
            _check_numbers(values, column.kind)
    stamps = dates.astype("M8[s]").astype(np.int64)
    if layout.closes is None and layout.opens is not None:  # bars within a day
        if np.isnan(opens).any():
            raise _WrongError(f"{layout.opens} is blank")
        stamps = stamps + opens.astype(np.int64)
    both = stamps if previous is None else np.concatenate([previous, stamps])
    if (np.diff(both) <= 0).any():
        raise _WrongError("order")
    first, high, low, last = (
        pc.fill_null(table[name], float("nan")).to_numpy(zero_copy_only=False) for name in layout.ohlc
    )
    if (high < low).any():
        raise _WrongError("high below low")
    stray = int(((first > high) | (first < low) | (last > high) | (last < low)).sum())
    return BarRows(table, dates, opens, closes, stray), stamps[-1:] if len(stamps) else previous


def _check_numbers(values: pa.ChunkedArray, kind: Kind) -> None:
    if values.null_count == len(values):
        return
    if kind == "count":
        if pc.min(values).as_py() < 0:
            raise _WrongError("negative")
        return
    if not pc.all(pc.is_finite(values), skip_nulls=True).as_py():
        raise _WrongError("not finite")
    if kind in ("price", "factor") and pc.min(values).as_py() <= 0:
        raise _WrongError("not above zero")


def _dates(values: pa.ChunkedArray) -> np.ndarray:
    coded = values.combine_chunks().dictionary_encode() if len(values) else None
    if coded is None:
        return np.empty(0, dtype="M8[D]")
    if coded.null_count:
        raise _WrongError("a date is blank")
    try:
        ordinals = [parse_date(text.strip()).toordinal() for text in coded.dictionary.to_pylist()]
    except ValueError as error:
        raise _WrongError(str(error)) from error
    days = (np.array(ordinals, dtype=np.int64) - FIRST_DAY).astype("M8[D]")
    return days[coded.indices.to_numpy()]


def _seconds(values: pa.ChunkedArray) -> np.ndarray:
    if values.null_count == len(values):
        return np.full(len(values), np.nan)
    coded = values.combine_chunks().dictionary_encode()
    try:
        seconds = np.array([parse_time(text.strip()) for text in coded.dictionary.to_pylist()], dtype=np.float64)
    except ValueError as error:
        raise _WrongError(str(error)) from error
    places = pc.fill_null(coded.indices, 0).to_numpy(zero_copy_only=False)
    found = seconds[places]
    found[coded.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return found


@functools.lru_cache(maxsize=SECONDS_A_DAY)
def parse_time(text: str) -> float:
    """Seconds since midnight of HH:MM or HH:MM:SS, with a fraction perhaps. Raises ValueError with the reason."""
    parts = text.split(":")
    whole, _, fraction = parts[-1].partition(".")
    digits = [*parts[:-1], whole]
    if len(parts) not in (2, 3) or not all(len(part) == 2 and part.isdecimal() and part.isascii() for part in digits):
        raise ValueError(f"{clipped(text)!r} is no time; times are written HH:MM or HH:MM:SS")
    if fraction and (len(parts) == 2 or len(fraction) > 9 or not (fraction.isdecimal() and fraction.isascii())):
        raise ValueError(f"{clipped(text)!r} is no time; a fraction follows the seconds and has at most 9 digits")
    hours, minutes, seconds = (int(part) for part in (*digits, "00")[:3])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"{text!r} is no time of the day")
    return hours * 3_600 + minutes * 60 + seconds + (float(f"0.{fraction}") if fraction else 0.0)


# --- the end of a file -----------------------------------------------------------------------------------------------
def _first_line(stream: BinaryIO) -> str:
    """The header, without a byte order mark; the stream stands behind it."""
    return stream.readline(TAIL_BLOCK).removeprefix(b"\xef\xbb\xbf").strip().decode(errors="replace")


def _seek_day(stream: BinaryIO, names: tuple[str, ...], layout: BarLayout, after: dt.date) -> None:
    """Go to the beginning of a line whose day is not later than `after`, sought in ever longer pieces of the end."""
    body, header, length = stream.tell(), ",".join(names), TAIL_BLOCK
    end = stream.seek(0, io.SEEK_END)
    while end - length > body:
        stream.seek(end - length)
        stream.readline()  # the rest of a line
        place = stream.tell()
        day = _day(stream.readline(), header, layout)
        if day is not None and day <= after:
            stream.seek(place)
            return
        length *= 2
    stream.seek(body)


def _day(line: bytes, header: str, layout: BarLayout) -> dt.date | None:
    names = next(csv.reader([header]), [])
    try:
        cells = next(csv.reader([line.decode()], strict=True), [])
        if len(cells) != len(names):
            return None
        return parse_date(cells[[name.strip() for name in names].index(layout.date)].strip())
    except (ValueError, csv.Error):
        return None


# --- naming the faults -----------------------------------------------------------------------------------------------
def _raise_faults(path: Path, layout: BarLayout, reason: str) -> None:
    faults = Faults(path)
    names: list[str] = []
    previous: tuple[dt.date, float] | None = None
    for line, cells in text_rows(path, faults, most_bytes=MOST_BYTES):
        if not names:
            names = [name.strip() for name in cells]
            continue
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        previous = _note_faults(line, row, layout, secid_of(path), previous, faults)
    faults.raise_any()
    raise InvalidInput(f"{path} cannot be read as a {layout.what}: {clipped(reason)}. Fetch it again.", field="path")


def _note_faults(
    line: int,
    row: dict[str, str],
    layout: BarLayout,
    secid: str,
    previous: tuple[dt.date, float] | None,
    faults: Faults,
) -> tuple[dt.date, float] | None:
    """Note what is wrong with one row; the instant that the next row must be later than."""
    if row["SecId"].lstrip("0") != secid:
        faults.add(line, f"SecId={clipped(row['SecId'])!r} in the file of {secid}")
    numbers: dict[str, float] = {}
    for column in layout.columns:
        text = row[column.source]
        try:
            if column.kind == "date" or (column.kind == "time" and text):
                _ = parse_date(text) if column.kind == "date" else parse_time(text)
            elif column.kind in ("price", "factor", "number", "count") and text:
                numbers[column.source] = parse_number(text, column.kind)
        except ValueError as error:
            faults.add(line, f"{column.source}: {error}")
    high, low = (numbers.get(name, math.nan) for name in layout.ohlc[1:3])
    if high < low:
        faults.add(line, f"{layout.ohlc[1]}={high:g} is below {layout.ohlc[2]}={low:g}")
    within_day = layout.closes is None and layout.opens is not None
    if within_day and not row[layout.opens or ""]:
        faults.add(line, f"{layout.opens} is blank")
        return previous
    try:
        instant = parse_date(row[layout.date]), parse_time(row[layout.opens or ""]) if within_day else 0.0
    except ValueError:
        return previous
    if previous is not None and instant <= previous:
        faults.add(line, f"{layout.date}={row[layout.date]} is not later than the row before; rows go by time")
    return instant if previous is None else max(previous, instant)


def parse_number(text: str, kind: Kind) -> float:
    """A number of this kind. Raises ValueError with the reason."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        raise ValueError(f"{clipped(text)!r} is no number") from None
    if not math.isfinite(value):
        raise ValueError(f"{clipped(text)!r} is no finite number")
    if kind == "count" and (not text.lstrip("-").isdecimal() or value < 0 or value >= 2**63):
        raise ValueError(f"{clipped(text)!r} is no whole number of at least zero")
    if kind in ("price", "factor") and value <= 0:
        raise ValueError(f"{clipped(text)!r} is not above zero")
    return value

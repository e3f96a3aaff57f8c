"""Reads daily or intraday prices from a CSV or Parquet file; every wrong cell is named, none is guessed."""

import csv
import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from markets.exceptions import InvalidInput, named

IDENTIFIER_COLUMNS = ("asset_identifier", "figi")
TIME_COLUMNS = ("time_index", "date")
PRICE_COLUMNS = ("open", "high", "low", "close", "adjusted_close", "vwap")
FLOW_COLUMNS = ("volume", "trade_count")
NUMBER_COLUMNS = (*PRICE_COLUMNS, *FLOW_COLUMNS)
ALIASES = {"unique_identifier": "asset_identifier", "adj_close": "adjusted_close"}
ACCEPTED = (*TIME_COLUMNS, *IDENTIFIER_COLUMNS, "price", *NUMBER_COLUMNS, "open_time")
NO_NUMBER = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"
ZONE = r"\d[Tt ]\d{2}.*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"  # a date alone ends like an offset: 2026-01-31
FIRST_INSTANT, LAST_INSTANT = pd.Timestamp("1678-01-01", tz="UTC"), pd.Timestamp("2261-01-01", tz="UTC")
COLUMNS_IN_MESSAGE = 10


@dataclass(frozen=True)
class PriceFile:
    """A file's rows. `times` (n,) datetime64[ns, UTC]; None when the file has `dates` (n,) datetime64[D] instead.

    `identifier_column` is "figi" or "asset_identifier"; `identifiers` (n,) text. `numbers` holds all of NUMBER_COLUMNS,
    (n,) float64 each, NaN where the file has nothing. `open_times` (n,) datetime64[ns, UTC] or None.
    """

    identifier_column: str
    identifiers: np.ndarray
    times: pd.DatetimeIndex | None
    dates: np.ndarray | None
    open_times: pd.DatetimeIndex | None
    numbers: dict[str, np.ndarray]

    def take(self, rows: np.ndarray) -> "PriceFile":
        """The rows at these positions."""
        return PriceFile(
            identifier_column=self.identifier_column,
            identifiers=self.identifiers[rows],
            times=None if self.times is None else self.times[rows],
            dates=None if self.dates is None else self.dates[rows],
            open_times=None if self.open_times is None else self.open_times[rows],
            numbers={name: values[rows] for name, values in self.numbers.items()},
        )


def read_price_file(path: str | Path) -> PriceFile:
    """Read a price file; the columns are described in `docs/how-to/import-prices.md`.

    Raises InvalidInput naming file, line (CSV) or row (Parquet), column, value and remedy.
    """
    path = Path(path)
    table = _load(path)
    table.columns = [ALIASES.get(name, name) for name in (str(name).strip().lower() for name in table.columns)]
    _check_columns(table, path)
    if not len(table):
        raise InvalidInput(f"{path} has a header and no rows. Check where it comes from.", field="path")
    identifier_column = next(name for name in IDENTIFIER_COLUMNS if name in table)
    identifiers = _identifiers(table[identifier_column], path)
    times = dates = None
    if "time_index" in table:
        times = _times(table["time_index"], path)
    else:
        dates = _dates(table["date"], path)
    open_times = _times(table["open_time"], path, optional=True) if "open_time" in table else None
    return PriceFile(identifier_column, identifiers, times, dates, open_times, _numbers(table, path))


def _load(path: Path) -> pd.DataFrame:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        if path.is_dir():
            raise IsADirectoryError
        if suffixes[-1:] == [".parquet"]:
            # Without pandas' own metadata: a frame saved with its index has its keys in columns again.
            return pq.read_table(path).to_pandas(ignore_metadata=True)
        if suffixes[-1:] == [".csv"] or suffixes[-2:] == [".csv", ".gz"]:
            return _load_csv(path)
    except FileNotFoundError:
        raise InvalidInput(
            f"{path} does not exist. Check the path on the machine that runs MSM.", field="path"
        ) from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a directory. Name one CSV or Parquet file.", field="path") from None
    except PermissionError:
        raise InvalidInput(f"{path} cannot be read by this user. Change its permissions.", field="path") from None
    except InvalidInput:
        raise
    except (pa.ArrowException, csv.Error, OSError, EOFError, ValueError) as error:
        raise InvalidInput(f"{path} {_parse_problem(error)}.", field="path") from error
    raise InvalidInput(f"{path} is neither .csv, .csv.gz nor .parquet.", field="path")


def _load_csv(path: Path) -> pd.DataFrame:
    """Every row has as many cells as the header: pyarrow refuses what pandas would shift or fill.

    Identifiers and times stay text ("NA" and "007" are identifiers); numbers are float64, or text where one is wrong.
    """
    with pa.input_stream(str(path)) as stream:  # decompresses by the name's suffix
        data = stream.read().rstrip(b"\r\n\t ") + b"\n"
    header = next(csv.reader([_utf8(re.split(rb"[\r\n]", data, maxsplit=1)[0], path)]), [])
    if not header:
        raise InvalidInput(f"{path} is empty. {_expected()}", field="path")
    texts = dict.fromkeys(header, pa.string())
    numbers = {name: pa.float64() for name in header if name.strip().lower() in (*NUMBER_COLUMNS, "price", "adj_close")}
    try:
        table = _parse_csv(data, texts | numbers)
    except pa.ArrowInvalid:
        _utf8(data, path)
        table = _parse_csv(data, texts)  # perhaps a number is none: its text is wanted for the message
    return table.to_pandas()


def _utf8(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.", field="path") from error


def _parse_csv(data: bytes, kinds: dict[str, pa.DataType]) -> pa.Table:
    """One line is one row, so that a row's line can be named: no blank lines, no line breaks within cells."""
    return pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(use_threads=False),  # one thread can tell the number of a ragged row
        parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(column_types=kinds, null_values=NO_NUMBER, strings_can_be_null=False),
    )


def _parse_problem(error: Exception) -> str:
    ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", str(error))
    if ragged is None:
        return f"cannot be parsed: {str(error).strip().rstrip('.')}. Save it anew"
    line, wanted, found, text = ragged.groups()
    return f"has {found} cells in line {line} ({text[:60]!r}) where its header has {wanted}. Give each line all of them"


def _expected() -> str:
    return (
        "A price file has one of time_index, date; one of asset_identifier, figi; one of close, price; and any of "
        f"{', '.join(name for name in NUMBER_COLUMNS if name != 'close')}, open_time."
    )


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    names = list(table.columns)
    separator = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), None)
    if separator is not None:
        raise InvalidInput(
            f"{path} is separated by {separator!r}: its first line is {names[0]!r}. Save it with commas and decimal "
            "points.",
            field="path",
        )
    twice = sorted(name for name, count in Counter(names).items() if count > 1)[:COLUMNS_IN_MESSAGE]
    if twice:
        raise InvalidInput(f"{path} has the columns {', '.join(twice)} twice.", field="path")
    unknown = [name for name in names if name not in ACCEPTED]
    if unknown:
        hints = []
        for name in unknown[:COLUMNS_IN_MESSAGE]:
            near = difflib.get_close_matches(name, ACCEPTED, n=1)
            hints.append(f"{name!r} (did you mean {near[0]}?)" if near else repr(name))
        if len(unknown) > COLUMNS_IN_MESSAGE:
            hints.append(f"and {len(unknown) - COLUMNS_IN_MESSAGE:,} more")
        raise InvalidInput(f"{path} has unknown columns: {', '.join(hints)}. {_expected()}", field="path")
    for wanted in (IDENTIFIER_COLUMNS, TIME_COLUMNS, ("close", "price")):
        found = [name for name in wanted if name in names]
        if len(found) != 1:
            have = "both " + " and ".join(found) if found else "neither " + " nor ".join(wanted)
            raise InvalidInput(f"{path} has {have}; give exactly one. {_expected()}", field="path")
    if "price" in names and any(name in names for name in ("open", "high", "low")):
        raise InvalidInput(f"{path} has price beside open, high or low; name the price close.", field="path")


def _place(path: Path, row: int) -> str:
    return f"{path}, row {row + 1}" if path.suffix.lower() == ".parquet" else f"{path}, line {row + 2}"


def _identifiers(column: pd.Series, path: Path) -> np.ndarray:
    values = column.astype(object).where(column.notna(), "").to_numpy()
    for row, value in enumerate(values):
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"{_place(path, row)}: {column.name} is {value!r}; it must name an asset.", field="path")
    return np.array([value.strip() for value in values], dtype=object)


def _times(column: pd.Series, path: Path, *, optional: bool = False) -> pd.DatetimeIndex:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        times = pd.DatetimeIndex(column).tz_convert("UTC")
    elif pd.api.types.is_datetime64_dtype(column.dtype):
        raise InvalidInput(f"{path}: {column.name} has no time zone. {_zone_remedy(column.name)}", field="path")
    else:
        text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
        filled = (text != "").to_numpy()
        naive = filled & ~text.str.contains(ZONE, regex=True).to_numpy(dtype=bool)
        parsed = pd.to_datetime(text.where(filled), format="ISO8601", utc=True, errors="coerce")
        unreadable = filled & parsed.isna().to_numpy()
        as_dates = pd.to_datetime(text.where(naive), format="ISO8601", utc=True, errors="coerce").notna().to_numpy()
        if (naive & as_dates).any():
            row = int((naive & as_dates).argmax())
            raise InvalidInput(
                f"{_place(path, row)}: {column.name} is {text.iloc[row]!r}, without a time zone. "
                f"{_zone_remedy(column.name)}",
                field="path",
            )
        if unreadable.any():
            row = int(unreadable.argmax())
            raise InvalidInput(
                f"{_place(path, row)}: {column.name} is {text.iloc[row]!r}, which is not an ISO 8601 time such as "
                "2026-01-31T21:00:00Z.",
                field="path",
            )
        times = pd.DatetimeIndex(parsed)
    missing = np.asarray(times.isna())
    if missing.any() and not optional:
        raise InvalidInput(
            f"{_place(path, int(missing.argmax()))}: {column.name} is empty. Each row needs the time of its bar.",
            field="path",
        )
    beyond = np.asarray((times < FIRST_INSTANT) | (times >= LAST_INSTANT))
    if beyond.any():
        row = int(beyond.argmax())
        raise InvalidInput(
            f"{_place(path, row)}: {column.name} is {times[row].isoformat()}, outside the years 1678 to 2260. Correct "
            "it.",
            field="path",
        )
    return times.as_unit("ns")


def _zone_remedy(name: object) -> str:
    remedy = "Write UTC instants (2026-01-31T21:00:00Z) or offsets (2026-01-31T16:00:00-05:00)"
    if name == "time_index":
        remedy += "; or, where the bars are daily, a column date (2026-01-31) together with a calendar"
    return remedy + "."


def _dates(column: pd.Series, path: Path) -> np.ndarray:
    if pd.api.types.is_datetime64_dtype(column.dtype):
        whole_days = (column.dropna() == column.dropna().dt.normalize()).all()
        text = column.dt.strftime("%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M:%S").fillna("")
    else:
        text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    parsed = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    wrong = ~text.str.contains(ISO_DATE, regex=True).to_numpy(dtype=bool) | parsed.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidInput(
            f"{_place(path, row)}: date is {text.iloc[row]!r}, which is not a date such as 2026-01-31.", field="path"
        )
    return parsed.to_numpy(dtype="datetime64[D]")


def _numbers(table: pd.DataFrame, path: Path) -> dict[str, np.ndarray]:
    numbers: dict[str, np.ndarray] = {}
    for name in (*NUMBER_COLUMNS, "price"):
        if name in table:
            numbers[name] = _number(table[name], path)
    if "price" in numbers:
        price = numbers.pop("price")
        numbers |= {"open": price, "high": price, "low": price, "close": price}
        numbers.setdefault("volume", np.zeros(len(price)))
    nothing = np.full(len(table), np.nan)
    return {name: numbers.get(name, nothing) for name in NUMBER_COLUMNS}


def _number(column: pd.Series, path: Path) -> np.ndarray:
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.isinf(values)
    else:
        text_missing = column.isna() | column.isin(NO_NUMBER)
        values = pd.to_numeric(column.where(~text_missing), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = (np.isnan(values) & ~text_missing.to_numpy(dtype=bool)) | np.isinf(values)
        if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
            wrong[:] = True
    if wrong.any():
        row = int(wrong.argmax())
        value = column.iloc[row]
        value = value.item() if isinstance(value, np.generic) else value
        raise InvalidInput(
            f"{_place(path, row)}: {column.name} is {value if isinstance(value, float) else repr(value)}, which is not "
            "a finite number. Leave the cell empty where there is none.",
            field="path",
        )
    if column.name in FLOW_COLUMNS and (values < 0).any():
        row = int((values < 0).argmax())
        raise InvalidInput(f"{_place(path, row)}: {column.name} is {values[row]}; it cannot be negative.", field="path")
    return values


def check_duplicates(identifiers: np.ndarray, stamps: np.ndarray, path: str | Path) -> None:
    """Raise InvalidInput naming the first key that two rows of the file share. `stamps` (n,) datetime64."""
    codes, _ = pd.factorize(identifiers)
    order = np.lexsort((stamps, codes))
    same = (np.diff(codes[order]) == 0) & (np.diff(stamps[order].astype(np.int64)) == 0)
    if same.any():
        place = int(same.argmax())
        first, second = sorted((int(order[place]), int(order[place + 1])))
        raise InvalidInput(
            f"{_place(Path(path), second)}: {identifiers[second]} at {stamps[second]} was already given in "
            f"{_place(Path(path), first).rpartition(', ')[2]}; {int(same.sum())} such rows in all. Keep one.",
            field="path",
        )


def unknown_dates(dates: np.ndarray, session_dates: np.ndarray, calendar: str) -> str | None:
    """A message naming the dates that are no session of the calendar, None when all are."""
    place = np.searchsorted(session_dates, dates)
    known = place < len(session_dates)
    known[known] = session_dates[place[known]] == dates[known]
    if known.all():
        return None
    shown: Sequence[str] = [str(date) for date in np.unique(dates[~known])]
    return f"{named(shown, 'date')} not a session of the calendar {calendar}"

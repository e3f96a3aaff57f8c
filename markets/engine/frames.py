"""Validates a DataNode's frame once and turns it into arrays that are ready to be written.

The rules are those of `docs/reference/data-nodes.md`: names and order of the index, UTC, dtypes, columns, duplicates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from markets.engine.dtypes import (
    COLUMN_TYPES,
    EPOCH_2000_DAYS,
    EPOCH_2000_US,
    INTEGERS,
    NOT_A_TIME,
    WIDENINGS,
    token_of,
)
from markets.engine.frame_texts import check_identifiers, check_text
from markets.exceptions import ColumnContractError, DuplicateKeys, FrameError

TIME_INDEX = "time_index"
IDENTITY_ALIASES = {"unique_identifier": "asset_identifier"}
MAXIMUM_NAME_BYTES = 63  # PostgreSQL cuts longer names silently
MOST_COLUMNS = 1_600  # PostgreSQL's own limit for a table
SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}  # every table of PostgreSQL has them already
LARGEST_EXACT_INTEGER = 2**53  # the whole numbers up to here are exact in double precision
EARLIEST_US = -9_214_560_000_000_000  # 1678: what datetime64[ns], in which frames are read back, can hold
LATEST_US = 9_183_110_400_000_000  # 2261


@dataclass(frozen=True)
class TextLevel:
    """One identity level: `labels[codes[i]]` is row i's text; labels are unique and sorted by their UTF-8 bytes."""

    name: str
    codes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ValueColumn:
    """One value column. `values` (n,): little-endian numbers, int64 µs, int32 days, or codes into `labels` for text.

    `is_null` (n,) bool, or None where no row is null.
    """

    name: str
    token: str
    values: np.ndarray
    is_null: np.ndarray | None
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class ValidFrame:
    """Rows sorted by key. `times` (n,) int64 microseconds since 1970 UTC; `rows` (n,) their place in the frame."""

    times: np.ndarray
    levels: tuple[TextLevel, ...]
    columns: tuple[ValueColumn, ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: np.ndarray) -> "ValidFrame":
        """The rows at these positions, in this order."""
        return ValidFrame(
            rows=self.rows[rows],
            times=self.times[rows],
            levels=tuple(replace(level, codes=level.codes[rows]) for level in self.levels),
            columns=tuple(
                replace(
                    column,
                    values=column.values[rows],
                    is_null=None if column.is_null is None else column.is_null[rows],
                )
                for column in self.columns
            ),
        )

    def identity_codes(self) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """(n,) int64 code of each row's identity, and the identities that the codes stand for."""
        if not self.levels:
            return np.zeros(len(self), dtype=np.int64), [()]
        combined = self.levels[0].codes.astype(np.int64)
        for level in self.levels[1:]:
            combined = combined * len(level.labels) + level.codes
        if len(self.levels) == 1:
            return combined, [(label,) for label in self.levels[0].labels]
        distinct, codes = np.unique(combined, return_inverse=True)
        identities: list[tuple[str, ...]] = []
        for value in distinct.tolist():
            parts = []
            for level in reversed(self.levels):
                value, position = divmod(value, len(level.labels))
                parts.append(level.labels[position])
            identities.append(tuple(reversed(parts)))
        return codes, identities


def validate_frame(
    frame: object,
    *,
    index_names: Sequence[str],
    key_columns: Sequence[str],
    contract: dict[str, str] | None,
    declared: dict[str, str] | None = None,
    table: str,
) -> tuple[ValidFrame, dict[str, str]]:
    """Check a frame against its table and return it as arrays sorted by `key_columns`, with its column contract.

    `frame` is indexed by `index_names`: `time_index` first (datetime64 of any resolution, UTC), then text levels.
    `contract` maps each value column to its dtype token, None while the table has none: then it is inferred, except
    for the columns whose dtype the node has `declared`.
    Raises FrameError (ColumnContractError, DuplicateKeys among them); the message names column, row and remedy.
    """
    if frame is None:
        raise FrameError("update() returned None. Return a DataFrame; an empty one means that there is nothing new.")
    if not isinstance(frame, pd.DataFrame):
        raise FrameError(f"update() returned {type(frame).__name__} instead of a pandas DataFrame.")
    _check_index_names(frame, index_names)
    times = _times(frame)
    levels = tuple(_text_level(frame, position, name) for position, name in enumerate(index_names) if position > 0)
    names = _check_column_names(frame, index_names)
    if contract is not None and set(names) != set(contract):
        raise ColumnContractError(
            missing=sorted(set(contract) - set(names)), extra=sorted(set(names) - set(contract)), table=table
        )
    unknown = sorted(set(declared or {}) - set(names))
    if unknown:
        raise FrameError(
            f"get_column_metadata() describes {', '.join(unknown)}, which the frame does not have. It has "
            f"{', '.join(names)}."
        )
    for name, token in (declared or {}).items():
        if contract is not None and contract[name] != token:
            raise FrameError(
                f"get_column_metadata() declares {name!r} as {token}; {table} holds {contract[name]} there. Declare "
                "what the table holds, or change the node's configuration to write another table."
            )
    known = contract or declared or {}
    plain = frame.reset_index(drop=True)  # shares the values; a column of it is made in a fifth of the time
    columns = [_value_column(plain[name], known.get(name), table, frame.index) for name in contract or names]
    rows = np.arange(len(times))
    valid = _sorted_by_key(ValidFrame(times, levels, tuple(columns), rows), key_columns)
    return valid, {column.name: column.token for column in columns}


def integers_as_floats(frame: pd.DataFrame, contract: dict[str, str]) -> list[str]:
    """The columns of a valid frame that hold integers where the table holds floats."""
    dtypes = dict(zip(frame.columns, frame.dtypes, strict=True))
    floats = (name for name, token in contract.items() if token in ("float64", "float32"))
    return [name for name in floats if pd.api.types.is_integer_dtype(dtypes[name])]


def _check_index_names(frame: pd.DataFrame, index_names: Sequence[str]) -> None:
    found = [IDENTITY_ALIASES.get(str(name), str(name)) for name in frame.index.names]
    wanted = list(index_names)
    if found != wanted:
        raise FrameError(
            f"The frame is indexed by ({', '.join(map(str, frame.index.names))}); its table by ({', '.join(wanted)}). "
            f"Return frame.set_index({wanted!r})."
        )


def _times(frame: pd.DataFrame) -> np.ndarray:
    level = frame.index.levels[0] if isinstance(frame.index, pd.MultiIndex) else frame.index
    if not isinstance(level.dtype, pd.DatetimeTZDtype):
        if pd.api.types.is_datetime64_dtype(level.dtype):
            raise FrameError(
                "time_index has no time zone. MSM stores instants in UTC: use tz_localize('UTC') where the times are "
                "UTC, or tz_localize(<zone>).tz_convert('UTC') where they are local."
            )
        raise FrameError(f"time_index has dtype {level.dtype}, not a UTC datetime. Use pd.to_datetime(…, utc=True).")
    if str(level.dtype.tz) not in {"UTC", "utc", "tzutc()", "UTC+00:00", "datetime.timezone.utc"}:
        raise FrameError(f"time_index is in {level.dtype.tz}, not in UTC. Use tz_convert('UTC').")
    stamps = level.asi8
    scale = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}[level.unit]
    if level.unit == "ns":
        microseconds = np.where(stamps == NOT_A_TIME, NOT_A_TIME, stamps // 1_000)
    else:
        limit = -EARLIEST_US // scale
        beyond = (np.abs(stamps.astype(np.float64)) > limit) & (stamps != NOT_A_TIME)
        if beyond.any():
            raise FrameError("time_index holds an instant outside the years 1678 to 2260.")
        microseconds = np.where(stamps == NOT_A_TIME, NOT_A_TIME, stamps * np.where(stamps == NOT_A_TIME, 1, scale))
    if isinstance(frame.index, pd.MultiIndex):
        codes = frame.index.codes[0]
        missing = codes < 0
        microseconds = microseconds[codes] if len(level) else np.empty(len(codes), dtype=np.int64)
        microseconds[missing] = NOT_A_TIME
    absent = microseconds == NOT_A_TIME
    if absent.any():
        raise FrameError(f"time_index is missing in {int(absent.sum())} of {len(frame)} rows. Drop or stamp them.")
    if len(microseconds) and (microseconds.min() < EARLIEST_US or microseconds.max() > LATEST_US):
        raise FrameError("time_index holds an instant outside the years 1678 to 2260.")
    return np.ascontiguousarray(microseconds, dtype=np.int64)


def _text_level(frame: pd.DataFrame, position: int, name: str) -> TextLevel:
    values = frame.index.levels[position]
    codes = np.asarray(frame.index.codes[position], dtype=np.int64)
    if (codes < 0).any():
        raise FrameError(f"{name} is missing in {int((codes < 0).sum())} of {len(frame)} rows.")
    used = np.unique(codes)
    labels = values.to_numpy(dtype=object)[used] if len(values) else np.empty(0, dtype=object)
    check_identifiers(labels.tolist(), name)
    ordered = labels.tolist()  # by code point is by UTF-8 byte
    order = np.array(sorted(range(len(ordered)), key=ordered.__getitem__), dtype=np.int64)
    rank_of_code = np.zeros(len(values), dtype=np.int64)
    rank_of_code[used[order]] = np.arange(len(order))
    return TextLevel(name, rank_of_code[codes] if len(codes) else codes, labels[order] if len(order) else labels)


def _check_column_names(frame: pd.DataFrame, index_names: Sequence[str]) -> list[str]:
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            raise FrameError(f"Column {name!r} is named by a {type(name).__name__}; column names are text.")
        if not name.islower() or len(name.encode()) > MAXIMUM_NAME_BYTES or "\x00" in name:
            raise FrameError(f"Column {name!r}: names are lower case, have a letter, and at most 63 bytes.")
        if name in SYSTEM_COLUMNS:
            raise FrameError(f"Column {name!r} has a name that PostgreSQL keeps for itself. Give it another.")
        if name in index_names:
            raise FrameError(f"Column {name!r} has the name of an index level.")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise FrameError(f"Columns appear twice: {', '.join(twice)}.")
    if not names:
        raise FrameError("The frame has no value column.")
    if len(names) + len(index_names) > MOST_COLUMNS:
        raise FrameError(
            f"The frame has {len(names):,} columns; a table holds {MOST_COLUMNS - len(index_names):,} beside its "
            "index. Return long rows instead of wide ones."
        )
    return names


def _value_column(series: pd.Series, wanted: str | None, table: str, index: pd.Index) -> ValueColumn:
    name = str(series.name)
    missing = series.isna().to_numpy()
    is_null = missing if missing.any() else None
    token = token_of(series)
    if token is None or (wanted is not None and missing.all()):  # a column without a value fits every contract
        token = wanted or "float64"
    elif wanted is not None and token != wanted:
        _check_lossless(series, token, wanted, table)
    target = wanted or token
    if target == "string":
        return _text_column(series, name, is_null)
    if target == "timestamp with time zone":
        return _time_column(series, name, is_null)
    if target == "date":
        days = pd.to_datetime(series).to_numpy(dtype="datetime64[D]").astype(np.int64)
        return ValueColumn(name, target, np.where(missing, 0, days).astype(np.int32), is_null)
    return _number_column(series, name, target, is_null, index)


def _check_lossless(series: pd.Series, token: str, wanted: str, table: str) -> None:
    """Raise FrameError unless every value of the column can be stored as `wanted` without loss."""
    exact = wanted in WIDENINGS.get(token, ())
    if exact and token == "int64":
        exact = bool(series.dropna().between(-LARGEST_EXACT_INTEGER, LARGEST_EXACT_INTEGER).all())
    if exact:
        return
    if wanted in INTEGERS and token.startswith("float"):
        nullable = wanted.capitalize()  # pandas turns whole numbers with gaps into floats, and loses digits beyond 2^53
        raise FrameError(
            f"Column {series.name!r} is {token}; {table} holds {wanted} there, and a float is never stored as an "
            f"integer. Keep whole numbers with gaps as {nullable} from where they are read, or convert them: "
            f"frame[{series.name!r}].astype({nullable!r}), which refuses fractions."
        )
    raise FrameError(
        f"Column {series.name!r} is {token}; {table} holds {wanted} there. Convert it without loss "
        f"(frame[{series.name!r}].astype(…)), or write another table."
    )


def _time_column(series: pd.Series, name: str, is_null: np.ndarray | None) -> ValueColumn:
    if is_null is not None and is_null.all():
        return ValueColumn(name, "timestamp with time zone", np.full(len(series), NOT_A_TIME), is_null)
    values = pd.DatetimeIndex(series).tz_convert("UTC").as_unit("us").asi8
    beyond = ((values < EARLIEST_US) | (values > LATEST_US)) & (values != NOT_A_TIME)
    if beyond.any():
        row = int(beyond.argmax())
        raise FrameError(
            f"Column {name!r} holds {series.iloc[row]} (row {row}), outside the years 1678 to 2260. Leave the cell "
            "empty, or use a date column."
        )
    return ValueColumn(name, "timestamp with time zone", values, is_null)


def _number_column(
    series: pd.Series, name: str, target: str, is_null: np.ndarray | None, index: pd.Index
) -> ValueColumn:
    wire = COLUMN_TYPES[target].wire
    assert wire is not None
    dtype = np.dtype(bool) if target == "bool" else np.dtype(wire).newbyteorder("=")
    try:
        if dtype.kind == "f":
            values = series.to_numpy(dtype=dtype, na_value=np.nan)
        elif is_null is None:
            values = series.to_numpy(dtype=dtype)
        else:
            values = series.astype(object).where(~is_null, 0).to_numpy().astype(dtype)
    except OverflowError as error:
        raise FrameError(f"Column {name!r} holds a number that does not fit into {target}.") from error
    if dtype.kind == "f" and not np.isfinite(values).all():
        infinite = np.isinf(values)
        if infinite.any():
            row = int(infinite.argmax())
            raise FrameError(
                f"Column {name!r} holds an infinite value (row {row}, index {index[row]}). Replace it by NaN or "
                "mend its source."
            )
    return ValueColumn(name, target, values, is_null)


def _text_column(series: pd.Series, name: str, is_null: np.ndarray | None) -> ValueColumn:
    codes, labels = pd.factorize(series.astype(object), use_na_sentinel=True)
    for label in labels:
        if not isinstance(label, str):
            raise FrameError(f"Column {name!r} holds {label!r}, a {type(label).__name__}, among its text.")
        check_text(label, f"Column {name!r}")
    return ValueColumn(name, "string", np.where(codes < 0, 0, codes), is_null, np.asarray(labels, dtype=object))


def _sorted_by_key(frame: ValidFrame, key_columns: Sequence[str]) -> ValidFrame:
    if len(frame) == 0:
        return frame
    by_name = {level.name: level.codes for level in frame.levels}
    by_name[TIME_INDEX] = frame.times
    keys = [by_name[name] for name in key_columns]
    combined = _one_key(keys)
    if combined is not None:
        steps = np.diff(combined)
        if (steps > 0).all():
            return frame
        order = np.argsort(combined, kind="stable")
        repeated = np.diff(combined[order]) == 0
    else:
        order = np.lexsort(keys[::-1])
        repeated = np.ones(len(frame) - 1, dtype=bool)
        for key in keys:
            repeated &= np.diff(key[order]) == 0
    if repeated.any():
        raise _duplicate(frame, int(order[int(repeated.argmax())]), int(repeated.sum()))
    return frame.take(order)


def _one_key(keys: list[np.ndarray]) -> np.ndarray | None:
    """The keys as one int64 that sorts alike, or None where they do not fit into 62 bits."""
    combined = np.zeros(len(keys[0]), dtype=np.int64)
    size = 1
    for key in keys:
        low = int(key.min())
        offset = key - low
        high = int(offset.max()) + 1
        if high > 1:
            divisor = int(np.gcd.reduce(offset))
            offset, high = offset // divisor, (high - 1) // divisor + 1
        size *= high
        if size >= 2**62:
            return None
        combined = combined * high + offset
    return combined


def _duplicate(frame: ValidFrame, row: int, count: int) -> DuplicateKeys:
    instant = pd.Timestamp(frame.times[row], unit="us", tz="UTC").isoformat()
    key = ", ".join([instant, *(level.labels[level.codes[row]] for level in frame.levels)])
    return DuplicateKeys(
        f"The frame holds {count} key{'' if count == 1 else 's'} more than once, the first ({key}), counted in "
        "microseconds. Keep one row a key."
    )


def wire_times(microseconds: np.ndarray) -> np.ndarray:
    """Microseconds since 1970 as PostgreSQL's since 2000."""
    return microseconds - EPOCH_2000_US


def wire_dates(days: np.ndarray) -> np.ndarray:
    return days - EPOCH_2000_DAYS

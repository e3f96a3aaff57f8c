"""Reads a DataNode's table into an indexed frame: one query, binary COPY, an index built from integer codes."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
import pandas as pd
from django.db import connection
from psycopg import sql

from markets.data_nodes.storage import TableContract
from markets.engine.binary_copy import unpack_fixed_rows
from markets.engine.dtypes import EPOCH_2000_DAYS, EPOCH_2000_US, NOT_A_TIME
from markets.engine.frames import TIME_INDEX
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, clipped
from markets.models import StorageNode, UpdateStatistic


class IdentityRange(TypedDict, total=False):
    """The window of one identity; each key may be left out. Bounds are aware datetimes."""

    start_date: dt.datetime | None
    start_date_operand: Literal[">=", ">"]
    end_date: dt.datetime | None
    end_date_operand: Literal["<=", "<"]


RangeMap = Mapping[str, IdentityRange] | Mapping[Any, IdentityRange]
Window = tuple[dt.datetime | None, dt.datetime | None]  # both inclusive
_FIXED = {  # token → (SQL that never gives null, wire dtype)
    "float64": ("coalesce({0}, 'NaN'::float8)", ">f8"),
    "float32": ("coalesce({0}, 'NaN'::float4)", ">f4"),
    "int64": ("coalesce({0}, 0::bigint)", ">i8"),
    "int32": ("coalesce({0}, 0)", ">i4"),
    "int16": ("coalesce({0}, 0::smallint)", ">i2"),
    "bool": ("coalesce({0}::int, -1)::smallint", ">i2"),
    "timestamp with time zone": ("coalesce({0}, '-infinity'::timestamptz)", ">i8"),
    "date": ("coalesce({0}, '-infinity'::date)", ">i4"),
}
ASSET_DIMENSION = "asset_identifier"
MOST_NAMED = 20  # columns in a message
_NULLABLE_INTEGERS = {"int64": "Int64", "int32": "Int32", "int16": "Int16"}


def read_frame(
    storage: StorageNode,
    *,
    start_date: dt.datetime | None = None,
    end_date: dt.datetime | None = None,
    great_or_equal: bool = True,
    less_or_equal: bool = True,
    dimension_filters: Mapping[str, Sequence[str]] | None = None,
    range_map: RangeMap | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Rows of a table, indexed by its `index_names` and ordered by them.

    `time_index` comes back as datetime64[ns, UTC]; integer columns with gaps as Int64, text as string, the rest as
    numpy dtypes with NaN or NaT where null. Bounds are aware datetimes, inclusive unless told. `dimension_filters`
    keeps the named identities; `range_map` gives each identifier of the last dimension (or each identity, as a tuple of
    all dimensions) a window of its own and is combined with the global bounds; the database counts microseconds, and so
    do the bounds. An empty list or map gives an empty frame with the right columns; unknown identifiers give no
    rows. Raises InvalidInput for a naive bound, an unknown column or dimension, or both kinds of identity filter.
    """
    contract = TableContract.of(storage)
    wanted = _wanted_columns(storage, contract, columns)
    windows = None if range_map is None else _windows(range_map)
    identities = _identities(storage, contract, dimension_filters, windows)
    bounds = [
        (">=" if great_or_equal else ">", aware(start_date, "start_date")),
        ("<=" if less_or_equal else "<", aware(end_date, "end_date")),
    ]
    if contract.columns is None or not identities:
        return _frame(contract, wanted, identities, np.empty(0, np.int64), np.empty(0, np.int64), None)
    source = _source(contract, identities, bounds, windows)
    if any(token == "string" for token in wanted.values()):
        return _read_with_text(contract, wanted, identities, source)
    return _read_fixed(contract, wanted, identities, source)


def empty_frame(storage: StorageNode) -> pd.DataFrame:
    """No rows, with the index names, columns and dtypes of the table."""
    contract = TableContract.of(storage)
    return _frame(
        contract, _wanted_columns(storage, contract, None), [], np.empty(0, np.int64), np.empty(0, np.int64), None
    )


def aware(instant: object, name: str) -> dt.datetime | None:
    """The instant itself; InvalidInput when it has no time zone or is no datetime."""
    if instant is None:
        return None
    if isinstance(instant, str):
        try:
            instant = dt.datetime.fromisoformat(instant)
        except ValueError as error:
            raise InvalidInput(
                f"{name}={instant!r} is not a time. Use ISO 8601: 2026-01-31T21:00:00Z.", field=name
            ) from error
    if isinstance(instant, pd.Timestamp):
        instant = None if instant is pd.NaT else instant.to_pydatetime(warn=False)
    if not isinstance(instant, dt.datetime):
        raise InvalidInput(f"{name}={instant!r} is not a datetime.", field=name)
    if instant.tzinfo is None:
        raise InvalidInput(
            f"{name}={instant.isoformat()} has no time zone. Add one: {instant.isoformat()}Z, or tzinfo=datetime.UTC.",
            field=name,
        )
    return instant


def _wanted_columns(storage: StorageNode, contract: TableContract, columns: Sequence[str] | None) -> dict[str, str]:
    known = contract.columns or {}
    if columns is None:
        return dict(known)
    unknown = [name for name in columns if name not in known and name not in contract.index_names]
    if unknown and contract.columns is not None:
        raise InvalidInput(
            f"{storage} has no column {_listed(map(repr, unknown))}. It has {_listed(known)}.",
            field="columns",
        )
    return {name: known[name] for name in dict.fromkeys(columns) if name in known}


def _listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    shown = [clipped(name) for name in names]
    more = f", … and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + more


def _identities(
    storage: StorageNode,
    contract: TableContract,
    dimension_filters: Mapping[str, Sequence[str]] | None,
    windows: Mapping[Any, Window] | None,
) -> list[tuple[str, ...]]:
    """The stored identities that the filters keep, sorted: the dictionary that turns codes into text."""
    filters = {
        name: identifiers(values, name) for name, values in (dimension_filters or {}).items() if values is not None
    }
    if windows is not None:
        if not contract.identity_columns:
            raise InvalidInput(f"{storage} is indexed by time alone: it takes no range map.")
        last = identifier_dimension(contract.index_names)
        place = contract.identity_columns.index(last)
        if last in filters:
            raise InvalidInput("Give either a list of identifiers or a range map, not both.")
        named = [key[place] if isinstance(key, tuple) and len(key) > place else key for key in windows]
        filters[last] = identifiers(named, last)
    statistics = UpdateStatistic.objects.filter(storage=storage)
    for name, values in filters.items():
        if name not in contract.identity_columns:
            known = ", ".join(contract.identity_columns) or "none"
            raise InvalidInput(f"{storage} has no dimension {clipped(name)!r}; its dimensions are {known}.")
        statistics = statistics.filter(**{f"identity__{contract.identity_columns.index(name)}__in": values})
    identities = (tuple(identity) for identity in statistics.values_list("identity", flat=True))
    if windows is not None:
        identities = (identity for identity in identities if identity in windows or identity[place] in windows)
    return sorted(identities, key=lambda parts: [part.encode() for part in parts])


def identifier_dimension(index_names: Sequence[str]) -> str:
    """The dimension that plain identifiers name: the asset's wherever it stands, else the last one."""
    return ASSET_DIMENSION if ASSET_DIMENSION in index_names else index_names[-1]


def identifiers(values: object, name: str) -> list[str]:
    """Identifiers as text. One that PostgreSQL could not even hold names no row, like any unknown one."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{name} takes a list of identifiers, not {values!r}. Write [{values!r}].", field=name)
    return [text for text in map(str, values) if storable_text(text) == text]


def _source(
    contract: TableContract,
    identities: list[tuple[str, ...]],
    bounds: list[tuple[str, dt.datetime | None]],
    windows: Mapping[Any, Window] | None,
) -> sql.Composed:
    """FROM and WHERE: the identities with their codes (and windows), joined to the table on its key."""
    arrays: list[sql.Composable] = []
    names: list[sql.Composable] = []
    on: list[sql.Composable] = []
    for position, name in enumerate(contract.identity_columns):
        arrays.append(sql.SQL("{}::text[]").format(sql.Literal([identity[position] for identity in identities])))
        names.append(sql.Identifier(f"identity_{position}"))
        on.append(sql.SQL("t.{} = i.{}").format(sql.Identifier(name), names[-1]))
    if not arrays:
        arrays, names = [sql.SQL("ARRAY['']")], [sql.Identifier("whole_table")]
    conditions: list[sql.Composable] = []
    for operand, instant in bounds:
        if instant is not None:
            conditions.append(_compare(sql.SQL("t.time_index"), operand, sql.Literal(instant)))
    if windows is not None:
        place = contract.identity_columns.index(identifier_dimension(contract.index_names))
        chosen = [windows[identity] if identity in windows else windows[identity[place]] for identity in identities]
        for place, column in enumerate(("starts", "ends")):
            arrays.append(sql.SQL("{}::timestamptz[]").format(sql.Literal([window[place] for window in chosen])))
            names.append(sql.Identifier(column))
        starts = [start for start, _ in chosen if start is not None]
        if len(starts) == len(identities):  # lets the planner skip what no identity wants
            conditions.append(sql.SQL("t.time_index >= {}").format(sql.Literal(min(starts))))
        conditions.append(sql.SQL("t.time_index >= coalesce(i.starts, '-infinity')"))
        conditions.append(sql.SQL("t.time_index <= coalesce(i.ends, 'infinity')"))
    return sql.SQL("FROM unnest({}) WITH ORDINALITY AS i({}, code) JOIN {} AS t ON {}{}").format(
        sql.SQL(", ").join(arrays),
        sql.SQL(", ").join(names),
        sql.Identifier(contract.table_name),
        sql.SQL(" AND ").join(on) if on else sql.SQL("true"),
        sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
    )


def _compare(left: sql.Composable, operand: str, right: sql.Composable) -> sql.Composed:
    return sql.SQL("{} {} {}").format(left, sql.SQL(operand), right)


def _windows(range_map: RangeMap) -> dict[Any, Window]:
    """Inclusive bounds of each identity. An exclusive bound moves by one microsecond, the table's own resolution."""
    step = dt.timedelta(microseconds=1)
    windows: dict[Any, Window] = {}
    for identity, window in range_map.items():
        unknown = set(window) - set(IdentityRange.__annotations__)
        if unknown:
            raise InvalidInput(f"The range of {identity} has unknown keys: {', '.join(sorted(unknown))}.")
        bounds: list[dt.datetime | None] = []
        for key, inclusive, exclusive, sign in (("start_date", ">=", ">", 1), ("end_date", "<=", "<", -1)):
            instant = aware(window.get(key), f"{key} of {identity}")
            operand = window.get(f"{key}_operand", inclusive)
            if operand not in (inclusive, exclusive):
                raise InvalidInput(f"{key}_operand of {identity} is {operand!r}; use {inclusive} or {exclusive}.")
            if instant is not None and operand == exclusive:
                instant += sign * step
            bounds.append(instant)
        windows[identity] = (bounds[0], bounds[1])
    return windows


def _read_fixed(
    contract: TableContract, wanted: dict[str, str], identities: list[tuple[str, ...]], source: sql.Composed
) -> pd.DataFrame:
    selected: list[sql.Composable] = [sql.SQL("i.code"), sql.SQL("t.time_index")]
    wires = [">i8", ">i8"]
    for name, token in wanted.items():
        expression, wire = _FIXED[token]
        column = sql.SQL("t.{}").format(sql.Identifier(name))
        selected.append(sql.SQL(expression).format(column))
        wires.append(wire)
        if token in _NULLABLE_INTEGERS:
            selected.append(sql.SQL("({} IS NULL)").format(column))
            wires.append("u1")
    statement = sql.SQL("COPY (SELECT {} {}) TO STDOUT (FORMAT binary)").format(sql.SQL(", ").join(selected), source)
    data = bytearray()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            data += block
    arrays = unpack_fixed_rows(data, wires)
    codes = arrays[0].astype(np.int64) - 1
    times = arrays[1].astype(np.int64) + EPOCH_2000_US
    values: dict[str, Any] = {}
    position = 2
    for name, token in wanted.items():
        values[name] = arrays[position]
        position += 1
        if token in _NULLABLE_INTEGERS:
            values[name] = (arrays[position - 1], arrays[position])
            position += 1
    return _frame(contract, wanted, identities, codes, times, values)


def _read_with_text(
    contract: TableContract, wanted: dict[str, str], identities: list[tuple[str, ...]], source: sql.Composed
) -> pd.DataFrame:
    """Tables with text columns have no fixed-width rows: the driver decodes them."""
    selected: list[sql.Composable] = [sql.SQL("i.code"), sql.SQL("t.time_index")]
    selected += [sql.SQL("t.{}").format(sql.Identifier(name)) for name in wanted]
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT {} {}").format(sql.SQL(", ").join(selected), source))
        rows = cursor.fetchall()
    codes = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows)) - 1
    times = pd.DatetimeIndex([row[1] for row in rows], tz="UTC").as_unit("us").asi8 if rows else np.empty(0, np.int64)
    values = {name: [row[position + 2] for row in rows] for position, name in enumerate(wanted)}
    return _frame(contract, wanted, identities, codes, times, values)


def _frame(
    contract: TableContract,
    wanted: dict[str, str],
    identities: list[tuple[str, ...]],
    codes: np.ndarray,
    times: np.ndarray,
    values: dict[str, Any] | None,
) -> pd.DataFrame:
    order = np.lexsort((codes, times))
    codes, times = codes[order], times[order]
    index = _index(contract, identities, codes, times)
    columns = {name: _column(None if values is None else values[name], token, order) for name, token in wanted.items()}
    return pd.DataFrame(columns, index=index, copy=False)


def _index(
    contract: TableContract, identities: list[tuple[str, ...]], codes: np.ndarray, times: np.ndarray
) -> pd.Index:
    is_new = np.ones(len(times), dtype=bool)
    is_new[1:] = times[1:] != times[:-1]
    stamps = pd.DatetimeIndex(times[is_new] * 1_000, tz="UTC", name=TIME_INDEX).as_unit("ns")
    if not contract.identity_columns:
        return stamps
    levels: list[pd.Index] = [stamps]
    level_codes: list[np.ndarray] = [np.cumsum(is_new) - 1]
    used, compact = np.unique(codes, return_inverse=True)
    for position in range(len(contract.identity_columns)):
        labels = [identities[code][position] for code in used.tolist()]
        distinct = sorted(set(labels))  # by code point, as collation "C" sorts; pandas slices sorted levels only
        rank = {label: place for place, label in enumerate(distinct)}
        label_codes = np.array([rank[label] for label in labels], dtype=np.int64)
        levels.append(pd.Index(distinct, dtype="str"))
        level_codes.append(label_codes[compact] if len(labels) else np.empty(0, dtype=np.int64))
    return pd.MultiIndex(levels=levels, codes=level_codes, names=list(contract.index_names), verify_integrity=False)


def _column(values: Any, token: str, order: np.ndarray) -> Any:
    """One value column in row order, in the dtype that readers are promised."""
    if token == "string":
        return pd.array([] if values is None else [values[row] for row in order.tolist()], dtype="str")
    if values is None:
        values = np.empty(0, dtype="M8[us]") if token == "timestamp with time zone" else []
    elif isinstance(values, list):
        values = [values[row] for row in order.tolist()]
    if isinstance(values, list):
        return _decoded(values, token)
    if token in _NULLABLE_INTEGERS:
        numbers, is_null = values
        numbers = numbers[order].astype(numbers.dtype.newbyteorder("="))
        is_null = is_null[order].astype(bool)
        return pd.arrays.IntegerArray(numbers, is_null) if is_null.any() else numbers
    values = values[order]
    if token == "bool":
        values = values.astype(np.int16)
        missing = values < 0
        return pd.arrays.BooleanArray(values > 0, missing) if missing.any() else values.astype(bool)
    if token == "timestamp with time zone":
        values = values.astype(np.int64)
        stamps = np.where(values == NOT_A_TIME, NOT_A_TIME, (values + EPOCH_2000_US) * 1_000)
        return pd.DatetimeIndex(stamps.astype("M8[ns]"), tz="UTC")
    if token == "date":
        values = values.astype(np.int64)
        missing = values == np.iinfo(np.int32).min
        return np.where(missing, NOT_A_TIME, values + EPOCH_2000_DAYS).astype("M8[D]").astype(object)  # NaT: None
    return values.astype(values.dtype.newbyteorder("="))


def _decoded(values: list[Any], token: str) -> Any:
    if token == "timestamp with time zone":
        return pd.DatetimeIndex(values, tz="UTC").as_unit("ns")
    if token == "date":
        return np.array(values, dtype=object)
    has_null = any(value is None for value in values)
    if token in _NULLABLE_INTEGERS:
        return pd.array(values, dtype=_NULLABLE_INTEGERS[token]) if has_null else np.array(values, dtype=token)
    if token == "bool":
        return pd.array(values, dtype="boolean") if has_null else np.array(values, dtype=bool)
    return np.array([np.nan if value is None else value for value in values], dtype=token)

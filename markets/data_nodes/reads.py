"""Reads a DataNode's table into an indexed frame: checks what is asked for and chooses the way that is fastest."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

import pandas as pd
from psycopg import sql

from markets.data_nodes.read_arrow import read_by_arrow, sees_all
from markets.data_nodes.read_copy import read_by_copy
from markets.data_nodes.sealed_reads import read_sealed
from markets.data_nodes.selection import AnySelection, Selection, Window, WindowedSelection
from markets.data_nodes.storage import TableContract
from markets.data_nodes.stored_statistics import from_microseconds, stored_columns
from markets.engine.frame_building import FrameBuilder
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput, clipped
from markets.models import StorageNode

ASSET_DIMENSION = "asset_identifier"
MOST_NAMED = 20  # columns in a message
ROWS_BY_COPY = 300_000  # a connection of its own costs 40 ms, which Arrow earns back at about so many rows


class IdentityRange(TypedDict, total=False):
    """The window of one identity; each key may be left out. Bounds are aware datetimes."""

    start_date: dt.datetime | None
    start_date_operand: Literal[">=", ">"]
    end_date: dt.datetime | None
    end_date_operand: Literal["<=", "<"]


RangeMap = Mapping[str, IdentityRange] | Mapping[Any, IdentityRange]


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
    most_rows: int | None = None,
) -> pd.DataFrame:
    """Rows of a table, indexed by its `index_names` and ordered by them.

    `time_index` comes back as datetime64[ns, UTC]; integer columns with gaps as Int64, text as string, the rest as
    numpy dtypes with NaN or NaT where null. Bounds are aware datetimes, inclusive unless told. `dimension_filters`
    keeps the named identities; `range_map` gives each identifier of the last dimension (or each identity, as a tuple of
    all dimensions) a window of its own and is combined with the global bounds; the database counts microseconds, and so
    do the bounds. An empty list or map gives an empty frame with the right columns; unknown identifiers give no rows.
    Where there are more than `most_rows` rows, that many of them come, whichever. Raises InvalidInput for a naive
    bound, an unknown column or dimension, or both kinds of identity filter.
    """
    contract = TableContract.of(storage)
    wanted = _wanted_columns(storage, contract, columns)
    windows = None if range_map is None else _windows(range_map)
    filters = _filters(storage, contract, dimension_filters, windows)
    bounds = [
        (operand, instant)
        for operand, instant in (
            (">=" if great_or_equal else ">", aware(start_date, "start_date")),
            ("<=" if less_or_equal else "<", aware(end_date, "end_date")),
        )
        if instant is not None
    ]
    if contract.columns is None:
        return FrameBuilder(contract.index_names, wanted).frame()
    if windows is None:
        selection = Selection(contract, storage.pk, filters, bounds)
        if most_rows is None and storage.is_engine_table and sees_all():
            builder = FrameBuilder(contract.index_names, wanted)
            if read_sealed(selection, wanted, builder):
                return builder.frame()
        return _read(selection, wanted, most_rows)
    statistics = _statistics(storage, contract, filters, windows)
    place = contract.identity_columns.index(identifier_dimension(contract.index_names))
    chosen = {name: windows[name] if name in windows else windows[name[place]] for name in statistics}
    return _read(WindowedSelection.of(contract, chosen, bounds, statistics), wanted, most_rows)


def empty_frame(storage: StorageNode) -> pd.DataFrame:
    """No rows, with the index names, columns and dtypes of the table."""
    contract = TableContract.of(storage)
    return FrameBuilder(contract.index_names, _wanted_columns(storage, contract, None)).frame()


def _read(selection: AnySelection, wanted: dict[str, str], most_rows: int | None) -> pd.DataFrame:
    expected = selection.expected()
    builder = FrameBuilder(selection.contract.index_names, wanted)
    if not expected.identities:
        return builder.frame()
    source = selection.source(by_probes=expected.by_probes)
    if most_rows is not None:
        source = sql.SQL("{} LIMIT {}").format(source, sql.Literal(most_rows))
    if expected.rows > ROWS_BY_COPY and sees_all():
        if read_by_arrow(selection.contract, wanted, source, builder):
            return builder.frame()
        builder = FrameBuilder(selection.contract.index_names, wanted)
    read_by_copy(selection.contract, wanted, source, builder)
    return builder.frame()


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


def _filters(
    storage: StorageNode,
    contract: TableContract,
    dimension_filters: Mapping[str, Sequence[str]] | None,
    windows: Mapping[Any, Window] | None,
) -> dict[str, list[str]]:
    """Dimension → the values that are wanted of it; the windows' own, too."""
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
    for name in filters:
        if name not in contract.identity_columns:
            known = ", ".join(contract.identity_columns) or "none"
            raise InvalidInput(f"{storage} has no dimension {clipped(name)!r}; its dimensions are {known}.")
    return filters


def _statistics(
    storage: StorageNode, contract: TableContract, filters: Mapping[str, list[str]], windows: Mapping[Any, Window]
) -> dict[tuple[str, ...], tuple[dt.datetime, dt.datetime, int]]:
    """First time, last time and number of rows of each stored identity that the filters keep and that has a window."""
    conditions = "".join(
        f" AND identity[{contract.identity_columns.index(name) + 1}] = ANY(%s::text[])" for name in filters
    )
    places = range(1, len(contract.identity_columns) + 1)
    stored = stored_columns(storage, conditions, list(filters.values()), places)
    instants = {value: from_microseconds(value) for value in {*stored.first, *stored.last}}
    known = {
        identity: (instants[since], instants[until], count)
        for identity, since, until, count in zip(
            zip(*stored.parts, strict=True), stored.first, stored.last, stored.counts, strict=True
        )
    }
    place = contract.identity_columns.index(identifier_dimension(contract.index_names))
    return {
        identity: known[identity] for identity in sorted(known) if identity in windows or identity[place] in windows
    }


def identifier_dimension(index_names: Sequence[str]) -> str:
    """The dimension that plain identifiers name: the asset's wherever it stands, else the last one."""
    return ASSET_DIMENSION if ASSET_DIMENSION in index_names else index_names[-1]


def identifiers(values: object, name: str) -> list[str]:
    """Identifiers as text. One that PostgreSQL could not even hold names no row, like any unknown one."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{name} takes a list of identifiers, not {values!r}. Write [{values!r}].", field=name)
    return [text for text in map(str, values) if storable_text(text) == text]


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

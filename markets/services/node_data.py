"""What the page of a DataNode shows of its rows: the latest or first ones, the values of one column, as a table grows.

Each question is answered from the table's key and the kept statistics, so that it costs the same at 20 million rows.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from django.db import connection
from django.db.models import Q, QuerySet
from psycopg import sql

from markets.data_nodes.reads import read_frame
from markets.data_nodes.storage import table_exists
from markets.engine.frames import TIME_INDEX
from markets.engine.text import storable_text
from markets.models import StorageNode, UpdateStatistic

Order = Literal["latest", "first"]
ROWS_SHOWN = 12
MOST_DRAWN = 200_000  # rows read for one chart: beyond them the latest are drawn
SEPARATOR = " / "  # between the parts of an identity
NUMBERS = ("float64", "float32", "int64", "int32", "int16")


@dataclass(frozen=True)
class NodeRows:
    """The part of a table that a node fills; `scope` fixes dimensions that all its rows share."""

    storage: StorageNode
    scope: Mapping[str, str]

    @property
    def dimensions(self) -> list[str]:
        """The dimensions that the scope leaves open."""
        return [name for name in self.storage.index_names[1:] if name not in self.scope]

    @property
    def tokens(self) -> dict[str, str]:
        return {column["column_name"]: column["dtype"] for column in self.storage.columns}

    @property
    def numbers(self) -> list[str]:
        """The columns that can be drawn."""
        return [name for name, token in self.tokens.items() if token in NUMBERS]

    def statistics(self) -> QuerySet[UpdateStatistic]:
        rows = UpdateStatistic.objects.filter(storage=self.storage)
        for name, value in self.scope.items():
            rows = rows.filter(**{self._part(name): value})
        return rows

    def name_of(self, statistic: UpdateStatistic) -> str:
        """The open parts of an identity, such as an asset's identifier."""
        places = [self.storage.index_names[1:].index(name) for name in self.dimensions]
        return SEPARATOR.join(statistic.identity[place] for place in places)

    def find(self, name: str) -> UpdateStatistic | None:
        """The statistic of the identity that is named as `name_of` does."""
        parts = storable_text(name).split(SEPARATOR) if len(self.dimensions) > 1 else [storable_text(name)]
        if not self.dimensions or len(parts) != len(self.dimensions):
            return None
        wanted = {self._part(dimension): part for dimension, part in zip(self.dimensions, parts, strict=True)}
        return self.statistics().filter(**wanted).first()

    def matching(self, text: str, *, start: int, number: int) -> list[UpdateStatistic]:
        """Identities whose last part, or whose asset's ticker, begins with the text; in their order."""
        rows = self.statistics().select_related("asset__openfigi_details")
        text = storable_text(text).strip()
        if text and self.dimensions:
            by_name = Q(**{f"{self._part(self.dimensions[-1])}__startswith": text})
            rows = rows.filter(by_name | Q(asset__openfigi_details__ticker__istartswith=text))
        return list(rows.order_by("identity")[start : start + number])

    def newest(self) -> UpdateStatistic | None:
        """The identity that has come farthest; of several, the first by name."""
        return self.statistics().order_by("-last_time_index", "identity").first()

    def _part(self, dimension: str) -> str:
        return f"identity__{self.storage.index_names[1:].index(dimension)}"


@dataclass(frozen=True)
class Head:
    """Rows in the order they were asked for, each with the values of `names`: the index, then the value columns."""

    names: list[str]
    rows: list[tuple[Any, ...]]

    @property
    def times(self) -> list[dt.datetime]:
        return [row[0] for row in self.rows]


def head(of: NodeRows, *, order: Order, identity: UpdateStatistic | None = None, number: int = ROWS_SHOWN) -> Head:
    """The `number` latest (or first) rows by time; of one identity, or of all.

    No row outside the identities that the statistics put at that end can be among them, so only those are probed, each
    along the key.
    """
    names = [*of.storage.index_names, *of.tokens]
    if not of.tokens or not table_exists(of.storage.table_name):
        return Head(names, [])
    prefixes = _prefixes(of, order, identity, number)
    if not prefixes:
        return Head(names, [])
    with connection.cursor() as cursor:
        cursor.execute(head_query(of, prefixes, order=order, identity=identity, number=number))
        return Head(names, cursor.fetchall())


def head_query(
    of: NodeRows,
    prefixes: Sequence[Sequence[str]],
    *,
    order: Order,
    identity: UpdateStatistic | None,
    number: int,
) -> sql.Composed:
    """For each value of the key's columns before the time, the rows at one end of the key, merged by time."""
    before = _before_time(of.storage)
    direction = sql.SQL("DESC" if order == "latest" else "ASC")
    names = [*of.storage.index_names, *of.tokens]
    conditions: list[sql.Composable] = [
        sql.SQL("t.{} = p.{}").format(sql.Identifier(name), sql.Identifier(f"part_{place}"))
        for place, name in enumerate(before)
    ]
    fixed = dict(of.scope)
    if identity is not None:
        fixed = dict(zip(of.storage.index_names[1:], identity.identity, strict=True))
        conditions.append(sql.SQL("t.time_index <= {}").format(sql.Literal(identity.last_time_index)))
        conditions.append(sql.SQL("t.time_index >= {}").format(sql.Literal(identity.first_time_index)))
    for name, value in fixed.items():
        if name not in before:
            conditions.append(sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(value)))
    arrays: list[sql.Composable] = [
        sql.SQL("{}::text[]").format(sql.Literal([part[place] for part in prefixes])) for place in range(len(before))
    ]
    parts = [sql.Identifier(f"part_{place}") for place in range(len(before))]
    if not before:
        arrays, parts = [sql.SQL("ARRAY['']")], [sql.Identifier("whole_table")]
    along = [sql.SQL("t.{} {}").format(sql.Identifier(name), direction) for name in of.storage.key_columns]
    merged = [TIME_INDEX, *of.storage.index_names[1:]]
    return sql.SQL(
        "SELECT {columns} FROM unnest({arrays}) AS p({parts}) CROSS JOIN LATERAL ("
        "SELECT {inner} FROM {table} AS t {where} ORDER BY {along} LIMIT {number}) AS r "
        "ORDER BY {merged} LIMIT {number}"
    ).format(
        columns=sql.SQL(", ").join(sql.SQL("r.{}").format(sql.Identifier(name)) for name in names),
        inner=sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names),
        arrays=sql.SQL(", ").join(arrays),
        parts=sql.SQL(", ").join(parts),
        table=sql.Identifier(of.storage.table_name),
        where=sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
        along=sql.SQL(", ").join(along),
        merged=sql.SQL(", ").join(
            sql.SQL("r.{} {}").format(sql.Identifier(name), direction if name == TIME_INDEX else sql.SQL("ASC"))
            for name in merged
        ),
        number=sql.Literal(number),
    )


def series(of: NodeRows, identity: UpdateStatistic, column: str) -> pd.Series:
    """The values of one column over time, at most the latest MOST_DRAWN: float64, indexed by time (UTC)."""
    filters = {name: [value] for name, value in zip(of.storage.index_names[1:], identity.identity, strict=True)}
    start = _start_of_latest(of, identity) if identity.row_count > MOST_DRAWN else None
    frame = read_frame(of.storage, start_date=start, dimension_filters=filters, columns=[column])
    times = pd.DatetimeIndex(frame.index.get_level_values(TIME_INDEX), name=TIME_INDEX)
    return pd.Series(frame[column].to_numpy(dtype=float, na_value=float("nan")), index=times, name=column)


def null_shares(storage: StorageNode) -> dict[str, float]:
    """Column → share of its values that are missing, as the database estimated it when it last analysed the table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, null_frac FROM pg_stats WHERE schemaname = current_schema() AND tablename = %s",
            [storage.table_name],
        )
        return dict(cursor.fetchall())


def _before_time(storage: StorageNode) -> list[str]:
    return storage.key_columns[: storage.key_columns.index(TIME_INDEX)]


def _prefixes(of: NodeRows, order: Order, identity: UpdateStatistic | None, number: int) -> list[tuple[str, ...]]:
    """The values of the key's columns before the time, of the `number` that reach farthest to that end."""
    before = _before_time(of.storage)
    places = [of.storage.index_names[1:].index(name) for name in before]
    if identity is not None:
        return [tuple(identity.identity[place] for place in places)]
    if all(name in of.scope for name in before):
        return [tuple(of.scope[name] for name in before)]
    end = "-last_time_index" if order == "latest" else "first_time_index"
    rows = of.statistics().order_by(end, "identity").values_list("identity", flat=True)
    if len(before) == len(of.storage.index_names) - 1:
        return [tuple(parts[place] for place in places) for parts in rows[:number]]
    # Other dimensions follow the time in the key, so several identities have one prefix: it is asked for once.
    distinct = dict.fromkeys(tuple(parts[place] for place in places) for parts in rows)
    return list(distinct)[:number]


def _start_of_latest(of: NodeRows, identity: UpdateStatistic) -> dt.datetime | None:
    """The time of the MOST_DRAWN-th row from the end, found along the key."""
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in zip(of.storage.index_names[1:], identity.identity, strict=True)
    ]
    statement = sql.SQL("SELECT time_index FROM {} {} ORDER BY time_index DESC OFFSET {} LIMIT 1").format(
        sql.Identifier(of.storage.table_name),
        sql.SQL("WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""),
        sql.Literal(MOST_DRAWN - 1),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchone()
    return found[0] if found else None

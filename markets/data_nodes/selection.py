"""Which rows of a table a read wants, how many those will be, and the FROM and WHERE that find them quickly."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg import sql

from markets.data_nodes.storage import TableContract, time_index_name
from markets.engine.frames import TIME_INDEX
from markets.models import UpdateStatistic

Window = tuple[dt.datetime | None, dt.datetime | None]  # both inclusive
Bound = tuple[str, dt.datetime]  # an operand and an instant
# Microseconds, to weigh one way against the other: looking up an identity in the primary key; each row that it has
# there, on a page of its own where every day was appended alone; each row that a scan only passes by.
PROBE, PROBED_ROW, SCANNED_ROW = 4.0, 1.0, 0.15
MOST_IDENTITIES_NAMED = 500  # beyond, a scan compares each row with too many


@dataclass(frozen=True)
class Expected:
    """About how many rows, of how many identities, and whether to look each identity up by itself."""

    rows: float
    identities: int
    by_probes: bool


@dataclass(frozen=True)
class Selection:
    """`filters` dimension → values; `bounds` on the time of all rows."""

    contract: TableContract
    storage_id: int
    filters: Mapping[str, Sequence[str]]
    bounds: Sequence[Bound]

    def expected(self) -> Expected:
        """Judged by the statistics of the table, in one query. No identity: no row."""
        first, last = _outer(self.bounds)
        statement = sql.SQL(
            "SELECT count(*), sum(row_count), sum(row_count * CASE WHEN last_time_index > first_time_index THEN "
            "greatest(date_part('epoch', least(last_time_index, {last}) - greatest(first_time_index, {first})), 0) "
            "/ date_part('epoch', last_time_index - first_time_index) ELSE 1 END), "
            "EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass({index}) AND indrelid = to_regclass({table})) "
            "FROM {statistics} AS s WHERE {conditions}"
        ).format(
            first=sql.Literal(first),
            last=sql.Literal(last),
            index=sql.Literal(f'"{time_index_name(self.contract.table_name)}"'),
            table=sql.Literal(f'"{self.contract.table_name}"'),
            statistics=sql.Identifier(UpdateStatistic._meta.db_table),
            conditions=self._of_statistics(),
        )
        with connection.cursor() as cursor:
            cursor.execute(statement)
            identities, stored, share, has_time_index = cursor.fetchone()
        if not identities:
            return Expected(0, 0, by_probes=False)
        return _expected(self.contract, identities, float(stored), float(share), has_time_index=has_time_index)

    def source(self, *, by_probes: bool) -> sql.Composed:
        """FROM and WHERE of a statement that selects the rows as `t`."""
        dimensions = self.contract.identity_columns
        if not by_probes:
            conditions: list[sql.Composable] = [
                sql.SQL("t.{} = ANY ({}::text[])").format(sql.Identifier(name), sql.Literal(list(values)))
                for name, values in self.filters.items()
            ]
            conditions += _times(self.bounds, "t")
            return sql.SQL("FROM {} AS t{}").format(sql.Identifier(self.contract.table_name), _where(conditions))
        keys = [
            sql.SQL("r.{} = s.identity[{}]").format(sql.Identifier(name), sql.Literal(place))
            for place, name in enumerate(dimensions, start=1)
        ]
        return sql.SQL("FROM {} AS s CROSS JOIN LATERAL {} AS t WHERE {}").format(
            sql.Identifier(UpdateStatistic._meta.db_table),
            _probe(self.contract, [*keys, *_times(self.bounds, "r")]),
            self._of_statistics(),
        )

    def _of_statistics(self) -> sql.Composed:
        """The statistics of the identities that the filters keep and that have rows between their first and last."""
        conditions = [sql.SQL("s.storage_id = {}").format(sql.Literal(self.storage_id))]
        for name, values in self.filters.items():
            place = self.contract.identity_columns.index(name) + 1
            conditions.append(
                sql.SQL("s.identity[{}] = ANY ({}::text[])").format(sql.Literal(place), sql.Literal(list(values)))
            )
        for operand, instant in self.bounds:
            column = "last_time_index" if operand.startswith(">") else "first_time_index"
            conditions.append(
                sql.SQL("s.{} {} {}").format(sql.Identifier(column), sql.SQL(operand), sql.Literal(instant))
            )
        return sql.SQL(" AND ").join(conditions)


@dataclass(frozen=True)
class WindowedSelection:
    """A window of its own for each identity; `windows` holds those identities that have rows."""

    contract: TableContract
    windows: Mapping[tuple[str, ...], Window]
    bounds: Sequence[Bound]
    judged: Expected

    @classmethod
    def of(
        cls,
        contract: TableContract,
        windows: Mapping[tuple[str, ...], Window],
        bounds: Sequence[Bound],
        statistics: Mapping[tuple[str, ...], tuple[dt.datetime, dt.datetime, int]],
    ) -> "WindowedSelection":
        """`statistics` maps each identity to first time, last time and number of its rows."""
        first, last = _outer(bounds)
        stored = share = 0.0
        for identity, (start, end) in windows.items():
            since, until, count = statistics[identity]
            begin = max(filter(None, (since, start, first)))
            finish = min(filter(None, (until, end, last)))
            length = (until - since).total_seconds()
            covered = (finish - begin).total_seconds()
            stored += count
            share += count * max(covered / length if length else float(covered >= 0), 0.0)
        return cls(contract, windows, bounds, _expected(contract, len(windows), stored, share, has_time_index=False))

    def expected(self) -> Expected:
        return self.judged

    def source(self, *, by_probes: bool) -> sql.Composed:
        """FROM and WHERE of a statement that selects the rows as `t`."""
        dimensions = self.contract.identity_columns
        arrays: list[sql.Composable] = []
        names: list[sql.Composable] = []
        for place in range(len(dimensions)):
            arrays.append(sql.SQL("{}::text[]").format(sql.Literal([identity[place] for identity in self.windows])))
            names.append(sql.Identifier(f"identity_{place}"))
        for place, column in enumerate(("starts", "ends")):
            instants = [window[place] for window in self.windows.values()]
            arrays.append(sql.SQL("{}::timestamptz[]").format(sql.Literal(instants)))
            names.append(sql.Identifier(column))
        row = "r" if by_probes else "t"
        keys = [
            sql.SQL("{}.{} = w.{}").format(sql.Identifier(row), sql.Identifier(name), names[place])
            for place, name in enumerate(dimensions)
        ]
        conditions = _times(self.bounds, row)
        starts = [start for start, _ in self.windows.values() if start is not None]
        if len(starts) == len(self.windows):
            conditions.append(_time(row, ">=", sql.Literal(min(starts))))  # the planner skips what no identity wants
        conditions.append(_time(row, ">=", sql.SQL("coalesce(w.starts, '-infinity')")))
        conditions.append(_time(row, "<=", sql.SQL("coalesce(w.ends, 'infinity')")))
        wanted = sql.SQL("unnest({}) AS w({})").format(sql.SQL(", ").join(arrays), sql.SQL(", ").join(names))
        if by_probes:
            return sql.SQL("FROM {} CROSS JOIN LATERAL {} AS t").format(
                wanted, _probe(self.contract, [*keys, *conditions])
            )
        last = sorted({identity[-1] for identity in self.windows})
        if len(last) <= MOST_IDENTITIES_NAMED:  # lets the planner use the key
            conditions.append(
                sql.SQL("t.{} = ANY ({}::text[])").format(sql.Identifier(dimensions[-1]), sql.Literal(last))
            )
        return sql.SQL("FROM {} JOIN {} AS t ON {}{}").format(
            wanted, sql.Identifier(self.contract.table_name), sql.SQL(" AND ").join(keys), _where(conditions)
        )


AnySelection = Selection | WindowedSelection


def _expected(
    contract: TableContract, identities: int, stored: float, share: float, *, has_time_index: bool
) -> Expected:
    rows = share + identities  # an instant is no share of the time, and still has a row
    by_probes = (
        not has_time_index
        and bool(contract.identity_columns)
        and contract.key_columns[-1] == TIME_INDEX  # else the times are found together already
        and PROBE * identities + PROBED_ROW * rows <= SCANNED_ROW * stored
    )
    return Expected(rows, identities, by_probes)


def _probe(contract: TableContract, conditions: Sequence[sql.Composable]) -> sql.Composed:
    """One identity's rows by the primary key. OFFSET 0 keeps the planner from making a scan of it."""
    return sql.SQL("(SELECT * FROM {} AS r{} OFFSET 0)").format(sql.Identifier(contract.table_name), _where(conditions))


def _outer(bounds: Sequence[Bound]) -> Window:
    starts = [instant for operand, instant in bounds if operand.startswith(">")]
    ends = [instant for operand, instant in bounds if operand.startswith("<")]
    return max(starts, default=None), min(ends, default=None)


def _times(bounds: Sequence[Bound], row: str) -> list[sql.Composable]:
    return [_time(row, operand, sql.Literal(instant)) for operand, instant in bounds]


def _time(row: str, operand: str, instant: sql.Composable) -> sql.Composed:
    return sql.SQL("{}.{} {} {}").format(sql.Identifier(row), sql.Identifier(TIME_INDEX), sql.SQL(operand), instant)


def _where(conditions: Sequence[Any]) -> sql.Composable:
    return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")

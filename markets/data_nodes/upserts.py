"""Rows that may be stored already: staged in a temporary table, compared by key, written over where they differ."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection
from psycopg import sql

from markets.data_nodes.statistics import Identity, from_microseconds
from markets.data_nodes.storage import TableContract, copy_rows
from markets.engine.frames import TIME_INDEX, ValidFrame

STAGE = sql.Identifier("msm_staged_rows")


@dataclass(frozen=True)
class UpsertedIdentity:
    """What an upsert did to one identity: `written` counts its inserted and changed rows."""

    identity: Identity
    written: int
    first_written: dt.datetime
    inserted: int
    first_inserted: dt.datetime | None
    last_inserted: dt.datetime | None


@contextmanager
def staged(contract: TableContract, frame: ValidFrame) -> Iterator[None]:
    """The rows in a temporary table with the columns of their own, while the block lasts."""
    columns = _columns(contract)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                STAGE, _list(columns), sql.Identifier(contract.table_name)
            )
        )
    copy_rows(contract, frame, into=STAGE)
    yield  # after an error the transaction is over, and the table with it
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE {}").format(STAGE))


def existing_keys(contract: TableContract, *, most: int) -> tuple[list[tuple[str, ...]], int]:
    """The first staged keys that the table holds, their columns as text, and how many there are."""
    names = list(contract.key_columns)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ANALYZE {}").format(STAGE))  # how to join depends on the number of rows
        cursor.execute(
            sql.SQL(
                "SELECT {keys}, count(*) OVER () FROM {stage} AS s JOIN {table} AS t USING ({names}) "
                "ORDER BY {keys} LIMIT {most}"
            ).format(
                keys=_list(names, "s"),
                names=_list(names),
                stage=STAGE,
                table=sql.Identifier(contract.table_name),
                most=sql.Literal(most),
            )
        )
        rows = cursor.fetchall()
    keys = [tuple(_as_text(value) for value in row[:-1]) for row in rows]
    return keys, rows[0][-1] if rows else 0


def identities_differing(contract: TableContract, columns: Sequence[str]) -> set[Identity]:
    """The identities of staged rows that are not stored, or differ there in one of these columns."""
    differs = sql.SQL("({}) IS DISTINCT FROM ({})").format(_list(list(columns), "t"), _list(list(columns), "s"))
    first_key = contract.key_columns[0]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "SELECT DISTINCT {identities} true FROM {stage} AS s LEFT JOIN {table} AS t ON {matches} "
                "WHERE t.{key} IS NULL OR {differs}"
            ).format(
                identities=sql.SQL("").join(
                    sql.SQL("{}, ").format(sql.Identifier("s", name)) for name in contract.identity_columns
                ),
                stage=STAGE,
                table=sql.Identifier(contract.table_name),
                matches=sql.SQL(" AND ").join(
                    sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in contract.key_columns
                ),
                key=sql.Identifier(first_key),
                differs=differs,
            )
        )
        return {tuple(row[:-1]) for row in cursor.fetchall()}


def upsert_staged(contract: TableContract, *, replace: bool) -> list[UpsertedIdentity]:
    """Insert the staged rows in key order, or write them over stored ones that differ; what that did, by identity.

    Without `replace` stored rows stay as they are.
    """
    assert contract.columns is not None
    columns = _columns(contract)
    values = list(contract.columns)
    identities = [sql.SQL("{}").format(sql.Identifier(name)) for name in contract.identity_columns]
    grouped = sql.SQL(", ").join(identities)
    statement = sql.SQL(
        "WITH written AS (INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {stage} ORDER BY {keys} "
        "ON CONFLICT ({keys}) DO {otherwise} "
        "RETURNING {returned}, t.xmax = 0 AS inserted) "
        "SELECT {selected} count(*), count(*) FILTER (WHERE inserted), {first}, {first_inserted}, {last_inserted} "
        "FROM written {group}"
    ).format(
        table=sql.Identifier(contract.table_name),
        columns=_list(columns),
        stage=STAGE,
        keys=_list(list(contract.key_columns)),
        otherwise=_written_over(values) if replace else sql.SQL("NOTHING"),
        returned=_list(list(contract.key_columns), "t"),
        selected=sql.SQL("{},").format(grouped) if identities else sql.SQL(""),
        first=_microseconds("min({})"),
        first_inserted=_microseconds("min({}) FILTER (WHERE inserted)"),
        last_inserted=_microseconds("max({}) FILTER (WHERE inserted)"),
        group=sql.SQL("GROUP BY {0} ORDER BY {0}").format(grouped) if identities else sql.SQL("HAVING count(*) > 0"),
    )
    width = len(identities)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall()
    instants = {value: from_microseconds(value) for value in {time for row in rows for time in row[-3:]} - {None}}
    return [
        UpsertedIdentity(
            tuple(row[:width]), row[width], instants[row[-3]], row[width + 1], *map(instants.get, row[-2:])
        )
        for row in rows
    ]


def _microseconds(aggregate: str) -> sql.Composed:
    """An aggregate of the times as a number, microseconds since 1970: a driver is ten times as long at instants."""
    time = sql.SQL(aggregate).format(sql.Identifier(TIME_INDEX))
    return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(time)


def _written_over(values: list[str]) -> sql.Composed:
    return sql.SQL("UPDATE SET {settings} WHERE ({stored}) IS DISTINCT FROM ({proposed})").format(
        settings=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in values),
        stored=_list(values, "t"),
        proposed=_list(values, "excluded"),
    )


def _columns(contract: TableContract) -> list[str]:
    return [*contract.key_columns, *(contract.columns or {})]


def _list(names: list[str], row: str | None = None) -> sql.Composed:
    parts = [sql.Identifier(name) if row is None else sql.Identifier(row, name) for name in names]
    return sql.SQL(", ").join(parts)


def _as_text(value: object) -> str:
    return instant_text(value) if isinstance(value, dt.datetime) else str(value)


def instant_text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")

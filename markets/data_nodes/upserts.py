"""Rows that may be stored already: compared by key with what the table holds, written over it where they differ."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from psycopg import sql

from markets.data_nodes.stages import Stage
from markets.data_nodes.statistics import Identity
from markets.data_nodes.storage import TableContract
from markets.data_nodes.stored_statistics import from_microseconds
from markets.engine.dtypes import EPOCH_2000_US, NOT_A_TIME
from markets.engine.frames import TIME_INDEX


class UpsertedIdentity(NamedTuple):
    """What an upsert did to one identity: `written` counts its inserted and changed rows."""

    identity: Identity
    written: int
    first_written: dt.datetime
    inserted: int
    first_inserted: dt.datetime | None
    last_inserted: dt.datetime | None


def existing_keys(contract: TableContract, stage: Stage, *, most: int) -> tuple[list[tuple[str, ...]], int]:
    """The first staged keys that the table holds, their columns as text, and how many there are."""
    names = list(contract.key_columns)
    rows = stage.fetch(
        sql.SQL(
            "SELECT {keys}, count(*) OVER () FROM {stage} JOIN {table} AS t ON {matches} ORDER BY {keys} LIMIT {most}"
        ).format(
            keys=_list(names, "t"),
            matches=_same_key(contract),
            stage=stage.rows,
            table=sql.Identifier(contract.table_name),
            most=sql.Literal(most),
        )
    )
    keys = [tuple(_as_text(value) for value in row[:-1]) for row in rows]
    return keys, rows[0][-1] if rows else 0


def identities_differing(contract: TableContract, stage: Stage, columns: Sequence[str]) -> set[Identity]:
    """The identities of staged rows that are not stored, or differ there in one of these columns."""
    assert contract.columns is not None
    proposed = [_of_stage(name, is_text=contract.columns[name] == "string") for name in columns]
    rows = stage.fetch(
        sql.SQL(
            "SELECT DISTINCT {identities} true FROM {stage} LEFT JOIN {table} AS t ON {matches} "
            "WHERE t.{key} IS NULL OR ({stored}) IS DISTINCT FROM ({proposed})"
        ).format(
            identities=sql.SQL("").join(
                sql.SQL("{}, ").format(sql.Identifier("s", name)) for name in contract.identity_columns
            ),
            stage=stage.rows,
            table=sql.Identifier(contract.table_name),
            matches=_same_key(contract),
            key=sql.Identifier(contract.key_columns[0]),
            stored=_list(list(columns), "t"),
            proposed=sql.SQL(", ").join(proposed),
        )
    )
    return {tuple(row[:-1]) for row in rows}


def upsert_staged(
    contract: TableContract, stage: Stage, *, replace: bool, one_each: bool = False
) -> list[UpsertedIdentity]:
    """Insert the staged rows in key order, or write them over stored ones that differ; what that did, by identity.

    Without `replace` stored rows stay as they are. `one_each` tells that no identity has two staged rows.
    """
    assert contract.columns is not None
    columns = [*contract.key_columns, *contract.columns]
    identities = list(contract.identity_columns)
    statement = sql.SQL(
        "WITH written AS (INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {stage} {order} "
        'ON CONFLICT ({keys}) DO {otherwise} RETURNING {returned}, t.xmax = 0 AS "#new"), '
        "grouped AS (SELECT {selected} {counted} FROM written {group}) "
        "SELECT string_agg(int8send(\"#rows\"), ''), string_agg(int8send(\"#inserted\"), ''), {first}, "
        "{first_inserted}, {last_inserted} {parts} FROM grouped"
    ).format(
        table=sql.Identifier(contract.table_name),
        columns=_list(columns),
        stage=stage.rows,
        order=_in_key_order(contract) if stage.is_table else sql.SQL(""),  # parameters come in it
        keys=_list(list(contract.key_columns)),
        otherwise=_written_over(list(contract.columns)) if replace else sql.SQL("NOTHING"),
        returned=_list(list(contract.key_columns), "t"),
        selected=sql.SQL("").join(sql.SQL("{}, ").format(sql.Identifier(name)) for name in identities),
        counted=_COUNTED_ONE if one_each else _COUNTED,
        group=_grouped(identities, one_each=one_each),
        first=_packed_times("#first"),
        first_inserted=_packed_times("#first_inserted"),
        last_inserted=_packed_times("#last_inserted"),
        parts=sql.SQL("").join(sql.SQL(", json_agg({})::text").format(sql.Identifier(name)) for name in identities),
    )
    ((rows, inserted, first, first_inserted, last_inserted, *parts),) = stage.fetch(statement)
    if rows is None:
        return []
    counts = [np.frombuffer(packed, dtype=">i8").tolist() for packed in (rows, inserted)]
    names = [json.loads(part) for part in parts]
    found = list(zip(*names, strict=True)) if names else [()]
    return [
        UpsertedIdentity(*item)
        for item in zip(
            found,
            counts[0],
            [instant for instant in _instants(first) if instant is not None],  # every group has one
            counts[1],
            _instants(first_inserted),
            _instants(last_inserted),
            strict=True,
        )
    ]


_COUNTED = sql.SQL(
    'count(*) AS "#rows", count(*) FILTER (WHERE "#new") AS "#inserted", min(time_index) AS "#first", '
    'min(time_index) FILTER (WHERE "#new") AS "#first_inserted", '
    'max(time_index) FILTER (WHERE "#new") AS "#last_inserted"'
)
_COUNTED_ONE = sql.SQL(
    '1::bigint AS "#rows", "#new"::int::bigint AS "#inserted", time_index AS "#first", '
    'CASE WHEN "#new" THEN time_index END AS "#first_inserted", '
    'CASE WHEN "#new" THEN time_index END AS "#last_inserted"'
)


def _grouped(identities: list[str], *, one_each: bool) -> sql.Composable:
    if one_each:
        return sql.SQL("")
    if not identities:
        return sql.SQL("HAVING count(*) > 0")
    return sql.SQL("GROUP BY {0} ORDER BY {0}").format(_list(identities))


def _packed_times(name: str) -> sql.Composed:
    """The times of all groups as one value, nothing as minus infinity: a driver is ten times as long at instants."""
    return sql.SQL("string_agg(timestamptz_send(coalesce({}, '-infinity')), '')").format(sql.Identifier(name))


def _instants(packed: bytes) -> list[dt.datetime | None]:
    values = np.frombuffer(packed, dtype=">i8").tolist()
    known = {value: from_microseconds(value + EPOCH_2000_US) for value in set(values) if value != NOT_A_TIME}
    return [known.get(value) for value in values]


def _written_over(values: list[str]) -> sql.Composed:
    return sql.SQL("UPDATE SET {settings} WHERE ({stored}) IS DISTINCT FROM ({proposed})").format(
        settings=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in values),
        stored=_list(values, "t"),
        proposed=_list(values, "excluded"),
    )


def _in_key_order(contract: TableContract) -> sql.Composed:
    """So that two writers of the same rows cannot deadlock."""
    keys = (_of_stage(name, is_text=name != TIME_INDEX) for name in contract.key_columns)
    return sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(keys))


def _same_key(contract: TableContract) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("t.{} = {}").format(sql.Identifier(name), _of_stage(name, is_text=name != TIME_INDEX))
        for name in contract.key_columns
    )


def _of_stage(name: str, *, is_text: bool) -> sql.Composed:
    """A column of the stage; text is told its order, because it may come without one, as a parameter does."""
    return sql.SQL('{} COLLATE "C"' if is_text else "{}").format(sql.Identifier("s", name))


def _list(names: list[str], row: str | None = None) -> sql.Composed:
    parts = [sql.Identifier(name) if row is None else sql.Identifier(row, name) for name in names]
    return sql.SQL(", ").join(parts)


def _as_text(value: object) -> str:
    return instant_text(value) if isinstance(value, dt.datetime) else str(value)


def instant_text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")

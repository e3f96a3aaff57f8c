"""Rows of a frame where a statement can read them: as parameters of it, or many of them in a temporary table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection
from psycopg import pq, sql
from psycopg.adapt import Dumper

from markets.data_nodes.storage import TableContract, copy_rows, fields_of
from markets.engine.binary_arrays import ARRAY_OIDS, pack_array
from markets.engine.frames import TIME_INDEX, ValidFrame

ROWS_AS_PARAMETERS = 50_000  # up to about so many a table of their own costs more than it saves
TABLE = sql.Identifier("msm_staged_rows")
_PARAMETERS = "\x00"  # where they go in a statement; no name holds one


@dataclass(frozen=True)
class Stage:
    """`rows` is an item of FROM, named `s`, with the columns of the table; `parameters` are those that it needs."""

    rows: sql.Composable
    parameters: tuple[Any, ...]
    is_table: bool

    def fetch(self, statement: sql.Composed) -> list[tuple[Any, ...]]:
        """The rows that a statement returns which reads the stage once."""
        if self.is_table:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        raw = connection.connection
        text = statement.as_string(raw).replace("%", "%%")  # a column's name may hold one
        text = text.replace(_PARAMETERS, ", ".join(["%s"] * len(self.parameters)))
        with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
            for packed, dumper in _DUMPERS.items():
                cursor.adapters.register_dumper(packed, dumper)
            return cursor.execute(text, self.parameters).fetchall()


@contextmanager
def staged(contract: TableContract, frame: ValidFrame) -> Iterator[Stage]:
    """The rows while the block lasts; in a transaction that has written before, so that its author is known."""
    if len(frame) <= ROWS_AS_PARAMETERS:
        yield _as_parameters(contract, frame)
        return
    columns = [*contract.key_columns, *(contract.columns or {})]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
                TABLE, sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(contract.table_name)
            )
        )
    copy_rows(contract, frame, into=TABLE)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ANALYZE {}").format(TABLE))  # how to join depends on the number of rows
    yield Stage(sql.SQL("{} AS s").format(TABLE), (), is_table=True)  # after an error the table is gone anyway
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE {}").format(TABLE))


def _as_parameters(contract: TableContract, frame: ValidFrame) -> Stage:
    tokens = dict.fromkeys(contract.identity_columns, "string") | {TIME_INDEX: "timestamp with time zone"}
    tokens |= {column.name: column.token for column in frame.columns}
    names = [*contract.key_columns, *(column.name for column in frame.columns)]
    packed = [
        _PACKED[tokens[name]](pack_array(field, tokens[name]))
        for name, field in zip(names, fields_of(contract, frame), strict=True)
    ]
    rows = sql.SQL("unnest({}) AS s({})").format(sql.SQL(_PARAMETERS), sql.SQL(", ").join(map(sql.Identifier, names)))
    return Stage(rows, tuple(packed), is_table=False)


class _Packed:
    """An array that is packed already."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class _PackedDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: _Packed) -> bytes:
        return obj.data


_PACKED: dict[str, type[_Packed]] = {token: type("Packed", (_Packed,), {}) for token in ARRAY_OIDS}
_DUMPERS: dict[type[_Packed], type[Dumper]] = {
    _PACKED[token]: type("PackedDumper", (_PackedDumper,), {"oid": oid}) for token, oid in ARRAY_OIDS.items()
}

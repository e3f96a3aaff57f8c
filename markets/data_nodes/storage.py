"""The tables of DataNodes: made from a contract, appended to by binary COPY, on Django's own connection.

Why so: `docs/decisions/`. Rows arrive sorted by key, under one index; the primary key refuses an overlapping frame.
"""

from dataclasses import dataclass

import numpy as np
from django.db import IntegrityError, connection
from psycopg import sql
from psycopg.errors import UniqueViolation

from markets.engine.binary_copy import Field, FixedField, TextField, pack_rows
from markets.engine.dtypes import COLUMN_TYPES
from markets.engine.frames import TIME_INDEX, ValidFrame, ValueColumn, wire_dates, wire_times
from markets.exceptions import DuplicateKeys
from markets.models import StorageNode


@dataclass(frozen=True)
class TableContract:
    """`index_names` in frame order, `key_columns` in primary-key order, `columns` name → dtype token."""

    table_name: str
    index_names: tuple[str, ...]
    key_columns: tuple[str, ...]
    columns: dict[str, str] | None

    @property
    def identity_columns(self) -> tuple[str, ...]:
        return self.index_names[1:]

    @classmethod
    def of(cls, storage: StorageNode) -> "TableContract":
        columns = {column["column_name"]: column["dtype"] for column in storage.columns} or None
        return cls(storage.table_name, tuple(storage.index_names), tuple(storage.key_columns), columns)


def table_exists(table_name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"{table_name}"'])
        return bool(cursor.fetchone()[0])


def create_table(contract: TableContract) -> None:
    """CREATE TABLE without its primary key, which `add_primary_key` adds after the first load (1.6 times as fast)."""
    assert contract.columns is not None
    columns = [
        sql.SQL("{} {} NOT NULL").format(
            sql.Identifier(name),
            sql.SQL("timestamp with time zone" if name == TIME_INDEX else 'text COLLATE "C"'),
        )
        for name in contract.key_columns
    ] + [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(COLUMN_TYPES[token].sql))
        for name, token in contract.columns.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(contract.table_name), sql.SQL(", ").join(columns))
        )


def add_primary_key(contract: TableContract) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})").format(
                sql.Identifier(contract.table_name),
                sql.Identifier(f"{contract.table_name[:58]}_pkey"),
                sql.SQL(", ").join(map(sql.Identifier, contract.key_columns)),
            )
        )


def time_index_name(table_name: str) -> str:
    return f"{table_name[:55]}_by_time"


def ensure_time_index(contract: TableContract) -> None:
    """The second index, (time_index, identities …): made where it is missing, which locks out other writers."""
    name = time_index_name(contract.table_name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"{name}"'])
        if cursor.fetchone()[0]:
            return
        cursor.execute(
            sql.SQL("CREATE INDEX {} ON {} ({})").format(
                sql.Identifier(name),
                sql.Identifier(contract.table_name),
                sql.SQL(", ").join(map(sql.Identifier, contract.index_names)),
            )
        )


def append_rows(contract: TableContract, frame: ValidFrame) -> None:
    """COPY the rows, sorted by key, into the table; must run inside a transaction.

    Raises DuplicateKeys, naming the first key, when the table already holds one of them; then nothing was written.
    """
    try:
        copy_rows(contract, frame, into=sql.Identifier(contract.table_name))
    except (UniqueViolation, IntegrityError) as error:
        cause = error.__cause__ if isinstance(error, IntegrityError) else error
        if not isinstance(cause, UniqueViolation):
            raise
        detail = (cause.diag.message_detail or "").removeprefix("Key ")
        raise DuplicateKeys(
            f"{contract.table_name} already holds a key of the frame: {detail} Nothing was written."
        ) from error


def copy_rows(contract: TableContract, frame: ValidFrame, *, into: sql.Identifier) -> None:
    """Binary COPY of the rows into a table that has the contract's columns."""
    order = [*contract.key_columns, *(column.name for column in frame.columns)]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        into, sql.SQL(", ").join(map(sql.Identifier, order))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in pack_rows(fields_of(contract, frame), len(frame)):
            copy.write(chunk)


def fields_of(contract: TableContract, frame: ValidFrame) -> list[Field]:
    """The columns of the frame as they are packed: those of the key in its order, then the values."""
    by_name: dict[str, Field] = {TIME_INDEX: FixedField(wire_times(frame.times), ">i8")}
    for level in frame.levels:
        by_name[level.name] = TextField(level.codes, level.labels)
    return [by_name[name] for name in contract.key_columns] + [_value_field(column) for column in frame.columns]


def _value_field(column: ValueColumn) -> Field:
    if column.token == "string":
        assert column.labels is not None
        return TextField(column.values, column.labels, column.is_null)
    values = column.values
    if column.token == "timestamp with time zone":
        values = wire_times(np.where(column.is_null, 0, values) if column.is_null is not None else values)
    elif column.token == "date":
        values = wire_dates(values)
    wire = COLUMN_TYPES[column.token].wire
    assert wire is not None
    return FixedField(values, wire, column.is_null)

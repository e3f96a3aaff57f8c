"""Reads rows by binary COPY on Django's own connection, which sees what its transaction has written."""

from collections.abc import Mapping

import numpy as np
from django.db import connection
from psycopg import sql

from markets.data_nodes.storage import TableContract
from markets.engine.binary_rows import RowBatch, unpack_rows
from markets.engine.dtypes import EPOCH_2000_DAYS, EPOCH_2000_US, INTEGERS, NOT_A_TIME
from markets.engine.frame_building import NOT_A_DATE, FrameBuilder, Values
from markets.engine.frames import TIME_INDEX

FIXED = {  # token → (SQL that never gives null, wire dtype)
    "float64": ("coalesce({0}::float8, 'NaN')", ">f8"),
    "float32": ("coalesce({0}::float4, 'NaN')", ">f4"),
    "int64": ("coalesce({0}::bigint, 0)", ">i8"),
    "int32": ("coalesce({0}::integer, 0)", ">i4"),
    "int16": ("coalesce({0}::smallint, 0::smallint)", ">i2"),
    "bool": ("coalesce({0}::integer, -1)::smallint", ">i2"),
    "timestamp with time zone": ("coalesce({0}, '-infinity'::timestamptz)", ">i8"),
    "date": ("coalesce({0}, '-infinity'::date)", ">i4"),
}


def read_by_copy(contract: TableContract, wanted: Mapping[str, str], source: sql.Composed, into: FrameBuilder) -> None:
    """Add the rows `t` of `source`, with these columns (name → token), to the builder."""
    selected: list[sql.Composable] = [sql.SQL("t.{}").format(sql.Identifier(TIME_INDEX))]
    texts: list[sql.Composable] = [
        sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in contract.identity_columns
    ]
    wires = [">i8"]
    for name, token in wanted.items():
        column = sql.SQL("t.{}").format(sql.Identifier(name))
        if token == "string":
            texts.append(sql.SQL("{}::text").format(column))
            continue
        expression, wire = FIXED[token]
        selected.append(sql.SQL(expression).format(column))
        wires.append(wire)
        if token in INTEGERS:
            selected.append(sql.SQL("({} IS NULL)").format(column))
            wires.append("u1")
    statement = sql.SQL("COPY (SELECT {} {}) TO STDOUT (FORMAT binary)").format(
        sql.SQL(", ").join([*selected, *texts]), source
    )
    levels = len(contract.identity_columns)
    # Django wraps the errors of execute() alone
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for batch in unpack_rows(copy, wires, len(texts)):
            into.add(batch.fixed[0] + EPOCH_2000_US, batch.texts[:levels], _values(batch, wanted, levels))


def _values(batch: RowBatch, wanted: Mapping[str, str], levels: int) -> dict[str, Values]:
    fixed, texts = iter(batch.fixed[1:]), iter(batch.texts[levels:])
    values: dict[str, Values] = {}
    for name, token in wanted.items():
        if token == "string":
            values[name] = next(texts), None
            continue
        array = next(fixed)
        if token in INTEGERS:
            missing = next(fixed).astype(bool)
            values[name] = array, missing if missing.any() else None
        elif token == "bool":
            missing = array < 0
            values[name] = array > 0, missing if missing.any() else None
        elif token == "timestamp with time zone":
            values[name] = np.where(array == NOT_A_TIME, NOT_A_TIME, array + EPOCH_2000_US), None
        elif token == "date":
            values[name] = np.where(array == NOT_A_DATE, NOT_A_DATE, array + np.int32(EPOCH_2000_DAYS)), None
        else:
            values[name] = array, None
    return values

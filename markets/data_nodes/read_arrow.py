"""Reads many rows at the server's own speed: by ADBC into Arrow, on a connection of its own.

That connection sees what is committed, and nothing else: a read inside a transaction takes the other way, `read_copy`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from adbc_driver_manager import Error as DriverError
from adbc_driver_postgresql import dbapi
from django.db import connection
from psycopg import sql
from psycopg.conninfo import make_conninfo

from markets.data_nodes.storage import TableContract
from markets.engine.dtypes import COLUMN_TYPES, NOT_A_TIME
from markets.engine.frame_building import NOT_A_DATE, FrameBuilder, Values
from markets.engine.frames import TIME_INDEX

logger = logging.getLogger("msm.nodes.reads")


def sees_all() -> bool:
    """Whether another connection sees what this one does: not while this one is in a transaction."""
    return not connection.in_atomic_block and connection.get_autocommit()


def read_by_arrow(contract: TableContract, wanted: Mapping[str, str], source: sql.Composed, into: FrameBuilder) -> bool:
    """Add the rows `t` of `source`, with these columns (name → token), to the builder; whether that was possible.

    False when the server takes no further connection or this one broke: then the builder is of no more use.
    """
    names = [TIME_INDEX, *contract.identity_columns, *wanted]
    tokens = ["timestamp with time zone", *["string"] * (len(names) - len(wanted) - 1), *wanted.values()]
    selected = [
        sql.SQL("t.{}::{}").format(sql.Identifier(name), sql.SQL(COLUMN_TYPES[token].sql.split(" COLLATE")[0]))
        for name, token in zip(names, tokens, strict=True)
    ]
    connection.ensure_connection()
    statement = sql.SQL("SELECT {} {}").format(sql.SQL(", ").join(selected), source).as_string(connection.connection)
    levels = len(contract.identity_columns)
    try:
        for batch in _batches(statement):
            columns = [batch.column(place) for place in range(batch.num_columns)]
            values = {
                name: _values(array, token)
                for (name, token), array in zip(wanted.items(), columns[1 + levels :], strict=True)
            }
            into.add(_values(columns[0], tokens[0])[0], columns[1 : 1 + levels], values)
    except DriverError as error:
        logger.warning("a large read goes by COPY, because its own connection failed: %s", error)
        return False
    return True


def _batches(statement: str) -> Iterator[pa.RecordBatch]:
    with _own_connection() as own, own.cursor() as cursor:
        cursor.execute(statement)
        yield from cursor.fetch_record_batch()


@contextmanager
def _own_connection() -> Iterator[dbapi.Connection]:
    """A connection like Django's: same server, database, user, search path and role."""
    info = connection.connection.info
    parameters = info.get_parameters()
    if info.password:
        parameters["password"] = info.password
    with dbapi.connect(make_conninfo(**parameters), autocommit=True) as own:
        role = connection.settings_dict["OPTIONS"].get("assume_role")
        if role:
            with own.cursor() as cursor:
                cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)).as_string(connection.connection))
        yield own


def _values(array: pa.Array, token: str) -> Values:
    """The array's values in memory of their own: an Arrow batch is only freed as a whole."""
    if token == "string":
        return array.cast(pa.large_string()), None
    if token == "timestamp with time zone":
        return _filled(array.cast(pa.int64()), NOT_A_TIME), None
    if token == "date":
        return _filled(array.cast(pa.int32()), NOT_A_DATE), None
    if token in ("float64", "float32"):
        return _filled(array, np.nan), None
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    return _filled(array, 0 if token != "bool" else False), missing


def _filled(array: pa.Array, missing: float) -> np.ndarray:
    if array.null_count:
        array = array.fill_null(missing)
    return np.array(array.to_numpy(zero_copy_only=False))

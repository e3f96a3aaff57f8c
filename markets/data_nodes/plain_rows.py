"""Small queries that every run and every read begins with, at a third of the cost that Django's have."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from django.db import connection, models
from django.db.backends.utils import CursorWrapper
from psycopg import pq

Row = TypeVar("Row", bound=models.Model)


class _Prepared(psycopg.Cursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> "_Prepared":
        return super().execute(query, params, **{"prepare": True, **options})


@contextmanager
def prepared_cursor(*, binary: bool = False) -> Iterator[CursorWrapper]:
    """A cursor for reading and locking. The server plans its statements once a connection, which is most of their time.

    With `binary` bytes come as they are, not in hexadecimal. Parameters go apart from the text, so each needs a type
    where the statement does not tell one. Statements that write go by `connection.cursor()`: what is said of their
    author comes in the same message.
    """
    connection.ensure_connection()
    own: Any = _Prepared(connection.connection)
    own.format = pq.Format.BINARY if binary else pq.Format.TEXT
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(own) as cursor:
        yield cursor


def plain_row(model: type[Row], column: str, value: Any) -> Row | None:
    """The model's row with this value in a unique column of the same name, None where there is none."""
    statement, names, converters = _query(model, column)
    with prepared_cursor() as cursor:
        cursor.execute(statement, [value])
        row = cursor.fetchone()
    if row is None:
        return None
    values = [
        item if convert is None else convert(item, None, connection)
        for item, convert in zip(row, converters, strict=True)
    ]
    return model.from_db(connection.alias, names, values)


@functools.cache
def _query(model: type[models.Model], column: str) -> tuple[str, list[str], list[Any]]:
    fields = model._meta.concrete_fields
    if not getattr(model._meta.get_field(column), "unique", False):
        raise ValueError(f"{model.__name__}.{column} is not unique.")
    columns = ", ".join(f'"{field.column}"' for field in fields)
    statement = f'SELECT {columns} FROM "{model._meta.db_table}" WHERE "{column}" = %s'
    return statement, [field.attname for field in fields], [getattr(field, "from_db_value", None) for field in fields]

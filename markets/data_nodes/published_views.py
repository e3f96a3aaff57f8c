"""A view in the database for each published table of the engine, named after its identifier: for SQL and BI tools."""

import logging

from django.db import DatabaseError, connection, transaction
from psycopg import sql

from markets.models import StorageNode

logger = logging.getLogger("msm.nodes.views")
LONGEST_NAME = 63  # bytes: PostgreSQL cuts longer names silently


def publish_view(storage: StorageNode, *, previous_identifier: str | None) -> None:
    """Make the view of a table that has rows by now, and remove the one under the name that it had before.

    A name that something else in the database has, or that is too long for one, gets no view: the run's log tells.
    Tables owned by a migration have a name of their own and no view, which would keep them from being altered.
    """
    if not storage.is_engine_table or not storage.columns:
        return
    mark = f"msm {storage.storage_hash}"
    name = storage.identifier
    if previous_identifier and previous_identifier != name and _owner(previous_identifier) == mark:
        _retire(previous_identifier, name)
    if not name:
        return
    if len(name.encode()) > LONGEST_NAME:
        logger.warning("%s has no view: its identifier is longer than the %s bytes of a name.", name, LONGEST_NAME)
        return
    owner = _owner(name)
    if owner not in (None, mark):
        logger.warning("%s has no view: the database has something else of that name.", name)
        return
    columns = [*storage.index_names, *(column["column_name"] for column in storage.columns)]
    view = sql.Identifier(name)
    _execute(
        sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {}").format(
            view, sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(storage.table_name)
        )
    )
    _execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(mark)))


def _retire(previous: str, name: str | None) -> None:
    """Give the view its new name, which views that people built on it survive; without one, or a free one, drop it."""
    old = sql.Identifier(previous)
    if name and len(name.encode()) <= LONGEST_NAME and _owner(name) is None:
        _execute(sql.SQL("ALTER VIEW {} RENAME TO {}").format(old, sql.Identifier(name)))
        return
    try:
        with transaction.atomic():
            _execute(sql.SQL("DROP VIEW {}").format(old))
    except DatabaseError as error:
        logger.warning("the view %s stays: %s", previous, str(error).strip().splitlines()[0])


def _owner(name: str) -> str | None:
    """None where the name is free, the comment of a view, "" for anything else."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relkind = 'v', coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class AS c "
            "WHERE c.oid = to_regclass(quote_ident(%s))",
            [name],
        )
        found = cursor.fetchone()
    if found is None:
        return None
    is_view, comment = found
    return comment if is_view else ""


def _execute(statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)

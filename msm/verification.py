"""Compares the tables that the engine is asked for with those that the database has; it creates and alters nothing."""

import re
from collections.abc import Collection, Iterator, Mapping

from django.conf import settings
from django.db import OperationalError, connection, models

from markets import namespaces
from markets.exceptions import NotFound

_TEXT = re.compile(r"character varying(?:\((\d+)\))?|text")


def verify(wanted: Mapping[str, type[models.Model]], *, columns: bool, timeout: float | None) -> None:
    """That every table is there, and when `columns` that each has the columns and types that MSM reads and writes.

    Raises NotFound listing everything that is missing or different, ConnectionError when nothing answers.
    """
    tables = sorted({model._meta.db_table for model in wanted.values()})
    try:
        with _patience(timeout):
            found = _stored_columns(tables)
    except OperationalError as error:
        where = "DATABASE_URL" if settings.DATABASE_URL else "MSM_DATA_DIR"
        said = " ".join(str(error).split())
        raise ConnectionError(f"The database cannot be reached ({said}). Check {where}.") from error
    namespace = namespaces.current()
    missing = [table for table in tables if table not in found]
    if missing:
        place = f"The namespace {namespace}" if namespace else "The database"
        is_absent = namespace and not namespaces.schema_exists(namespace)
        lacks = "does not exist, and so no table" if is_absent else "has no table"
        raise NotFound(f"{place} {lacks} {', '.join(missing)}. {_remedy(namespace, external=columns)}")
    if columns:
        faults = [fault for model in wanted.values() for fault in _faults(model, found[model._meta.db_table])]
        if faults:
            raise NotFound(
                f"The tables are not those that MSM works with: {'; '.join(faults)}. "
                "Whoever administers them brings them up to date; MSM changed nothing."
            )


def _remedy(namespace: str, *, external: bool) -> str:
    if external:
        return "Whoever administers the tables makes them; with external_registered MSM makes none."
    command = f"migrate_namespace {namespace}" if namespace else "migrate"
    return f"Create them: .venv/bin/python manage.py {command}"


class _patience:
    """The connection attempt of the block may take so many seconds."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.options = connection.settings_dict["OPTIONS"]
        self.before = self.options.get("connect_timeout")

    def __enter__(self) -> None:
        if self.seconds is not None:
            self.options["connect_timeout"] = max(1, round(self.seconds))

    def __exit__(self, *_: object) -> None:
        if self.seconds is not None:
            self.options.pop("connect_timeout")
            if self.before is not None:
                self.options["connect_timeout"] = self.before


def _stored_columns(tables: Collection[str]) -> dict[str, dict[str, tuple[str, bool]]]:
    """Table → column → (type, whether a row cannot be written without it), of what the search path shows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), "
            "a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' "
            "FROM pg_class AS c LEFT JOIN pg_attribute AS a "
            "ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid)",
            [list(tables)],
        )
        found: dict[str, dict[str, tuple[str, bool]]] = {}
        for table, column, stored_type, needed in cursor.fetchall():
            columns = found.setdefault(table, {})
            if column is not None:
                columns[column] = (stored_type, needed)
    return found


def _faults(model: type[models.Model], stored: Mapping[str, tuple[str, bool]]) -> Iterator[str]:
    table = model._meta.db_table
    known = set()
    for field in model._meta.concrete_fields:
        expected = field.db_type(connection)
        if expected is None:
            continue  # a composite key, whose columns come themselves
        known.add(field.column)
        found, _ = stored.get(str(field.column), (None, False))
        if found is None:
            yield f"{table} has no column {field.column} ({_spelt(expected)})"
        elif not _compatible(_spelt(expected), found):
            yield f"{table}.{field.column} is {found}, not {_spelt(expected)}"
    for column, (stored_type, needed) in stored.items():
        if needed and column not in known:
            yield f"{table}.{column} ({stored_type}) must be filled, and MSM does not know it"


def _spelt(django_type: str) -> str:
    """A type of Django's as PostgreSQL spells it."""
    return django_type.replace("varchar", "character varying").replace(", ", ",")


def _compatible(expected: str, stored: str) -> bool:
    wanted, found = _TEXT.fullmatch(expected), _TEXT.fullmatch(stored)
    if wanted is None or found is None:
        return expected == stored
    longest = found.group(1)
    return longest is None or (wanted.group(1) is not None and int(longest) >= int(wanted.group(1)))

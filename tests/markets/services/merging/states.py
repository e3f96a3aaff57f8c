"""What the tables hold, for comparing before and after."""

from typing import Any

from django.apps import apps
from django.db import connection

UNTOLD = ("updated_at", "created_at")
# Records that grow by design, and the engine's own keys of statistics.
LEFT_OUT = (
    *("markets_change", "markets_assetmerge", "markets_assetmergestep", "markets_assetmergerows"),
    *("markets_updatestatistic", "markets_noderun", "django_session", "auth_permission", "django_content_type"),
)


def everything() -> dict[str, list[str]]:
    """Table → its rows as JSON without timestamps, of the registry, the statistics and the engine's tables."""
    tables = [model._meta.db_table for model in apps.get_models() if model._meta.db_table not in LEFT_OUT]
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(r"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'dn\_%'")
        tables += [name for (name,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f'SELECT (to_jsonb(t) - %s::text[])::text FROM "{table}" AS t', [list(UNTOLD)])
            found[table] = sorted(text for (text,) in cursor.fetchall())
    found["statistics"] = statistics()
    return found


def statistics() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (to_jsonb(t) - ARRAY['id', 'updated_at'])::text FROM markets_updatestatistic AS t")
        return sorted(text for (text,) in cursor.fetchall())


def recounted() -> list[tuple[Any, ...]]:
    """Table, identity, first, last and number, of all statistics: as kept, where they differ from the rows."""
    wrong = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.table_name, s.index_names, u.identity, u.first_time_index, u.last_time_index, u.row_count, "
            "a.unique_identifier FROM markets_updatestatistic AS u "
            "JOIN markets_storagenode AS s ON s.id = u.storage_id "
            "LEFT JOIN markets_asset AS a ON a.id = u.asset_id"
        )
        for table, names, identity, first, last, number, owner in cursor.fetchall():
            conditions = " AND ".join(f'"{name}" = %s' for name in names[1:])
            cursor.execute(
                f'SELECT min(time_index), max(time_index), count(*) FROM "{table}" WHERE {conditions}', identity
            )
            if cursor.fetchone() != (first, last, number) or owner not in (None, *identity):
                wrong.append((table, identity, first, last, number, owner))
    return wrong


def differing(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, Any]:
    return {
        table: (sorted(set(before[table]) - set(rows))[:3], sorted(set(rows) - set(before[table]))[:3])
        for table, rows in after.items()
        if before[table] != rows
    }

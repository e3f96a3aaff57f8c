"""Circles in the stored edges: what a walk over `dependencies()` cannot see, because a table is read by identifier.

Only edges to tables of the engine count. A table that a migration owns has many writers, each with a part of its own,
so that an edge to every one of them says too much.
"""

from collections.abc import Sequence

from django.db import connection

from markets.exceptions import DependencyCycleError
from markets.models import NodeUpdate, StorageNode

_EDGES = f"""
    SELECT edge.from_nodeupdate_id AS reader, edge.to_nodeupdate_id AS source
    FROM "{NodeUpdate.dependencies.through._meta.db_table}" AS edge
    JOIN "{NodeUpdate._meta.db_table}" AS written ON written.id = edge.to_nodeupdate_id
    JOIN "{StorageNode._meta.db_table}" AS storage ON storage.id = written.storage_id AND storage.is_engine_table
"""


def closes_circle(update: NodeUpdate, sources: Sequence[NodeUpdate]) -> bool:
    """Whether the update is among those that `sources`, which it is about to read, rest on."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE edges AS ({_EDGES}), below AS (
                SELECT u.id AS source FROM "{NodeUpdate._meta.db_table}" AS u
                JOIN "{StorageNode._meta.db_table}" AS storage ON storage.id = u.storage_id AND storage.is_engine_table
                WHERE u.id = ANY(%s)
                UNION SELECT edges.source FROM below JOIN edges ON edges.reader = below.source
            )
            SELECT EXISTS (SELECT FROM below WHERE source = %s)
            """,
            [[source.pk for source in sources], update.pk],
        )
        return bool(cursor.fetchone()[0])


def refuse_circle(update: NodeUpdate, sources: Sequence[NodeUpdate]) -> None:
    """Raises DependencyCycleError naming the shortest circle that reading `sources` would put the update in."""
    if not closes_circle(update, sources):
        return
    with connection.cursor() as cursor:
        cursor.execute(_EDGES)
        edges: dict[int, list[int]] = {}
        for reader, source in cursor.fetchall():
            edges.setdefault(reader, []).append(source)
    edges[update.pk] = [source.pk for source in sources if source.storage.is_engine_table]
    paths = [[update.pk]]
    seen: set[int] = set()
    while paths:
        path = paths.pop(0)
        for source in edges.get(path[-1], []):
            if source == update.pk:
                names = dict(NodeUpdate.objects.filter(pk__in=path).values_list("pk", "update_hash"))
                circle = " → ".join(names[key] for key in [*path, source])
                raise DependencyCycleError(
                    f"DataNodes depend on each other in a circle, one of them by identifier: {circle}. Take one of "
                    "these dependencies out."
                )
            if source not in seen:
                seen.add(source)
                paths.append([*path, source])

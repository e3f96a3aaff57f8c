"""The tail of a table: its rows from an instant on. It can be looked past, and deleted with its statistics."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from django.db import connection
from django.db.models.expressions import RawSQL
from psycopg import sql

from markets.data_nodes.progress import lock_progress
from markets.data_nodes.reads import IdentityRange, identifiers, read_frame
from markets.data_nodes.sealing import unseal
from markets.data_nodes.statistics import Identity, UpdateStatistics
from markets.data_nodes.storage import TableContract
from markets.exceptions import InvalidInput
from markets.models import StorageNode, UpdateStatistic

if TYPE_CHECKING:
    from markets.data_nodes.node import DataNode

DimensionFilters = Mapping[str, Sequence[str]]
RESOLUTION = dt.timedelta(microseconds=1)
LATEST = dt.datetime(2262, 1, 1, tzinfo=dt.UTC)  # later than any row


@dataclass(frozen=True)
class DeletedTail:
    """What `delete_tail` did. `identities` maps each identity that lost rows to how many."""

    deleted_count: int
    table_empty: bool
    identities: dict[Identity, int]


def refuse_shared_tables(nodes: "Iterable[DataNode]") -> None:
    """Raise InvalidInput where computing again would delete rows of other writers: of services, and of other nodes."""
    for node in nodes:
        if node.model is not None and not node.statistics_scope():
            name = type(node).__name__
            raise InvalidInput(
                f"{name} shares the table {node.model._meta.db_table} with other writers and does not tell which rows "
                f"are its own, so they cannot be deleted and computed again. Let {name}.statistics_scope() tell, such "
                f"as {{{node.index_names[-1]!r}: …}}. Nothing was deleted."
            )


def rewound(
    statistics: UpdateStatistics, storage: StorageNode, since: dt.datetime, scope: Mapping[str, str]
) -> UpdateStatistics:
    """The statistics as they would be without the rows at or after `since`. `scope` is that of the statistics."""
    before = _last_before(storage, since, {name: [value] for name, value in scope.items()})
    places = [place for place, name in enumerate(storage.index_names[1:]) if name not in scope]
    progress, first = dict(statistics.index_progress), dict(statistics.index_min)
    counts = dict(statistics.row_counts)
    for identity, last in before.items():
        remaining = tuple(identity[place] for place in places)
        key: Any = remaining[0] if len(remaining) == 1 else remaining
        if last is None:
            for known in (progress, first, counts):
                known.pop(key, None)
        else:
            progress[key] = last
    return replace(
        statistics,
        index_progress=progress,
        index_min=first,
        row_counts=counts,
        max_time_index_value=max(progress.values(), default=None),
    )


def read_last_before(
    storage: StorageNode,
    instant: dt.datetime,
    *,
    dimension_filters: DimensionFilters | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The last row at or before the instant of each identity that the filters keep, as `read_frame` gives rows.

    One index probe for each identity that went on since; the statistics tell the others'.
    """
    until = min(instant, LATEST) + RESOLUTION
    rows = _statistics(storage, None, dimension_filters).filter(first_time_index__lt=until)
    last: dict[Identity, dt.datetime | None] = {
        tuple(identity): time for identity, time in rows.values_list("identity", "last_time_index")
    }
    last |= _last_before(storage, until, dimension_filters)
    if not storage.index_names[1:]:
        at = last.get(()) or LATEST  # no row is as late as that
        return read_frame(storage, start_date=at, end_date=at, columns=columns)
    windows: dict[Any, IdentityRange] = {
        identity: {"start_date": time, "end_date": time} for identity, time in last.items() if time is not None
    }
    return read_frame(storage, range_map=windows, columns=columns)


def delete_tail(
    storage: StorageNode,
    since: dt.datetime,
    filters: DimensionFilters | None = None,
    identities: Collection[Identity] | None = None,
) -> DeletedTail:
    """Delete the rows at or after `since`, of the identities that the filters keep, and mend the statistics.

    `identities` keeps to these among them; none of them deletes nothing.

    Must run in a transaction. Raises InvalidInput for an unknown dimension.
    """
    contract = TableContract.of(storage)
    lock_progress(storage, alone=True)
    rows = _statistics(storage, since, filters, identities).select_for_update().order_by("identity")
    known: dict[Identity, tuple[int, int]] = {
        tuple(identity): (pk, count) for identity, pk, count in rows.values_list("identity", "pk", "row_count")
    }
    if not known:
        return DeletedTail(0, not UpdateStatistic.objects.filter(storage=storage).exists(), {})
    gone = _delete_rows(contract, since, list(known))
    before = _last_before(storage, since, filters, identities)
    emptied = [known[identity][0] for identity in gone if before.get(identity) is None]
    UpdateStatistic.objects.filter(pk__in=emptied).delete()
    kept = [identity for identity in gone if before.get(identity) is not None]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE "{UpdateStatistic._meta.db_table}" AS s
            SET last_time_index = t.last, row_count = t.row_count, updated_at = clock_timestamp()
            FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) AS t(id, last, row_count) WHERE s.id = t.id
            """,
            [
                [known[identity][0] for identity in kept],
                [before[identity] for identity in kept],
                [known[identity][1] - gone[identity] for identity in kept],
            ],
        )
    if gone:
        unseal(storage, since, None)
    is_empty = not UpdateStatistic.objects.filter(storage=storage).exists()
    return DeletedTail(sum(gone.values()), is_empty, gone)


def _delete_rows(contract: TableContract, since: dt.datetime, identities: list[Identity]) -> dict[Identity, int]:
    names = contract.identity_columns
    parts = [sql.Identifier(f"part{place}") for place in range(len(names))]
    using: sql.Composable = sql.SQL("")
    matches = [sql.SQL("t.time_index >= {}").format(sql.Literal(since))]
    if names:
        arrays = [
            sql.SQL("{}::text[]").format(sql.Literal([identity[place] for identity in identities]))
            for place in range(len(names))
        ]
        using = sql.SQL("USING unnest({}) AS i({})").format(sql.SQL(", ").join(arrays), sql.SQL(", ").join(parts))
        matches += [
            sql.SQL("t.{} = i.{}").format(sql.Identifier(name), part) for name, part in zip(names, parts, strict=True)
        ]
    returned = sql.SQL(", ").join([*(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names), sql.SQL("1")])
    columns = sql.SQL("").join(sql.SQL("{}, ").format(sql.Identifier(name)) for name in names)
    group = sql.SQL("GROUP BY {}").format(sql.SQL(", ").join(map(sql.Identifier, names))) if names else sql.SQL("")
    statement = sql.SQL(
        "WITH gone AS (DELETE FROM {table} AS t {using} WHERE {matches} RETURNING {returned}) "
        "SELECT {columns}count(*) FROM gone {group}"
    ).format(
        table=sql.Identifier(contract.table_name),
        using=using,
        matches=sql.SQL(" AND ").join(matches),
        returned=returned,
        columns=columns,
        group=group,
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return {tuple(row[:-1]): row[-1] for row in cursor.fetchall() if row[-1]}


def _statistics(
    storage: StorageNode,
    since: dt.datetime | None,
    filters: DimensionFilters | None,
    identities: Collection[Identity] | None = None,
) -> Any:
    rows = UpdateStatistic.objects.filter(storage=storage)
    if identities is not None:
        rows = rows.filter(pk__in=_statistics_of(storage, identities))
    if since is not None:
        rows = rows.filter(last_time_index__gte=since)
    dimensions = storage.index_names[1:]
    for name, values in (filters or {}).items():
        if name not in dimensions:
            raise InvalidInput(
                f"{storage} has no dimension {name!r}; its dimensions are {', '.join(dimensions) or 'none'}.",
                field="dimension_filters",
            )
        rows = rows.filter(**{f"identity__{dimensions.index(name)}__in": identifiers(values, name)})
    return rows


def _statistics_of(storage: StorageNode, identities: Collection[Identity]) -> RawSQL:
    """The ids of the identities' statistics. Thousands of arrays after IN exceed the depth of PostgreSQL's stack."""
    places = range(len(storage.index_names) - 1)
    arrays = ", ".join("%s::text[]" for _ in places)
    names = ", ".join(f"part{place}" for place in places)
    matches = " AND ".join(f"s.identity[{place + 1}] = i.part{place}" for place in places)
    return RawSQL(  # noqa: S611 - made of numbers; every value is a parameter
        f'SELECT s.id FROM "{UpdateStatistic._meta.db_table}" AS s JOIN unnest({arrays}) AS i({names}) ON {matches} '
        "WHERE s.storage_id = %s",
        [*([identity[place] for identity in identities] for place in places), storage.pk],
    )


def _last_before(
    storage: StorageNode,
    since: dt.datetime,
    filters: DimensionFilters | None,
    identities: Collection[Identity] | None = None,
) -> dict[Identity, dt.datetime | None]:
    """Of each identity that has rows at or after `since`, the last instant before it; one index probe each."""
    rows = _statistics(storage, since, filters, identities)
    found = [tuple(identity) for identity in rows.values_list("identity", flat=True)]
    if not found or not storage.columns:
        return {}
    names = storage.index_names[1:]
    probe = sql.SQL("SELECT t.time_index FROM {table} AS t WHERE {matches} ORDER BY t.time_index DESC LIMIT 1").format(
        table=sql.Identifier(storage.table_name),
        matches=sql.SQL(" AND ").join(
            [
                sql.SQL("t.time_index < {}").format(sql.Literal(since)),
                *(
                    sql.SQL("t.{} = i.{}").format(sql.Identifier(name), sql.Identifier(f"part{place}"))
                    for place, name in enumerate(names)
                ),
            ]
        ),
    )
    arrays = [
        sql.SQL("{}::text[]").format(sql.Literal([identity[place] for identity in found]))
        for place in range(len(names))
    ]
    source = (
        sql.SQL("unnest({}) WITH ORDINALITY AS i({}, place)").format(
            sql.SQL(", ").join(arrays),
            sql.SQL(", ").join(sql.Identifier(f"part{place}") for place in range(len(names))),
        )
        if names
        else sql.SQL("(SELECT 1 AS place) AS i")
    )
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT i.place, ({}) FROM {}").format(probe, source))
        return {found[place - 1]: last for place, last in cursor.fetchall()}

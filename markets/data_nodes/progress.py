"""The progress of a table's identities in the database: read, locked, and kept by whoever writes rows."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db import connection, transaction

from markets import locks
from markets.data_nodes.statistics import ASSET_DIMENSION, Identity
from markets.data_nodes.stored_statistics import from_microseconds, microseconds
from markets.engine.dtypes import EPOCH_2000_US
from markets.engine.frames import ValidFrame
from markets.exceptions import UnknownIdentifiers
from markets.models import Asset, StorageNode, UpdateStatistic
from markets.redirects import refuse_merged

IdentityStatistics = tuple[Identity, int | None, dt.datetime, dt.datetime, int]
"""Identity, asset id, first and last instant, number of rows."""


def lock_assets(frame: ValidFrame, known: Collection[Identity] = ()) -> dict[str, int]:
    """Identifier → id of the assets that a frame names, locked against deletion until the transaction ends.

    Those of `known` identities are left out: the foreign key of their statistics, which the writer holds, keeps them
    from deletion. One query for the whole batch, in the order of the identifiers so that two writers cannot deadlock.
    Raises UnknownIdentifiers listing every identifier that names no asset, MergedAsset for those of merged assets.
    """
    level = next((level for level in frame.levels if level.name == ASSET_DIMENSION), None)
    if level is None:
        return {}
    place = frame.levels.index(level)
    kept = {identity[place] for identity in known}
    return lock_named_assets(
        [name for name in (level.labels[code] for code in np.unique(level.codes).tolist()) if name not in kept]
    )


def lock_named_assets(names: Sequence[str]) -> dict[str, int]:
    """The same of assets by their identifiers, which are in order."""
    if not names:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT unique_identifier, id, merged_into_id FROM "{Asset._meta.db_table}" '
            "WHERE unique_identifier = ANY(%s::text[]) ORDER BY unique_identifier FOR KEY SHARE",
            [array_of_texts(names)],
        )
        rows = cursor.fetchall()
    found: dict[str, int] = {name: pk for name, pk, _ in rows}
    missing = [name for name in names if name not in found]
    if missing:
        raise UnknownIdentifiers(missing)
    merged = [pk for _, pk, into in rows if into is not None]
    if merged:
        refuse_merged(merged)
    return found


class Progress(NamedTuple):
    """The statistics row of an identity: its id, and the time of the identity's last row in microseconds since 1970."""

    id: int
    last: int


def is_after_progress(frame: ValidFrame, progress: Mapping[Identity, Progress]) -> np.ndarray:
    """(n,) bool: whether each row is strictly later than the last stored row of its identity."""
    if not progress or not len(frame):
        return np.ones(len(frame), dtype=bool)
    codes, identities = frame.identity_codes()
    nothing = np.iinfo(np.int64).min
    last = np.array([progress[name].last if name in progress else nothing for name in identities], dtype=np.int64)
    return frame.times > last[codes]


def stored_progress(storage: StorageNode, identities: Sequence[Identity]) -> dict[Identity, dt.datetime]:
    """Identity → time of its last row, of those identities that have rows."""
    return {name: from_microseconds(found.last) for name, found in _progress(storage, identities).items()}


def locked_progress(
    storage: StorageNode, identities: Sequence[Identity], *, alone: bool = False
) -> dict[Identity, Progress]:
    """The progress of those identities that have rows, which no other writer moves until the transaction ends.

    Locked in the order of the identities, so that two writers cannot deadlock, and not against foreign keys: deleting
    an asset looks here while it holds what a writer wants next. Who is `alone` on the table, see `lock_progress`, has
    no need of it. Raises MergedAsset where one of the identities is a merged asset's.
    """
    found = _progress(storage, identities, "" if alone else "ORDER BY s.identity FOR NO KEY UPDATE OF s")
    refuse_merged_identities(storage, found)
    return found


def refuse_merged_identities(storage: StorageNode, identities: Collection[Identity]) -> None:
    """Raise MergedAsset where one of the identities, which have statistics, is that of a merged asset."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT s.identity, a.id FROM "{Asset._meta.db_table}" AS a
            JOIN "{UpdateStatistic._meta.db_table}" AS s ON s.asset_id = a.id
            WHERE a.merged_into_id IS NOT NULL AND s.storage_id = %s
            """,
            [storage.pk],
        )
        merged = [pk for identity, pk in cursor.fetchall() if tuple(identity) in identities]
    if merged:
        refuse_merged(merged)


def _progress(storage: StorageNode, identities: Sequence[Identity], locking: str = "") -> dict[Identity, Progress]:
    if not identities:
        return {}
    width = len(identities[0])
    parts = [array_of_texts([identity[place] for identity in identities]) for place in range(width)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT string_agg(int8send(p.place), ''), string_agg(int8send(p.id), ''),
                string_agg(timestamptz_send(p.last_time_index), '')
            FROM (
                SELECT w.place, s.id, s.last_time_index FROM "{UpdateStatistic._meta.db_table}" AS s
                JOIN unnest({"%s::text[], " * width}%s::bigint[]) AS w({_part_names(width)}place)
                    ON s.identity = {_identity_array(width)}
                WHERE s.storage_id = %s {locking}
            ) AS p
            """,
            [*parts, array_of_numbers(range(len(identities))), storage.pk],
        )
        row = cursor.fetchone()
    if row[0] is None:
        return {}
    places, ids, times = (np.frombuffer(packed, dtype=">i8") for packed in row)
    return {
        identities[place]: Progress(id, last)
        for place, id, last in zip(places.tolist(), ids.tolist(), (times + EPOCH_2000_US).tolist(), strict=True)
    }


def advance_statistics(
    storage: StorageNode, frame: ValidFrame, row_ids: Mapping[str, int] | None = None
) -> dict[Identity, dt.datetime] | None:
    """Count the frame's rows in where all of them continue what is stored, as on most days, in one statement.

    Returns identity → earliest time in the frame. None, with nothing changed, where an identity has no rows yet, is a
    merged asset's, or has rows that are not later than its last: then they are to be judged one by one. Nobody else may
    write statistics of these identities until the transaction ends, see `lock_progress`. Who has statistics needs
    no lock of his asset: their foreign key keeps it from deletion. With `row_ids`, of the identities by their one part,
    the statistics are found by id in half the time; a row keeps its identity as long as it lives.
    """
    spans = spans_of(frame)
    width = len(frame.levels)
    if row_ids is not None:
        found_by = [array_of_numbers([row_ids[name] for (name,) in spans.identities])]
        given, columns, matches = "%s::bigint[]", "id", "s.id = w.id"
    else:
        found_by = [array_of_texts(part) for part in zip(*spans.identities, strict=True)]
        given, columns = ", ".join(["%s::text[]"] * width), ", ".join(f"part{place}" for place in range(width))
        matches = f"s.identity = {_identity_array(width)}"
    numbers = {"last": spans.last}
    first, rows = "w.last", "1"
    if len(frame) != len(spans.identities):  # else each has one row, as in a day's frame: a third of the text
        numbers |= {"first": spans.first, "row_count": spans.counts}
        first, rows = "w.first", "w.row_count"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE "{UpdateStatistic._meta.db_table}" AS s SET
                    last_time_index = {_instant("w.last")},
                    row_count = s.row_count + {rows},
                    updated_at = clock_timestamp()
                FROM unnest({", ".join(filter(None, [given, *["%s::bigint[]"] * len(numbers)]))})
                    AS w({", ".join(filter(None, [columns, *numbers]))})
                WHERE s.storage_id = %s AND {matches}
                    AND s.last_time_index < {_instant(first)} AND NOT EXISTS (
                        SELECT FROM "{Asset._meta.db_table}" AS a
                        WHERE a.id = s.asset_id AND a.merged_into_id IS NOT NULL
                    )
                """,
                [
                    *found_by,
                    *(array_of_numbers(values.tolist()) for values in numbers.values()),
                    storage.pk,
                ],
            )
            if cursor.rowcount != len(spans.identities):
                raise _NotAllContinue
    except _NotAllContinue:
        return None
    return dict(zip(spans.identities, spans.instants(spans.first), strict=True))


class _NotAllContinue(Exception):
    """Ends the savepoint."""


def lock_progress(storage: StorageNode, *, alone: bool) -> None:
    """Until the transaction ends let no other writer of this table count rows in, or only those beside whom it may.

    `alone` is for who cannot say that the others' identities are other ones. Of those who share, shards lock row by
    row, in order, and nodes with a part of the table have identities of their own. Who writes several tables locks them
    all first, in the order of their ids.
    """
    if alone:
        locks.take_for_transaction(locks.LockSpace.TABLE_PROGRESS, [storage.pk])
    else:
        locks.share_for_transaction(locks.LockSpace.TABLE_PROGRESS, storage.pk)


@dataclass(frozen=True)
class Spans:
    """The rows of each identity that a frame holds: (m,) int64 first and last time, µs since 1970, and their number."""

    identities: list[Identity]
    first: np.ndarray
    last: np.ndarray
    counts: np.ndarray

    @staticmethod
    def instants(times: np.ndarray) -> list[dt.datetime]:
        """The times as aware datetimes; a frame has few that differ."""
        values = times.tolist()
        known = {value: from_microseconds(value) for value in set(values)}
        return [known[value] for value in values]


def spans_of(frame: ValidFrame) -> Spans:
    """The spans of the identities of a frame that is not empty, in the order of the identities."""
    codes, identities = frame.identity_codes()
    order = np.argsort(codes, kind="stable")
    sorted_codes, times = codes[order], frame.times[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_codes[1:] != sorted_codes[:-1]]))
    present = sorted_codes[starts].tolist()
    return Spans(
        [identities[code] for code in present],
        np.minimum.reduceat(times, starts),
        np.maximum.reduceat(times, starts),
        np.diff(np.concatenate([starts, [len(times)]])),
    )


def statistics_of(frame: ValidFrame, asset_ids: Mapping[str, int]) -> list[IdentityStatistics]:
    """The statistics of a frame's own rows, an item for each identity that it holds.

    `asset_ids` holds at least the assets whose identities have no statistics yet.
    """
    spans = spans_of(frame)
    asset_level = next((i for i, level in enumerate(frame.levels) if level.name == ASSET_DIMENSION), None)
    assets = (
        [None] * len(spans.identities)
        if asset_level is None
        else [asset_ids.get(identity[asset_level]) for identity in spans.identities]
    )
    first, last = spans.instants(spans.first), spans.instants(spans.last)
    return list(zip(spans.identities, assets, first, last, spans.counts.tolist(), strict=True))


def record_statistics(
    storage: StorageNode, rows: Sequence[IdentityStatistics], known: Mapping[Identity, Progress]
) -> None:
    """Merge the statistics of rows just inserted into the table's; must run in the transaction that inserted them.

    `known` is the progress that the transaction has locked: those rows are found by their ids, which takes a quarter of
    the time; the others are inserted, or merged where another writer was the first.
    """
    _update_statistics([(known[row[0]].id, row) for row in rows if row[0] in known])
    rows = sorted((row for row in rows if row[0] not in known), key=lambda row: row[0])  # writers lock in one order
    if not rows:
        return
    width = len(rows[0][0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO "{UpdateStatistic._meta.db_table}" AS s
                (storage_id, identity, asset_id, first_time_index, last_time_index, row_count, updated_at)
            SELECT %s, {_identity_array(width)}, asset_id, {_instant("first")}, {_instant("last")}, row_count,
                clock_timestamp()
            FROM unnest({"%s::text[], " * width}%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
                AS t({_part_names(width)}asset_id, first, last, row_count)
            ON CONFLICT (storage_id, identity) DO UPDATE SET
                first_time_index = least(s.first_time_index, excluded.first_time_index),
                last_time_index = greatest(s.last_time_index, excluded.last_time_index),
                row_count = s.row_count + excluded.row_count,
                updated_at = excluded.updated_at
            """,
            [
                storage.pk,
                *(array_of_texts([row[0][part] for row in rows]) for part in range(width)),
                array_of_numbers([row[1] for row in rows]),
                *_numbers_of(rows),
            ],
        )


def _update_statistics(rows: Sequence[tuple[int, IdentityStatistics]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE "{UpdateStatistic._meta.db_table}" AS s SET
                first_time_index = least(s.first_time_index, {_instant("t.first")}),
                last_time_index = greatest(s.last_time_index, {_instant("t.last")}),
                row_count = s.row_count + t.row_count,
                updated_at = clock_timestamp()
            FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS t(id, first, last, row_count)
            WHERE s.id = t.id
            """,
            [array_of_numbers([id for id, _ in rows]), *_numbers_of([row for _, row in rows])],
        )


def array_of_texts(values: Sequence[str]) -> str:
    """The literal of a text[]: a driver that looks at each value of two thousand takes longer than the server."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return f'{{"{joined}"}}'


def array_of_numbers(values: Sequence[int | None]) -> str:
    """The literal of a bigint[]."""
    return "{" + str(list(values))[1:-1].replace("None", "NULL") + "}"


def _numbers_of(rows: Sequence[IdentityStatistics]) -> list[str]:
    """First, last and count of the rows, as arrays; instants in microseconds since 1970."""
    known: dict[dt.datetime, int] = {}
    for row in rows:
        for instant in row[2:4]:
            if instant not in known:
                known[instant] = microseconds(instant)
    return [
        array_of_numbers([known[row[2]] for row in rows]),
        array_of_numbers([known[row[3]] for row in rows]),
        array_of_numbers([row[4] for row in rows]),
    ]


def _instant(microseconds: str) -> str:
    return f"'epoch'::timestamptz + {microseconds} * interval '1 microsecond'"


def _part_names(width: int) -> str:
    return "".join(f"part{i}, " for i in range(width))


def _identity_array(width: int) -> str:
    return "ARRAY[" + ", ".join(f"part{i}" for i in range(width)) + ']::varchar(255)[] COLLATE "C"'

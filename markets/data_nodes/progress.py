"""The progress of a table's identities in the database: read, locked, and kept by whoever writes rows."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection

from markets.data_nodes.statistics import ASSET_DIMENSION, Identity, from_microseconds, microseconds
from markets.engine.frames import ValidFrame
from markets.exceptions import UnknownIdentifiers
from markets.models import Asset, StorageNode, UpdateStatistic
from markets.redirects import refuse_merged

IdentityStatistics = tuple[Identity, int | None, dt.datetime, dt.datetime, int]
"""Identity, asset id, first and last instant, number of rows."""


def lock_assets(frame: ValidFrame) -> dict[str, int]:
    """Identifier → id of the assets that a frame names, locked against deletion until the transaction ends.

    One query for the whole batch, in the order of the identifiers so that two writers cannot deadlock.
    Raises UnknownIdentifiers listing every identifier that names no asset, MergedAsset for those of merged assets.
    """
    level = next((level for level in frame.levels if level.name == ASSET_DIMENSION), None)
    if level is None:
        return {}
    used = [level.labels[code] for code in np.unique(level.codes).tolist()]
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT unique_identifier, id, merged_into_id FROM "{Asset._meta.db_table}" '
            "WHERE unique_identifier = ANY(%s::text[]) ORDER BY unique_identifier FOR KEY SHARE",
            [array_of_texts(used)],
        )
        rows = cursor.fetchall()
    known = {name: pk for name, pk, _ in rows}
    missing = [name for name in used if name not in known]
    if missing:
        raise UnknownIdentifiers(missing)
    merged = [pk for _, pk, into in rows if into is not None]
    if merged:
        refuse_merged(merged)
    return known


@dataclass(frozen=True)
class Progress:
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


def locked_progress(storage: StorageNode, identities: Sequence[Identity]) -> dict[Identity, Progress]:
    """The progress of those identities that have rows, which no other writer moves until the transaction ends.

    Locked in the order of the identities, so that two writers cannot deadlock, and not against foreign keys: deleting
    an asset looks here while it holds what a writer wants next.
    """
    return _progress(storage, identities, "ORDER BY s.identity FOR NO KEY UPDATE OF s")


def _progress(storage: StorageNode, identities: Sequence[Identity], locking: str = "") -> dict[Identity, Progress]:
    if not identities:
        return {}
    width = len(identities[0])
    parts = [array_of_texts([identity[place] for identity in identities]) for place in range(width)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT w.place, s.id, (extract(epoch FROM s.last_time_index) * 1000000)::bigint
            FROM "{UpdateStatistic._meta.db_table}" AS s
            JOIN unnest({"%s::text[], " * width}%s::bigint[]) AS w({_part_names(width)}place)
                ON s.identity = {_identity_array(width)}
            WHERE s.storage_id = %s {locking}
            """,
            [*parts, array_of_numbers(range(len(identities))), storage.pk],
        )
        return {identities[place]: Progress(id, last) for place, id, last in cursor.fetchall()}


def statistics_of(frame: ValidFrame, asset_ids: Mapping[str, int]) -> list[IdentityStatistics]:
    """The statistics of a frame's own rows, an item for each identity that it holds."""
    codes, identities = frame.identity_codes()
    order = np.argsort(codes, kind="stable")
    sorted_codes, times = codes[order], frame.times[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_codes[1:] != sorted_codes[:-1]]))
    first = np.minimum.reduceat(times, starts)
    last = np.maximum.reduceat(times, starts)
    counts = np.diff(np.concatenate([starts, [len(times)]]))
    asset_level = next((i for i, level in enumerate(frame.levels) if level.name == ASSET_DIMENSION), None)
    instants = {value: from_microseconds(value) for value in {*first.tolist(), *last.tolist()}}
    rows: list[IdentityStatistics] = []
    for code, earliest, latest, count in zip(
        sorted_codes[starts].tolist(), first.tolist(), last.tolist(), counts.tolist(), strict=True
    ):
        identity = tuple(identities[code])
        asset_id = asset_ids[identity[asset_level]] if asset_level is not None else None
        rows.append((identity, asset_id, instants[earliest], instants[latest], count))
    return rows


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

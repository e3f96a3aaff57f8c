"""The progress of a table's identities in the database: read, locked, and kept by whoever writes rows."""

import datetime as dt
from collections.abc import Mapping, Sequence

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
            "WHERE unique_identifier = ANY(%s) ORDER BY unique_identifier FOR KEY SHARE",
            [used],
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


def is_after_progress(frame: ValidFrame, progress: Mapping[Identity, dt.datetime]) -> np.ndarray:
    """(n,) bool: whether each row is strictly later than the last stored row of its identity."""
    if not progress or not len(frame):
        return np.ones(len(frame), dtype=bool)
    codes, identities = frame.identity_codes()
    nothing = np.iinfo(np.int64).min
    last = np.array(
        [microseconds(progress[name]) if name in progress else nothing for name in identities], dtype=np.int64
    )
    return frame.times > last[codes]


def stored_progress(storage: StorageNode, identities: Sequence[Identity]) -> dict[Identity, dt.datetime]:
    """Identity → time of its last row, of those identities that have rows."""
    if not identities:
        return {}
    width = len(identities[0])
    parts = [[identity[place] for identity in identities] for place in range(width)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT s.identity, s.last_time_index FROM "{UpdateStatistic._meta.db_table}" AS s
            JOIN unnest({"%s::text[], " * width}%s::bigint[]) AS w({_part_names(width)}place)
                ON s.identity = {_identity_array(width)}
            WHERE s.storage_id = %s
            """,
            [*parts, list(range(len(identities))), storage.pk],
        )
        return {tuple(identity): last for identity, last in cursor.fetchall()}


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
    rows: list[IdentityStatistics] = []
    for place, code in enumerate(sorted_codes[starts].tolist()):
        identity = tuple(identities[code])
        asset_id = asset_ids[identity[asset_level]] if asset_level is not None else None
        instants = from_microseconds(int(first[place])), from_microseconds(int(last[place]))
        rows.append((identity, asset_id, *instants, int(counts[place])))
    return rows


def record_statistics(storage: StorageNode, rows: Sequence[IdentityStatistics]) -> None:
    """Merge the statistics of rows just inserted into the table's; must run in the transaction that inserted them."""
    if not rows:
        return
    rows = sorted(rows, key=lambda row: [part.encode() for part in row[0]])  # writers lock in one order
    width = len(rows[0][0])
    table = UpdateStatistic._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO "{table}" AS s
                (storage_id, identity, asset_id, first_time_index, last_time_index, row_count, updated_at)
            SELECT %s, {_identity_array(width)}, asset_id, first, last, row_count, clock_timestamp()
            FROM unnest({"%s::text[], " * width}%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::bigint[])
                AS t({_part_names(width)}asset_id, first, last, row_count)
            ON CONFLICT (storage_id, identity) DO UPDATE SET
                first_time_index = least(s.first_time_index, excluded.first_time_index),
                last_time_index = greatest(s.last_time_index, excluded.last_time_index),
                row_count = s.row_count + excluded.row_count,
                updated_at = excluded.updated_at
            """,
            [
                storage.pk,
                *([row[0][part] for row in rows] for part in range(width)),
                [row[1] for row in rows],
                [row[2] for row in rows],
                [row[3] for row in rows],
                [row[4] for row in rows],
            ],
        )


def _part_names(width: int) -> str:
    return "".join(f"part{i}, " for i in range(width))


def _identity_array(width: int) -> str:
    return "ARRAY[" + ", ".join(f"part{i}" for i in range(width)) + ']::varchar(255)[] COLLATE "C"'

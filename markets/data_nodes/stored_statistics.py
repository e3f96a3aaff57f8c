"""The statistics of a table's identities as the database keeps them, read in columns; and how it counts time."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from markets.data_nodes.plain_rows import prepared_cursor
from markets.engine.dtypes import EPOCH_2000_US
from markets.models import StorageNode, UpdateStatistic


def stored_columns(
    storage: StorageNode, conditions: str, values: Sequence[Any], places: Sequence[int]
) -> "StoredColumns":
    """What is stored of the identities that meet the conditions.

    In the order of the identities; `places` are the positions, from 1, of the wanted parts in an identity. The columns
    come packed, one value each: a driver that looks at each of two thousand values takes twice as long.
    """
    wanted = "".join(f", json_agg(s.identity[{place}])::text" for place in places)
    with prepared_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT string_agg(int8send(s.id), ''), string_agg(timestamptz_send(s.first_time_index), ''),
                string_agg(timestamptz_send(s.last_time_index), ''), string_agg(int8send(s.row_count), ''){wanted}
            FROM (SELECT * FROM "{UpdateStatistic._meta.db_table}" AS s
                WHERE s.storage_id = %s{conditions} ORDER BY s.identity) AS s
            """,
            [storage.pk, *values],
        )
        row = cursor.fetchone()
    if row[0] is None:
        return StoredColumns([], [], [], [], [[] for _ in places])
    ids, first, last, counts = (np.frombuffer(packed, dtype=">i8") for packed in row[:4])
    return StoredColumns(
        ids.tolist(),
        (first + EPOCH_2000_US).tolist(),
        (last + EPOCH_2000_US).tolist(),
        counts.tolist(),
        [json.loads(part) for part in row[4:]],
    )


@dataclass(frozen=True)
class StoredColumns:
    """An item for each identity: the id of its row, its first and last time in microseconds since 1970, its number of
    rows; and of each wanted part of the identities their texts."""

    ids: list[int]
    first: list[int]
    last: list[int]
    counts: list[int]
    parts: list[list[str]]


def microseconds(instant: dt.datetime) -> int:
    return (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def from_microseconds(value: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=value)

"""The statistics of a table's identities as the database keeps them, read in columns; and how it counts time."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db import connection

from markets.engine.dtypes import EPOCH_2000_US
from markets.models import StorageNode, UpdateStatistic


def stored_columns(
    storage: StorageNode, conditions: str, values: Sequence[Any], places: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[list[str]]]:
    """First and last time (microseconds since 1970), row count and parts of the identities that meet the conditions.

    In the order of the identities; `places` are the positions, from 1, of the wanted parts in an identity. The columns
    come packed, one value each: a driver that looks at each of two thousand values takes twice as long.
    """
    wanted = "".join(f", json_agg(s.identity[{place}])::text" for place in places)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT string_agg(timestamptz_send(s.first_time_index), ''),
                string_agg(timestamptz_send(s.last_time_index), ''), string_agg(int8send(s.row_count), ''){wanted}
            FROM (SELECT * FROM "{UpdateStatistic._meta.db_table}" AS s
                WHERE s.storage_id = %s{conditions} ORDER BY s.identity) AS s
            """,
            [storage.pk, *values],
        )
        first, last, counts, *parts = cursor.fetchone()
    if first is None:
        return [], [], [], [[] for _ in places]
    numbers = [np.frombuffer(packed, dtype=">i8") for packed in (first, last, counts)]
    times = [(packed + EPOCH_2000_US).tolist() for packed in numbers[:2]]
    return times[0], times[1], numbers[2].tolist(), [json.loads(part) for part in parts]


def microseconds(instant: dt.datetime) -> int:
    return (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def from_microseconds(value: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=value)

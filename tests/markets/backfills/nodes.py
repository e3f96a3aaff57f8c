"""DataNodes for the tests of backfills: closes by asset on the weekdays of a calendar, from a changing source."""

import datetime as dt
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.models import Calendar, CalendarSession, StorageNode

UTC = dt.UTC
FIRST = dt.date(2026, 1, 5)  # a Monday
CLOSE = dt.time(21, tzinfo=UTC)


def weekdays(number: int, first: dt.date = FIRST) -> list[dt.date]:
    return [day.date() for day in pd.bdate_range(first, periods=number)]


def close_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, CLOSE)


def make_calendar(name: str = "DAYS", days: Sequence[dt.date] | None = None, **fields: Any) -> Calendar:
    """A calendar whose sessions are open from 14:30 to 21:00 UTC."""
    days = list(days if days is not None else weekdays(40))
    calendar = Calendar.objects.create(
        unique_identifier=name, display_name=name, valid_from=min(days), valid_to=max(days), **fields
    )
    CalendarSession.objects.bulk_create(
        CalendarSession(
            calendar=calendar,
            local_date=day,
            opens_at=dt.datetime.combine(day, dt.time(14, 30, tzinfo=UTC)),
            closes_at=close_of(day),
        )
        for day in days
    )
    return calendar


class Closes(DataNode):
    """Closes of its assets, day after day from the progress on; `price` gives each, and the source may lack some.

    `scope` makes it scoped by assets. `calls` keeps the statistics that each update() saw.
    """

    days: ClassVar[list[dt.date]] = []
    absent: ClassVar[set[tuple[str, dt.date]]] = set()
    price: ClassVar[Callable[[str, int], float]] = staticmethod(lambda asset, place: ord(asset[0]) * 1_000.0 + place)
    breaks_on: ClassVar[dict[str, str]] = {}  # asset → message

    def __init__(
        self,
        dataset: str = "closes",
        asset_list: Sequence[str] = ("A", "B"),
        calendar_identifier: str = "DAYS",
        scoped: bool = True,
    ) -> None:
        self.dataset, self.asset_list, self.scoped = dataset, list(asset_list), scoped
        self.calendar_identifier = calendar_identifier
        self.calls: list[Any] = []
        super().__init__()

    def get_asset_list(self) -> list[str] | None:
        return self.asset_list if self.scoped else None

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier=self.dataset, data_frequency_id="1d")

    def get_column_metadata(self) -> list[ColumnMetaData]:
        return [ColumnMetaData(column_name="close", dtype="float64")]

    def update(self) -> pd.DataFrame:
        statistics = self.update_statistics
        self.calls.append(statistics)
        wanted = list(statistics) if self.scoped else self.asset_list
        rows = []
        for asset in wanted:
            if asset in self.breaks_on:
                raise ValueError(self.breaks_on[asset])
            after = statistics.get_last_update(asset) if self.scoped else statistics.max_time_index_value
            rows += [
                (close_of(day), asset, self.price(asset, place))
                for place, day in enumerate(self.days)
                if (asset, day) not in self.absent and (after is None or close_of(day) > after)
            ]
        frame = pd.DataFrame(rows, columns=["time_index", "asset_identifier", "close"])
        frame["time_index"] = pd.to_datetime(frame["time_index"], utc=True)
        return frame.astype({"close": np.float64}).set_index(["time_index", "asset_identifier"])


class OnceOnly(Closes):
    write_mode = "insert_only"


class Overwriting(Closes):
    write_mode = "overwrite"


class Doubled(Closes):
    """Twice the closes of another node, for the assets that it has, from the progress on."""

    def __init__(self, source: DataNode, dataset: str = "doubled", calendar_identifier: str = "DAYS") -> None:
        self.source = source
        super().__init__(dataset, source.asset_list, calendar_identifier)

    def dependencies(self) -> dict[str, DataNode]:
        return {"source": self.source}

    def update(self) -> pd.DataFrame:
        self.calls.append(self.update_statistics)
        frame = self.source.get_df_between_dates()
        times, names = frame.index.get_level_values(0), frame.index.get_level_values(1)
        known = self.update_statistics
        keep = [time > known.get_last_update(name) for time, name in zip(times, names, strict=True)]
        return frame[keep] * 2


class Killed(Closes):
    """Kills its process in the update after `lives` of them, or just before the commit."""

    days = weekdays(12)

    def __init__(self, marks: str, lives: int, before_commit: bool, asset_list: Sequence[str] = ("A", "B")) -> None:
        self.marks, self.lives, self.before_commit = Path(marks), lives, before_commit
        super().__init__("killed", asset_list)

    def update(self) -> pd.DataFrame:
        with self.marks.open("a") as file:
            file.write("update\n")
        if not self.before_commit:
            self._die()
        return super().update()

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        if self.before_commit:
            self._die()

    def _die(self) -> None:
        if len(self.marks.read_text().splitlines()) == self.lives + 1:
            os.kill(os.getpid(), signal.SIGKILL)


def delete_rows(node: DataNode, *keys: tuple[str, dt.date]) -> None:
    """Take rows out of the table and out of the statistics' counts, as if they had never come."""
    from django.db import connection

    from markets.models import UpdateStatistic

    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    with connection.cursor() as cursor:
        for asset, day in keys:
            cursor.execute(
                f'DELETE FROM "{storage.table_name}" WHERE asset_identifier = %s AND time_index = %s',
                [asset, close_of(day)],
            )
            assert cursor.rowcount == 1
        cursor.execute(
            f"""UPDATE "{UpdateStatistic._meta.db_table}" AS s SET row_count = c.number,
            first_time_index = c.first, last_time_index = c.last
            FROM (SELECT asset_identifier, count(*) AS number, min(time_index) AS first, max(time_index) AS last
                  FROM "{storage.table_name}" GROUP BY asset_identifier) AS c
            WHERE s.storage_id = %s AND s.identity[1] = c.asset_identifier""",
            [storage.pk],
        )

"""DataNodes for `test_tree_runs`: each marks when it was run and does what it was told."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from django.db import connection

from markets.data_nodes.metadata import ColumnMetaData
from markets.data_nodes.node import DataNode
from markets.engine.shards import Shard
from markets.services import step_watch

IDENTIFIERS = tuple(f"S{number}" for number in range(8))
FIRST = pd.Timestamp("2026-01-02T21:00Z")
CHUNK = 50  # days that one run adds, for each asset


class Source(DataNode):
    """Adds CHUNK days to each asset of its list; `seconds` long in update(), as long again before the commit."""

    retry_delay = 0.3
    max_retries = 3

    def __init__(
        self, name: str, marks: str, reads: Sequence[DataNode] = (), seconds: float = 0.0, before_commit: float = 0.0
    ) -> None:
        self.name = name
        self.marks = Path(marks)
        self.reads = list(reads)
        self.seconds = seconds
        self.before_commit = before_commit
        super().__init__()

    def dependencies(self) -> dict[str, DataNode]:
        return {node.name: node for node in self.reads}

    def get_asset_list(self) -> list[str]:
        return list(IDENTIFIERS)

    def get_column_metadata(self) -> list[ColumnMetaData]:
        return [ColumnMetaData(column_name="close", dtype="float64")]

    def update(self) -> pd.DataFrame:
        self.mark("begin")
        self.work()
        frame = self.rows()
        self.mark("end")
        return frame

    def work(self) -> None:
        time.sleep(self.seconds)

    def rows(self) -> pd.DataFrame:
        parts = []
        for identifier in self.update_statistics.asset_list or []:
            last = self.update_statistics.index_progress[identifier]
            begin = last + pd.Timedelta(days=1) if identifier in self.update_statistics.index_min else FIRST
            times = pd.date_range(begin, periods=CHUNK, freq="D")
            days = (times - FIRST).days.to_numpy()
            index = pd.MultiIndex.from_product([times, [identifier]], names=["time_index", "asset_identifier"])
            parts.append(pd.DataFrame({"close": days + IDENTIFIERS.index(identifier) / 16}, index=index))
        return pd.concat(parts).sort_index()

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        if not error_on_last_update:
            time.sleep(self.before_commit)

    def mark(self, what: str) -> None:
        with self.marks.open("a") as file:
            file.write(f"{self.name} {what} {time.monotonic():.4f} {os.getpid()}\n")


class Sharded(Source):
    asset_shards = 4


class Undeclared(Sharded):
    """Whole numbers for the assets of one shard, fractions for the others; it does not tell which dtype they have."""

    def get_column_metadata(self) -> list[ColumnMetaData]:
        return []

    def rows(self) -> pd.DataFrame:
        days = super().rows() // 1.0
        is_whole = [Shard(0, self.asset_shards).holds(name) for name in days.index.get_level_values(1)]
        return days.astype("int64") if all(is_whole) else days + np.where(is_whole, 0.0, 0.5)[:, None]


class HalfDeclared(Sharded):
    """Tells one of its two columns."""

    def rows(self) -> pd.DataFrame:
        return super().rows().assign(size=1)


class Foreign(Sharded):
    """Returns a row of an asset that was not in its list."""

    def rows(self) -> pd.DataFrame:
        mine = set(self.update_statistics.asset_list or [])
        foreign = next(name for name in IDENTIFIERS if name not in mine)
        index = pd.MultiIndex.from_product([[FIRST], [foreign]], names=["time_index", "asset_identifier"])
        return pd.DataFrame({"close": [1.0]}, index=index)


class Flaky(Source):
    """Its connection is lost twice."""

    def work(self) -> None:
        if self.marks.read_text().count(f"{self.name} begin") <= 2:
            raise ConnectionResetError("the vendor hung up")


class LosesDatabase(Source):
    """Ends its own database connection, once."""

    def work(self) -> None:
        if self.marks.read_text().count(f"{self.name} begin") == 1:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


class Broken(Source):
    def work(self) -> None:
        raise ValueError("the figures do not add up")


class Limited(Source):
    """May take one second."""

    time_limit: ClassVar[float | None] = 1.0


class LimitedInDatabase(Limited):
    """Waits in the database for much longer than it may."""

    def work(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")


class Stubborn(Limited):
    """Does not let itself be stopped."""

    def work(self) -> None:
        step_watch.GRACE = 1.0  # in this worker, which will not live on: the test need not wait for fifteen seconds
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(BaseException):
                time.sleep(1)

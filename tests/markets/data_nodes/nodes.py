"""DataNodes for tests: each returns what the test has put into it, and tells what was asked of it."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from django.db import connection

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.models import Asset, StorageNode, UpdateStatistic

UTC = dt.UTC
DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 1, 2, 21, tzinfo=UTC)


def make_assets(*identifiers: str) -> list[Asset]:
    return Asset.objects.bulk_create(Asset(unique_identifier=name, asset_type="equity") for name in identifiers)


def bars(
    rows: Sequence[tuple[Any, ...]],
    columns: Sequence[str] = ("close",),
    index: Sequence[str] = ("time_index", "asset_identifier"),
) -> pd.DataFrame:
    """Rows of (day number or instant, identifier …, values …)."""
    timed = [(START + DAY * row[0] if isinstance(row[0], int) else row[0], *row[1:]) for row in rows]
    frame = pd.DataFrame(timed, columns=[*index, *columns])
    frame["time_index"] = pd.to_datetime(frame["time_index"], utc=True)
    return frame.set_index(list(index))


class Given(DataNode):
    """Calls `make`, a function of the node, and counts. What is not given falls back to the base class."""

    frames: ClassVar[dict[str, Callable[["Given"], Any]]] = {}

    def __init__(self, name: str = "given", reads: Sequence[DataNode] = (), *, hash_namespace: str = "") -> None:
        self.name = name
        self.reads = list(reads)
        self.calls: list[str] = []
        self.declared: list[ColumnMetaData] | None = None
        self.table: TableMetaData | None = None
        self.scope: list[str] | None = None
        self.after: Callable[[bool], None] | None = None
        self.make: Callable[[Given], Any] = self.frames.get(name, lambda node: bars([(0, "A", 1.0)]))
        super().__init__(hash_namespace=hash_namespace)

    def dependencies(self) -> dict[str, DataNode]:
        return {str(position): node for position, node in enumerate(self.reads)}

    def get_asset_list(self) -> list[str] | None:
        self.calls.append("get_asset_list")
        return self.scope

    def update(self) -> Any:
        self.calls.append("update")
        return self.make(self)

    def get_column_metadata(self) -> list[ColumnMetaData] | None:
        self.calls.append("get_column_metadata")
        return self.declared

    def get_table_metadata(self) -> TableMetaData | None:
        self.calls.append("get_table_metadata")
        return self.table

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        self.calls.append(f"run_post_update_routines({error_on_last_update})")
        if self.after is not None:
            self.after(error_on_last_update)

    def returns(self, frame: Any) -> "Given":
        self.make = lambda node: frame
        return self


class ByTime(Given):
    index_names = ("time_index",)


class ByBook(Given):
    index_names = ("time_index", "book", "asset_identifier")


def table_of(node: DataNode) -> str:
    return StorageNode.objects.get(storage_hash=node.storage_hash).table_name


def drop_tables() -> None:
    """Drop the engine's tables, which no migration knows and no flush of the test database empties."""
    with connection.cursor() as cursor:
        cursor.execute(r"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'dn\_%'")
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{name}" CASCADE')


def exists(node: DataNode) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"dn_{node.storage_hash}"'])
        return bool(cursor.fetchone()[0])


def stored(node: DataNode) -> list[tuple[Any, ...]]:
    """All rows as the database gives them, by key."""
    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    names = [*storage.index_names, *(column["column_name"] for column in storage.columns)]
    columns = ", ".join(f'"{name}"' for name in names)
    keys = ", ".join(f'"{name}"' for name in storage.key_columns)
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT {columns} FROM "{storage.table_name}" ORDER BY {keys}')
        return cursor.fetchall()


def recount(node: DataNode) -> list[tuple[Any, ...]]:
    """(identity, first, last, count) of each identity, counted by SQL from the rows themselves."""
    storage = StorageNode.objects.get(storage_hash=node.storage_hash)
    dimensions = ", ".join(f'"{name}"' for name in storage.index_names[1:])
    group = f"GROUP BY {dimensions}" if dimensions else "HAVING count(*) > 0"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT ARRAY[{dimensions}]::text[] AS identity, min(time_index), max(time_index), count(*) "
            f'FROM "{storage.table_name}" {group}'
        )
        return sorted(cursor.fetchall(), key=lambda row: [part.encode() for part in row[0]])


def statistics(node: DataNode) -> list[tuple[Any, ...]]:
    rows = UpdateStatistic.objects.filter(storage__storage_hash=node.storage_hash).order_by("identity")
    return list(rows.values_list("identity", "first_time_index", "last_time_index", "row_count"))


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(left, right, check_freq=False, check_index_type=False)


def numbers(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float64)

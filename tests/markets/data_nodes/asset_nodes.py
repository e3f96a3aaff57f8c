"""Asset-indexed DataNodes for tests: two days of each asset in scope, from where it begins or came to."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pydantic import Field

from markets.data_nodes.asset_indexed import AssetIndexedConfiguration, AssetIndexedDataNode
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from tests.markets.data_nodes.nodes import DAY, bars


class Daily(AssetIndexedDataNode):
    """Two days of each asset in scope.

    `told` keeps what get_update_asset_list() said in update(), `fallback` where its statistics put an asset never seen,
    `asked` how often get_asset_list() was called.
    """

    def __init__(self, dataset: str = "daily", **rest: Any) -> None:
        self.dataset = dataset
        self.asked = 0
        self.told: list[str] | None = None
        self.fallback: dt.datetime | None = None
        super().__init__(**rest)

    def get_asset_list(self) -> Sequence[Any] | None:
        self.asked += 1
        return super().get_asset_list()

    def get_column_metadata(self) -> list[ColumnMetaData]:
        return [ColumnMetaData(column_name="close", dtype="float64")]

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier=self.dataset, data_frequency_id="1d")

    def update(self) -> pd.DataFrame:
        self.told = self.get_update_asset_list()
        self.fallback = self.update_statistics.get_last_update("nobody")
        rows = []
        for asset, last in self.update_statistics.index_progress.items():
            first = last + DAY if asset in self.update_statistics.index_min else last
            rows += [(first, asset, 1.0), (first + DAY, asset, 2.0)]
        return bars(rows)


class Shifted(Daily):
    """Begins elsewhere, and names arguments of its own that do not change its table."""

    OFFSET_START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    _ARGS_IGNORE_IN_STORAGE_HASH = ("path",)

    def __init__(self, path: str = "", *, asset_list: Any = None, offset_start: Any = None) -> None:
        super().__init__("shifted", asset_list=asset_list, offset_start=offset_start)


class RankedConfiguration(AssetIndexedConfiguration):
    window: int = Field(ge=1)


class Ranked(AssetIndexedDataNode):
    """Is told its assets by a configuration."""

    def __init__(self, configuration: RankedConfiguration, *, hash_namespace: str = "") -> None:
        self.configuration = configuration
        super().__init__(
            asset_list=configuration.asset_list,
            offset_start=configuration.offset_start,
            hash_namespace=hash_namespace,
        )

    def update(self) -> pd.DataFrame:
        return pd.DataFrame()


class InBooks(AssetIndexedDataNode):
    """The asset is the second dimension; `rows` is what update() returns."""

    index_names = ("time_index", "book", "asset_identifier")
    rows: Sequence[tuple[Any, ...]] = ()

    def update(self) -> pd.DataFrame:
        return bars(self.rows, index=self.index_names)


class ByTenor(InBooks):
    """The asset is the first of two dimensions."""

    index_names = ("time_index", "asset_identifier", "tenor")

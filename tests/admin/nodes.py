"""DataNodes for the tests of the back-office."""

import datetime as dt
import threading
from typing import ClassVar

import numpy as np
import pandas as pd

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.registry import register_module

register_module(__name__)

FIRST_DAY = dt.datetime(2020, 1, 1, 21, tzinfo=dt.UTC)


class Closes(DataNode):
    """Daily closes that walk, the same on every run, of `days` days; 30 more on each later run."""

    go_on: ClassVar[threading.Event | None] = None  # a test holds a run half-way with it

    def __init__(
        self, dataset: str, asset_list: list[str], days: int = 300, fails: bool = False, *, hash_namespace: str = ""
    ) -> None:
        self.dataset, self.asset_list, self.days, self.fails = dataset, asset_list, days, fails
        super().__init__(hash_namespace=hash_namespace)

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier=self.dataset, description="Closes for the tests.", data_frequency_id="1d")

    def get_column_metadata(self) -> list[ColumnMetaData]:
        return [ColumnMetaData(column_name="close", dtype="float64", label="Close", description="Last price.")]

    def update(self) -> pd.DataFrame:
        self.logger.info("making %s days", self.days)
        go_on = type(self).go_on
        for _ in range(200 if go_on is not None else 0):
            self.report_progress(1, 2, "half-way")
            if go_on is not None and go_on.wait(0.1):
                break
        if self.fails:
            raise ValueError("The vendor's file is empty. Ask for it again.")
        last = self.update_statistics.max_time_index_value
        times = pd.date_range(FIRST_DAY, periods=self.days, freq="D", name="time_index")
        if last is not None:
            times = pd.date_range(last + dt.timedelta(days=1), periods=30, freq="D", name="time_index")
        walk = np.random.default_rng(5).normal(0, 1, (len(times), len(self.asset_list))).cumsum(axis=0) + 100
        index = pd.MultiIndex.from_product([times, self.asset_list], names=list(self.index_names))
        return pd.DataFrame({"close": walk.ravel()}, index=index)


class Report(Closes):
    """Reads another node's closes."""

    def __init__(self, dataset: str, source: DataNode, *, hash_namespace: str = "") -> None:
        self.source = source
        super().__init__(dataset, source.asset_list, 10, hash_namespace=hash_namespace)

    def dependencies(self) -> dict[str, DataNode]:
        return {"source": self.source}

"""DataNodes that the REST tests run."""

import datetime as dt

import numpy as np
import pandas as pd

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode

NAMES = ("AAA", "CCC", 'Ünïcode, "quoted"')
FIRST = pd.Timestamp("2026-01-02T21:00:00Z").as_unit("ns")


class Bars(DataNode):
    """A table with a column of every kind, nulls included, for `days` days."""

    def __init__(self, identifier: str, days: int = 4) -> None:
        self.identifier = identifier
        self.days = days
        super().__init__()

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier=self.identifier, description="Bars.", data_frequency_id="1d")

    def get_column_metadata(self) -> list[ColumnMetaData]:
        kinds = {
            "close": "float64",
            "ratio": "float32",
            "volume": "int64",
            "is_final": "bool",
            "seen_at": "timestamp with time zone",
            "settles_on": "date",
            "note": "string",
        }
        return [ColumnMetaData(column_name=name, dtype=dtype, label=name.title()) for name, dtype in kinds.items()]

    def update(self) -> pd.DataFrame:
        if not self.update_statistics.is_empty():
            return pd.DataFrame()
        return frame(self.days)


def frame(days: int) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [pd.date_range(FIRST, periods=days, freq="D", unit="ns"), list(NAMES)], names=["time_index", "asset_identifier"]
    )
    size = len(index)
    close = np.linspace(0.1, 1e9 / 3, size)
    close[1] = np.nan
    volume = pd.array(range(size), dtype="Int64")
    volume[2] = pd.NA
    seen = pd.Series(index.get_level_values(0) + pd.Timedelta(microseconds=123_456))
    seen[3] = pd.NaT
    notes: list[str | None] = [f'line {row}, "x"' for row in range(size)]
    notes[4] = None
    return pd.DataFrame(
        {
            "close": close,
            "ratio": np.linspace(0.1, 0.9, size).astype(np.float32),
            "volume": volume,
            "is_final": [row % 2 == 0 for row in range(size)],
            "seen_at": pd.DatetimeIndex(seen).as_unit("ns"),
            "settles_on": [dt.date(2026, 1, 5)] * size,
            "note": pd.array(notes, dtype="str"),
        },
        index=index,
    )

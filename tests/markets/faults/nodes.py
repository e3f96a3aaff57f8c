"""The DataNode of the fault tests: tells its stages, and can be held, or have something happen to it, at each."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.node import DataNode

FIRST = pd.Timestamp("2026-01-02T21:00Z")
LONGEST_HOLD = 60.0  # seconds


def frame_of(days: int, assets: str = "AB", columns: int = 1) -> pd.DataFrame:
    """Numbers with all their bits in use, a missing one among them."""
    times = pd.date_range(FIRST, periods=days, freq="D")
    index = pd.MultiIndex.from_product([times, list(assets)], names=["time_index", "asset_identifier"])
    day = np.repeat(np.arange(days), len(assets))
    asset = np.tile([ord(name) for name in assets], days)
    values = {f"c{number}": np.sin(day * 31.0 + asset + number) for number in range(columns)}
    values["c0"][day == 3] = np.nan
    return pd.DataFrame(values, index=index)


def rows_of(days: int, assets: str = "AB", columns: int = 1) -> list[tuple]:
    """What the table holds when every row of `frame_of` is there once: by key, as the database gives it."""
    frame = frame_of(days, assets, columns).reset_index().sort_values(["asset_identifier", "time_index"])
    return [
        (time_index.to_pydatetime(), asset, *(None if np.isnan(value) else float(value) for value in values))
        for time_index, asset, *values in frame.itertuples(index=False)
    ]


class Staged(DataNode):
    """Returns its whole history each time: `days` days, read anew from a file in `place`.

    At each stage, "update" and "before commit", it does what `at` says in this process, then waits while there is a
    file `hold STAGE` in `place`. All nodes of one `table` write one table, each the assets that it names.
    """

    _ARGS_IGNORE_IN_STORAGE_HASH = ("place", "assets", "identifier", "part")
    at: ClassVar[dict[str, Callable[[], None]]] = {}

    def __init__(
        self, place: str, table: str = "t", assets: str = "AB", columns: int = 1, identifier: str = "", part: int = 0
    ) -> None:
        self.place = Path(place)
        self.table = table
        self.assets = assets
        self.columns = columns
        self.identifier = identifier
        self.part = part
        super().__init__()

    def dependencies(self) -> dict[str, DataNode]:
        return {}

    def get_table_metadata(self) -> TableMetaData | None:
        return TableMetaData(identifier=self.identifier) if self.identifier else None

    def update(self) -> pd.DataFrame:
        self._reached("update")
        return frame_of(int((self.place / "days").read_text()), self.assets, self.columns)

    def run_post_update_routines(self, error_on_last_update: bool) -> None:
        if not error_on_last_update:
            self._reached("before commit")

    def _reached(self, stage: str) -> None:
        with (self.place / "reached").open("a") as file:
            file.write(f"{stage}\n")
        happens = self.at.get(stage)
        if happens is not None:
            happens()
        deadline = time.monotonic() + LONGEST_HOLD
        while (self.place / f"hold {stage}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

"""A small market for portfolio tests: an always-open calendar, assets, and prices that arrive when told."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from markets.data_nodes.node import DataNode
from markets.models import Asset, Calendar, CalendarSession
from portfolios.data_nodes.signals import SignalWeights

UTC = dt.UTC
DAY = dt.timedelta(days=1)


def make_assets(*identifiers: str) -> list[Asset]:
    return Asset.objects.bulk_create(Asset(unique_identifier=name, asset_type="equity") for name in identifiers)


def make_calendar(first_close: dt.datetime, sessions: int, identifier: str = "DAILY") -> Calendar:
    """Sessions that run from midnight to midnight UTC."""
    closes = [first_close + DAY * number for number in range(sessions)]
    calendar = Calendar.objects.create(
        unique_identifier=identifier,
        display_name=identifier,
        valid_from=(closes[0] - DAY).date() if closes else first_close.date(),
        valid_to=closes[-1].date() if closes else first_close.date(),
    )
    CalendarSession.objects.bulk_create(
        CalendarSession(calendar=calendar, local_date=(close - DAY).date(), opens_at=close - DAY, closes_at=close)
        for close in closes
    )
    return calendar


class GivenPrices(DataNode):
    """Returns whatever the test has put into `arriving`."""

    arriving: ClassVar[pd.DataFrame] = pd.DataFrame()

    def __init__(self, name: str = "prices", *, hash_namespace: str = "") -> None:
        self.name = name
        super().__init__(hash_namespace=hash_namespace)

    def update(self) -> pd.DataFrame:
        return self.arriving

    @classmethod
    def receive(cls, start: dt.datetime, prices: Mapping[str, Sequence[float | None]]) -> None:
        """Closes from `start`, a day apart; None is a day without a row."""
        rows = [
            (start + DAY * number, name, value, 1000.0)
            for name, values in prices.items()
            for number, value in enumerate(values)
            if value is not None
        ]
        frame = pd.DataFrame(rows, columns=["time_index", "asset_identifier", "close", "volume"])
        cls.arriving = frame.set_index(["time_index", "asset_identifier"]).astype({"close": np.float64})


class GivenSignal(SignalWeights):
    """Returns the stamps that the test has put into `arriving`."""

    arriving: ClassVar[dict[dt.datetime, dict[str, float]]] = {}

    def __init__(self, name: str = "signal", *, hash_namespace: str = "") -> None:
        self.name = name
        super().__init__(hash_namespace=hash_namespace)

    def update(self) -> pd.DataFrame:
        last = self.update_statistics.max_time_index_value
        rows = [
            (stamp, self.signal_uid, name, weight)
            for stamp, weights in self.arriving.items()
            for name, weight in weights.items()
            if last is None or stamp > last
        ]
        frame = pd.DataFrame(rows, columns=[*self.index_names, "signal_weight"])
        return frame.set_index(list(self.index_names)).astype({"signal_weight": np.float64})

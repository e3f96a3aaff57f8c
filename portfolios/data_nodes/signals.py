"""Signals: the weights that a portfolio should hold, stamp by stamp."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from markets.data_nodes.interpolated_prices import category_members
from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.node import DataNode
from markets.engine.hashing import configuration_hash
from markets.engine.indexes import codes_and_times
from markets.exceptions import InvalidInput
from portfolios.engine.signals import equal_weights
from portfolios.models import SignalWeight

EMPTY = pd.DataFrame()


class SignalWeights(DataNode):
    """Base of all signals. They share one table, indexed by (time_index, signal_uid, asset_identifier).

    Each stamp is a complete cross-section: an asset that a stamp does not name has weight 0 from then on. Weights need
    not sum to 1; the remainder is cash at no return. `validity` is how long a stamp holds, None for ever.
    """

    model = SignalWeight
    index_names: ClassVar[tuple[str, ...]] = ("time_index", "signal_uid", "asset_identifier")
    key_columns: ClassVar[tuple[str, ...]] = ("signal_uid", "time_index", "asset_identifier")
    validity: ClassVar[dt.timedelta | None] = None

    @property
    def signal_uid(self) -> str:
        """The same for the same configuration, whatever namespace or portfolio uses it."""
        arguments = {name: value for name, value in self.arguments.items() if name != "hash_namespace"}
        return configuration_hash(type(self), arguments, purpose="update", scopes={}, defaults={})

    def statistics_scope(self) -> dict[str, str]:
        return {"signal_uid": self.signal_uid}

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier="SignalWeights", description="Target weights of all signals.")

    def get_explanation(self) -> str:
        """One sentence on what the signal does, for the portfolio's page."""
        return type(self).__name__

    def stored_weights(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Stamps (S,) int64 UTC ns, weights (S, A) float64 with absent = 0, and the A identifiers."""
        frame = self.get_df_between_dates()
        if frame.empty:
            return np.empty(0, dtype=np.int64), np.empty((0, 0)), []
        identifiers = sorted(set(frame.index.get_level_values("asset_identifier")), key=str.encode)
        codes, times = codes_and_times(frame, identifiers)
        stamps, rows = np.unique(times, return_inverse=True)
        weights = np.zeros((len(stamps), len(identifiers)))
        weights[rows, codes] = frame["signal_weight"].to_numpy()
        return stamps, weights, identifiers


class EqualWeightsConfiguration(BaseModel):
    """The universe, by category or by list, and the instant from which its weights hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    starts_at: AwareDatetime = Field(description="The first stamp; before it the signal says nothing.")
    assets_category_unique_id: str | None = None
    asset_list: list[str] | None = Field(default=None, min_length=1)


class EqualWeights(SignalWeights):
    """1/n in each of n assets; stamped again, from now on, when a category's membership changes."""

    def __init__(self, configuration: EqualWeightsConfiguration, *, hash_namespace: str = "") -> None:
        if (configuration.asset_list is None) == (configuration.assets_category_unique_id is None):
            raise InvalidInput("EqualWeights takes one of asset_list and assets_category_unique_id.")
        self.configuration = configuration
        super().__init__(hash_namespace=hash_namespace)

    def members(self) -> list[str]:
        if self.configuration.asset_list is not None:
            return sorted(set(self.configuration.asset_list), key=str.encode)
        assert self.configuration.assets_category_unique_id is not None
        return sorted(category_members(self.configuration.assets_category_unique_id), key=str.encode)

    def update(self) -> pd.DataFrame:
        members = self.members()
        if self.update_statistics.is_empty():
            return self._stamp(self.configuration.starts_at, members, leavers=[])
        stamps, weights, identifiers = self.stored_weights()
        held = [name for name, weight in zip(identifiers, weights[-1], strict=True) if weight]
        if held == members:
            return EMPTY
        self.logger.info("membership changed: %s before, %s now", len(held), len(members))
        last = pd.Timestamp(stamps[-1], tz="UTC").to_pydatetime()
        instant = max(dt.datetime.now(dt.UTC), last + dt.timedelta(microseconds=1))
        return self._stamp(instant, members, leavers=sorted(set(held) - set(members)))

    def _stamp(self, instant: dt.datetime, members: Sequence[str], leavers: Sequence[str]) -> pd.DataFrame:
        """One cross-section; who leaves is written with weight 0, so that the change can be read from the table."""
        weights = equal_weights(np.ones((1, len(members)), dtype=bool))[0]
        stamp = pd.Timestamp(instant).tz_convert("UTC")
        index = pd.MultiIndex.from_product(
            [[stamp], [self.signal_uid], [*members, *leavers]], names=list(self.index_names)
        )
        return pd.DataFrame({"signal_weight": [*weights.tolist(), *([0.0] * len(leavers))]}, index=index)

    def get_explanation(self) -> str:
        universe: Any = self.configuration.assets_category_unique_id
        if universe is None:
            universe = f"{len(self.configuration.asset_list or [])} named assets"
        return f"Equal weights in {universe}"

"""Signals: the weights that a portfolio should hold, stamp by stamp."""

import datetime as dt
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.universes import first_member_at, load_universe
from markets.engine.hashing import configuration_hash
from markets.engine.indexes import codes_and_times, index_of_codes
from markets.exceptions import InvalidInput
from portfolios.engine.signals import changed_rows, equal_weights, membership_at
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
    """1/n in each of n assets. A category is stamped at `starts_at` with the members of then, and at each change since.

    The stamps follow from the category's dated memberships alone, not from when the node runs: the past is weighted
    with the members that it had, and many runs store what one would. Stamps are only ever appended. When the past is
    rewritten after it was stamped, what is stored stands and the next stamp is right again.
    """

    def __init__(self, configuration: EqualWeightsConfiguration, *, hash_namespace: str = "") -> None:
        if (configuration.asset_list is None) == (configuration.assets_category_unique_id is None):
            raise InvalidInput("EqualWeights takes one of asset_list and assets_category_unique_id.")
        self.configuration = configuration
        super().__init__(hash_namespace=hash_namespace)

    def update(self) -> pd.DataFrame:
        category = self.configuration.assets_category_unique_id
        if category is not None:
            return self._follow(category, dt.datetime.now(dt.UTC))
        if not self.update_statistics.is_empty():
            return EMPTY
        identifiers = sorted(set(self.configuration.asset_list or []), key=str.encode)
        stamps = np.array([_nanoseconds(self.configuration.starts_at)])
        return self._frame(stamps, np.ones((1, len(identifiers)), dtype=np.bool_), identifiers, stamp_first=True)

    def _follow(self, category: str, now: dt.datetime) -> pd.DataFrame:
        """The cross-sections that are not stored yet, up to now."""
        last = self.update_statistics.max_time_index_value
        since = last or self.configuration.starts_at
        if since > now:
            self.logger.info("nothing is stamped before %s", since.isoformat())
            return EMPTY
        universe = load_universe(category, since=since, until=now)
        held = self._held(last) if last else set()
        begin, end = _nanoseconds(since), _nanoseconds(now)
        changes = np.concatenate([universe.starts, universe.ends])
        stamps = np.unique(np.append(changes[(changes > begin) & (changes <= end)], begin))
        identifiers = sorted({*universe.identifiers, *held}, key=str.encode)
        position = {name: place for place, name in enumerate(identifiers)}
        places = np.array([position[name] for name in universe.identifiers], dtype=np.int64)
        members = membership_at(
            stamps,
            places[universe.asset_codes],
            universe.starts,
            universe.ends,
            number_of_assets=len(identifiers),
        )
        if last is None:
            if not members[0].any():
                raise InvalidInput(self._nobody(category))
            return self._frame(stamps, members, identifiers, stamp_first=True)
        known = np.array([name in held for name in identifiers], dtype=np.bool_)
        if len(stamps) == 1 and (known != members[0]).any():
            self.logger.warning("the past of %s was rewritten; its members of now hold from now on", category)
            stamps, members = np.append(stamps, end), np.concatenate([members, members[-1:]])
        members[0] = known
        return self._frame(stamps, members, identifiers, stamp_first=False)

    def _held(self, last: dt.datetime) -> set[str]:
        """Who has a weight in the last stamp."""
        weights = self.get_df_between_dates(start_date=last, end_date=last)["signal_weight"]
        return set(weights.index.get_level_values("asset_identifier")[weights.to_numpy() != 0])

    def _frame(
        self, stamps: np.ndarray, members: np.ndarray, identifiers: list[str], *, stamp_first: bool
    ) -> pd.DataFrame:
        """A cross-section for each row that differs from the one before; who leaves is written with weight 0.

        So the change can be read from the table. The first row is what is stored already, unless `stamp_first`.
        """
        changed = changed_rows(members)
        changed[0] = stamp_first
        before = np.concatenate([np.zeros_like(members[:1]), members[:-1]])
        rows, places = np.nonzero((members | before) & changed[:, None])
        if not len(rows):
            return EMPTY
        self.logger.info("%s stamps", f"{int(changed.sum()):,}")
        index = index_of_codes(
            list(self.index_names),
            [
                pd.DatetimeIndex(stamps.astype("M8[ns]"), tz="UTC"),
                pd.Index([self.signal_uid], dtype="str"),
                pd.Index(identifiers, dtype="str"),
            ],
            [rows, np.zeros_like(rows), places],
        )
        return pd.DataFrame({"signal_weight": equal_weights(members)[rows, places]}, index=index)

    def _nobody(self, category: str) -> str:
        first = first_member_at(category)
        if first is None:
            return f"The asset category {category} is empty. Add assets to it."
        return (
            f"The asset category {category} has no member at {self.configuration.starts_at.isoformat()}, where the "
            f"signal starts; its first joined at {first.isoformat()}. Register who belonged then "
            "(AssetCategory.register_spells, or manage.py register_universe), or let the signal start later."
        )

    def get_explanation(self) -> str:
        universe: Any = self.configuration.assets_category_unique_id
        if universe is None:
            universe = f"{len(self.configuration.asset_list or [])} named assets"
        return f"Equal weights in {universe}"


def _nanoseconds(instant: dt.datetime) -> int:
    return int(pd.Timestamp(instant).as_unit("ns").value)

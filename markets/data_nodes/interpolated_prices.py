"""InterpolatedPrices: observed bars put on the sessions of a calendar, gaps filled from the past and never further."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from markets.data_nodes.asset_indexed import AssetIndexedDataNode
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.prices import BAR_COLUMNS, BEFORE_ALL_PRICES
from markets.data_nodes.reads import IdentityRange
from markets.data_nodes.sessions import Sessions, load_sessions
from markets.data_nodes.universes import load_universe
from markets.engine.dtypes import NOT_A_TIME
from markets.engine.indexes import index_of_codes, sorted_by_identifier
from markets.engine.interpolation import BarNotAtSessionCloseError, InterpolatedBars, interpolate_to_sessions
from markets.engine.price_files import NUMBER_COLUMNS
from markets.exceptions import FrameError, InvalidInput

BARS_IN_MESSAGE = 5


class InterpolatedPricesConfiguration(BaseModel):
    """The rule, and which assets. Assets come from a category, a list, or, with neither, all that the source has.

    A category stands for all that ever belonged to it: who left is priced on, because the past of a portfolio needs it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
    calendar_identifier: str = Field(min_length=1)
    rule: Literal["ffill", "none"] = "ffill"
    maximum_fill_sessions: int = Field(
        default=5, ge=0, le=260, description="A price older than this many sessions fills no gap."
    )
    assets_category_unique_id: str | None = Field(default=None, json_schema_extra={"scope": "update"})
    asset_list: list[str] | None = Field(default=None, min_length=1, json_schema_extra={"scope": "update"})


class InterpolatedPrices(AssetIndexedDataNode):
    """One bar a session, from each asset's first to its last observed one; in the bar schema."""

    OFFSET_START: dt.datetime = BEFORE_ALL_PRICES

    def __init__(
        self, configuration: InterpolatedPricesConfiguration, source: DataNode, *, hash_namespace: str = ""
    ) -> None:
        if configuration.asset_list is not None and configuration.assets_category_unique_id is not None:
            raise InvalidInput("Give either asset_list or assets_category_unique_id, not both.", field="asset_list")
        self.configuration = configuration
        self.source = source
        super().__init__(asset_list=configuration.asset_list, hash_namespace=hash_namespace)

    def dependencies(self) -> dict[str, DataNode]:
        return {"source": self.source}

    def get_asset_list(self) -> Sequence[Any]:
        if self.asset_list is not None:
            return self.asset_list
        category = self.configuration.assets_category_unique_id
        if category is None:
            return list(self.source.get_update_statistics())
        return category_members(category, since=self.OFFSET_START)

    def update(self) -> pd.DataFrame:
        sessions = load_sessions(self.configuration.calendar_identifier)
        identifiers = sorted(self.update_statistics, key=str.encode)
        after = np.array([self._last_own(name) for name in identifiers], dtype=np.int64)
        windows = self._windows(identifiers, after, sessions)
        frame = self.source.get_ranged_data_per_asset(windows)
        if frame.empty:
            return frame
        bars = _bars(frame, identifiers)
        try:
            result = interpolate_to_sessions(
                **bars,
                session_opens=sessions.opens,
                session_closes=sessions.closes,
                number_of_assets=len(identifiers),
                after=after,
                maximum_fill_sessions=self.configuration.maximum_fill_sessions,
                rule=self.configuration.rule,
            )
        except BarNotAtSessionCloseError as error:
            raise FrameError(self._stray_bars(error, bars, identifiers)) from error
        except ValueError as error:
            raise FrameError(f"{self.source.get_storage()} on calendar {sessions.calendar}: {error}") from error
        self._report_coverage(result, identifiers)
        return _frame(result, sessions, identifiers)

    def get_column_metadata(self) -> Sequence[ColumnMetaData]:
        return BAR_COLUMNS

    def get_table_metadata(self) -> TableMetaData:
        fill = (
            f"gaps filled from at most {self.configuration.maximum_fill_sessions} sessions before"
            if self.configuration.rule == "ffill"
            else "gaps left open"
        )
        return TableMetaData(
            identifier=self.configuration.dataset,
            description=f"Bars on the sessions of {self.configuration.calendar_identifier}, {fill}.",
            data_frequency_id="1d",
        )

    def _last_own(self, identifier: str) -> int:
        if identifier not in self.update_statistics.index_min:
            return NOT_A_TIME
        last = self.update_statistics[identifier]
        return int(pd.Timestamp(last).as_unit("ns").value)

    def _windows(self, identifiers: list[str], after: np.ndarray, sessions: Sessions) -> dict[str, IdentityRange]:
        """Per asset, what can still fill a session that is not yet stored."""
        place = np.searchsorted(sessions.closes, after) - self.configuration.maximum_fill_sessions
        starts = sessions.closes[np.clip(place, 0, len(sessions) - 1)]
        return {
            name: {} if last == NOT_A_TIME else {"start_date": pd.Timestamp(start, unit="ns", tz="UTC").to_pydatetime()}
            for name, last, start in zip(identifiers, after.tolist(), starts.tolist(), strict=True)
        }

    def _stray_bars(self, error: BarNotAtSessionCloseError, bars: dict[str, Any], identifiers: list[str]) -> str:
        shown = [
            f"{identifiers[bars['asset_codes'][row]]} at {_text(bars['times'][row])} (nearest close: {_text(near)})"
            for row, near in zip(error.rows[:BARS_IN_MESSAGE], error.nearest_closes[:BARS_IN_MESSAGE], strict=True)
        ]
        return (
            f"{len(error.rows)} bars of {self.source.get_storage()} are not stamped at a session close of the calendar "
            f"{self.configuration.calendar_identifier}: {'; '.join(shown)}. Stamp bars at the close of their session, "
            "use the calendar that the assets trade on, or extend its sessions."
        )

    def _report_coverage(self, result: InterpolatedBars, identifiers: list[str]) -> None:
        filled = int(result.interpolated.sum())
        if filled:
            self.logger.info("%s sessions had no bar and carry the last price", f"{filled:,}")
        for code in np.flatnonzero(result.sessions_without_price).tolist():
            self.logger.warning(
                "%s has no price on %s sessions: its gap is longer than %s sessions",
                identifiers[code],
                int(result.sessions_without_price[code]),
                self.configuration.maximum_fill_sessions,
            )


def category_members(unique_identifier: str, *, since: dt.datetime) -> list[str]:
    """The identifiers of all assets that belonged to a category at any time after `since`, also those that left.

    Raises NotFound; InvalidInput when there is none.
    """
    universe = load_universe(unique_identifier, since=since, until=dt.datetime.now(dt.UTC))
    if not universe.identifiers:
        raise InvalidInput(f"The asset category {unique_identifier} is empty. Add assets to it.")
    return universe.identifiers


def _text(nanoseconds: int) -> str:
    return f"{pd.Timestamp(nanoseconds, tz='UTC'):%Y-%m-%dT%H:%M:%S}Z"


def _bars(frame: pd.DataFrame, identifiers: list[str]) -> dict[str, Any]:
    """The columns of long bars, sorted by (asset, time), as `interpolate_to_sessions` takes them."""
    codes, times, order = sorted_by_identifier(frame, identifiers)
    present = [name for name in NUMBER_COLUMNS if name in frame]
    open_times = frame["open_time"].to_numpy(dtype="M8[ns]").astype(np.int64) if "open_time" in frame else None
    return {
        "asset_codes": codes,
        "times": times,
        "columns": {name: frame[name].to_numpy(dtype=np.float64)[order] for name in present},
        "open_times": None if open_times is None else open_times[order],
    }


def _frame(result: InterpolatedBars, sessions: Sessions, identifiers: list[str]) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(sessions.closes.astype("M8[ns]"), tz="UTC")
    index = index_of_codes(
        ["time_index", "asset_identifier"],
        [stamps, pd.Index(identifiers, dtype="str")],
        [result.session, result.asset_codes],
    )
    nothing = np.full(len(index), np.nan)
    columns: dict[str, Any] = {"open_time": pd.DatetimeIndex(result.open_time.astype("M8[ns]"), tz="UTC")}
    columns |= {name: result.columns.get(name, nothing) for name in NUMBER_COLUMNS}
    columns["interpolated"] = result.interpolated
    frame = pd.DataFrame(columns, index=index)
    return frame[[column.column_name for column in BAR_COLUMNS]]

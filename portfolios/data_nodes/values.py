"""PortfolioValues: a signal and prices become the weights and values of one portfolio, written together."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.output import NodeOutput
from markets.data_nodes.reads import IdentityRange
from markets.data_nodes.sessions import Sessions, load_sessions
from markets.engine.indexes import index_of_codes, sorted_by_identifier
from markets.exceptions import Conflict, InvalidInput, NotFound
from portfolios.data_nodes.signals import EMPTY, SignalWeights
from portfolios.engine.alignment import AlignedPrices, align_prices, align_signal
from portfolios.engine.rebalance import ImmediateSignal
from portfolios.engine.valuation import (
    MissingPricesError,
    PortfolioState,
    Valuation,
    turnover_basis_of,
    value_portfolio,
)
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight

VOLUME = "volume"
FILLED = "interpolated"


class PortfolioConfiguration(BaseModel):
    """How one portfolio is built; shown beside its results. The formulas: `docs/reference/portfolio-values.md`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    portfolio_identifier: str = Field(min_length=1, max_length=255)
    calendar_identifier: str = Field(min_length=1)
    valuation_column: str = "close"
    commission_fee: float = Field(
        default=0.00018, ge=0, lt=1, allow_inf_nan=False, description="Fraction of the traded value, each leg."
    )
    weights_between_rebalances: Literal["constant", "drift"] = "constant"
    turnover_basis: Literal["target", "drifted"] | None = Field(
        default=None, description="Default: target with constant weights, drifted with drifting ones."
    )
    fill: Literal["same_bar", "next_bar"] = "same_bar"
    start_when: Literal["any_priced", "all_priced"] = "any_priced"
    missing_price: Literal["hold", "fail"] = "hold"
    maximum_price_age_sessions: int = Field(default=5, ge=0, le=260)
    signal_expiry: Literal["hold", "liquidate"] = "hold"

    @model_validator(mode="after")
    def _known_turnover_basis(self) -> "PortfolioConfiguration":
        turnover_basis_of(self.turnover_basis, self.weights_between_rebalances)
        return self

    @property
    def effective_turnover_basis(self) -> str:
        return turnover_basis_of(self.turnover_basis, self.weights_between_rebalances)


class PortfolioWeights(DataNode):
    """The weights table, written by PortfolioValues in the transaction that writes the values."""

    model = PortfolioWeight
    index_names: ClassVar[tuple[str, ...]] = ("time_index", "portfolio_identifier", "asset_identifier")
    key_columns: ClassVar[tuple[str, ...]] = ("portfolio_identifier", "time_index", "asset_identifier")

    def __init__(self, portfolio_identifier: str, *, hash_namespace: str = "") -> None:
        self.portfolio_identifier = portfolio_identifier
        super().__init__(hash_namespace=hash_namespace)

    def statistics_scope(self) -> dict[str, str]:
        return {"portfolio_identifier": self.portfolio_identifier}

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(
            identifier="PortfolioWeights", description="Weights of all portfolios, session by session."
        )


class PortfolioValues(DataNode):
    """One row a session: value, return, turnover, and whether a price or the signal was too old."""

    model = PortfolioValue
    builds_on_own_rows: ClassVar[bool] = True
    index_names: ClassVar[tuple[str, ...]] = ("time_index", "portfolio_identifier")
    key_columns: ClassVar[tuple[str, ...]] = ("portfolio_identifier", "time_index")

    def __init__(
        self,
        configuration: PortfolioConfiguration,
        price_source: DataNode,
        signal: SignalWeights,
        *,
        hash_namespace: str = "",
    ) -> None:
        self.configuration = configuration
        self.price_source = price_source
        self.signal = signal
        self.weights_node = PortfolioWeights(configuration.portfolio_identifier)
        self._assets: list[str] | None = None
        super().__init__(hash_namespace=hash_namespace)

    def dependencies(self) -> dict[str, DataNode]:
        return {"price_source": self.price_source, "signal": self.signal}

    def statistics_scope(self) -> dict[str, str]:
        return {"portfolio_identifier": self.configuration.portfolio_identifier}

    def companions(self) -> Sequence[DataNode]:
        return (self.weights_node,)

    def assets_read(self) -> Sequence[str] | None:
        return self._assets

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier="PortfolioValues", description="Values of all portfolios, session by session.")

    def get_column_metadata(self) -> Sequence[ColumnMetaData] | None:
        return None

    def update(self) -> pd.DataFrame | NodeOutput:
        self._check_portfolio()
        sessions = load_sessions(self.configuration.calendar_identifier)
        stamps, weights, identifiers = self.signal.stored_weights()
        if not len(stamps):
            self.logger.info("the signal has no weights yet")
            return EMPTY
        stored = self._stored_state()
        self._assets = sorted({*identifiers, *(stored.held if stored else ())}, key=str.encode)
        present = [name for name, weight in zip(identifiers, weights[-1], strict=True) if weight]
        rows = self._rows(sessions, stamps, sorted({*present, *(stored.held if stored else ())}), stored)
        if rows is None:
            return EMPTY
        rebalance = ImmediateSignal(self.configuration.fill)
        skip = 0 if stored is None else min(rebalance.rows_before, rows.start)
        with_before = sessions.closes[rows.start - skip : rows.stop]
        assets = self._assets
        signal = align_signal(
            stamps,
            _over(assets, identifiers, weights),
            with_before,
            validity=_nanoseconds(self.signal.validity),
            expiry=self.configuration.signal_expiry,
        )
        targets = rebalance.target(signal, skip=skip)
        market = self._market(sessions, rows, assets, resumed=stored is not None)
        state = None if stored is None else stored.state(assets, market.price_before)
        try:
            valuation = value_portfolio(
                targets.weights,
                market.prices,
                fee=self.configuration.commission_fee,
                weights_between_rebalances=self.configuration.weights_between_rebalances,
                turnover_basis=self.configuration.turnover_basis,
                rebalanced=targets.rebalanced,
                missing_price=self.configuration.missing_price,
                start_when=self.configuration.start_when,
                state=state,
            )
        except MissingPricesError as error:
            raise self._missing(error, assets, sessions.closes[rows]) from error
        except ValueError as error:
            raise InvalidInput(f"{self.configuration.portfolio_identifier}: {error}") from error
        kept = slice(valuation.first_row, None)
        closes = sessions.closes[rows][kept]
        if not len(closes):
            return EMPTY
        return NodeOutput(
            self._value_frame(valuation, closes, targets.expired[kept]),
            [(self.weights_node, self._weight_frame(valuation, closes, assets, market.volume[valuation.first_row :]))],
        )

    def _check_portfolio(self) -> None:
        """Only the node that a portfolio names computes it: two would mix their conventions in one series."""
        identifier = self.configuration.portfolio_identifier
        named = Portfolio.objects.filter(unique_identifier=identifier).values_list("values_node__update_hash").first()
        if named is None:
            raise NotFound(f"There is no portfolio {identifier!r}. Build it first: build_portfolio(…).")
        if named[0] != self.update_hash:
            raise Conflict(
                f"The portfolio {identifier} is computed by {named[0] or 'no DataNode yet'}, not by {self.update_hash}."
                " Run that one, or build the portfolio again with this configuration."
            )

    # --- what is stored ----------------------------------------------------------------------------------------------
    def _stored_state(self) -> "_StoredState | None":
        last = self.update_statistics.max_time_index_value
        if last is None:
            return None
        value = self.get_df_between_dates(start_date=last, end_date=last)
        held = self.weights_node.get_df_between_dates(start_date=last, end_date=last)
        held = held[held["weight"] != 0]
        return _StoredState(
            time=int(pd.Timestamp(last).as_unit("ns").value),
            close=float(value["calculated_close"].iloc[-1]),
            held=list(held.index.get_level_values("asset_identifier")),
            weights=held["weight"].to_numpy(dtype=np.float64),
        )

    # --- which sessions ----------------------------------------------------------------------------------------------
    def _rows(
        self, sessions: Sessions, stamps: np.ndarray, present: list[str], stored: "_StoredState | None"
    ) -> slice | None:
        """The sessions to value: after the last stored one, or from the first stamp, to the last price.

        The last price is that of the assets `present`: those in the signal's last stamp, and those still held.
        """
        progress = self.price_source.get_update_statistics().index_progress
        priced = [progress[name] for name in present if name in progress]
        if not priced:
            self.logger.info("none of the %s assets has a price yet", len(present))
            return None
        last_price = int(pd.Timestamp(max(priced)).as_unit("ns").value)
        if stored is None:
            start = int(np.searchsorted(sessions.closes, stamps[0]))
        else:
            start = int(np.searchsorted(sessions.closes, stored.time, side="right"))
            if start == 0 or sessions.closes[start - 1] != stored.time:
                raise InvalidInput(
                    f"{self.configuration.portfolio_identifier} has a value at "
                    f"{pd.Timestamp(stored.time, unit='ns', tz='UTC').isoformat()}, which is no session of "
                    f"{sessions.calendar} any more. Restore that session, or delete the portfolio's values."
                )
        stop = int(np.searchsorted(sessions.closes, last_price, side="right"))
        if last_price > sessions.closes[-1]:
            self.logger.warning(
                "prices reach %s but the calendar %s ends at %s: extend it",
                max(priced).date(),
                sessions.calendar,
                sessions.dates[-1],
            )
        return slice(start, stop) if start < stop else None

    # --- prices ------------------------------------------------------------------------------------------------------
    def _market(self, sessions: Sessions, rows: slice, assets: list[str], *, resumed: bool) -> "_Market":
        """Prices and volumes on the rows, and on the row before them when a run resumes.

        A price is the last one at or before its row, however old; its age is judged by earlier sessions. So what a run
        sees does not depend on where the run before it stopped.
        """
        reach = max(rows.start - self.configuration.maximum_price_age_sessions - 1, 0)
        frame = self._read_prices(sessions, assets, reach, rows)
        codes, times, order = sorted_by_identifier(frame, assets)
        first = rows.start - 1 if resumed else rows.start
        index = sessions.closes[first : rows.stop]
        prices = align_prices(
            codes,
            times,
            frame[self.configuration.valuation_column].to_numpy(dtype=np.float64)[order],
            index,
            number_of_assets=len(assets),
            maximum_age_sessions=self.configuration.maximum_price_age_sessions,
            sessions=sessions.closes[reach:],
        )
        volume = np.full(prices.price.shape, np.nan)
        if VOLUME in frame:
            row = np.minimum(np.searchsorted(index, times), len(index) - 1)
            on_row = index[row] == times
            observed = frame[VOLUME].to_numpy(dtype=np.float64)[order]
            volume[row[on_row], codes[on_row]] = observed[on_row]
        if not resumed:
            nothing = np.full((1, len(assets)), np.nan)
            return _Market(prices, nothing[0], np.concatenate([nothing, volume]))
        after = {field.name: getattr(prices, field.name)[1:] for field in dataclasses.fields(prices)}
        return _Market(AlignedPrices(**after), prices.price[0], volume)

    def _read_prices(self, sessions: Sessions, assets: list[str], reach: int, rows: slice) -> pd.DataFrame:
        """Observed bars from the oldest session that can still count; of an asset silent before that, its whole past.

        A bar that interpolation filled is no observation: the price it repeats is held, and its age told, here.
        """
        column = self.configuration.valuation_column
        storage = self.price_source.get_storage()
        names = [item["column_name"] for item in storage.columns]
        if names and column not in names:
            raise InvalidInput(
                f"{storage} has no column {column!r} to value with. It has {', '.join(names)}.",
                field="valuation_column",
            )
        wanted = [name for name in dict.fromkeys([column, VOLUME, FILLED]) if name in names]
        last: IdentityRange = {"end_date": _instant(sessions.closes[rows.stop - 1])}
        window_start = _instant(sessions.closes[reach])
        recent: IdentityRange = {**last, "start_date": window_start}
        frame = _observed(self.price_source.get_ranged_data_per_asset(dict.fromkeys(assets, recent), columns=wanted))
        known = frame[frame[column].notna()].index
        before_rows = known[known.get_level_values(0) < pd.Timestamp(sessions.closes[rows.start], tz="UTC")]
        first_seen = self.price_source.get_update_statistics().index_min
        silent = [
            name
            for name in set(assets) - set(before_rows.get_level_values(1))
            if name in first_seen and first_seen[name] < window_start
        ]
        if not silent:
            return frame
        past = _observed(self.price_source.get_ranged_data_per_asset(dict.fromkeys(silent, last), columns=wanted))
        others = frame[~frame.index.get_level_values(1).isin(silent)]
        return pd.concat([others, past]).sort_index()

    def _missing(self, error: MissingPricesError, assets: list[str], closes: np.ndarray) -> InvalidInput:
        code, row = int(error.asset_codes[0]), int(error.rows[0])
        return InvalidInput(
            f"{self.configuration.portfolio_identifier}: {assets[code]} has weight but no price within "
            f"{self.configuration.maximum_price_age_sessions} sessions of {_instant(closes[row]).isoformat()} "
            f"({len(error.rows)} such cells). Load its prices, or set missing_price to hold."
        )

    # --- what is written ---------------------------------------------------------------------------------------------
    def _value_frame(self, valuation: Valuation, closes: np.ndarray, expired: np.ndarray) -> pd.DataFrame:
        stamps = pd.DatetimeIndex(closes.astype("M8[ns]"), tz="UTC")
        index = pd.MultiIndex.from_arrays(
            [stamps, [self.configuration.portfolio_identifier] * len(stamps)], names=list(self.index_names)
        )
        return pd.DataFrame(
            {
                "close": valuation.close,
                "return": valuation.returns,
                "calculated_close": valuation.close,
                "close_time": stamps,
                "turnover": valuation.turnover,
                "is_incomplete": valuation.is_incomplete,
                "signal_expired": expired,
            },
            index=index,
        )

    def _weight_frame(
        self, valuation: Valuation, closes: np.ndarray, assets: list[str], volume: np.ndarray
    ) -> pd.DataFrame:
        """A row for each asset held before or after the session's trade; an exit is a row of weight 0.

        `volume` (T + 1, A) begins with the row before the first.
        """
        row, column = np.nonzero((valuation.weights != 0) | (valuation.weights_before != 0))
        stamps = pd.DatetimeIndex(closes.astype("M8[ns]"), tz="UTC")
        index = index_of_codes(
            self.weights_node.index_names,
            [stamps, [self.configuration.portfolio_identifier], pd.Index(assets, dtype="str")],
            [row, np.zeros(len(row), dtype=np.int64), column],
        )
        cells: dict[str, Any] = {
            "weight": valuation.weights,
            "weight_before": valuation.weights_before,
            "price_current": valuation.price,
            "price_before": valuation.price_before,
            "volume_current": volume[1:],
            "volume_before": volume[:-1],
            "price_is_stale": valuation.price_is_stale,
        }
        return pd.DataFrame({name: matrix[row, column] for name, matrix in cells.items()}, index=index)


@dataclass(frozen=True)
class _Market:
    """`prices` on the T rows; `price_before` (A,) on the row before them; `volume` (T + 1, A), that row first."""

    prices: AlignedPrices
    price_before: np.ndarray
    volume: np.ndarray


@dataclass(frozen=True)
class _StoredState:
    """The last stored session of the portfolio; `weights` (H,) of the assets `held`."""

    time: int
    close: float
    held: list[str]
    weights: np.ndarray

    def state(self, assets: list[str], prices: np.ndarray) -> PortfolioState:
        """The state over `assets` (A,), among them all that are held, with their prices at the time of the state."""
        by_name = dict(zip(self.held, self.weights.tolist(), strict=True))
        weights = np.array([by_name.get(name, 0.0) for name in assets])
        return PortfolioState(close=self.close, weights=weights, prices=prices, time=self.time)


def _over(assets: list[str], identifiers: list[str], weights: np.ndarray) -> np.ndarray:
    """The weights over a larger set of assets, absent = 0."""
    spread = np.zeros((len(weights), len(assets)))
    position = {name: code for code, name in enumerate(assets)}
    spread[:, [position[name] for name in identifiers]] = weights
    return spread


def _observed(bars: pd.DataFrame) -> pd.DataFrame:
    return bars[~bars[FILLED].astype(bool)] if FILLED in bars else bars


def _instant(nanoseconds: np.int64 | int) -> dt.datetime:
    return pd.Timestamp(int(nanoseconds), unit="ns", tz="UTC").to_pydatetime()


def _nanoseconds(duration: dt.timedelta | None) -> int | None:
    return None if duration is None else duration // dt.timedelta(microseconds=1) * 1_000

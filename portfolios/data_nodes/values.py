"""PortfolioValues: a signal and prices become the weights and values of one portfolio, written together."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.node import DataNode, NodeOutput
from markets.data_nodes.reads import IdentityRange
from markets.data_nodes.sessions import Sessions, load_sessions
from markets.exceptions import InvalidInput
from portfolios.data_nodes.signals import EMPTY, SignalWeights
from portfolios.engine.alignment import AlignedPrices, align_prices, align_signal
from portfolios.engine.frames import long_to_wide
from portfolios.engine.rebalance import ImmediateSignal
from portfolios.engine.valuation import MissingPricesError, PortfolioState, Valuation, value_portfolio
from portfolios.models import PortfolioValue, PortfolioWeight


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
    def _drift_trades_drifted(self) -> "PortfolioConfiguration":
        if self.weights_between_rebalances == "drift" and self.turnover_basis == "target":
            raise ValueError("turnover_basis='target' needs constant weights; drifting weights trade from the drifted.")
        return self

    @property
    def effective_turnover_basis(self) -> str:
        return self.turnover_basis or ("target" if self.weights_between_rebalances == "constant" else "drifted")


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
        super().__init__(hash_namespace=hash_namespace)

    def dependencies(self) -> dict[str, DataNode]:
        return {"price_source": self.price_source, "signal": self.signal}

    def statistics_scope(self) -> dict[str, str]:
        return {"portfolio_identifier": self.configuration.portfolio_identifier}

    def get_table_metadata(self) -> TableMetaData:
        return TableMetaData(identifier="PortfolioValues", description="Values of all portfolios, session by session.")

    def get_column_metadata(self) -> Sequence[ColumnMetaData] | None:
        return None

    def update(self) -> pd.DataFrame | NodeOutput:
        sessions = load_sessions(self.configuration.calendar_identifier)
        stamps, weights, identifiers = self.signal.stored_weights()
        if not len(stamps):
            self.logger.info("the signal has no weights yet")
            return EMPTY
        stored = self._stored_state()
        rows = self._rows(sessions, stamps, identifiers, stored)
        if rows is None:
            return EMPTY
        rebalance = ImmediateSignal(self.configuration.fill)
        skip = 0 if stored is None else min(rebalance.rows_before, rows.start)
        with_before = sessions.closes[rows.start - skip : rows.stop]
        assets = sorted({*identifiers, *(stored.held if stored else ())}, key=str.encode)
        signal = align_signal(
            stamps,
            _over(assets, identifiers, weights),
            with_before,
            validity=_nanoseconds(self.signal.validity),
            expiry=self.configuration.signal_expiry,
        )
        targets = rebalance.target(signal, skip=skip)
        prices, volumes = self._prices(sessions, rows, assets, stored)
        state = None if stored is None else stored.state(assets)
        try:
            valuation = value_portfolio(
                targets.weights,
                prices,
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
            [(self.weights_node, self._weight_frame(valuation, closes, assets, volumes, valuation.first_row, stored))],
        )

    # --- what is stored ----------------------------------------------------------------------------------------------
    def _stored_state(self) -> "_StoredState | None":
        last = self.update_statistics.max_time_index_value
        if last is None:
            return None
        value = self.get_df_between_dates(start_date=last, end_date=last)
        held = self.weights_node.get_df_between_dates(start_date=last, end_date=last)
        return _StoredState(
            time=int(pd.Timestamp(last).as_unit("ns").value),
            close=float(value["calculated_close"].iloc[-1]),
            held=list(held.index.get_level_values("asset_identifier")),
            weights=held["weight"].to_numpy(dtype=np.float64),
            prices=held["price_current"].to_numpy(dtype=np.float64),
            volumes=held["volume_current"].to_numpy(dtype=np.float64),
        )

    # --- which sessions ----------------------------------------------------------------------------------------------
    def _rows(
        self, sessions: Sessions, stamps: np.ndarray, identifiers: list[str], stored: "_StoredState | None"
    ) -> slice | None:
        """The sessions to value: after the last stored one, or from the first stamp, to the last price."""
        progress = self.price_source.get_update_statistics().index_progress
        priced = [progress[name] for name in identifiers if name in progress]
        if not priced:
            self.logger.info("none of the %s assets has a price yet", len(identifiers))
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
    def _prices(
        self, sessions: Sessions, rows: slice, assets: list[str], stored: "_StoredState | None"
    ) -> tuple[AlignedPrices, np.ndarray]:
        """Prices and volumes (T, A) on the rows, each the last one known, with its age judged from earlier sessions."""
        column = self.configuration.valuation_column
        reach = max(rows.start - self.configuration.maximum_price_age_sessions - 1, 0)
        window: IdentityRange = {"end_date": _instant(sessions.closes[rows.stop - 1])}
        if rows.start > 0:
            window |= {"start_date": _instant(sessions.closes[reach])}
        known = self.price_source.get_storage().columns
        names = [item["column_name"] for item in known]
        if known and column not in names:
            raise InvalidInput(
                f"{self.price_source.get_storage()} has no column {column!r} to value with. It has {', '.join(names)}.",
                field="valuation_column",
            )
        wanted = [column, "volume"] if "volume" in names and column != "volume" else [column]
        frame = self.price_source.get_ranged_data_per_asset(dict.fromkeys(assets, window), columns=wanted)
        codes, times, order = _sorted_by_asset(frame, assets)
        values = frame[column].to_numpy(dtype=np.float64)[order]
        if stored is not None:
            codes, times, values = stored.with_held_prices(
                assets, codes, times, values, before=int(sessions.closes[reach])
            )
        prices = align_prices(
            codes,
            times,
            values,
            sessions.closes[rows],
            number_of_assets=len(assets),
            maximum_age_sessions=self.configuration.maximum_price_age_sessions,
            sessions=sessions.closes[reach:],
        )
        volumes = np.full(prices.price.shape, np.nan)
        if "volume" in wanted[1:]:
            own_codes, own_times, order = _sorted_by_asset(frame, assets)
            row = np.searchsorted(sessions.closes[rows], own_times)
            on_row = (row < len(volumes)) & (sessions.closes[rows][np.minimum(row, len(volumes) - 1)] == own_times)
            volumes = long_to_wide(
                row[on_row],
                own_codes[on_row],
                frame["volume"].to_numpy(dtype=np.float64)[order][on_row],
                volumes.shape,
            )
        return prices, volumes

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
        self,
        valuation: Valuation,
        closes: np.ndarray,
        assets: list[str],
        volumes: np.ndarray,
        first_row: int,
        stored: "_StoredState | None",
    ) -> pd.DataFrame:
        """A row for each asset held before or after the session's trade; an exit is a row of weight 0."""
        volume = volumes[first_row:]
        before = stored.volumes_of(assets) if stored is not None else np.full(len(assets), np.nan)
        volume_before = np.concatenate([before[None, :], volume])[:-1]
        row, column = np.nonzero((valuation.weights != 0) | (valuation.weights_before != 0))
        stamps = pd.DatetimeIndex(closes.astype("M8[ns]"), tz="UTC")
        index = pd.MultiIndex(
            levels=[stamps, [self.configuration.portfolio_identifier], pd.Index(assets, dtype="str")],
            codes=[row, np.zeros(len(row), dtype=np.int64), column],
            names=list(self.weights_node.index_names),
            verify_integrity=False,
        )
        cells: dict[str, Any] = {
            "weight": valuation.weights,
            "weight_before": valuation.weights_before,
            "price_current": valuation.price,
            "price_before": valuation.price_before,
            "volume_current": volume,
            "volume_before": volume_before,
            "price_is_stale": valuation.price_is_stale,
        }
        return pd.DataFrame({name: matrix[row, column] for name, matrix in cells.items()}, index=index)


@dataclass(frozen=True)
class _StoredState:
    """The last stored session of the portfolio: (H,) arrays over the assets that it holds."""

    time: int
    close: float
    held: list[str]
    weights: np.ndarray
    prices: np.ndarray
    volumes: np.ndarray

    def state(self, assets: list[str]) -> PortfolioState:
        return PortfolioState(
            close=self.close,
            weights=self._spread(assets, self.weights, 0.0),
            prices=self._spread(assets, self.prices, np.nan),
            time=self.time,
        )

    def volumes_of(self, assets: list[str]) -> np.ndarray:
        return self._spread(assets, self.volumes, np.nan)

    def _spread(self, assets: list[str], values: np.ndarray, fill: float) -> np.ndarray:
        by_name = dict(zip(self.held, values.tolist(), strict=True))
        return np.array([by_name.get(name, fill) for name in assets])

    def with_held_prices(
        self, assets: list[str], codes: np.ndarray, times: np.ndarray, values: np.ndarray, *, before: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The observations, and for each asset held the price it was valued at, placed before all of them.

        A price that is held beyond its age limit was observed before the window that was read; without it the run
        would not know what the full run knows.
        """
        position = {name: code for code, name in enumerate(assets)}
        held = np.array([position[name] for name in self.held if name in position], dtype=np.int64)
        prices = np.array([p for name, p in zip(self.held, self.prices, strict=True) if name in position])
        all_codes = np.concatenate([held, codes])
        all_times = np.concatenate([np.full(len(held), before - 1, dtype=np.int64), times])
        all_values = np.concatenate([prices, values])
        order = np.lexsort((all_times, all_codes))
        return all_codes[order], all_times[order], all_values[order]


def _over(assets: list[str], identifiers: list[str], weights: np.ndarray) -> np.ndarray:
    """The weights over a larger set of assets, absent = 0."""
    spread = np.zeros((len(weights), len(assets)))
    position = {name: code for code, name in enumerate(assets)}
    spread[:, [position[name] for name in identifiers]] = weights
    return spread


def _sorted_by_asset(frame: pd.DataFrame, assets: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes and times (N,) sorted by (asset, time), and the order that sorts the frame's columns likewise."""
    index = frame.index
    assert isinstance(index, pd.MultiIndex)
    position = {name: code for code, name in enumerate(assets)}
    codes = np.array([position[name] for name in index.levels[1]], dtype=np.int64)[index.codes[1]]
    order = np.argsort(codes, kind="stable")
    times = index.levels[0].asi8[index.codes[0]]
    return codes[order], times[order], order


def _instant(nanoseconds: np.int64 | int) -> dt.datetime:
    return pd.Timestamp(int(nanoseconds), unit="ns", tz="UTC").to_pydatetime()


def _nanoseconds(duration: dt.timedelta | None) -> int | None:
    return None if duration is None else duration // dt.timedelta(microseconds=1) * 1_000

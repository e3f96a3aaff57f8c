"""Values a portfolio row by row from its targets and prices (spec 6.3), in one run or in any number of slices."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from portfolios.engine.alignment import AlignedPrices, BoolArray, FloatArray, IntArray

BetweenRebalances = Literal["constant", "drift"]
TurnoverBasis = Literal["target", "drifted"]


class MissingPricesError(ValueError):
    """Assets held, or to be held, on rows where they have no usable price.

    asset_codes, rows: (M,) int64, parallel: asset_codes[i] is unpriced on index row rows[i]; sorted by row, then code.
    """

    def __init__(self, asset_codes: IntArray, rows: IntArray) -> None:
        self.asset_codes = asset_codes
        self.rows = rows
        assets = np.unique(asset_codes)
        super().__init__(
            f"{assets.size} assets with a weight have no price on {np.unique(rows).size} rows, the first is asset "
            f"{int(asset_codes[0])} on row {int(rows[0])}: add the prices, raise the age limit, or choose "
            'missing_price="hold".'
        )


class PortfolioWipedOutError(ValueError):
    """A row lost the whole value (1 + return is not positive), so nothing after it is defined.

    row: the index row. period_return: its return.
    """

    def __init__(self, row: int, period_return: float) -> None:
        self.row = row
        self.period_return = period_return
        super().__init__(
            f"The portfolio loses its whole value on row {row} (return {period_return!r}): check the prices and the "
            "leverage of the targets; no value can follow."
        )


@dataclass(frozen=True, eq=False)
class PortfolioState:
    """What a run resumes from: the portfolio as it stands after a row.

    close: float, value after the row. weights: (A,) float64, executed weights after the row, zeros included.
    prices: (A,) float64, the prices of the row, held ones included; NaN where an asset has had none.
    time: int, UTC ns of the row.
    """

    close: float
    weights: FloatArray
    prices: FloatArray
    time: int

    def reindexed(self, positions: IntArray, *, prices: FloatArray | None = None) -> "PortfolioState":
        """The same state over another set of assets.

        positions: (B,) int64, for each new asset its position among the present ones, or -1 for an asset that joins
        with weight 0. The assets with a weight must all be kept and keep their order among themselves: sums run in
        this order, and another order may change the last bit.
        prices: (B,) float64, the prices at `time` of the new assets from the price table. Without it an asset that
        joins has NaN: returns, closes and weights are the same, only its first `price_before` is unknown.
        Raises ValueError when an asset with a weight is left out, moved or taken twice.
        """
        positions = np.asarray(positions, dtype=np.int64)
        if positions.size and (positions.min() < -1 or positions.max() >= self.weights.size):
            raise ValueError(f"positions must be in [-1, {self.weights.size}).")
        kept = positions[positions >= 0]
        if not np.array_equal(kept[self.weights[kept] != 0], np.flatnonzero(self.weights)):
            raise ValueError(
                f"The assets {np.flatnonzero(self.weights).tolist()} have a weight: each must be kept once, in this "
                "order, until it has been sold."
            )
        if prices is None:
            prices = np.append(self.prices, np.nan)[positions]
        elif np.shape(prices) != positions.shape:
            raise ValueError(f"prices must have shape {positions.shape}, not {np.shape(prices)}.")
        return PortfolioState(
            close=self.close,
            weights=np.append(self.weights, 0.0)[positions],
            prices=np.asarray(prices, dtype=np.float64),
            time=self.time,
        )


@dataclass(frozen=True, eq=False)
class Valuation:
    """T' valued rows: the index rows from `first_row` on, for A assets.

    first_row: int, the rows before it are cut; equals the number of index rows when none could be valued.
    returns: (T',) float64, R_t, after fees. close: (T',) float64, V_t. turnover: (T',) float64, both legs counted,
        sum over assets of abs(weights - weights_before).
    weights: (T', A) float64, executed weights after the row's trade.
    weights_before: (T', A) float64, what the trade started from, zeros on the first row ever. With turnover basis
        "target" the previous row's `weights`; with "drifted" those moved by the row's returns, w (1 + r) / (1 + w.r).
        Returns are earned on the previous row's `weights` under both.
    price: (T', A) float64, held ones included. price_before: (T', A) float64, price of the previous row; NaN on the
        first row ever.
    price_is_stale: (T', A) bool, the price was observed in an earlier session.
    is_incomplete: (T',) bool, an asset with a weight before or after the row has no usable price, or one with a
        weight before it has a price after a previous price of 0: its return is not known and counts as 0.
    """

    first_row: int
    returns: FloatArray
    close: FloatArray
    turnover: FloatArray
    weights: FloatArray
    weights_before: FloatArray
    price: FloatArray
    price_before: FloatArray
    price_is_stale: BoolArray
    is_incomplete: BoolArray


def value_portfolio(
    targets: FloatArray,
    prices: AlignedPrices,
    *,
    fee: float,
    weights_between_rebalances: BetweenRebalances = "constant",
    turnover_basis: TurnoverBasis | None = None,
    rebalanced: BoolArray | None = None,
    missing_price: Literal["hold", "fail"] = "hold",
    start_when: Literal["any_priced", "all_priced"] = "any_priced",
    state: PortfolioState | None = None,
) -> Valuation:
    """Value T rows of A assets by the formulas of spec 6.3 [MSM].

        r_t   = p_t / p_{t-1} - 1, per asset; 0 where it is unknown or not finite
        tau_t = sum |w_t - before_t|
        R_t   = sum w_{t-1} r_t - fee * tau_t
        V_t   = V_{t-1} (1 + R_t), V_{-1} = 1

    targets: (T, A) float64, finite. prices: aligned on the same rows and assets.
    fee: fraction of the traded value, of one leg, charged on V_{t-1}, the value before the row's return and trade.
    weights_between_rebalances: "constant" puts every row at its target; "drift" trades only on the first row and on
        those of `rebalanced`, (T,) bool, required with it, and lets the weights move with the prices in between.
    turnover_basis: what a trade is measured against: "target", the previous row's weights (default with constant),
        or "drifted", those moved by the row's returns (default, and the only choice, with drift).
    missing_price: "hold" earns 0 on a row without a new price, catches up with the next one, and flags the row once
        the price is missing; "fail" raises MissingPricesError.
    start_when: a portfolio without a `state` starts on the first row on which any, or all, of the assets with a
        target have a price that is not missing. Earlier rows are cut; the entry cost is charged on the first kept.
    state: where the previous run stopped, over the same assets (`PortfolioState.reindexed`); all rows are kept.

    Slicing the rows into consecutive runs gives the same bits as one run: sums over assets run strictly one asset
    after the other, so that assets of weight 0 never change them, and closes one row after the other.
    Raises ValueError on a fee, target or option that is not valid, and on shapes that do not fit;
    MissingPricesError; PortfolioWipedOutError.
    """
    targets, traded = _checked_targets(targets, prices, rebalanced, weights_between_rebalances)
    basis = turnover_basis_of(turnover_basis, weights_between_rebalances)
    _check_options(fee, missing_price, start_when)

    first_row = 0 if state is not None else _first_row(targets, prices, start_when)
    kept = slice(first_row, None)
    targets, traded = targets[kept], traded[kept]
    price, is_missing = prices.price[kept], prices.is_missing[kept]
    before_rows = _before_rows(state, targets.shape[1])
    price_before = np.concatenate([before_rows.prices[None, :], price])[:-1]
    period, unknown = _period_returns(price, price_before)

    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below, with its row
        if weights_between_rebalances == "drift":
            weights, weights_before, gross = _drifting_weights(targets, traded, period, state)
        else:
            weights = targets
            previous = np.concatenate([before_rows.weights[None, :], weights])[:-1]
            gross = _sequential_sum(previous * period)
            weights_before = _drifted(previous, period, gross) if basis == "drifted" else previous
        turnover = _sequential_sum(np.abs(weights - weights_before))
        returns = gross - fee * turnover
        growth = 1.0 + returns
    alive = (growth > 0) & np.isfinite(growth)
    if not alive.all():
        row = int(np.flatnonzero(~alive)[0])
        raise PortfolioWipedOutError(first_row + row, float(returns[row]))

    previous = np.concatenate([before_rows.weights[None, :], weights])[:-1]
    held = previous != 0
    lacking = (held | (weights != 0)) & is_missing
    if missing_price == "fail" and lacking.any():
        rows, codes = np.nonzero(lacking)
        raise MissingPricesError(codes.astype(np.int64), first_row + rows.astype(np.int64))
    return Valuation(
        first_row=first_row,
        returns=returns,
        close=np.multiply.accumulate(np.append(before_rows.close, growth))[1:],
        turnover=turnover,
        weights=weights,
        weights_before=weights_before,
        price=price,
        price_before=price_before,
        price_is_stale=prices.is_stale[kept],
        is_incomplete=(lacking | (held & unknown)).any(axis=1),
    )


def final_state(valuation: Valuation, index: IntArray, *, state: PortfolioState | None = None) -> PortfolioState | None:
    """The state after the last row of a run, for the next run to resume from.

    index: (T,) int64 UTC ns, the rows that were valued. state: the one this run resumed from.
    Returns `state` when the run valued no row: None while the portfolio has not started.
    """
    if valuation.close.size == 0:
        return state
    return PortfolioState(
        close=float(valuation.close[-1]),
        weights=valuation.weights[-1].copy(),
        prices=valuation.price[-1].copy(),
        time=int(index[-1]),
    )


def _before_rows(state: PortfolioState | None, number_of_assets: int) -> PortfolioState:
    """The state before the first row: the given one, or nothing held, at a value of 1."""
    if state is None:
        return PortfolioState(
            close=1.0, weights=np.zeros(number_of_assets), prices=np.full(number_of_assets, np.nan), time=0
        )
    if state.weights.shape != (number_of_assets,) or state.prices.shape != (number_of_assets,):
        raise ValueError(
            f"state must be over the {number_of_assets} assets of the targets, not over {state.weights.size}: "
            "use PortfolioState.reindexed."
        )
    if not (math.isfinite(state.close) and state.close > 0 and np.isfinite(state.weights).all()):
        raise ValueError(f"state must have a positive close and finite weights, not close {state.close}.")
    return state


def _first_row(targets: FloatArray, prices: AlignedPrices, start_when: str) -> int:
    """The first row on which any, or all, of the assets with a target are priced; T if there is none."""
    wanted = targets != 0
    priced = wanted & ~prices.is_missing
    ready = priced.any(axis=1)
    if start_when == "all_priced":
        ready &= (priced == wanted).all(axis=1)
    rows = np.flatnonzero(ready)
    return int(rows[0]) if rows.size else targets.shape[0]


def _period_returns(price: FloatArray, price_before: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Per asset p_t / p_{t-1} - 1 with 0 where it is not finite, and where two known prices gave no finite return."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        period = price / price_before
    period -= 1.0
    if np.isfinite(period).all():
        return period, np.zeros(period.shape, dtype=np.bool_)
    unknown = ~np.isfinite(period)
    period[unknown] = 0.0
    return period, unknown & ~np.isnan(price) & ~np.isnan(price_before)


def _sequential_sum(values: FloatArray) -> FloatArray:
    """Sum over the last axis strictly one element after the other, starting from +0.0, so that zeros change no bit.

    np.sum adds in pairs, in an order that depends on the number of elements.
    """
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1])
    total: FloatArray = np.add.accumulate(values, axis=-1)[..., -1] + 0.0
    return total


def _drifted(weights: FloatArray, period: FloatArray, gross: FloatArray) -> FloatArray:
    """Weights after the returns of a row, before any trade: w (1 + r) / (1 + sum w r) (spec 6.3).

    weights, period: (T, A). gross: (T,), sum w r. Rows that lose everything stay undivided: the caller refuses them.
    """
    growth = 1.0 + gross
    divisor = np.where(growth > 0, growth, 1.0)
    moved: FloatArray = weights * (1.0 + period) / divisor[:, None] + 0.0  # + 0.0: no negative zero
    return moved


def _drifting_weights(
    targets: FloatArray, traded: BoolArray, period: FloatArray, state: PortfolioState | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights after and before the trade, (T, A), and returns before fees, (T,), of weights that drift."""
    rows, number_of_assets = targets.shape
    weights, before, gross = np.empty_like(targets), np.empty_like(targets), np.empty(rows)
    held = np.zeros(number_of_assets) if state is None else state.weights
    growth = 1.0 + period
    running = np.empty(number_of_assets)
    for row in range(rows):
        moved, total = before[row], 0.0
        if number_of_assets:
            np.multiply(held, period[row], out=running)
            total = float(np.add.accumulate(running, out=running)[-1]) + 0.0
        gross[row] = total
        # As _drifted, one row at a time: each row starts from what the row before it ended with.
        np.multiply(held, growth[row], out=moved)
        moved /= 1.0 + total if 1.0 + total > 0 else 1.0
        moved += 0.0
        trade = traded[row] or (row == 0 and state is None)
        weights[row] = targets[row] if trade else moved
        held = weights[row]
    return weights, before, gross


def _checked_targets(
    targets: FloatArray, prices: AlignedPrices, rebalanced: BoolArray | None, between: str
) -> tuple[FloatArray, BoolArray]:
    """A copy of the targets without negative zeros, and the rows on which drifting weights are traded."""
    targets = np.asarray(targets, dtype=np.float64)
    if targets.ndim != 2 or targets.shape != prices.price.shape:
        raise ValueError(f"targets must have the (rows, assets) shape of the prices, not {targets.shape}.")
    if not np.isfinite(targets).all():
        row, code = np.argwhere(~np.isfinite(targets))[0]
        raise ValueError(f"The target of asset {code} on row {row} is {targets[row, code]}: give 0 for no position.")
    if between not in ("constant", "drift"):
        raise ValueError(f'weights_between_rebalances must be "constant" or "drift", not {between!r}.')
    if between == "constant":
        return targets + 0.0, np.ones(targets.shape[0], dtype=np.bool_)
    if rebalanced is None:
        raise ValueError('weights_between_rebalances="drift" needs `rebalanced`: the rows on which targets are traded.')
    traded = np.asarray(rebalanced, dtype=np.bool_)
    if traded.shape != targets.shape[:1]:
        raise ValueError(f"rebalanced must have shape {targets.shape[:1]}, one flag a row, not {traded.shape}.")
    return targets + 0.0, traded


def turnover_basis_of(basis: str | None, between: str) -> TurnoverBasis:
    """The turnover basis that applies when `basis` is given, or None; drifting weights leave only one.

    Raises ValueError for an unknown basis, and for "target" with drifting weights.
    """
    if basis is None:
        return "drifted" if between == "drift" else "target"
    if basis == "drifted":
        return "drifted"
    if basis != "target":
        raise ValueError(f'turnover_basis must be "target" or "drifted", not {basis!r}.')
    if between == "drift":
        raise ValueError(
            'turnover_basis="target" would count the drift of every row as a trade: with '
            'weights_between_rebalances="drift" choose "drifted".'
        )
    return "target"


def _check_options(fee: float, missing_price: str, start_when: str) -> None:
    if not (math.isfinite(fee) and fee >= 0):
        raise ValueError(f"fee must be finite and 0 or more, a fraction of the traded value, not {fee}.")
    if missing_price not in ("hold", "fail"):
        raise ValueError(f'missing_price must be "hold" or "fail", not {missing_price!r}.')
    if start_when not in ("any_priced", "all_priced"):
        raise ValueError(f'start_when must be "any_priced" or "all_priced", not {start_when!r}.')

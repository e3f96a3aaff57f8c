"""Valuing 500 assets x 2,520 bars from long prices: ours against two obvious pandas ways, in one run.

Run as `python -m benchmarks.portfolio_value [assets] [bars]`. All give the same closes; that is checked first.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd

from portfolios.engine.alignment import align_prices, align_signal
from portfolios.engine.rebalance import ImmediateSignal
from portfolios.engine.valuation import Valuation, value_portfolio

DAY = 86_400_000_000_000
FEE = 0.00018
REPEATS = 5
REBALANCED_EVERY = 21
SHARE_OF_GAPS = 0.01


def made_up_inputs(assets: int, bars: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Long prices sorted by asset with gaps, the index, and monthly stamps with normalised weights."""
    generator = np.random.default_rng(20260102)
    index = np.arange(bars, dtype=np.int64) * DAY + 1_514_764_800_000_000_000
    price = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, (assets, bars)), axis=1))
    kept = generator.random((assets, bars)) > SHARE_OF_GAPS
    kept[:, 0] = True
    codes, rows = np.nonzero(kept)
    prices = pd.DataFrame({"code": codes, "time": index[rows], "close": price[kept]})
    stamps = index[::REBALANCED_EVERY]
    weights = generator.random((stamps.size, assets))
    return prices, index, stamps, weights / weights.sum(axis=1, keepdims=True)


def ours(
    prices: pd.DataFrame, index: np.ndarray, stamps: np.ndarray, weights: np.ndarray, drift: bool = False
) -> Valuation:
    aligned = align_prices(
        prices["code"].to_numpy(),
        prices["time"].to_numpy(),
        prices["close"].to_numpy(),
        index,
        number_of_assets=weights.shape[1],
    )
    targets = ImmediateSignal().target(align_signal(stamps, weights, index))
    return value_portfolio(
        targets.weights,
        aligned,
        fee=FEE,
        weights_between_rebalances="drift" if drift else "constant",
        rebalanced=targets.rebalanced,
    )


def wide_pandas(prices: pd.DataFrame, index: np.ndarray, stamps: np.ndarray, weights: np.ndarray) -> pd.Series:
    wide = prices.pivot(index="time", columns="code", values="close").reindex(index).ffill()
    targets = pd.DataFrame(weights, index=stamps).reindex(index, method="ffill")
    before = targets.shift(1).fillna(0.0)
    turnover = (targets - before).abs().sum(axis=1)
    returns = (before * wide.pct_change().fillna(0.0)).sum(axis=1) - FEE * turnover
    return (1.0 + returns).cumprod()


def one_asset_at_a_time(prices: pd.DataFrame, index: np.ndarray, stamps: np.ndarray, weights: np.ndarray) -> pd.Series:
    returns = pd.Series(0.0, index=index)
    for code, asset in prices.groupby("code"):
        price = asset.set_index("time")["close"].reindex(index).ffill()
        target = pd.Series(weights[:, code], index=stamps).reindex(index, method="ffill")
        before = target.shift(1).fillna(0.0)
        returns += before * price.pct_change().fillna(0.0) - FEE * (target - before).abs()
    return (1.0 + returns).cumprod()


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main(assets: int = 500, bars: int = 2_520) -> None:
    inputs = made_up_inputs(assets, bars)
    close = ours(*inputs).close
    for peer in (wide_pandas, one_asset_at_a_time):
        np.testing.assert_allclose(peer(*inputs).to_numpy(), close, rtol=1e-11)

    runs: dict[str, Callable[[], object]] = {
        "value_portfolio": lambda: ours(*inputs),
        "value_portfolio, drifting": lambda: ours(*inputs, drift=True),
        "wide pandas": lambda: wide_pandas(*inputs),
        "one asset at a time": lambda: one_asset_at_a_time(*inputs),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            taken[name].append(seconds(run))

    base = median(taken["value_portfolio"])
    print(f"{assets:,} assets x {bars:,} bars, from long prices and stamps to returns, closes and weights")
    print(f"{'way':<28}{'ms':>10}{'ratio':>9}")
    for name, values in taken.items():
        print(f"{name:<28}{median(values) * 1000:>10.1f}{median(values) / base:>8.1f}x")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))

"""Interpolating 2,000 assets x 2,520 sessions: ours against two obvious pandas ways, in one run.

Run as `python -m benchmarks.interpolation [assets] [sessions]`. All three give the same rows; that is checked first.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd

from markets.engine.interpolation import InterpolatedBars, interpolate_to_sessions

DAY = 86_400_000_000_000
LIMIT = 5
REPEATS = 3
SHARE_OF_GAPS = 0.02
PRICES = ["open", "high", "low", "close"]


def made_up_bars(assets: int, sessions: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Sorted bars with gaps of one session and a few of ten, and the opens and closes of 24/7 sessions."""
    generator = np.random.default_rng(20260102)
    opens = np.arange(sessions, dtype=np.int64) * DAY + 1_514_764_800_000_000_000
    kept = generator.random((assets, sessions)) > SHARE_OF_GAPS
    for asset, start in enumerate(generator.integers(1, sessions - 11, assets)):
        kept[asset, start : start + 10] = False
    codes, session = np.nonzero(kept)
    close = 100 * np.exp(generator.normal(0, 0.01, codes.size))
    frame = pd.DataFrame(
        {
            "code": codes,
            "time": opens[session] + DAY,
            "open_time": opens[session],
            "open": close * 0.999,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "vwap": close * 1.0001,
            "volume": generator.integers(1, 10_000, codes.size).astype(np.float64),
        }
    )
    return frame, opens, opens + DAY


def ours(bars: pd.DataFrame, opens: np.ndarray, closes: np.ndarray) -> InterpolatedBars:
    names = [*PRICES, "vwap", "volume"]
    return interpolate_to_sessions(
        bars["code"].to_numpy(),
        bars["time"].to_numpy(),
        {name: bars[name].to_numpy() for name in names},
        bars["open_time"].to_numpy(),
        opens,
        closes,
        number_of_assets=int(bars["code"].iloc[-1]) + 1,
        maximum_fill_sessions=LIMIT,
    )


def filled(frame: pd.DataFrame, carried: pd.DataFrame, opens: pd.Series) -> pd.DataFrame:
    """The rules for filled rows, written once for both peers; `frame` has one row a session, NaN in the gaps."""
    frame["interpolated"] = frame["close"].isna()
    frame[["close", "vwap"]] = carried
    for name in ("open", "high", "low"):
        frame[name] = frame[name].fillna(frame["close"])
    frame["volume"] = frame["volume"].fillna(0.0)
    frame["open_time"] = frame["open_time"].fillna(opens).astype(np.int64)
    return frame[frame["close"].notna()]


def one_asset_at_a_time(bars: pd.DataFrame, opens: np.ndarray, closes: np.ndarray) -> pd.DataFrame:
    open_of = pd.Series(opens, index=closes)
    parts = []
    for code, asset in bars.groupby("code"):
        asset = asset.set_index("time")
        frame = asset.reindex(closes[(closes >= asset.index[0]) & (closes <= asset.index[-1])])
        frame["code"] = code
        parts.append(filled(frame, frame[["close", "vwap"]].ffill(limit=LIMIT), open_of.reindex(frame.index)))
    return pd.concat(parts)


def grouped_ffill(bars: pd.DataFrame, opens: np.ndarray, closes: np.ndarray) -> pd.DataFrame:
    span = bars.groupby("code")["time"].agg(["min", "max"])
    grid = pd.MultiIndex.from_product([span.index, closes], names=["code", "time"])
    first, last = (np.repeat(span[name].to_numpy(), closes.size) for name in ("min", "max"))
    stamps = np.tile(closes, len(span))
    inside = (stamps >= first) & (stamps <= last)
    frame = bars.set_index(["code", "time"]).reindex(grid[inside])
    carried = frame[["close", "vwap"]].groupby(level="code").ffill(limit=LIMIT)
    return filled(frame, carried, pd.Series(np.tile(opens, len(span))[inside], index=frame.index))


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main(assets: int = 2_000, sessions: int = 2_520) -> None:
    bars, opens, closes = made_up_bars(assets, sessions)
    result = ours(bars, opens, closes)
    for peer in (one_asset_at_a_time, grouped_ffill):
        frame = peer(bars, opens, closes)
        for name in (*PRICES, "vwap", "volume"):
            np.testing.assert_array_equal(frame[name].to_numpy(), result.columns[name])
        np.testing.assert_array_equal(frame["interpolated"].to_numpy(), result.interpolated)
        np.testing.assert_array_equal(frame["open_time"].to_numpy(), result.open_time)
        del frame

    runs: dict[str, Callable[[], object]] = {
        "interpolate_to_sessions": lambda: ours(bars, opens, closes),
        "reindex + groupby.ffill": lambda: grouped_ffill(bars, opens, closes),
        "one asset at a time": lambda: one_asset_at_a_time(bars, opens, closes),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            taken[name].append(seconds(run))

    base = median(taken["interpolate_to_sessions"])
    share = result.interpolated.mean()
    print(f"{assets:,} assets x {sessions:,} sessions, {result.session.size:,} rows, {share:.1%} filled")
    print(f"{'way':<26}{'seconds':>10}{'ratio':>9}")
    for name, values in taken.items():
        print(f"{name:<26}{median(values):>10.3f}{median(values) / base:>8.1f}x")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))

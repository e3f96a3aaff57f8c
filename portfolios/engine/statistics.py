"""Performance figures of a series of closes."""

import math
from dataclasses import dataclass

import numpy as np

from portfolios.engine.alignment import FloatArray, IntArray


@dataclass(frozen=True)
class PerformanceStatistics:
    """Figures of T closes, T - 1 periods; fractions, not percentages; times int64 UTC ns; None where undefined.

    With r_t = close_t / close_{t-1} - 1, n = T - 1 and s = sessions_a_year:

    number_of_periods: n.
    sessions_a_year: s, the basis of the two annualised figures.
    total_return: close_{T-1} / close_0 - 1.
    annualised_return: (1 + total_return) ** (s / n) - 1; None where it exceeds the range of a float.
    annualised_volatility: std(r, ddof=1) * sqrt(s); needs two periods.
    max_drawdown: the smallest close_t / max(close_0..close_t) - 1, so at most 0.
    drawdown_start, drawdown_trough, drawdown_recovery: the last time at the peak, the first time at the trough, and
        the first time after it at or above the peak (None while not recovered); all None when there is no drawdown.
    best_period_return, best_period_time; worst_period_return, worst_period_time: the largest and smallest r, and the
        first period end that had it.
    """

    number_of_periods: int
    sessions_a_year: float
    total_return: float | None = None
    annualised_return: float | None = None
    annualised_volatility: float | None = None
    max_drawdown: float | None = None
    drawdown_start: int | None = None
    drawdown_trough: int | None = None
    drawdown_recovery: int | None = None
    best_period_return: float | None = None
    best_period_time: int | None = None
    worst_period_return: float | None = None
    worst_period_time: int | None = None


def performance_statistics(times: IntArray, close: FloatArray, *, sessions_a_year: float) -> PerformanceStatistics:
    """Compute the figures of `PerformanceStatistics` (definitions there).

    times: (T,) int64 UTC ns, strictly increasing. close: (T,) float64, finite and positive.
    sessions_a_year: of the portfolio's calendar, for instance 252 or 365.25.
    The first close is the base: the entry cost that a portfolio pays on its first row is not in the figures. To
    include it, put a row with close 1 in front, as V_{-1} = 1 (spec 6.3). Fewer than 2 rows give None, never NaN.
    Raises ValueError on different lengths, times that do not increase, closes that are not finite and positive, or
    sessions_a_year that is not.
    """
    times = np.asarray(times, dtype=np.int64)
    close = np.asarray(close, dtype=np.float64)
    if times.ndim != 1 or times.shape != close.shape:
        raise ValueError(f"times and close must be 1-dimensional of one length, not {times.shape} and {close.shape}.")
    if (times[1:] <= times[:-1]).any():
        raise ValueError("times must increase strictly: sort the closes and remove duplicates.")
    if not (np.isfinite(close) & (close > 0)).all():
        first = int(np.flatnonzero(~(np.isfinite(close) & (close > 0)))[0])
        raise ValueError(f"close must be finite and positive: row {first} is {close[first]}.")
    if not (math.isfinite(sessions_a_year) and sessions_a_year > 0):
        raise ValueError(f"sessions_a_year must be finite and positive, not {sessions_a_year}.")

    periods = max(close.size - 1, 0)
    if periods == 0:
        return PerformanceStatistics(number_of_periods=0, sessions_a_year=sessions_a_year)
    with np.errstate(over="ignore"):
        returns = close[1:] / close[:-1] - 1.0
        growth = float(close[-1] / close[0])
    if not (np.isfinite(returns).all() and math.isfinite(growth)):
        raise ValueError("close varies beyond the range of a float: the ratio of two closes is not finite.")
    best, worst = int(returns.argmax()), int(returns.argmin())
    drawdown = _Drawdown.of(times, close)
    return PerformanceStatistics(
        number_of_periods=periods,
        sessions_a_year=sessions_a_year,
        total_return=growth - 1.0,
        annualised_return=_power(growth, sessions_a_year / periods),
        annualised_volatility=float(returns.std(ddof=1)) * math.sqrt(sessions_a_year) if periods > 1 else None,
        max_drawdown=drawdown.depth,
        drawdown_start=drawdown.start,
        drawdown_trough=drawdown.trough,
        drawdown_recovery=drawdown.recovery,
        best_period_return=float(returns[best]),
        best_period_time=int(times[best + 1]),
        worst_period_return=float(returns[worst]),
        worst_period_time=int(times[worst + 1]),
    )


@dataclass(frozen=True)
class _Drawdown:
    """The deepest fall of a series from its running maximum."""

    depth: float
    start: int | None = None
    trough: int | None = None
    recovery: int | None = None

    @classmethod
    def of(cls, times: IntArray, close: FloatArray) -> "_Drawdown":
        peak = np.maximum.accumulate(close)
        depth = close / peak - 1.0
        trough = int(depth.argmin())
        if depth[trough] >= 0:
            return cls(depth=0.0)
        start = int(np.flatnonzero(close[:trough] == peak[trough])[-1])
        recovered = np.flatnonzero(close[trough:] >= peak[trough])
        return cls(
            depth=float(depth[trough]),
            start=int(times[start]),
            trough=int(times[trough]),
            recovery=int(times[trough + recovered[0]]) if recovered.size else None,
        )


def _power(growth: float, exponent: float) -> float | None:
    """growth ** exponent - 1, or None beyond the range of a float."""
    try:
        return math.pow(growth, exponent) - 1.0
    except OverflowError:
        return None

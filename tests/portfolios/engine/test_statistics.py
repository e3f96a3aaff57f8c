"""Performance figures with exact values."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.engine.statistics import performance_statistics
from tests.portfolios.engine.builders import days

TIMES = days("2026-01-01", 6)


def test_figures_of_a_rise_a_fall_and_a_recovery() -> None:
    # given closes with powers of two, so that every figure is exact
    figures = performance_statistics(TIMES, np.array([1.0, 2.0, 1.5, 1.0, 2.0, 4.0]), sessions_a_year=5)
    # then
    assert figures.number_of_periods == 5
    assert figures.total_return == 3.0
    assert figures.annualised_return == 3.0  # five periods are this year
    returns = [1.0, -0.25, 1.0 / 1.5 - 1.0, 1.0, 1.0]
    mean = sum(returns) / 5
    assert figures.annualised_volatility == pytest.approx(
        math.sqrt(sum((value - mean) ** 2 for value in returns) / 4 * 5), rel=1e-14
    )
    assert figures.max_drawdown == -0.5
    assert (figures.drawdown_start, figures.drawdown_trough, figures.drawdown_recovery) == (
        TIMES[1],
        TIMES[3],
        TIMES[4],
    )
    assert (figures.best_period_return, figures.best_period_time) == (1.0, TIMES[1])
    assert (figures.worst_period_return, figures.worst_period_time) == (1.0 / 1.5 - 1.0, TIMES[3])
    assert figures.sessions_a_year == 5


def test_annualisation_follows_the_sessions_of_the_calendar() -> None:
    figures = performance_statistics(TIMES[:3], np.array([1.0, 1.0, 2.0]), sessions_a_year=4)
    assert figures.annualised_return == 3.0  # twofold in half a year


def test_a_drawdown_that_has_not_recovered_and_starts_at_the_last_peak() -> None:
    figures = performance_statistics(TIMES[:5], np.array([2.0, 1.9, 2.0, 1.0, 1.5]), sessions_a_year=252)
    assert (figures.max_drawdown, figures.drawdown_start, figures.drawdown_trough) == (-0.5, TIMES[2], TIMES[3])
    assert figures.drawdown_recovery is None


def test_no_drawdown() -> None:
    figures = performance_statistics(TIMES[:3], np.array([1.0, 1.0, 2.0]), sessions_a_year=252)
    assert figures.max_drawdown == 0.0
    assert figures.drawdown_start is figures.drawdown_trough is figures.drawdown_recovery is None


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_give_none(rows: int) -> None:
    figures = asdict(performance_statistics(TIMES[:rows], np.ones(rows), sessions_a_year=252))
    assert figures.pop("number_of_periods") == 0
    assert figures.pop("sessions_a_year") == 252
    assert set(figures.values()) == {None}


def test_one_period_has_a_return_but_no_volatility() -> None:
    figures = performance_statistics(TIMES[:2], np.array([1.0, 1.5]), sessions_a_year=1)
    assert (figures.total_return, figures.annualised_return, figures.annualised_volatility) == (0.5, 0.5, None)


def test_an_annualised_return_beyond_a_float_is_none() -> None:
    figures = performance_statistics(TIMES[:2], np.array([1.0, 1e3]), sessions_a_year=252)
    assert figures.annualised_return is None
    assert figures.total_return == 999.0


@given(st.lists(st.floats(1e-3, 1e3), min_size=0, max_size=6), st.floats(1, 366))
def test_no_figure_is_ever_nan(closes: list[float], sessions_a_year: float) -> None:
    figures = performance_statistics(TIMES[: len(closes)], np.array(closes), sessions_a_year=sessions_a_year)
    assert all(value is None or math.isfinite(value) for value in asdict(figures).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": np.array([1.0, 0.0])}, "close must be finite and positive: row 1 is 0.0"),
        ({"close": np.array([np.nan, 1.0])}, "close must be finite and positive: row 0 is nan"),
        ({"close": np.array([1e-300, 1e300])}, "beyond the range of a float"),
        ({"close": np.ones(3)}, "of one length"),
        ({"times": TIMES[[1, 0]]}, "times must increase strictly"),
        ({"sessions_a_year": 0}, "sessions_a_year must be finite and positive, not 0"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        performance_statistics(**({"times": TIMES[:2], "close": np.ones(2), "sessions_a_year": 252} | change))

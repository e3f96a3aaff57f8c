"""Immediate execution of a signal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.engine.alignment import align_signal
from portfolios.engine.rebalance import ImmediateSignal
from tests.portfolios.engine.builders import DAY, at, days

INDEX = days("2026-02-01", 6)
STAMPS = np.array([at("2026-02-02"), at("2026-02-04")])
WEIGHTS = np.array([[1.0, 0.0], [0.0, 1.0]])


def test_same_bar_trades_on_the_row_of_the_stamp() -> None:
    targets = ImmediateSignal().target(align_signal(STAMPS, WEIGHTS, INDEX))
    assert targets.weights.tolist() == [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]
    assert targets.rebalanced.tolist() == [False, True, False, True, False, False]
    assert not targets.expired.any()


def test_next_bar_trades_one_row_later() -> None:
    targets = ImmediateSignal(fill="next_bar").target(align_signal(STAMPS, WEIGHTS, INDEX, validity=2 * DAY))
    assert targets.weights.tolist() == [[0, 0], [0, 0], [1, 0], [1, 0], [0, 1], [0, 1]]
    assert targets.rebalanced.tolist() == [False, False, True, False, True, False]
    assert targets.expired.tolist() == [False] * 6  # the stamp of the 4th expires on the 6th, in force one row later


def test_expiry_into_cash_is_a_rebalance_and_holding_is_not() -> None:
    options = {"stamps": STAMPS[:1], "weights": WEIGHTS[:1], "index": INDEX, "validity": 2 * DAY}
    sold = ImmediateSignal().target(align_signal(**options, expiry="liquidate"))
    held = ImmediateSignal().target(align_signal(**options))
    assert sold.rebalanced.tolist() == [False, True, False, True, False, False]
    assert sold.weights[3:].tolist() == [[0, 0]] * 3
    assert held.rebalanced.tolist() == [False, True, False, False, False, False]
    assert held.expired.tolist() == [False, False, False, True, True, True]


def test_a_new_stamp_with_the_same_weights_is_a_rebalance() -> None:
    targets = ImmediateSignal().target(align_signal(STAMPS, np.ones((2, 1)), INDEX))
    assert targets.rebalanced.tolist() == [False, True, False, True, False, False]


@given(st.sampled_from(["same_bar", "next_bar"]), st.integers(0, 6), st.integers(1, 4), st.data())
def test_a_resumed_run_sees_the_rows_of_the_full_run(fill: str, start: int, validity: int, data: st.DataObject) -> None:
    stamps = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=6, max_size=6)))
    weights = np.arange(2.0 * stamps.size).reshape(-1, 2)
    strategy = ImmediateSignal(fill=fill)
    options = {"stamps": INDEX[stamps], "weights": weights, "validity": validity * DAY, "expiry": "liquidate"}
    full = strategy.target(align_signal(index=INDEX, **options))
    lead = min(start, strategy.rows_before)
    resumed = strategy.target(align_signal(index=INDEX[start - lead :], **options), skip=lead)
    assert np.array_equal(full.weights[start:], resumed.weights)
    assert np.array_equal(full.rebalanced[start:], resumed.rebalanced)
    assert np.array_equal(full.expired[start:], resumed.expired)


def test_refusals() -> None:
    with pytest.raises(ValueError, match='fill must be "same_bar" or "next_bar", not \'now\''):
        ImmediateSignal(fill="now")
    with pytest.raises(ValueError, match=r"skip must be in \[0, 6\]"):
        ImmediateSignal().target(align_signal(STAMPS, WEIGHTS, INDEX), skip=7)

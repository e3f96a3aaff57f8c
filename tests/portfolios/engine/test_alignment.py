"""Signals and prices on the rows of an index."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.engine.alignment import NO_TIME, align_prices, align_signal
from tests.portfolios.engine.builders import DAY, NAN, at, days, priced, same_bits

STAMPS = np.array([at("2026-02-02"), at("2026-02-05")])
WEIGHTS = np.array([[0.5, 0.5], [0.4, 0.6]])
WEEK = days("2026-02-02", 7)


@pytest.mark.parametrize(
    ("validity", "expired"),
    [
        (2 * DAY, [False, False, True, False, False, True, True]),
        (DAY - 5_000_000, [False, True, True, False, True, True, True]),
        (DAY, [False, True, True, False, True, True, True]),
        (DAY + 1, [False, False, True, False, False, True, True]),
        (None, [False] * 7),
    ],
)
def test_hold_keeps_every_row_and_flags_the_expired(validity: int | None, expired: list[bool]) -> None:
    # given the stamps of 2 and 5 February and the days 2 to 8 (spec 4.2)
    # when they are aligned with expiry "hold"
    aligned = align_signal(STAMPS, WEIGHTS, WEEK, validity=validity)
    # then no row is lost, the last weights are held, and validity is half-open
    assert aligned.weights.tolist() == [[0.5, 0.5]] * 3 + [[0.4, 0.6]] * 4
    assert aligned.stamp_row.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert aligned.expired.tolist() == expired


def test_liquidate_targets_zero_while_expired() -> None:
    aligned = align_signal(STAMPS, WEIGHTS, WEEK, validity=2 * DAY, expiry="liquidate")
    assert aligned.weights.tolist() == [[0.5, 0.5]] * 2 + [[0, 0]] + [[0.4, 0.6]] * 2 + [[0, 0]] * 2
    assert aligned.expired.tolist() == [False, False, True, False, False, True, True]


def test_rows_before_the_first_stamp_hold_nothing() -> None:
    aligned = align_signal(STAMPS, WEIGHTS, days("2026-01-31", 3), validity=DAY)
    assert aligned.weights.tolist() == [[0, 0], [0, 0], [0.5, 0.5]]
    assert aligned.stamp_row.tolist() == [-1, -1, 0]
    assert aligned.expired.tolist() == [False, False, False]


def test_a_stamp_before_the_window_counts_though_the_window_holds_another() -> None:
    # given stamps on 2 and 6 February; upstream loses the 4th and 5th in a window from the 3rd (spec 4.2)
    stamps = np.array([at("2026-02-02"), at("2026-02-06")])
    aligned = align_signal(stamps, WEIGHTS, days("2026-02-03", 4))
    assert aligned.stamp_row.tolist() == [0, 0, 0, 1]


def test_no_stamps_and_no_rows_are_fine() -> None:
    assert align_signal(STAMPS[:0], WEIGHTS[:0], WEEK).stamp_row.tolist() == [-1] * 7
    assert align_signal(STAMPS, WEIGHTS, WEEK[:0], validity=DAY).weights.shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.array([[0.5, NAN], [0.4, 0.6]])}, "Weight of asset 1 at stamp 0 is nan: a stamp is a complete"),
        ({"weights": np.array([[0.5, 0.5], [np.inf, 0]])}, "Weight of asset 0 at stamp 1 is inf"),
        ({"weights": WEIGHTS[:1]}, r"weights must have shape \(2, assets\)"),
        ({"stamps": STAMPS[::-1]}, "stamps must increase strictly: 2026-02-02T00:00:00.000000000Z follows"),
        ({"index": WEEK[[0, 0]]}, "index must increase strictly"),
        ({"validity": 0}, "validity must be a positive number"),
        ({"expiry": "sell"}, "expiry must be"),
    ],
)
def test_a_signal_that_is_not_one_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align_signal(**({"stamps": STAMPS, "weights": WEIGHTS, "index": WEEK} | change))


def test_prices_are_held_flagged_stale_then_missing() -> None:
    # given one price on the second of six days, held for at most two sessions, and an asset without any
    index = days("2026-01-01", 6)
    # when it is aligned
    aligned = priced(index, [NAN, 10, NAN, NAN, NAN, 11], [NAN] * 6, maximum_age_sessions=2)
    # then nothing is known before it, it is held after it, and flagged missing beyond two sessions
    assert same_bits(aligned.price[:, 0], np.array([NAN, 10, 10, 10, 10, 11]))
    assert aligned.source_time[:, 0].tolist() == [NO_TIME, *[index[1]] * 4, index[5]]
    assert aligned.is_stale[:, 0].tolist() == [False, False, True, True, True, False]
    assert aligned.is_missing[:, 0].tolist() == [True, False, False, False, True, False]
    assert np.isnan(aligned.price[:, 1]).all()
    assert not aligned.is_stale[:, 1].any()
    assert aligned.is_missing[:, 1].all()


def test_a_price_observed_within_the_session_is_not_stale() -> None:
    # given prices an hour before the close of the first, second and third rows
    index = days("2026-01-02", 4)
    hour = DAY // 24
    aligned = align_prices(
        np.zeros(3, dtype=np.int64), index[:3] - hour, np.array([1.0, 2.0, 3.0]), index, number_of_assets=1
    )
    # then only the first row, whose session has no known beginning, and the row without a price are stale
    assert aligned.is_stale[:, 0].tolist() == [True, False, False, True]
    assert aligned.price[:, 0].tolist() == [1, 2, 3, 3]
    # and with the sessions before it, the first row knows its own
    aligned = align_prices(
        np.zeros(3, dtype=np.int64),
        index[:3] - hour,
        np.array([1.0, 2.0, 3.0]),
        index,
        number_of_assets=1,
        sessions=days("2026-01-01", 5),
    )
    assert aligned.is_stale[:, 0].tolist() == [False, False, False, True]


def test_an_observation_on_the_row_is_of_that_row() -> None:
    index = days("2026-01-01", 2)
    times = np.array([index[0], index[1] - 1, index[1], index[1] + 1])
    aligned = align_prices(
        np.zeros(4, dtype=np.int64), times, np.array([1.0, 2.0, 3.0, 4.0]), index, number_of_assets=1
    )
    assert aligned.price[:, 0].tolist() == [1, 3]
    assert not aligned.is_stale.any()


def test_without_sessions_nothing_before_the_first_row_counts_as_age() -> None:
    index = days("2026-01-10", 3)
    aligned = align_prices(
        np.array([0]), np.array([at("2026-01-01")]), np.array([7.0]), index, number_of_assets=1, maximum_age_sessions=1
    )
    assert aligned.is_missing[:, 0].tolist() == [False, False, True]
    assert aligned.is_stale[:, 0].tolist() == [True, True, True]


def test_no_observations_at_all() -> None:
    empty = np.zeros(0, dtype=np.int64)
    aligned = align_prices(empty, empty, np.zeros(0), WEEK, number_of_assets=2)
    assert aligned.price.shape == (7, 2)
    assert aligned.is_missing.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asset_codes": np.array([1, 0, 0])}, "Observation 1 .asset 0, 2026-02-03.* sort by .asset, time."),
        ({"times": WEEK[[0, 1, 1]]}, "Observation 2 .* remove duplicates"),
        ({"asset_codes": np.array([0, 0, 2])}, r"asset_codes must be in \[0, 2\), not \[0, 2\]"),
        ({"values": np.array([1.0, np.inf, 2.0])}, "value of asset 0 at 2026-02-03T00:00:00.000000000Z is infinite"),
        ({"values": np.array([1.0])}, "of one length"),
        ({"maximum_age_sessions": -1}, "maximum_age_sessions must be 0 or more"),
        ({"sessions": WEEK[1:]}, "1 index rows are not among the sessions, the first is 2026-02-02"),
        ({"sessions": WEEK[:-1]}, "1 index rows are not among the sessions, the first is 2026-02-08"),
    ],
)
def test_prices_that_cannot_be_aligned_are_refused(change: dict, message: str) -> None:
    given_prices = {
        "asset_codes": np.array([0, 0, 0]),
        "times": WEEK[:3],
        "values": np.array([1.0, 2.0, 3.0]),
        "index": WEEK,
        "number_of_assets": 2,
    }
    with pytest.raises(ValueError, match=message):
        align_prices(**(given_prices | change))


series = st.lists(st.one_of(st.just(NAN), st.floats(0.5, 200)), min_size=12, max_size=12)


@given(st.lists(series, min_size=1, max_size=4), st.integers(0, 11), st.floats(0.5, 200))
def test_a_later_price_never_changes_an_earlier_row(prices: list[list[float]], row: int, other: float) -> None:
    index = days("2026-01-01", 12)
    changed = [[*one[: row + 1], *[other] * (11 - row)] for one in prices]
    before, after = priced(index, *prices), priced(index, *changed)
    assert same_bits(before.price[: row + 1], after.price[: row + 1])
    for name in ("source_time", "is_stale", "is_missing"):
        assert np.array_equal(getattr(before, name)[: row + 1], getattr(after, name)[: row + 1])


@given(st.lists(series, min_size=1, max_size=4), st.integers(0, 11), st.integers(0, 11), st.integers(0, 4))
def test_a_slice_equals_the_rows_of_the_whole(prices: list[list[float]], start: int, number: int, age: int) -> None:
    index = days("2026-01-01", 12)
    part = slice(start, start + number)
    long = (np.repeat(np.arange(len(prices)), 12), np.tile(index, len(prices)), np.array(prices).ravel())
    options = {"number_of_assets": len(prices), "maximum_age_sessions": age, "sessions": index}
    whole = align_prices(*long, index, **options)
    sliced = align_prices(*long, index[part], **options)
    assert same_bits(whole.price[part], sliced.price)
    for name in ("source_time", "is_stale", "is_missing"):
        assert np.array_equal(getattr(whole, name)[part], getattr(sliced, name))


@given(st.lists(series, min_size=1, max_size=3), st.integers(0, 4))
def test_alignment_agrees_with_its_definition(prices: list[list[float]], age: int) -> None:
    index = days("2026-01-01", 12)
    aligned = priced(index, *prices, maximum_age_sessions=age)
    for code, one in enumerate(prices):
        for row in range(12):
            known = [past for past in range(row + 1) if one[past] == one[past]]
            expected = one[known[-1]] if known else NAN
            assert same_bits(aligned.price[row, code : code + 1], np.array([expected]))
            assert aligned.is_stale[row, code] == bool(known and known[-1] < row)
            assert aligned.is_missing[row, code] == (not known or row - known[-1] > age)

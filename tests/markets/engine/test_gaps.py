"""Gaps as pure computation: expected instants against stored ones."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.engine import gaps
from markets.engine.gaps import NOTHING, bar_edges, find_gaps, step_of

MINUTE = 60_000_000


def found(codes, times, expected, starts):
    arrays = [np.array(values, dtype=np.int64) for values in (codes, times)]
    return find_gaps(*arrays, expected=np.array(expected, dtype=np.int64), starts=np.array(starts, dtype=np.int64))


def spells(result):
    columns = (result.spell_assets, result.spell_from, result.spell_to, result.spell_counts)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_spells_counts_and_edges_of_each_asset():
    # given five sessions; asset 0 misses the first, third and fourth, asset 1 nothing but has a row at no session,
    # asset 2 is expected from the third on and has none, asset 3 has no row at all and is expected from the start
    result = found(
        [1, 1, 1, 1, 1, 1, 0, 0, 2],
        [10, 20, 25, 30, 40, 50, 50, 20, 30],
        [10, 20, 30, 40, 50],
        [10, 10, 25, 0],
    )
    assert result.expected.tolist() == [5, 5, 3, 5]
    assert result.stored.tolist() == [2, 5, 1, 0]
    assert result.missing.tolist() == [3, 0, 2, 5]
    assert result.off_session.tolist() == [0, 1, 0, 0]
    assert result.longest.tolist() == [2, 0, 2, 5]
    assert result.first.tolist() == [20, 10, 30, NOTHING]
    assert result.last.tolist() == [50, 50, 30, NOTHING]
    assert spells(result) == [(0, 10, 10, 1), (0, 30, 40, 2), (2, 40, 50, 2), (3, 10, 50, 5)]


def test_nothing_expected_nothing_stored_and_no_asset():
    nothing_expected = found([0], [10], [], [0])
    assert (nothing_expected.expected.tolist(), nothing_expected.off_session.tolist()) == ([0], [1])
    assert spells(nothing_expected) == []
    nothing_stored = found([], [], [10, 20], [0])
    assert spells(nothing_stored) == [(0, 10, 20, 2)]
    assert spells(found([], [], [10, 20], [])) == []


def test_a_row_before_the_asset_is_expected_is_off_session():
    result = found([0, 0], [10, 30], [10, 20, 30], [15])
    assert (result.expected.tolist(), result.stored.tolist(), result.off_session.tolist()) == ([2], [1], [1])
    assert spells(result) == [(0, 20, 20, 1)]


@settings(max_examples=60)
@given(st.data())
def test_it_agrees_with_counting_one_by_one_however_the_assets_are_cut(data):
    expected = sorted(data.draw(st.sets(st.integers(0, 30), max_size=20)))
    starts = data.draw(st.lists(st.integers(-2, 32), max_size=6))
    stored = data.draw(st.sets(st.tuples(st.integers(0, max(len(starts) - 1, 0)), st.integers(0, 30)), max_size=60))
    stored = stored if starts else set()
    keys = data.draw(st.permutations(sorted(stored)))
    before, gaps.CELLS_AT_ONCE = gaps.CELLS_AT_ONCE, data.draw(st.integers(1, 200))
    try:
        result = found([code for code, _ in keys], [time for _, time in keys], expected, starts)
    finally:
        gaps.CELLS_AT_ONCE = before
    wanted = []
    for code, start in enumerate(starts):
        due = [time for time in expected if time >= start]
        have = {time for asset, time in stored if asset == code}
        assert result.expected[code] == len(due)
        assert result.stored[code] == len(have & set(due))
        assert result.off_session[code] == len(have - set(due))
        run = []
        for time in [*due, None]:
            if time is not None and time not in have:
                run.append(time)
            elif run:
                wanted.append((code, run[0], run[-1], len(run)))
                run = []
    assert spells(result) == wanted


def test_bars_end_at_right_edges_and_are_counted_anew_after_a_break_and_shorter_before_a_close():
    # given a session of ten minutes with a break from the fourth to the sixth, and one of seven that closes early
    edges = bar_edges(
        np.array([0, 100]) * MINUTE,
        np.array([10, 107]) * MINUTE,
        np.array([4 * MINUTE, NOTHING]),
        np.array([6 * MINUTE, NOTHING]),
        3 * MINUTE,
    )
    assert (edges // MINUTE).tolist() == [3, 4, 9, 10, 103, 106, 107]


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("1d", dt.timedelta(days=1)),
        ("5m", dt.timedelta(minutes=5)),
        ("2h", dt.timedelta(hours=2)),
        *((text, None) for text in ("", "1w", "1mo", "0m", "m", "1.5h", "1d ", "99999m", "-1m")),
    ],
)
def test_frequencies(text, step):
    assert step_of(text) == step

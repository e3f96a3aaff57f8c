"""What is thinned out keeps what is seen: the ends, the extremes, the gaps."""

import numpy as np
import pytest

from markets.figures.reduction import evenly_spaced_rows, visible_rows


def test_a_short_series_is_kept_whole() -> None:
    rows = visible_rows(np.arange(4_000), np.arange(4_000.0))
    assert rows.tolist() == list(range(4_000))


def test_ends_and_extremes_of_each_pixel_are_kept() -> None:
    times = np.arange(100_000)
    values = np.random.default_rng(1).normal(0, 1, 100_000).cumsum()

    rows = visible_rows(times, values, 1_000)

    assert len(rows) <= 1_000
    assert (np.diff(rows) > 0).all()
    assert rows[0] == 0
    assert rows[-1] == 99_999
    pixel = np.minimum((times / times[-1] * 499).astype(int), 498)
    for place in range(499):
        inside, kept = values[pixel == place], values[rows][pixel[rows] == place]
        assert kept.max() == inside.max()
        assert kept.min() == inside.min()


def test_one_spike_among_a_million_is_seen() -> None:
    values = np.zeros(1_000_000)
    values[123_456] = 9.0
    assert 123_456 in visible_rows(np.arange(1_000_000), values)


def test_pixels_are_of_time_not_of_rows() -> None:
    crowded = np.arange(10_000)
    times = np.concatenate([crowded, [10_000_000, 20_000_000]])
    values = np.concatenate([np.arange(10_000.0), [5.0, 6.0]])
    rows = visible_rows(times, values, 100)
    assert rows.tolist() == [0, 9_999, 10_000, 10_001]


def test_gaps_stay_gaps() -> None:
    values = np.arange(10_000.0)
    values[4_000:6_000] = np.nan
    kept = values[visible_rows(np.arange(10_000), values, 100)]
    assert np.isnan(kept).any()
    assert np.nanmax(kept) == 9_999


def test_nothing_but_gaps_does_not_fail() -> None:
    assert len(visible_rows(np.arange(10_000), np.full(10_000, np.nan), 100)) > 0


def test_all_at_one_time_does_not_fail() -> None:
    rows = visible_rows(np.zeros(5_000, dtype=int), np.arange(5_000.0), 100)
    assert rows.tolist() == [0, 4_999]


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="of one length"):
        visible_rows(np.arange(3), np.arange(2.0))


def test_evenly_spaced_rows_have_both_ends() -> None:
    assert evenly_spaced_rows(3, 10).tolist() == [0, 1, 2]
    assert evenly_spaced_rows(101, 5).tolist() == [0, 25, 50, 75, 100]
    assert evenly_spaced_rows(0, 5).tolist() == []

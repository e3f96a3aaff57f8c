"""The figure of a column: lines break where values are missing, axes say what is drawn."""

import json

import numpy as np
import pandas as pd
from bokeh.embed import json_item

from markets.figures.columns import column_figure, is_alone, with_breaks
from markets.figures.reduction import MOST_POINTS

DAY = 86_400_000_000_000


def test_a_long_silence_is_a_gap_and_a_weekend_is_none() -> None:
    days = np.array([0, 1, 2, 5, 6, 7, 40, 41]) * DAY
    times, values = with_breaks(days, np.arange(8.0))
    assert times.tolist() == [*days[:6].tolist(), 7 * DAY + 33 * DAY // 2, *days[6:].tolist()]
    assert np.flatnonzero(np.isnan(values)).tolist() == [6]


def test_what_is_too_narrow_to_be_seen_is_no_gap() -> None:
    minutes = np.arange(390) * 60_000_000_000
    nights = (np.arange(900)[:, None] * DAY + minutes).ravel()
    times, values = with_breaks(nights, np.ones(len(nights)))
    assert len(times) == len(nights)
    assert not np.isnan(values).any()


def test_few_values_stay_as_they_are() -> None:
    for number in (0, 1, 2):
        times, values = with_breaks(np.arange(number) * DAY * 100, np.arange(float(number)))
        assert len(times) == len(values) == number


def test_a_value_between_gaps_is_alone() -> None:
    nan = np.nan
    assert is_alone(np.array([1, nan, 2, nan, 3, 4])).tolist() == [True, False, True, False, False, False]
    assert is_alone(np.array([5.0])).tolist() == [True]


def test_the_figure_names_label_unit_and_zone_and_is_reduced() -> None:
    times = pd.date_range("2000-01-01", periods=100_000, freq="h", tz="UTC")
    plot = column_figure(pd.Series(np.sin(np.arange(100_000)), index=times), label="Close", unit="USD", theme="dark")
    assert plot.yaxis[0].axis_label == "Close (USD)"
    assert plot.xaxis[0].axis_label == "UTC"
    assert len(plot.renderers[0].data_source.data["time"]) <= MOST_POINTS
    assert len(json.dumps(json_item(plot))) < 400_000


def test_a_single_time_stands_amid_two_days() -> None:
    # regression: the axis ran over two milliseconds around it
    time = pd.DatetimeIndex(["2026-01-05"], tz="UTC")
    plot = column_figure(pd.Series([0.25], index=time), label="Weight")
    assert plot.x_range.default_span == 2 * 24 * 3600 * 1000
    assert plot.renderers[1].data_source.data["value"].tolist() == [0.25]


def test_missing_values_reach_the_figure_as_gaps() -> None:
    times = pd.date_range("2026-01-01", periods=5, freq="D", tz="UTC")
    plot = column_figure(pd.Series([1.0, np.nan, 2.0, np.nan, 3.0], index=times), label="x")
    assert np.isnan(plot.renderers[0].data_source.data["value"]).tolist() == [False, True, False, True, False]
    assert plot.renderers[1].data_source.data["value"].tolist() == [1.0, 2.0, 3.0]

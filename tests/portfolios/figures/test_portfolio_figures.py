"""Values and weights of a portfolio as figures."""

import json

import numpy as np
import pandas as pd
from bokeh.embed import json_item

from portfolios.figures.values import value_figure
from portfolios.figures.weights import MOST_AREAS, OTHERS, largest_and_others, weights_figure


def index(number: int) -> pd.DatetimeIndex:
    return pd.date_range("2020-01-01T21:00", periods=number, freq="D", tz="UTC", name="time_index")


def test_incomplete_sessions_are_marked() -> None:
    frame = pd.DataFrame({"close": [1.0, 1.1, 1.2], "is_incomplete": [False, True, False]}, index=index(3))
    plot = value_figure(frame)
    line, marks = plot.renderers
    assert line.data_source.data["close"].tolist() == [1.0, 1.1, 1.2]
    assert marks.data_source.data["y"].tolist() == [1.1]


def test_no_mark_without_an_incomplete_session() -> None:
    frame = pd.DataFrame({"close": [1.0, 1.1], "is_incomplete": [False, False]}, index=index(2))
    assert len(value_figure(frame).renderers) == 1


def test_areas_stack_to_the_sum_of_the_weights() -> None:
    frame = pd.DataFrame({"A": [0.5, 0.6], "B": [0.3, np.nan]}, index=index(2))
    areas = [item for item in weights_figure(frame).renderers if type(item.glyph).__name__ == "VArea"]
    assert areas[0].data_source.data["y2"].tolist() == [0.5, 0.6]
    assert areas[1].data_source.data["y1"].tolist() == [0.5, 0.6]
    assert areas[1].data_source.data["y2"].tolist() == [0.8, 0.6]


def test_short_weights_go_below_zero() -> None:
    frame = pd.DataFrame({"A": [1.5, 1.5], "B": [-0.5, -0.5]}, index=index(2))
    areas = [item for item in weights_figure(frame).renderers if type(item.glyph).__name__ == "VArea"]
    assert areas[-1].data_source.data["y2"].tolist() == [-0.5, -0.5]


def test_the_rest_share_one_area() -> None:
    frame = pd.DataFrame({f"A{place}": [(place + 1) / 64] for place in range(MOST_AREAS + 3)}, index=index(1))
    shown = largest_and_others(frame)
    assert list(shown.columns)[-1] == OTHERS
    assert len(shown.columns) == MOST_AREAS + 1
    assert shown[OTHERS].tolist() == [6 / 64]


def test_ten_years_of_many_assets_stay_small() -> None:
    frame = pd.DataFrame(np.full((2_520, 50), 0.02), index=index(2_520), columns=[f"A{n}" for n in range(50)])
    assert len(json.dumps(json_item(weights_figure(frame)))) < 400_000

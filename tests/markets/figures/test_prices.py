"""The price figure draws what it is given, thinned where no screen could show it."""

import json

import numpy as np
import pandas as pd
import pytest
from bokeh.embed import json_item

from markets.figures.prices import price_figure


def prices(number: int) -> pd.DataFrame:
    index = pd.date_range("2000-01-01T21:00", periods=number, freq="D", tz="UTC", name="time_index", unit="us")
    return pd.DataFrame({"close": np.arange(number) + 1.0}, index=index)


@pytest.mark.parametrize("number", [1, 2, 100])
def test_every_row_of_a_short_series_is_drawn(number: int) -> None:
    plot = price_figure(prices(number))
    source = plot.renderers[0].data_source.data
    assert source["value"].tolist() == prices(number)["close"].tolist()
    assert source["time"][0] == np.datetime64("2000-01-01T21:00")


def test_a_long_series_is_reduced() -> None:
    source = price_figure(prices(20_000)).renderers[0].data_source.data
    assert len(source["value"]) <= 4_000
    assert source["value"][-1] == 20_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_told_as_json_for_both_themes(theme: str) -> None:
    item = json.dumps(json_item(price_figure(prices(10), theme=theme)))  # type: ignore[arg-type]
    assert "http" not in item

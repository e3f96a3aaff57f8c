"""One column of a DataNode's table, for one identity, over time."""

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from markets.figures.reduction import visible_rows
from markets.figures.theme import THEMES, ThemeName, time_figure

LONG_SILENCE = 10  # times the usual step between two values: weekends and holidays are shorter
WIDEST_UNSEEN = 0.002  # of the width of the figure: two pixels of a wide one


def column_figure(values: pd.Series, *, label: str, unit: str = "", theme: ThemeName = "light") -> figure:
    """A line of `values` (floats, NaN where missing) over its index (datetime64, UTC, increasing).

    The line breaks where values are missing, and where there is none for much longer than usual. More points than a
    screen can show are reduced to the extremes of each pixel.
    """
    times, numbers = with_breaks(pd.DatetimeIndex(values.index).as_unit("ns").asi8, values.to_numpy(dtype=float))
    rows = visible_rows(times, numbers)
    times, numbers = times[rows], numbers[rows]
    source = ColumnDataSource({"time": times.astype("M8[ns]"), "value": numbers})
    title = f"{label} ({unit})" if unit else label
    plot = time_figure(theme, label=title)
    line = plot.line("time", "value", source=source, line_width=1.5, line_color=THEMES[theme].series[0])
    alone = is_alone(numbers)
    if alone.any():  # a value between two gaps has no line to be seen by
        dots = ColumnDataSource({"time": times[alone].astype("M8[ns]"), "value": numbers[alone]})
        plot.scatter("time", "value", source=dots, size=5, color=THEMES[theme].series[0])
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[0000]")
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            tooltips=[("time (UTC)", "@time{%F %H:%M}"), (title, "@value{0,0.[000000]}")],
            formatters={"@time": "datetime"},
        )
    )
    return plot


def with_breaks(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values with a NaN amid each long silence, so that no line is drawn over it; times are ns (N,) int64."""
    if len(times) < 3:
        return times, values
    steps = np.diff(times)
    longest = max(LONG_SILENCE * np.median(steps), WIDEST_UNSEEN * float(times[-1] - times[0]))
    after = np.flatnonzero(steps > longest)
    middles = times[after] + steps[after] // 2
    return np.insert(times, after + 1, middles), np.insert(values, after + 1, np.nan)


def is_alone(values: np.ndarray) -> np.ndarray:
    """Whether each value is present and both its neighbours are not."""
    missing = np.concatenate([[True], np.isnan(values), [True]])
    return ~missing[1:-1] & missing[:-2] & missing[2:]

"""The price of one asset over time."""

import pandas as pd
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from markets.figures.reduction import visible_rows
from markets.figures.theme import THEMES, ThemeName, time_figure


def price_figure(frame: pd.DataFrame, *, column: str = "close", theme: ThemeName = "light") -> figure:
    """A line of `column`; `frame` is indexed by `time_index` (datetime64, UTC), increasing.

    More points than a screen can show are reduced to the extremes of each pixel.
    """
    times = pd.DatetimeIndex(frame.index).as_unit("ns")
    values = frame[column].to_numpy(dtype=float)
    rows = visible_rows(times.asi8, values)
    source = ColumnDataSource({"time": times[rows].tz_localize(None).to_numpy(), "value": values[rows]})
    plot = time_figure(theme, label=column.replace("_", " "))
    line = plot.line("time", "value", source=source, line_width=1.5, line_color=THEMES[theme].series[0])
    if len(rows) == 1:
        plot.scatter("time", "value", source=source, size=7, color=THEMES[theme].series[0])
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[0000]")
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            tooltips=[("time (UTC)", "@time{%F %H:%M}"), (column.replace("_", " "), "@value{0,0.[000000]}")],
            formatters={"@time": "datetime"},
        )
    )
    return plot

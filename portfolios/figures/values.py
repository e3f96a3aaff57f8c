"""The value of a portfolio over time."""

import pandas as pd
from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from markets.figures.reduction import visible_rows
from markets.figures.theme import THEMES, ThemeName, time_figure


def value_figure(frame: pd.DataFrame, *, theme: ThemeName = "light") -> figure:
    """The close of a portfolio, 1 at its start; sessions with a price too old are marked.

    `frame` is indexed by `time_index` (datetime64, UTC), increasing, with the columns `close` and, where known,
    `is_incomplete`.
    """
    colours = THEMES[theme]
    times = pd.DatetimeIndex(frame.index).as_unit("ns")
    naive = times.tz_localize(None).to_numpy()
    closes = frame["close"].to_numpy(dtype=float)
    rows = visible_rows(times.asi8, closes)
    source = ColumnDataSource({"time": naive[rows], "close": closes[rows]})
    plot = time_figure(theme, label="value of 1 invested")
    line = plot.line("time", "close", source=source, line_width=1.5, line_color=colours.series[0])
    if len(rows) == 1:
        plot.scatter("time", "close", source=source, size=7, color=colours.series[0])
    if "is_incomplete" in frame and frame["is_incomplete"].any():
        marked = frame["is_incomplete"].to_numpy(dtype=bool)
        kept = visible_rows(times.asi8[marked], closes[marked])
        plot.scatter(
            x=naive[marked][kept],
            y=closes[marked][kept],
            size=6,
            marker="triangle",
            color=colours.warning,
            legend_label="a price was too old",
        )
        plot.legend.location = "top_left"
        plot.legend.background_fill_alpha = 0
        plot.legend.border_line_color = None
        plot.legend.label_text_color = colours.text
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.00[00]")
    plot.add_tools(
        HoverTool(
            renderers=[line],
            mode="vline",
            tooltips=[("session close (UTC)", "@time{%F %H:%M}"), ("value", "@close{0,0.000000}")],
            formatters={"@time": "datetime"},
        )
    )
    return plot

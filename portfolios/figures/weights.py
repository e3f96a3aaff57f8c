"""The weights of a portfolio over time, one area an asset."""

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, HoverTool, Legend, LegendItem, NumeralTickFormatter
from bokeh.plotting import figure

from markets.figures.reduction import evenly_spaced_rows
from markets.figures.theme import THEMES, ThemeName, time_figure

MOST_AREAS = 7  # as many colours as people tell apart
MOST_ROWS = 600  # more than a screen shows; each row is a point of every area
OTHERS = "all others"
LONGEST_NAME = 32  # characters of a name in the legend


def weights_figure(frame: pd.DataFrame, *, theme: ThemeName = "light") -> figure:
    """Stacked areas: long weights upwards from 0, short ones downwards.

    `frame` is indexed by `time_index` (datetime64, UTC), increasing, with one column of weights an asset, NaN or 0
    where it is not held. The assets with the greatest mean absolute weight have an area of their own, the rest share
    one.
    """
    colours = THEMES[theme]
    frame = largest_and_others(frame.fillna(0.0)).iloc[evenly_spaced_rows(len(frame), MOST_ROWS)]
    times = pd.DatetimeIndex(frame.index).as_unit("ns").tz_localize(None).to_numpy()
    plot = time_figure(theme, label="weight", height=360)
    above, below = np.zeros(len(frame)), np.zeros(len(frame))
    items = []
    top = ColumnDataSource({"time": times})
    for place, name in enumerate(frame.columns):
        weights = frame[name].to_numpy(dtype=float)
        colour = colours.other if name == OTHERS else colours.series[place % len(colours.series)]
        long_part, short_part = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
        areas = [plot.varea(x=times, y1=above, y2=above + long_part, fill_color=colour, fill_alpha=0.75)]
        if short_part.any():
            areas.append(plot.varea(x=times, y1=below, y2=below + short_part, fill_color=colour, fill_alpha=0.75))
        above, below = above + long_part, below + short_part
        top.data[f"weight_{place}"] = weights
        items.append(LegendItem(label=_short(str(name)), renderers=areas))
    top.data["top"] = above
    outline = plot.line("time", "top", source=top, line_width=1, line_color=colours.text)
    plot.add_layout(Legend(items=items, orientation="horizontal", ncols=2), "below")
    legend = plot.legend[0]
    legend.background_fill_alpha = 0
    legend.border_line_color = None
    legend.label_text_color = colours.text
    legend.label_text_font_size = "12px"
    legend.click_policy = "mute"
    plot.yaxis.formatter = NumeralTickFormatter(format="0.[0]%")
    plot.add_tools(
        HoverTool(
            renderers=[outline],
            mode="vline",
            tooltips=[
                ("session close (UTC)", "@time{%F %H:%M}"),
                *((_short(str(name)), f"@weight_{place}{{0.00%}}") for place, name in enumerate(frame.columns)),
            ],
            formatters={"@time": "datetime"},
        )
    )
    return plot


def largest_and_others(frame: pd.DataFrame, most: int = MOST_AREAS) -> pd.DataFrame:
    """The `most` columns with the greatest mean absolute value, greatest first, and the sum of the rest."""
    order = frame.abs().mean().sort_values(ascending=False, kind="stable").index
    largest = frame[order[:most]].copy()
    if len(order) > most:
        largest[OTHERS] = frame[order[most:]].sum(axis=1)
    return largest


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"

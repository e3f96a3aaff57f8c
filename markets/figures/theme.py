"""The look of every figure: colours that colour-blind people can tell apart, on light and on dark pages."""

from dataclasses import dataclass
from typing import Literal

from bokeh.models import DatetimeTickFormatter
from bokeh.plotting import figure

ThemeName = Literal["light", "dark"]
DAY = 86_400_000  # milliseconds, the unit of Bokeh's time axes

# Okabe and Ito, "Color Universal Design" (2008), without black; the dark set is lightened to the same contrast.
_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B3A100")
_DARK = ("#4FA8E0", "#F08A4B", "#2BC79B", "#E3A0C4", "#F2B733", "#9AD4F5", "#F0E442")


@dataclass(frozen=True)
class Theme:
    text: str
    grid: str
    warning: str
    other: str
    series: tuple[str, ...]


THEMES: dict[str, Theme] = {
    "light": Theme(text="#4b5563", grid="#e5e7eb", warning="#B45309", other="#9ca3af", series=_LIGHT),
    "dark": Theme(text="#9ca3af", grid="#2b3442", warning="#F2B733", other="#6b7280", series=_DARK),
}


def time_figure(theme: ThemeName, *, label: str, height: int = 320) -> figure:
    """An empty figure over UTC time that fills the width of its container."""
    colours = THEMES[theme]
    plot = figure(
        x_axis_type="datetime",
        x_axis_label="UTC",
        y_axis_label=label,
        sizing_mode="stretch_width",
        height=height,
        min_width=200,
        tools="xpan,xbox_zoom,xwheel_zoom,reset,save",
        active_drag="xbox_zoom",
        active_scroll=None,  # the wheel scrolls the page
        toolbar_location="above",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        output_backend="canvas",
    )
    plot.x_range.default_span = 2 * DAY  # of a single time; Bokeh's own is two milliseconds
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = colours.grid
    for axis in (*plot.xaxis, *plot.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = colours.grid
        axis.minor_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = colours.text
        axis.axis_label_text_font_style = "normal"
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
    plot.xaxis.formatter = DatetimeTickFormatter(
        hours="%H:%M", days="%d %b", months="%b %Y", years="%Y", hourmin="%H:%M", minutes="%H:%M"
    )
    return plot

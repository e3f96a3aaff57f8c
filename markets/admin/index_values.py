"""The values of an index on its page: a chart for each cadence, and the values themselves."""

from typing import Any

import numpy as np
import pandas as pd
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from markets.admin.charts import figure_response, nothing_to_draw, requested_theme
from markets.admin.formatting import NOTHING, utc
from markets.admin.tables import Column, Pages, Table
from markets.figures.prices import price_figure
from markets.models import Index, IndexValue
from markets.models.indices import ValueFormat
from markets.services.index_values import cadences_of

MOST_DRAWN = 200_000  # rows read for one chart: beyond them the latest are drawn
PERMISSION = "markets.view_indexvalue"
HOW_TO_WRITE = (
    "No value is stored. Write some in Python with index.write_values(frame, cadence='1d'), or send them to "
    "/api/v1/index/{uid}/values/."
)


class IndexValuePages:
    """For the page of an index, before the other bases."""

    change_form_outer_after_template = "admin/msm/index_values.html"

    class Media:
        js = ("bokeh/bokeh.min.js", "markets/charts.js")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.value_chart)  # type: ignore[attr-defined]
        return [path("<int:pk>/values/<str:cadence>/", view, name="index_values_chart"), *super().get_urls()]  # type: ignore[misc]

    def value_chart(self, request: HttpRequest, pk: int, cadence: str) -> HttpResponse:
        if not (self.has_view_permission(request) and request.user.has_perm(PERMISSION)):  # type: ignore[attr-defined]
            raise PermissionDenied
        index = get_object_or_404(Index, pk=pk)
        rows = [] if "\x00" in cadence else _latest(index, cadence)
        if not rows:
            return nothing_to_draw(f"No value of {index} is stored at this cadence.")
        times, values = zip(*reversed(rows), strict=True)
        frame = pd.DataFrame({"value": np.array(values)}, index=pd.DatetimeIndex(times, tz="UTC", name="time_index"))
        return figure_response(price_figure(frame, column="value", theme=requested_theme(request)))

    def page_context(self, request: HttpRequest, obj: Index) -> dict[str, Any]:
        context = super().page_context(request, obj)  # type: ignore[misc]
        if not request.user.has_perm(PERMISSION):
            return context
        cadences = cadences_of(obj)
        charts = [
            {"url": reverse("admin:index_values_chart", args=(obj.pk, name)), "label": f"Every {name}"}
            for name in cadences
        ]
        return {**context, "charts": charts, "values": _table(request, obj)}


def _latest(index: Index, cadence: str) -> list[tuple[Any, float]]:
    rows = IndexValue.objects.filter(index=index, cadence=cadence).order_by("-time_index")
    return list(rows.values_list("time_index", "value")[:MOST_DRAWN])


def _table(request: HttpRequest, index: Index) -> Table:
    rows = IndexValue.objects.filter(index=index)
    pages = Pages(request, rows, prefix="values", sorts={"-time": "time_index", "time": "time_index"}, then="cadence")
    return Table(
        label="Values",
        columns=[
            Column("Time (UTC)", sort="time"),
            Column("Cadence"),
            Column("Value", numeric=True),
            Column("Status"),
            Column("Source as of (UTC)"),
        ],
        rows=[
            (
                utc(row.time_index, zone=False),
                row.cadence,
                _shown(index, row.value),
                row.observation_status or NOTHING,
                utc(row.source_as_of, zone=False),
            )
            for row in pages.items
        ],
        pages=pages,
        empty=HOW_TO_WRITE.format(uid=index.uid),
    )


def _shown(index: Index, value: float) -> str:
    """The value as the index says it is shown."""
    number = f"{value * 100:,.6g} %" if index.value_format == ValueFormat.PERCENT else f"{value:,.10g}"
    return f"{number} {index.value_suffix}" if index.value_suffix else number

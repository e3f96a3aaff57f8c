"""The data of a DataNode on its page: its columns, its latest or first rows, a chart of one column, downloads."""

import datetime as dt
import re
from typing import Any, cast
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from markets.admin.charts import figure_response, nothing_to_draw, requested_theme
from markets.admin.formatting import NOTHING, cell, code, percent
from markets.admin.node_scope import NodeScope, node_scope
from markets.admin.tables import Column, Table
from markets.engine.text import storable_text
from markets.exceptions import InvalidInput
from markets.figures.columns import column_figure
from markets.models import NodeUpdate, UpdateStatistic
from markets.services import node_data
from markets.services.frames_out import CONTENT_TYPES, Format, FrameLayout, read_parts, stream
from markets.services.node_data import Head, NodeRows, Order

CHOICES_A_PAGE = 20
STYLES = ("admin/css/vendor/select2/select2.css", "admin/css/autocomplete.css")
SCRIPTS = (
    "admin/js/vendor/jquery/jquery.min.js",
    "admin/js/vendor/select2/select2.full.js",
    "admin/js/jquery.init.js",
    "admin/js/autocomplete.js",
    "bokeh/bokeh.min.js",
    "markets/charts.js",
)
DOWNLOADS: tuple[Format, ...] = ("csv", "parquet")
TIMES = ("time_index", "timestamp with time zone")


class NodeDataPages:
    """For the page of a DataNode: addresses of its chart, of its identities to choose from, and of downloads."""

    def get_urls(self) -> list[URLPattern]:
        guarded = self.admin_site.admin_view  # type: ignore[attr-defined]
        return [
            path("<int:pk>/chart/", guarded(self.chart), name="data_node_chart"),
            path("<int:pk>/identities/", guarded(self.identities), name="data_node_identities"),
            path("<int:pk>/rows/", guarded(self.rows), name="data_node_rows"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def chart(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The figure of one column of one identity."""
        update, of = self._asked(request, pk)
        column, name = request.GET.get("column", ""), request.GET.get("identity", "")
        if column not in of.numbers:
            return nothing_to_draw(f"{update} has no column {column[:63]!r} with numbers.")
        identity = of.find(name) if of.dimensions else of.newest()
        if identity is None:
            return nothing_to_draw(f"{update} has no rows of {name[:80]!r}. Choose another above.")
        values = node_data.series(of, identity, column)
        if not values.notna().any():
            return nothing_to_draw(f"{update} has no {column} of {of.name_of(identity) or 'any time'}.")
        described = next(item for item in of.storage.columns if item["column_name"] == column)
        label = described.get("label") or column.replace("_", " ")
        return figure_response(
            column_figure(values, label=label, unit=described.get("unit", ""), theme=requested_theme(request))
        )

    def identities(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Identities with rows, as the autocomplete wants them."""
        _, of = self._asked(request, pk)
        page = request.GET.get("page", "1")
        number = min(int(page), 10_000) if page.isascii() and page.isdigit() and len(page) < 9 and int(page) else 1
        found = of.matching(request.GET.get("term", ""), start=(number - 1) * CHOICES_A_PAGE, number=CHOICES_A_PAGE + 1)
        return JsonResponse(
            {
                "results": [{"id": of.name_of(row), "text": _label(of, row)} for row in found[:CHOICES_A_PAGE]],
                "pagination": {"more": len(found) > CHOICES_A_PAGE},
            }
        )

    def rows(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The node's rows as CSV or Parquet, streamed: of the named identities, between two instants, or all."""
        update, of = self._asked(request, pk)
        format = request.GET.get("format", "csv")
        if format not in DOWNLOADS:
            return HttpResponse(f"format={format[:20]!r} is none of {', '.join(DOWNLOADS)}.", status=400)
        try:
            parts = read_parts(
                of.storage,
                start_date=_instant(request, "start"),
                end_date=_instant(request, "end"),
                dimension_filters=_filters(of, request.GET.getlist("identity")),
            )
        except InvalidInput as error:
            return HttpResponse(str(error), status=400, content_type="text/plain; charset=utf-8")
        chosen = cast(Format, format)
        response = StreamingHttpResponse(
            stream(parts, FrameLayout.of(of.storage), chosen), content_type=CONTENT_TYPES[chosen]
        )
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", str(update))[:100]
        response["Content-Disposition"] = f'attachment; filename="{safe}.{format}"'
        return response

    def _asked(self, request: HttpRequest, pk: int) -> tuple[NodeUpdate, NodeRows]:
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        update = get_object_or_404(NodeUpdate.objects.select_related("storage"), pk=pk)
        return update, NodeRows(update.storage, node_scope(update).dimensions)


def data_of(update: NodeUpdate, scope: NodeScope, request: HttpRequest) -> dict[str, Any]:
    """The values of the page's part on data."""
    of = NodeRows(update.storage, scope.dimensions)
    order: Order = "first" if request.GET.get("order") == "first" else "latest"
    asked = request.GET.get("of", "").strip()
    chosen = of.find(asked) if asked else None
    head = node_data.head(of, order=order, identity=chosen)
    drawn = chosen or of.newest()
    return {
        "columns_table": _columns(of),
        "head": _head(of, head, order),
        "order": order,
        "chosen": {"id": of.name_of(chosen), "text": _label(of, chosen)} if chosen else None,
        "unknown": asked[:80] if asked and chosen is None else "",
        "has_dimensions": bool(of.dimensions),
        "dimension": _dimension(of),
        "identities_url": reverse("admin:data_node_identities", args=(update.pk,)),
        "charts": _charts(update, of, drawn),
        "drawn": of.name_of(drawn) if drawn else "",
        "downloads": _downloads(update, of, head, chosen),
    }


def _columns(of: NodeRows) -> Table:
    shares = node_data.null_shares(of.storage) if of.storage.columns else {}
    return Table(
        label="Columns",
        columns=[
            Column("Column"),
            Column("Type"),
            Column("Label"),
            Column("Unit"),
            Column("Description"),
            Column("Missing, about", numeric=True),
        ],
        rows=[
            *(
                (
                    code(name),
                    "timestamp with time zone" if name == "time_index" else "string",
                    "",
                    "",
                    "Index.",
                    NOTHING,
                )
                for name in of.storage.index_names
            ),
            *(
                (
                    code(item["column_name"]),
                    item["dtype"],
                    item.get("label", ""),
                    item.get("unit", ""),
                    item.get("description", ""),
                    percent(shares.get(item["column_name"]), 1),
                )
                for item in of.storage.columns
            ),
        ],
        footer="How much is missing is the database's estimate, made now and then." if shares else "",
    )


def _head(of: NodeRows, head: Head, order: Order) -> Table:
    described = {item["column_name"]: item for item in of.storage.columns}
    tokens = of.tokens
    return Table(
        label="Latest rows" if order == "latest" else "First rows",
        columns=[
            Column(
                f"{_title(name, described)} (UTC)" if tokens.get(name, name) in TIMES else _title(name, described),
                numeric=tokens.get(name) in node_data.NUMBERS,
            )
            for name in head.names
        ],
        rows=[[cell(value) for value in row] for row in head.rows],
        empty="No rows yet. Press Run now, above.",
    )


def _title(name: str, described: dict[str, Any]) -> str:
    item = described.get(name, {})
    label = item.get("label") or name
    return f"{label}, {item['unit']}" if item.get("unit") else label


def _charts(update: NodeUpdate, of: NodeRows, drawn: UpdateStatistic | None) -> list[dict[str, str]]:
    """The columns that can be drawn, with the address of each figure; what people ask for most comes first."""
    if drawn is None:
        return []
    address = reverse("admin:data_node_chart", args=(update.pk,))
    described = {item["column_name"]: item for item in of.storage.columns}
    names = sorted(of.numbers, key=lambda name: name != "close")
    return [
        {
            "url": f"{address}?{urlencode({'column': name, 'identity': of.name_of(drawn)})}",
            "label": _title(name, described),
        }
        for name in names
    ]


def _downloads(update: NodeUpdate, of: NodeRows, head: Head, chosen: UpdateStatistic | None) -> list[dict[str, Any]]:
    """What can be taken along: the rows shown, and all rows of what is chosen."""
    if not head.rows:
        return []
    places = [head.names.index(name) for name in of.dimensions]
    shown = sorted({node_data.SEPARATOR.join(str(row[place]) for place in places) for row in head.rows})
    window = [("start", min(head.times).isoformat()), ("end", max(head.times).isoformat())]
    named = [("identity", name) for name in shown] if of.dimensions else []
    whole = [("identity", of.name_of(chosen))] if chosen and of.dimensions else []
    return [
        {"label": "These rows", "links": _links(update, [*window, *named])},
        {"label": f"All of {of.name_of(chosen)}" if whole else "All rows", "links": _links(update, whole)},
    ]


def _links(update: NodeUpdate, values: list[tuple[str, str]]) -> list[dict[str, str]]:
    address = reverse("admin:data_node_rows", args=(update.pk,))
    return [
        {
            "url": f"{address}?{urlencode([('format', name), *values])}",
            "label": name.upper() if name == "csv" else "Parquet",
        }
        for name in DOWNLOADS
    ]


def _filters(of: NodeRows, names: list[str]) -> dict[str, list[str]]:
    """What the scope fixes and the names leave, dimension by dimension."""
    filters = {name: [value] for name, value in of.scope.items()}
    if not names:
        return filters
    if not of.dimensions:
        raise InvalidInput(f"{of.storage} has no identities to choose from. Leave out identity.", field="identity")
    names = [storable_text(name) for name in names]
    for place, dimension in enumerate(of.dimensions):
        parts = [name.split(node_data.SEPARATOR) if len(of.dimensions) > 1 else [name] for name in names]
        if any(len(part) != len(of.dimensions) for part in parts):
            raise InvalidInput(f"An identity of {of.storage} is named {_dimension(of)}.", field="identity")
        filters[dimension] = sorted({part[place] for part in parts})
    return filters


def _instant(request: HttpRequest, name: str) -> dt.datetime | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{name}={text[:40]!r} is no time with a zone. Use ISO 8601: 2026-01-31T21:00:00Z.", field=name
        ) from None


def _dimension(of: NodeRows) -> str:
    return node_data.SEPARATOR.join(name.replace("_identifier", "").replace("_", " ") for name in of.dimensions)


def _label(of: NodeRows, row: UpdateStatistic) -> str:
    details = getattr(row.asset, "openfigi_details", None) if row.asset_id else None
    name = of.name_of(row)
    return f"{name} · {details.ticker}" if details and details.ticker else name

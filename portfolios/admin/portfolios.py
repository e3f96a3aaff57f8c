"""Portfolios: value, weights, statistics, and the conventions by which they were computed."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from bokeh.plotting import figure
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display

from markets.admin.base import command
from markets.admin.charts import figure_response, nothing_to_draw, requested_theme
from markets.admin.formatting import NOTHING, count, link, percent, status_badge, utc
from markets.admin.node_runs import RUN_COMMAND
from markets.admin.service_saving import ServiceAdmin
from markets.models import NodeRun, NodeUpdate, RunStatus
from markets.services.deletion import DeleteImpact
from portfolios.admin.portfolio_page import conventions, statistics_facts, weights_table
from portfolios.admin.series import named_by_ticker, values_of, weights_of
from portfolios.figures.values import value_figure
from portfolios.figures.weights import weights_figure
from portfolios.models import Portfolio, PortfolioValue
from portfolios.services import portfolios

CONVENTION_FIELDSET = (
    "Convention",
    {
        "fields": (
            "calendar",
            ("weights_between_rebalances", "turnover_basis"),
            ("commission_fee", "valuation_column"),
        ),
        "description": "Once a DataNode computes the portfolio's values these cannot be changed: values computed by "
        "two conventions cannot be compared.",
    },
)


@admin.register(Portfolio)
class PortfolioAdmin(ServiceAdmin):
    list_display = ("name", "unique_identifier", "calendar", "num_close", "last_time", "state")
    list_select_related = ("calendar",)
    sortable_by = ("name", "unique_identifier")
    search_fields = ("unique_identifier__startswith", "display_name__icontains")
    search_help_text = "Beginning of identifier, or words of the name"
    autocomplete_fields = ("calendar",)
    delete_note = "Its stored weights and values go along, and so does the DataNode that computes them."
    change_form_outer_before_template = "admin/portfolios/portfolio_data.html"
    empty_help = format_html(
        "A portfolio is built in Python with <code>build_portfolio(…)</code> from prices and a signal; then its "
        "values, weights and conventions are shown here. The demo builds one from real prices: {}",
        command("make demo"),
    )

    class Media:
        js = ("bokeh/bokeh.min.js", "markets/charts.js")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Portfolio]:
        values = PortfolioValue.objects.filter(portfolio_identifier=OuterRef("unique_identifier")).order_by(
            "-time_index"
        )
        runs = NodeRun.objects.filter(node_update=OuterRef("values_node")).order_by("-id")
        return (
            super()
            .get_queryset(request)
            .annotate(
                last_close=Subquery(values.values("close")[:1]),
                last_close_time=Subquery(values.values("time_index")[:1]),
                last_status=Subquery(runs.values("status")[:1]),
            )
        )

    def get_fieldsets(self, request: HttpRequest, obj: Portfolio | None = None) -> list[Any]:
        """The conventions can be chosen until a DataNode computes values by them; then the page states them above."""
        named = (None, {"fields": ("unique_identifier", "display_name", "description")})
        return [named] if obj is not None and obj.values_node_id else [named, CONVENTION_FIELDSET]

    def get_readonly_fields(self, request: HttpRequest, obj: Portfolio | None = None) -> tuple[str, ...]:
        return () if obj is None else ("unique_identifier",)

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Portfolio:
        return portfolios.create_portfolio(**_with_calendar_uid(values))

    def update_row(self, request: HttpRequest, row: Portfolio, values: dict[str, Any]) -> Portfolio:
        return portfolios.update_portfolio(row, **_with_calendar_uid(values))

    def delete_row(self, request: HttpRequest, row: Portfolio) -> None:
        portfolios.delete_portfolio(row)

    def delete_impact(self, request: HttpRequest, rows: Sequence[Portfolio]) -> DeleteImpact:
        return portfolios.portfolio_delete_impact(*rows)

    @display(description="name", ordering="display_name")
    def name(self, portfolio: Portfolio) -> str:
        return format_html('<span class="msm-clip" title="{0}">{0}</span>', str(portfolio))

    @display(description="value of 1")
    def num_close(self, portfolio: Any) -> str:
        return NOTHING if portfolio.last_close is None else f"{portfolio.last_close:,.6f}"

    @display(description="last session close (UTC)")
    def last_time(self, portfolio: Any) -> str:
        return utc(portfolio.last_close_time, zone=False)

    @display(description="last run")
    def state(self, portfolio: Any) -> str:
        label = RunStatus(portfolio.last_status).label if portfolio.last_status else "Never ran"
        return status_badge(portfolio.last_status, label)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/values/", wrap(self.value_chart), name="portfolio_values_chart"),
            path("<int:pk>/weights/", wrap(self.weights_chart), name="portfolio_weights_chart"),
            *super().get_urls(),
        ]

    def value_chart(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._chart(request, pk, lambda frame, portfolio: value_figure(frame, theme=requested_theme(request)))

    def weights_chart(self, request: HttpRequest, pk: int) -> HttpResponse:
        def draw(values: pd.DataFrame, portfolio: Portfolio) -> figure | None:
            assert isinstance(values.index, pd.DatetimeIndex)
            weights = weights_of(portfolio, values.index)
            return weights_figure(named_by_ticker(weights), theme=requested_theme(request)) if len(weights) else None

        return self._chart(request, pk, draw)

    def _chart(
        self, request: HttpRequest, pk: int, draw: Callable[[pd.DataFrame, Portfolio], figure | None]
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        portfolio = get_object_or_404(Portfolio, pk=pk)
        values = values_of(portfolio)
        plot = draw(values, portfolio) if len(values) else None
        return nothing_to_draw("Nothing is stored yet.") if plot is None else figure_response(plot)

    def page_context(self, request: HttpRequest, obj: Portfolio) -> dict[str, Any]:
        values = values_of(obj)
        return {
            "has_values": bool(len(values)),
            "values_chart_url": reverse("admin:portfolio_values_chart", args=(obj.pk,)),
            "weights_chart_url": reverse("admin:portfolio_weights_chart", args=(obj.pk,)),
            "headline": _headline(values),
            "convention": conventions(obj),
            "nodes": _nodes(obj),
            "run_command": f"{RUN_COMMAND} {obj.values_node.update_hash}" if obj.values_node else "",
            **statistics_facts(obj),
            "weights_table": weights_table(obj),
        }


def _with_calendar_uid(values: dict[str, Any]) -> dict[str, Any]:
    """The form's values as the service takes them: a calendar by its uid."""
    if "calendar" not in values:
        return values
    return {**values, "calendar": values["calendar"].uid if values["calendar"] else None}


def _headline(values: pd.DataFrame) -> list[tuple[str, str]]:
    if values.empty:
        return []
    closes = values["close"]
    incomplete = int(values["is_incomplete"].sum())
    return [
        ("Value of 1 invested", f"{closes.iloc[-1]:,.6f}"),
        ("Gain, entry cost included", percent(float(closes.iloc[-1]) - 1.0)),
        ("Sessions", count(len(values))),
        ("First", f"{values.index[0]:%Y-%m-%d}"),
        ("Last", f"{values.index[-1]:%Y-%m-%d}"),
        ("With a price too old", count(incomplete)),
    ]


def _nodes(portfolio: Portfolio) -> list[tuple[str, str]]:
    """What computes the portfolio: the purpose of each DataNode, and a link to it."""
    named: list[tuple[str, NodeUpdate | None]] = [
        ("Values and weights", portfolio.values_node),
        ("Signal", portfolio.signal_weights_node),
    ]
    return [
        (purpose, link(reverse("admin:markets_nodeupdate_change", args=(node.pk,)), f"{node} ({node.class_name})"))
        for purpose, node in named
        if node is not None
    ]

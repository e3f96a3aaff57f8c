"""REST of portfolios: their conventions, weights, values and statistics."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import django_filters as filters
from django.db import models
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import StorageNode
from markets.rest import parameters
from markets.rest.base import UID, WritableViewSet
from markets.rest.filters import Ordering, RegistryFilters, SearchFilter, Uid, identifier_filters
from markets.rest.frames import (
    AS_OF,
    ASSETS,
    END,
    FRAME_NAMES,
    FRAME_PARAMETERS,
    FRAME_RESPONSES,
    REPEATABLE,
    START,
    AnyAccept,
    FrameRequest,
    frame_response,
)
from markets.rest.schema import ErrorResponseSerializer
from markets.rest.serializers import RegistrySerializer
from markets.services import deletion
from markets.services.frames_out import FrameLayout, empty_frame, read_parts
from markets.services.values import listed
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight
from portfolios.services import portfolios

_TOKENS: Mapping[type[models.Field], str] = {
    models.FloatField: "float64",
    models.BooleanField: "bool",
    models.DateTimeField: "timestamp with time zone",
}


class PortfolioSerializer(RegistrySerializer):
    immutable_fields = ("unique_identifier",)
    calendar_uid = serializers.UUIDField(
        source="calendar.uid", required=False, allow_null=True, help_text="Its sessions annualise the figures."
    )
    signal_weights_node_uid = serializers.UUIDField(source="signal_weights_node.uid", read_only=True, allow_null=True)
    values_node_uid = serializers.UUIDField(source="values_node.uid", read_only=True, allow_null=True)

    class Meta:
        model = Portfolio
        fields = [
            *("uid", "id", "unique_identifier", "display_name", "description", "calendar_uid", "calendar_name"),
            *("weights_between_rebalances", "turnover_basis", "commission_fee", "valuation_column", "signal_uid"),
            *("signal_weights_node_uid", "values_node_uid", "created_at", "updated_at"),
        ]
        read_only_fields = ["calendar_name", "signal_uid"]


class StatisticsSerializer(serializers.Serializer):
    """Fractions, not percentages; null where undefined."""

    portfolio_uid = serializers.UUIDField()
    unique_identifier = serializers.CharField()
    calendar = serializers.CharField(help_text="The calendar whose sessions annualise.")
    sessions_a_year = serializers.FloatField(help_text="Average over the calendar's horizon.")
    weights_between_rebalances = serializers.CharField()
    turnover_basis = serializers.CharField()
    first_time_index = serializers.DateTimeField(allow_null=True)
    last_time_index = serializers.DateTimeField(allow_null=True)
    last_close = serializers.FloatField(allow_null=True, help_text="Value of 1 invested at the start.")
    number_of_periods = serializers.IntegerField()
    incomplete_sessions = serializers.IntegerField(help_text="Sessions with a price that was too old.")
    total_return = serializers.FloatField(allow_null=True, help_text="From the first close to the last.")
    annualised_return = serializers.FloatField(allow_null=True)
    annualised_volatility = serializers.FloatField(allow_null=True)
    max_drawdown = serializers.FloatField(allow_null=True)
    drawdown_start = serializers.DateTimeField(allow_null=True)
    drawdown_trough = serializers.DateTimeField(allow_null=True)
    drawdown_recovery = serializers.DateTimeField(allow_null=True)
    best_period_return = serializers.FloatField(allow_null=True)
    best_period_time = serializers.DateTimeField(allow_null=True)
    worst_period_return = serializers.FloatField(allow_null=True)
    worst_period_time = serializers.DateTimeField(allow_null=True)


class PortfolioFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    calendar_uid = Uid(field_name="calendar__uid")
    signal_uid = filters.CharFilter()
    search = SearchFilter("unique_identifier", "display_name", "calendar_name", "signal_uid")
    ordering = Ordering(fields=["unique_identifier", "display_name", "created_at", "updated_at"])


class PortfolioViewSet(WritableViewSet):
    queryset = Portfolio.objects.select_related("calendar", "signal_weights_node", "values_node")
    serializer_class = PortfolioSerializer
    filterset_class = PortfolioFilters
    row_name = "portfolio"
    query_parameters = {
        "weights": (*FRAME_NAMES, "asset_identifier", "as_of"),
        "values": FRAME_NAMES,
        "statistics": ("start", "end"),
    }
    repeatable_parameters = REPEATABLE

    def perform_creation(self, values: dict[str, Any]) -> Portfolio:
        return portfolios.create_portfolio(**_with_calendar(values))

    def perform_change(self, row: Portfolio, values: dict[str, Any]) -> Portfolio:
        return portfolios.update_portfolio(row, **_with_calendar(values))

    def perform_deletion(self, row: Portfolio) -> None:
        portfolios.delete_portfolio(row)

    def impact(self, row: Portfolio) -> deletion.DeleteImpact:
        return portfolios.portfolio_delete_impact(row)

    @extend_schema(parameters=[UID, *FRAME_PARAMETERS, ASSETS, AS_OF], responses=FRAME_RESPONSES)
    @action(
        detail=True,
        methods=["get"],
        pagination_class=None,
        filterset_class=None,
        content_negotiation_class=AnyAccept,
    )
    def weights(self, request: Request, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """The weights: the latest cross-section, the one `as_of` a time, or all from `start` to `end`."""
        portfolio = self.get_object()
        wanted, as_of = FrameRequest.of(request), parameters.instant(request, "as_of")
        if as_of is not None and (wanted.start is not None or wanted.end is not None):
            raise ValidationError({"as_of": "as_of names one cross-section. Leave out start and end, or as_of."})
        if wanted.start is None and wanted.end is None:
            last = portfolios.latest_cross_section(portfolio, as_of)
            if last is None:
                return _series(portfolio, PortfolioWeight, wanted, nothing=True)
            wanted = dataclasses.replace(wanted, start=last, end=last)
        return _series(portfolio, PortfolioWeight, wanted)

    @extend_schema(parameters=[UID, *FRAME_PARAMETERS], responses=FRAME_RESPONSES)
    @action(
        detail=True,
        methods=["get"],
        pagination_class=None,
        filterset_class=None,
        content_negotiation_class=AnyAccept,
    )
    def values(self, request: Request, *args: Any, **kwargs: Any) -> StreamingHttpResponse:
        """The values, a row a session; empty before the first run."""
        return _series(self.get_object(), PortfolioValue, FrameRequest.of(request))

    @extend_schema(
        parameters=[UID, START, END],
        responses={
            200: StatisticsSerializer,
            409: OpenApiResponse(ErrorResponseSerializer, description="It has no calendar, which annualises."),
        },
    )
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def statistics(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The performance of the values from `start` to `end`, and what annualises it."""
        portfolio = self.get_object()
        wanted = FrameRequest.of(request)
        outcome = portfolios.portfolio_statistics(portfolio, start=wanted.start, end=wanted.end)
        times = ("drawdown_start", "drawdown_trough", "drawdown_recovery", "best_period_time", "worst_period_time")
        figures = dataclasses.asdict(outcome.figures)
        figures |= {name: _instant(figures[name]) for name in times}
        body = {
            **figures,
            "portfolio_uid": portfolio.uid,
            "unique_identifier": portfolio.unique_identifier,
            "calendar": outcome.calendar.unique_identifier,
            "weights_between_rebalances": portfolio.weights_between_rebalances,
            "turnover_basis": portfolio.turnover_basis,
            "first_time_index": outcome.first_time_index,
            "last_time_index": outcome.last_time_index,
            "last_close": outcome.last_close,
            "incomplete_sessions": outcome.incomplete_sessions,
        }
        return Response(StatisticsSerializer(body).data)


def _series(
    portfolio: Portfolio, model: type[models.Model], wanted: FrameRequest, *, nothing: bool = False
) -> StreamingHttpResponse:
    """The portfolio's rows of one of the tables of portfolios."""
    storage = StorageNode.objects.filter(storage_hash=model._meta.db_table).first()
    layout = FrameLayout.of(storage) if storage is not None else _layout(model)
    if wanted.columns is not None:
        unknown = [name for name in wanted.columns if name not in layout.names]
        if unknown:
            raise ValidationError(
                {"columns": f"Unknown column {listed(unknown)}. Known: {listed(layout.columns, 50)}."}
            )
        layout = FrameLayout(
            layout.index_names, {name: layout.columns[name] for name in wanted.columns if name in layout.columns}
        )
    if storage is None or nothing:
        parts = iter([empty_frame(layout)])
    else:
        chosen = {portfolios.DIMENSION: [portfolio.unique_identifier]}
        if wanted.assets is not None:
            chosen["asset_identifier"] = wanted.assets
        parts = read_parts(
            storage,
            start_date=wanted.start,
            end_date=wanted.end,
            dimension_filters=chosen,
            columns=wanted.columns,
            limit=wanted.limit,
        )
    name = f"{portfolio.unique_identifier}_{model._meta.model_name}"
    return frame_response(parts, layout, wanted.format, name=name)


def _layout(model: type[models.Model]) -> FrameLayout:
    """The layout of a table that was never written."""
    keys = [field.column for field in model._meta.pk_fields]
    index = ("time_index", *(name for name in keys if name != "time_index"))
    columns = {
        field.column: _TOKENS[type(field)]
        for field in model._meta.concrete_fields
        if field.column not in index and not isinstance(field, models.CompositePrimaryKey)
    }
    return FrameLayout(index, columns)


def _with_calendar(values: dict[str, Any]) -> dict[str, Any]:
    if "calendar" in values:
        values["calendar"] = values["calendar"]["uid"]
    return values


def _instant(nanoseconds: int | None) -> dt.datetime | None:
    return None if nanoseconds is None else portfolios.instant(nanoseconds)

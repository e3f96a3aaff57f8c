"""REST of calendars and their sessions."""

from typing import Any

import django_filters as filters
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from markets.models import Calendar, CalendarSession
from markets.rest import parameters
from markets.rest.base import COUNT_PRECISION, UID
from markets.rest.bulk import BulkUpsertViewSet, describe_bulk
from markets.rest.filters import (
    Ordering,
    RegistryFilters,
    SearchFilter,
    TypeKey,
    identifier_filters,
    refuse_reversed,
)
from markets.rest.pagination import PAGING
from markets.rest.serializers import MetadataField, RegistrySerializer, StrictCharField, StrictSerializer
from markets.services import calendars
from markets.services.bulk import BulkOutcome, OnError


class CalendarSerializer(RegistrySerializer):
    immutable_fields = ("unique_identifier",)
    metadata_json = MetadataField()

    class Meta:
        model = Calendar
        fields = [
            *("uid", "unique_identifier", "display_name", "calendar_type", "timezone", "source", "source_identifier"),
            *("valid_from", "valid_to", "metadata_json", "created_at", "updated_at"),
        ]


class SessionSerializer(RegistrySerializer):
    class Meta:
        model = CalendarSession
        fields = [
            *("uid", "local_date", "session_label", "opens_at", "closes_at", "break_starts_at", "break_ends_at"),
            *("is_early_close", "is_primary", "metadata_json"),
        ]
        read_only_fields = fields


class PandasCalendarSerializer(StrictSerializer):
    source_identifier = StrictCharField(max_length=255, help_text="A name of pandas_market_calendars: XNYS, 24/7.")
    unique_identifier = StrictCharField(max_length=255)
    display_name = StrictCharField(max_length=255)
    valid_from = serializers.DateField()
    valid_to = serializers.DateField()
    calendar_type = StrictCharField(max_length=64, default="TRADING")
    timezone = StrictCharField(max_length=64, required=False, allow_null=True, help_text="Default: the market's.")
    session_label = StrictCharField(max_length=64, default="regular")
    metadata_json = MetadataField()


class HorizonSerializer(StrictSerializer):
    valid_from = serializers.DateField(required=False, help_text="Default: as it is.")
    valid_to = serializers.DateField(required=False, help_text="Default: as it is.")


class MaterialisedSerializer(serializers.Serializer):
    calendar = CalendarSerializer()
    created = serializers.BooleanField()
    added = serializers.IntegerField(help_text="Sessions.")
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    kept = serializers.IntegerField()


class CalendarTypeFilter(TypeKey):
    """A calendar type in any spelling: `trading` finds TRADING."""

    def filter(self, queryset: Any, value: str) -> Any:
        return filters.CharFilter.filter(self, queryset, "_".join(value.upper().split()) if value else value)


class CalendarFilters(RegistryFilters):
    unique_identifier = identifier_filters()["unique_identifier"]
    unique_identifier__in = identifier_filters()["unique_identifier__in"]
    unique_identifier__contains = identifier_filters()["unique_identifier__contains"]
    calendar_type = CalendarTypeFilter()
    source = filters.CharFilter()
    source_identifier = filters.CharFilter()
    search = SearchFilter("unique_identifier", "display_name", "source_identifier")
    ordering = Ordering(fields=["unique_identifier", "display_name", "valid_from", "valid_to", "created_at"])


@describe_bulk("calendar")
class CalendarViewSet(BulkUpsertViewSet):
    queryset = Calendar.objects.all()
    serializer_class = CalendarSerializer
    bulk_row_serializer = CalendarSerializer
    filterset_class = CalendarFilters
    row_name = "calendar"
    query_parameters = {"bulk_upsert": ("on_error",), "sessions": (*PAGING, "start", "end")}
    action_permissions = {
        "bulk_upsert": ("markets.add_calendar", "markets.change_calendar"),
        "create_from_pandas_calendar": ("markets.add_calendar", "markets.change_calendar"),
        "refresh_sessions": ("markets.view_calendar", "markets.refresh_calendar"),
    }

    def perform_creation(self, values: dict[str, Any]) -> Calendar:
        return calendars.create_calendar(**values)

    def perform_bulk_upsert(self, rows: list[Any], on_error: OnError) -> BulkOutcome:
        return calendars.bulk_upsert_calendars(rows, on_error=on_error)

    def perform_change(self, row: Calendar, values: dict[str, Any]) -> Calendar:
        return calendars.update_calendar(row, **values)

    @extend_schema(
        parameters=[
            UID,
            OpenApiParameter("start", str, description="First local date, included: 2026-01-01."),
            OpenApiParameter("end", str, description="Last local date, included."),
            COUNT_PRECISION,
        ],
        responses=SessionSerializer(many=True),
    )
    @action(detail=True, methods=["get"], filterset_class=None, filter_backends=[])
    def sessions(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The sessions, in the order of their dates."""
        rows = CalendarSession.objects.filter(calendar=self.get_object()).order_by("local_date", "session_label")
        first, last = parameters.day(request, "start"), parameters.day(request, "end")
        refuse_reversed(first, last)
        if first is not None:
            rows = rows.filter(local_date__gte=first)
        if last is not None:
            rows = rows.filter(local_date__lte=last)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(SessionSerializer(page, many=True).data)

    @extend_schema(
        request=PandasCalendarSerializer, responses={200: MaterialisedSerializer, 201: MaterialisedSerializer}
    )
    @action(
        detail=False,
        methods=["post"],
        url_path="create-from-pandas-calendar",
        pagination_class=None,
        filterset_class=None,
    )
    def create_from_pandas_calendar(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make or renew a calendar from a market's rules. 201 when it is new, 200 when it was renewed."""
        serializer = PandasCalendarSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        outcome = calendars.create_from_pandas_calendar(**serializer.validated_data)
        code = status.HTTP_201_CREATED if outcome.created else status.HTTP_200_OK
        return Response(MaterialisedSerializer(outcome).data, status=code)

    @extend_schema(parameters=[UID], request=HorizonSerializer, responses=MaterialisedSerializer)
    @action(
        detail=True,
        methods=["post"],
        url_path="refresh-sessions",
        pagination_class=None,
        filterset_class=None,
    )
    def refresh_sessions(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Compute sessions and dates anew from the calendar's market; with a new horizon when the body has one."""
        serializer = HorizonSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        outcome = calendars.refresh_calendar(self.get_object(), **serializer.validated_data)
        return Response(MaterialisedSerializer(outcome).data)

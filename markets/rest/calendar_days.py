"""REST of a calendar's dates and events, below the calendar that they belong to."""

import uuid
from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.response import Response

from markets.models import Calendar, CalendarDate, CalendarEvent
from markets.rest.base import UID, WritableViewSet, etag
from markets.rest.errors import NotFoundResponse
from markets.rest.fields import AwareDateTimeField
from markets.rest.filters import Flag, Ordering, RegistryFilters, SearchFilter, Uid, refuse_reversed
from markets.rest.parameters import parse_uid
from markets.rest.serializers import MetadataField, RegistrySerializer
from markets.services import calendar_dates, calendar_events, history

CALENDAR = OpenApiParameter("calendar_uid", uuid.UUID, OpenApiParameter.PATH, description="The calendar.")


class CalendarDateSerializer(RegistrySerializer):
    immutable_fields = ("local_date",)
    calendar_uid = serializers.UUIDField(source="calendar.uid", read_only=True)
    metadata_json = MetadataField()

    class Meta:
        model = CalendarDate
        fields = [
            *("uid", "calendar_uid", "local_date", "is_business_day", "is_holiday", "is_weekend", "is_early_close"),
            *("holiday_name", "metadata_json", "created_at", "updated_at"),
        ]


class CalendarEventSerializer(RegistrySerializer):
    immutable_fields = calendar_events.KEY
    calendar_uid = serializers.UUIDField(source="calendar.uid", read_only=True)
    event_time = AwareDateTimeField(required=False, allow_null=True)
    metadata_json = MetadataField()

    class Meta:
        model = CalendarEvent
        fields = [
            *("uid", "calendar_uid", "event_date", "event_time", "event_type", "event_label", "target_type"),
            *("target_identifier", "target_uid", "metadata_json", "created_at", "updated_at"),
        ]


class DayFilters(RegistryFilters):
    """`start` and `end` bound the list, both included."""

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        refuse_reversed(self.form.cleaned_data.get("start"), self.form.cleaned_data.get("end"))
        return super().filter_queryset(queryset)


class CalendarDateFilters(DayFilters):
    start = filters.DateFilter(field_name="local_date", lookup_expr="gte", help_text="First date, included.")
    end = filters.DateFilter(field_name="local_date", lookup_expr="lte", help_text="Last date, included.")
    local_date = filters.DateFilter()
    is_business_day = Flag()
    is_holiday = Flag()
    is_weekend = Flag()
    is_early_close = Flag()
    search = SearchFilter("holiday_name")
    ordering = Ordering(fields=["local_date", "created_at", "updated_at"])


class EventTypeFilter(filters.CharFilter):
    """An event type in any spelling: `last trade` finds LAST_TRADE."""

    def filter(self, queryset: QuerySet, value: str) -> QuerySet:
        return super().filter(queryset, "_".join(value.upper().split()) if value else value)


class CalendarEventFilters(DayFilters):
    start = filters.DateFilter(field_name="event_date", lookup_expr="gte", help_text="First date, included.")
    end = filters.DateFilter(field_name="event_date", lookup_expr="lte", help_text="Last date, included.")
    event_type = EventTypeFilter()
    target_type = filters.CharFilter()
    target_identifier = filters.CharFilter()
    target_uid = Uid()
    search = SearchFilter("event_type", "event_label", "target_identifier")
    ordering = Ordering(fields=["event_date", "event_type", "event_label", "created_at", "updated_at"])


class CalendarChildViewSet(WritableViewSet):
    """Rows of the calendar in the path; a row of another calendar is not found under this one."""

    def calendar(self) -> Calendar:
        text = self.kwargs.get("calendar_uid", "")
        uid = parse_uid(text)
        found = Calendar.objects.filter(uid=uid).first() if uid is not None else None
        if found is None:
            raise NotFoundResponse(f"There is no calendar with the uid {text[:60]!r}.")
        return found

    def get_queryset(self) -> QuerySet:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset.none()
        return self.queryset.filter(calendar=self.calendar())

    def find(self, rows: QuerySet) -> Any:
        return super().find(rows.filter(calendar=self.calendar()))

    def is_or_was(self, uid: uuid.UUID) -> bool:
        calendar_uid = parse_uid(self.kwargs["calendar_uid"])
        if calendar_uid is None:
            return False
        model = self.queryset.model
        return model._default_manager.filter(uid=uid, calendar__uid=calendar_uid).exists() or history.was_recorded(
            uid, model, owner_uid=calendar_uid
        )

    def answer(self, row: Any, code: int) -> Response:
        shown = self.queryset.get(pk=row.pk)
        headers = {"ETag": etag(shown)}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = self.reverse_action("detail", args=[shown.calendar.uid, shown.uid])
        return Response(self.get_serializer(shown).data, status=code, headers=headers)


_LIST = extend_schema(parameters=[CALENDAR])
_ROW = extend_schema(parameters=[CALENDAR, UID])
documented = extend_schema_view(
    **dict.fromkeys(("list", "create"), _LIST),
    **dict.fromkeys(("retrieve", "update", "partial_update", "destroy", "delete_impact", "history"), _ROW),
)


@documented
class CalendarDateViewSet(CalendarChildViewSet):
    queryset = CalendarDate.objects.select_related("calendar").order_by("local_date")
    serializer_class = CalendarDateSerializer
    filterset_class = CalendarDateFilters
    row_name = "calendar date"

    def perform_creation(self, values: dict[str, Any]) -> CalendarDate:
        return calendar_dates.create_date(self.calendar(), **values)

    def perform_change(self, row: CalendarDate, values: dict[str, Any]) -> CalendarDate:
        return calendar_dates.update_date(row, **values)

    def perform_deletion(self, row: CalendarDate) -> None:
        calendar_dates.delete_date(row)


@documented
class CalendarEventViewSet(CalendarChildViewSet):
    queryset = CalendarEvent.objects.select_related("calendar").order_by(
        "event_date", "event_type", "event_label", "pk"
    )
    serializer_class = CalendarEventSerializer
    filterset_class = CalendarEventFilters
    row_name = "calendar event"

    def perform_creation(self, values: dict[str, Any]) -> CalendarEvent:
        return calendar_events.create_event(self.calendar(), **values)

    def perform_change(self, row: CalendarEvent, values: dict[str, Any]) -> CalendarEvent:
        return calendar_events.update_event(row, **values)

    def perform_deletion(self, row: CalendarEvent) -> None:
        calendar_events.delete_event(row)

"""Dates and events of calendars; a calendar's page shows and links them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, BooleanRadioFilter
from unfold.decorators import display

from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.formatting import NOTHING, badge, link, utc
from markets.admin.service_saving import ServiceAdmin
from markets.admin.tables import Column, Pages, Table
from markets.exceptions import InvalidInput
from markets.models import Calendar, CalendarDate, CalendarEvent
from markets.services import calendar_dates, calendar_events
from markets.services.term_values import clean_token

FLAGS = (
    ("is_business_day", "business day", "plain"),
    ("is_holiday", "holiday", "bad"),
    ("is_weekend", "weekend", "plain"),
    ("is_early_close", "early close", "wait"),
)


class EventForm(LinkedDuplicates):
    """Takes a type as a person writes it: last trade is LAST_TRADE."""

    def clean_event_type(self) -> str:
        try:
            return clean_token(self.cleaned_data["event_type"], field="event_type")
        except InvalidInput as error:
            raise forms.ValidationError(str(error)) from error


class CalendarChildAdmin(ServiceAdmin):
    list_select_related = ("calendar",)
    autocomplete_fields = ("calendar",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("calendar")


@admin.register(CalendarDate)
class CalendarDateAdmin(CalendarChildAdmin):
    list_display = ("day", "calendar", "flags", "holiday_name")
    list_filter = (("calendar", AutocompleteSelectFilter), ("is_holiday", BooleanRadioFilter))
    search_fields = ("holiday_name__icontains",)
    search_help_text = "Words of the holiday's name"
    fields = (
        ("calendar", "local_date"),
        ("is_business_day", "is_holiday", "is_weekend", "is_early_close"),
        "holiday_name",
        "metadata_json",
    )
    empty_help = "Dates are made with a calendar that names a market, and can be corrected here."

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("calendar", "local_date") if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> CalendarDate:
        return calendar_dates.create_date(values.pop("calendar"), **values)

    def update_row(self, request: HttpRequest, row: CalendarDate, values: dict[str, Any]) -> CalendarDate:
        return calendar_dates.update_date(row, **values)

    def delete_row(self, request: HttpRequest, row: CalendarDate) -> None:
        calendar_dates.delete_date(row)

    @display(description="date", ordering="local_date")
    def day(self, row: CalendarDate) -> str:
        return row.local_date.strftime("%a %Y-%m-%d")

    @display(description="what")
    def flags(self, row: CalendarDate) -> str:
        return _flags(row)


@admin.register(CalendarEvent)
class CalendarEventAdmin(CalendarChildAdmin):
    list_display = ("day", "calendar", "event_type", "event_label", "target_identifier", "at")
    list_filter = (("calendar", AutocompleteSelectFilter),)
    form = EventForm
    search_fields = ("event_type__istartswith", "event_label__icontains", "target_identifier__startswith")
    search_help_text = "Beginning of type or target, words of the label"
    fields = (
        ("calendar", "event_date"),
        ("event_type", "event_label"),
        "event_time",
        ("target_type", "target_identifier"),
        "target_uid",
        "metadata_json",
    )
    empty_help = "Events are dated facts of a calendar, such as an EXPIRY or a FIXING. Add one here."

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("calendar", *calendar_events.KEY) if obj else ()

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> CalendarEvent:
        return calendar_events.create_event(values.pop("calendar"), **values)

    def update_row(self, request: HttpRequest, row: CalendarEvent, values: dict[str, Any]) -> CalendarEvent:
        return calendar_events.update_event(row, **values)

    def delete_row(self, request: HttpRequest, row: CalendarEvent) -> None:
        calendar_events.delete_event(row)

    @display(description="date", ordering="event_date")
    def day(self, row: CalendarEvent) -> str:
        return row.event_date.strftime("%a %Y-%m-%d") if row.event_date else NOTHING

    @display(description="time (UTC)", ordering="event_time")
    def at(self, row: CalendarEvent) -> str:
        return utc(row.event_time, zone=False)


def holidays_of(calendar: Calendar, request: HttpRequest) -> Table:
    """The calendar's holidays and early closes, the last ones first."""
    days = calendar.dates.filter(is_holiday=True) | calendar.dates.filter(is_early_close=True)
    pages = Pages(request, days, prefix="holidays", sorts={"-date": "local_date", "date": "local_date"})
    return Table(
        label="Holidays and early closes",
        columns=[Column("Date", sort="date"), Column("What"), Column("Name")],
        rows=[
            (
                link(
                    reverse("admin:markets_calendardate_change", args=(row.pk,)), row.local_date.strftime("%a %Y-%m-%d")
                ),
                _flags(row),
                row.holiday_name or "",
            )
            for row in pages.items
        ],
        pages=pages,
        empty="None is stored.",
        footer=_footer(request, "calendardate", calendar, "All dates", "Add a date"),
    )


def events_of(calendar: Calendar, request: HttpRequest) -> Table:
    """The calendar's events, the last ones first."""
    pages = Pages(request, calendar.events.all(), prefix="events", sorts={"-date": "event_date", "date": "event_date"})
    return Table(
        label="Events",
        columns=[Column("Date", sort="date"), Column("Type"), Column("Label"), Column("Target"), Column("Time (UTC)")],
        rows=[
            (
                link(
                    reverse("admin:markets_calendarevent_change", args=(row.pk,)),
                    row.event_date.strftime("%a %Y-%m-%d") if row.event_date else "undated",
                ),
                row.event_type,
                row.event_label,
                row.target_identifier,
                utc(row.event_time, zone=False),
            )
            for row in pages.items
        ],
        pages=pages,
        empty=_footer(request, "calendarevent", calendar, "No event is stored", "Add an event"),
        footer=_footer(request, "calendarevent", calendar, "All events", "Add an event"),
    )


def _footer(request: HttpRequest, name: str, calendar: Calendar, listed: str, added: str) -> SafeString:
    every = link(reverse(f"admin:markets_{name}_changelist", query={"calendar__id__exact": calendar.pk}), listed)
    if not request.user.has_perm(f"markets.add_{name}"):
        return every
    return format_html(
        "{} · {}", every, link(reverse(f"admin:markets_{name}_add", query={"calendar": calendar.pk}), added)
    )


def _flags(row: CalendarDate) -> str:
    badges = [badge(label, tone) for name, label, tone in FLAGS if getattr(row, name)]
    return format_html("{} " * len(badges), *badges) if badges else ""

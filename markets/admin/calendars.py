"""Calendars and their sessions."""

from contextlib import nullcontext
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelect2Widget

from markets.admin.base import command
from markets.admin.calendar_days import events_of, holidays_of
from markets.admin.careful_forms import LinkedDuplicates
from markets.admin.counts import number_of
from markets.admin.formatting import badge, code, count, counted, utc
from markets.admin.selecting import ReasonField, need_reason
from markets.admin.service_saving import ServiceAdmin
from markets.admin.tables import Column, Pages, Table
from markets.exceptions import MSMError
from markets.models import Calendar, CalendarSession
from markets.services import calendars
from markets.services.audit import because
from markets.services.market_calendars import SOURCE, market_names

REFRESH_PERMISSION = "markets.refresh_calendar"


class CalendarForm(LinkedDuplicates):
    """Time zone and market are chosen among those that there are."""

    timezone = forms.ChoiceField(
        label="Time zone",
        choices=lambda: [(name, name) for name in sorted(available_timezones())],
        initial="UTC",
        widget=UnfoldAdminSelect2Widget(),
        error_messages={"invalid_choice": "%(value)s is no IANA time zone. Examples: UTC, America/New_York."},
    )
    source_identifier = forms.CharField(
        label="Market",
        required=False,
        max_length=255,
        empty_value=None,
        widget=UnfoldAdminSelect2Widget(choices=lambda: [("", ""), *((name, name) for name in market_names())]),
        help_text="Its rules make the sessions, when this is saved. Names are those of pandas_market_calendars.",
    )
    reason = ReasonField(required=False, help_text="It is kept in the history. Needed when sessions change.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.source_identifier
        widget = self.fields["source_identifier"].widget if "source_identifier" in self.fields else None
        if widget is not None and stored and stored not in market_names():  # of another source: kept, not cleared
            widget.choices = [*widget.choices, (stored, stored)]


@admin.register(Calendar)
class CalendarAdmin(ServiceAdmin):
    list_display = ("unique_identifier", "display_name", "timezone", "valid_from_date", "valid_to_date", "num_sessions")
    search_fields = ("unique_identifier__startswith", "display_name__istartswith")
    search_help_text = "Beginning of identifier or name"
    form = CalendarForm
    change_form_outer_after_template = "admin/msm/calendar_sessions.html"
    empty_help = format_html(
        "A calendar holds the sessions on which prices are interpolated and portfolios are valued. Add one here, or "
        "load XNYS with the demo: {}",
        command("make demo"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Calendar]:
        sessions = number_of(CalendarSession.objects.all(), "calendar")
        return super().get_queryset(request).annotate(number_of_sessions=sessions).order_by("unique_identifier")

    def get_readonly_fields(self, request: HttpRequest, obj: Calendar | None = None) -> tuple[str, ...]:
        return ("unique_identifier", "source") if obj else ("source",)

    def get_fields(self, request: HttpRequest, obj: Calendar | None = None) -> tuple[Any, ...]:
        fields = (
            ("unique_identifier", "display_name"),
            ("source_identifier", "timezone"),
            ("valid_from", "valid_to"),
            ("calendar_type", "source"),
            "metadata_json",
        )
        return (*fields, "reason") if obj else fields

    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Calendar:
        return (
            self._materialise(request, values) if values["source_identifier"] else calendars.create_calendar(**values)
        )

    def update_row(self, request: HttpRequest, row: Calendar, values: dict[str, Any]) -> Calendar:
        values = {"unique_identifier": row.unique_identifier, **values}
        is_same = all(getattr(row, name) == values[name] for name in ("source_identifier", "valid_from", "valid_to"))
        if values["source_identifier"] and not is_same:
            return self._materialise(request, values)
        del values["unique_identifier"]
        return calendars.update_calendar(row, **values)

    def _materialise(self, request: HttpRequest, values: dict[str, Any]) -> Calendar:
        made = calendars.create_from_pandas_calendar(**values)
        _need_reason(made, "Saving", again="save again")
        self._say(request, made)
        return made.calendar

    def _say(self, request: HttpRequest, made: calendars.Materialised) -> None:
        self.message_user(
            request,
            f"Sessions built from {made.calendar.source_identifier}: {made.added:,} added, {made.changed:,} changed, "
            f"{made.removed:,} removed, {made.kept:,} kept.",
        )

    def get_urls(self) -> list[URLPattern]:
        refresh = self.admin_site.admin_view(require_POST(self.refresh))
        return [path("<int:pk>/refresh/", refresh, name="calendar_refresh"), *super().get_urls()]

    def refresh(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Compute the sessions anew, over the horizon that the form names, for its reason where sessions change."""
        if not (self.has_view_permission(request) and request.user.has_perm(REFRESH_PERMISSION)):
            raise PermissionDenied
        calendar = get_object_or_404(Calendar, pk=pk)
        horizon = {name: request.POST[name] for name in ("valid_from", "valid_to") if request.POST.get(name)}
        reason = request.POST.get("reason")
        try:
            with because(reason) if reason else nullcontext(), transaction.atomic():
                made = calendars.refresh_calendar(calendar, **horizon)
                _need_reason(made, "Renewing", again="renew again")
            self._say(request, made)
        except MSMError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:markets_calendar_change", args=(pk,)))

    @display(description="from", ordering="valid_from")
    def valid_from_date(self, calendar: Calendar) -> str:
        return calendar.valid_from.isoformat()

    @display(description="to", ordering="valid_to")
    def valid_to_date(self, calendar: Calendar) -> str:
        return calendar.valid_to.isoformat()

    @display(description="sessions", ordering="number_of_sessions")
    def num_sessions(self, calendar: Calendar) -> str:
        return count(calendar.number_of_sessions)  # type: ignore[attr-defined]

    def page_context(self, request: HttpRequest, obj: Calendar) -> dict[str, Any]:
        pages = Pages(
            request, obj.sessions.all(), prefix="sessions", sorts={"-date": "local_date", "date": "local_date"}
        )
        today = timezone.now()
        return {
            "sessions": Table(
                label="Sessions",
                columns=[
                    Column("Date", sort="date"),
                    Column("Opens (UTC)"),
                    Column("Closes (UTC)"),
                    Column("Break (UTC)"),
                    Column("Notes"),
                ],
                rows=[_session_row(row) for row in pages.items],
                pages=pages,
                empty=format_html(
                    "No session is stored, so nothing can be computed on this calendar. Fill in a market above, such "
                    "as {}, and save.",
                    code("XNYS"),
                ),
            ),
            "holidays": holidays_of(obj, request),
            "events": events_of(obj, request),
            "refresh_url": self._refresh_url(request, obj),
            "next_session": obj.sessions.filter(closes_at__gt=today, is_primary=True).order_by("closes_at").first(),
        }

    def _refresh_url(self, request: HttpRequest, calendar: Calendar) -> str:
        """Where the form that renews the sessions goes; empty without the right, or without a market."""
        may = request.user.has_perm(REFRESH_PERMISSION) and calendar.source == SOURCE and calendar.source_identifier
        return reverse("admin:calendar_refresh", args=(calendar.pk,)) if may else ""


def _need_reason(made: calendars.Materialised, doing: str, *, again: str) -> None:
    if made.removed or made.changed:
        what = f"{doing} removes {counted(made.removed, 'session')} and changes {made.changed:,}"
        need_reason(f"{what}; what was computed on them stays as it is.", again=again)


def _session_row(session: CalendarSession) -> tuple[Any, ...]:
    pause = ""
    if session.break_starts_at:
        pause = f"{session.break_starts_at:%H:%M} to {session.break_ends_at:%H:%M}"
    notes = badge("early close", "wait") if session.is_early_close else ""
    if session.session_label != "regular":
        notes = format_html("{} {}", notes, session.session_label)
    return (
        session.local_date.strftime("%a %Y-%m-%d"),
        utc(session.opens_at, zone=False),
        utc(session.closes_at, zone=False),
        pause,
        notes,
    )

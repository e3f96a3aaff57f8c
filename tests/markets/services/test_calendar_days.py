"""A calendar's dates and events: made from a market, corrected by hand, kept inside the horizon."""

import datetime as dt
from typing import Any

import pytest

from markets.exceptions import Conflict, InvalidInput
from markets.models import CalendarDate, CalendarEvent
from markets.services import calendar_dates, calendar_events, calendars
from tests import factories

pytestmark = pytest.mark.django_db


def build(source: str, first: str, last: str) -> Any:
    return calendars.create_from_pandas_calendar(
        source_identifier=source, unique_identifier="X", display_name="X", valid_from=first, valid_to=last
    ).calendar


def test_new_york_2026() -> None:
    dates = build("NYSE", "2026-01-01", "2026-12-31").dates
    assert (dates.count(), dates.filter(is_business_day=True).count()) == (365, 251)
    assert {f"{row.local_date:%m-%d}": row.holiday_name for row in dates.filter(is_holiday=True)} == {
        "01-01": "New Years Day",
        "01-19": "Dr. Martin Luther King Jr. Day",
        "02-16": "Presidents Day",
        "04-03": "Good Friday",
        "05-25": "Memorial Day",
        "06-19": "Juneteenth",
        "07-03": "July 4th",
        "09-07": "Labor Day",
        "11-26": "Thanksgiving",
        "12-25": "Christmas",
    }
    early = dates.filter(is_early_close=True).values_list("local_date", flat=True)
    assert list(early) == [dt.date(2026, 11, 27), dt.date(2026, 12, 24)]
    assert not dates.filter(is_weekend=True, is_holiday=True).exists()


def test_round_the_clock_a_saturday_is_business_and_weekend() -> None:
    saturday = build("24/7", "2026-03-28", "2026-03-28").dates.get()
    assert (saturday.is_business_day, saturday.is_weekend, saturday.is_holiday) == (True, True, False)


def test_a_range_without_sessions_has_dates() -> None:
    assert list(build("NYSE", "2026-01-03", "2026-01-04").dates.values_list("is_weekend", "is_business_day")) == [
        (True, False),
        (True, False),
    ]


def test_again_restores_what_the_market_says_and_drops_what_is_outside() -> None:
    calendar = build("NYSE", "2026-01-01", "2026-01-10")
    stamps = dict(CalendarDate.objects.values_list("local_date", "updated_at"))
    build("NYSE", "2026-01-01", "2026-01-10")
    assert dict(CalendarDate.objects.values_list("local_date", "updated_at")) == stamps, "nothing was written"
    calendar_dates.upsert_date(calendar, local_date="2026-01-05", is_holiday=True, metadata_json={"a": 1})
    calendar.dates.filter(local_date=dt.date(2026, 1, 6)).delete()
    calendar = build("NYSE", "2026-01-02", "2026-01-09")
    assert calendar.dates.count() == 8
    restored = calendar.dates.get(local_date=dt.date(2026, 1, 5))
    assert (restored.is_holiday, restored.metadata_json) == (False, {"a": 1})


def test_dates_by_hand() -> None:
    calendar = factories.calendar()
    before = calendar.updated_at
    made = calendar_dates.upsert_date(calendar, local_date="2026-07-03", is_holiday=True, holiday_name=" July 4th ")
    kept = calendar_dates.upsert_date(calendar, local_date="2026-07-03", is_early_close=True)
    assert (made.created, kept.created, kept.row.holiday_name) == (True, False, "July 4th")
    assert (kept.row.is_holiday, kept.row.is_early_close) == (True, True)
    calendar.refresh_from_db()
    assert calendar.updated_at > before
    with pytest.raises(Conflict, match="has the date 2026-07-03 already"):
        calendar_dates.create_date(calendar, local_date="2026-07-03")
    for fields, field in (
        ({"local_date": "2027-01-01"}, "local_date"),
        ({"local_date": "2026-07-06", "is_holiday": 1}, "is_holiday"),
        ({"local_date": "2026-07-06", "holiday_name": "x" * 256}, "holiday_name"),
        ({"local_date": "2026-07-06", "nonsense": 1}, "nonsense"),
    ):
        with pytest.raises(InvalidInput) as refused:
            calendar_dates.upsert_date(calendar, **fields)
        assert refused.value.field == field
    assert CalendarDate.objects.count() == 1
    calendar_dates.delete_date(kept.row)
    assert not CalendarDate.objects.exists()


def test_events_have_a_key_of_six_and_one_without_a_date_is_not_made_twice() -> None:
    calendar = factories.calendar()
    first = calendar_events.upsert_event(calendar, event_date="2026-12-18", event_type="last trade", event_label=None)
    again = calendar_events.upsert_event(
        calendar, event_date="2026-12-18", event_type="LAST_TRADE", event_time="2026-12-18T14:30:00Z"
    )
    assert (first.created, again.created, again.row.pk) == (True, False, first.row.pk)
    assert (again.row.event_type, again.row.event_label) == ("LAST_TRADE", "")
    assert again.row.event_time == dt.datetime(2026, 12, 18, 14, 30, tzinfo=dt.UTC)
    calendar_events.upsert_event(calendar, event_date="2026-12-18", event_type="ROLL", target_identifier="ES")
    calendar_events.create_event(calendar, event_type="FIXING")
    with pytest.raises(Conflict, match="exists already"):
        calendar_events.create_event(calendar, event_type="fixing")
    for fields, field in (
        ({"event_date": "2027-12-18"}, "event_date"),
        ({"event_date": None}, "event_date"),
        ({"event_time": "2026-12-18T14:30:00"}, "event_time"),
        ({"event_type": " "}, "event_type"),
        ({"target_uid": "junk"}, "target_uid"),
    ):
        with pytest.raises(InvalidInput) as refused:
            calendar_events.upsert_event(calendar, **{"event_date": "2026-12-18", "event_type": "ROLL", **fields})
        assert refused.value.field == field
    assert CalendarEvent.objects.count() == 3


def test_the_horizon_never_leaves_events_or_dates_outside() -> None:
    calendar = factories.calendar()
    event = factories.calendar_event(calendar, event_date=dt.date(2026, 12, 18))
    with pytest.raises(Conflict, match="has an event on 2026-12-18"):
        calendars.update_calendar(calendar, valid_to="2026-06-30")
    calendar_events.delete_event(event)
    factories.calendar_date(calendar, local_date=dt.date(2026, 7, 3))
    with pytest.raises(Conflict, match="has a date on 2026-07-03"):
        calendars.update_calendar(calendar, valid_to="2026-06-30")

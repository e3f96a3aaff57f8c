"""Calendars in Python: dates and holidays of a market, and events by hand."""

import pytest

import msm
from msm import runtime
from msm.api.calendars import Calendar, CalendarDate, CalendarEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    monkeypatch.setattr(runtime, "_runtime", None)
    msm.start_engine(models=[Calendar, CalendarDate, CalendarEvent, "CalendarSession"])


def test_calendar_dates_and_events() -> None:
    nyse = Calendar.create_from_pandas_calendar(
        source_identifier="NYSE",
        unique_identifier="XNYS",
        display_name="New York",
        valid_from="2026-01-01",
        valid_to="2026-12-31",
    )
    holidays = CalendarDate.filter(calendar_uid=nyse.uid, is_holiday=True, limit=2)
    assert [(str(row.local_date), row.holiday_name) for row in holidays] == [
        ("2026-01-01", "New Years Day"),
        ("2026-01-19", "Dr. Martin Luther King Jr. Day"),
    ]
    assert len(CalendarDate.filter(is_weekend=False, is_business_day=True)) == 251
    assert len(CalendarDate.query(calendar_uid=nyse.uid, per_page=100)) == 365
    event = CalendarEvent.upsert(calendar_uid=nyse.uid, event_date="2026-03-20", event_type="last trade")
    assert (event.event_type, event.event_label) == ("LAST_TRADE", "")
    assert (
        CalendarEvent.filter(event_type="Last Trade") == CalendarEvent.filter(event_type_in=["last trade"]) == [event]
    )
    day = CalendarDate.upsert(calendar_uid=nyse.uid, local_date="2026-01-01", holiday_name="New Year")
    assert (day.holiday_name, day.is_holiday) == ("New Year", True)
    assert (CalendarDate.delete(day.uid), CalendarEvent.delete(event.uid)) == (1, 1)

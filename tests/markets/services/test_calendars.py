"""Calendars from market rules and by hand; the numbers are those of the exchanges."""

import datetime as dt
from typing import Any

import pytest

from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import Calendar, CalendarSession
from markets.services import calendars, market_calendars
from tests import factories

pytestmark = pytest.mark.django_db


def build(source: str = "NYSE", first: str = "2026-01-01", last: str = "2026-12-31", **fields: Any) -> Any:
    return calendars.create_from_pandas_calendar(
        **{
            "source_identifier": source,
            "unique_identifier": f"test-{source}",
            "display_name": source,
            "valid_from": first,
            "valid_to": last,
            **fields,
        }
    )


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize("source", ["NYSE", "XNYS"])
def test_new_york_2026(source: str) -> None:
    outcome = build(source)
    assert (outcome.created, outcome.added, outcome.removed) == (True, 251, 0)
    assert outcome.calendar.timezone == "America/New_York"
    assert outcome.calendar.source == "pandas_market_calendars"
    early = {row.local_date: row.closes_at for row in outcome.calendar.sessions.filter(is_early_close=True)}
    assert early == {
        dt.date(2026, 11, 27): at("2026-11-27T18:00:00Z"),
        dt.date(2026, 12, 24): at("2026-12-24T18:00:00Z"),
    }
    first = outcome.calendar.sessions.first()
    assert (first.local_date, first.opens_at, first.closes_at) == (
        dt.date(2026, 1, 2),
        at("2026-01-02T14:30:00Z"),
        at("2026-01-02T21:00:00Z"),
    )
    holidays = {
        f"2026-{day}"
        for day in ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"]
    }
    dates = {str(day) for day in outcome.calendar.sessions.values_list("local_date", flat=True)}
    assert dates.isdisjoint(holidays)


def test_round_the_clock_runs_from_midnight_to_midnight_utc() -> None:
    outcome = build("24/7", "2026-03-28", "2026-03-30", timezone="Europe/Berlin")
    assert list(outcome.calendar.sessions.values_list("opens_at", "closes_at")) == [
        (at(f"2026-03-{day}T00:00:00Z"), at(f"2026-03-{day + 1}T00:00:00Z")) for day in (28, 29, 30)
    ]
    assert outcome.calendar.timezone == "Europe/Berlin"


def test_lunch_breaks_are_stored() -> None:
    row = build("HKEX", "2026-01-05", "2026-01-05").calendar.sessions.get()
    assert (row.break_starts_at, row.break_ends_at) == (at("2026-01-05T04:00:00Z"), at("2026-01-05T05:00:00Z"))


@pytest.mark.parametrize(("first", "last"), [("2026-01-03", "2026-01-04"), ("2026-01-01", "2026-01-01")])
def test_a_range_without_sessions_is_a_calendar_without_sessions(first: str, last: str) -> None:
    assert build(first=first, last=last).added == 0
    assert Calendar.objects.count() == 1


def test_again_changes_nothing_and_keeps_the_uid() -> None:
    first = build(metadata_json={"a": 1})
    updated = Calendar.objects.get().updated_at
    again = build()
    assert again.calendar.uid == first.calendar.uid
    assert (again.created, again.added, again.changed, again.removed, again.kept) == (False, 0, 0, 0, 251)
    stored = Calendar.objects.get()
    assert (stored.metadata_json, stored.updated_at) == ({"a": 1}, updated)


def test_again_restores_and_removes() -> None:
    calendar = build().calendar
    calendar.sessions.filter(local_date=dt.date(2026, 1, 5)).delete()
    calendar.sessions.filter(local_date=dt.date(2026, 1, 6)).update(closes_at=at("2026-01-06T20:00:00Z"))
    calendars.upsert_session(
        calendar, local_date="2026-01-03", opens_at=at("2026-01-03T14:30:00Z"), closes_at=at("2026-01-03T15:00:00Z")
    )
    again = build()
    assert (again.added, again.changed, again.removed, again.kept) == (1, 1, 1, 249)


def test_another_horizon_removes_what_lies_outside() -> None:
    build()
    shorter = build(first="2026-01-01", last="2026-01-10")
    assert (shorter.removed, shorter.kept, shorter.added) == (245, 6, 0)
    longer = build(first="2025-12-31", last="2026-01-10")
    assert (longer.removed, longer.kept, longer.added) == (0, 6, 1)


@pytest.mark.parametrize(
    ("source", "fields", "field"),
    [
        ("NYSEX", {}, "source_identifier"),
        ("nyse", {}, "source_identifier"),
        ("XSGO", {}, "source_identifier"),
        ("", {}, "source_identifier"),
        ("NYSE", {"timezone": "Nowhere"}, "timezone"),
        ("NYSE", {"valid_to": "2025-01-01"}, "valid_to"),
        ("NYSE", {"valid_from": "2026-01-01T00:00:00"}, "valid_from"),
        ("NYSE", {"session_label": "x" * 65}, "session_label"),
        ("NYSE", {"calendar_type": " "}, "calendar_type"),
        ("NYSE", {"display_name": None}, "display_name"),
        ("NYSE", {"metadata_json": "x"}, "metadata_json"),
    ],
)
def test_refusals_write_nothing(source: str, fields: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build(source, **fields)
    assert refused.value.field == field
    assert not Calendar.objects.exists()


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"has no calendar 'xnys'\. Did you mean XNYS"):
        build("xnys")


def test_another_label_never_makes_a_second_primary() -> None:
    build(last="2026-01-10")
    with pytest.raises(Conflict, match=r"already has the primary session 'regular' on 2026-01-02"):
        build(last="2026-01-10", session_label="other")
    assert CalendarSession.objects.count() == 6


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"local_date": "2027-01-01"}, "local_date"),
        ({"opens_at": dt.datetime(2026, 1, 5, 14)}, "opens_at"),  # noqa: DTZ001
        ({"closes_at": at("2026-01-05T14:30:00Z")}, "closes_at"),
        ({"break_starts_at": at("2026-01-05T16:00:00Z")}, "break_ends_at"),
        (
            {"break_starts_at": at("2026-01-05T16:00:00Z"), "break_ends_at": at("2026-01-05T22:00:00Z")},
            "break_starts_at",
        ),
        ({"session_label": ""}, "session_label"),
    ],
)
def test_bad_sessions_are_refused(change: dict, field: str) -> None:
    calendar = factories.calendar()
    session = {
        "local_date": dt.date(2026, 1, 5),
        "opens_at": at("2026-01-05T14:30:00Z"),
        "closes_at": at("2026-01-05T21:00:00Z"),
    }
    with pytest.raises(InvalidInput) as refused:
        calendars.upsert_session(calendar, **{**session, **change})
    assert refused.value.field == field
    assert not CalendarSession.objects.exists()


def test_sessions_by_hand() -> None:
    calendar = factories.calendar()
    times = {"opens_at": at("2026-01-05T09:30:00-05:00"), "closes_at": at("2026-01-05T16:00:00-05:00")}
    first = calendars.upsert_session(calendar, local_date="2026-01-05", **times)
    again = calendars.upsert_session(calendar, local_date="2026-01-05", **{**times, "is_early_close": True})
    assert (first.created, again.created, again.row.pk) == (True, False, first.row.pk)
    with pytest.raises(Conflict, match="primary session 'regular'"):
        calendars.upsert_session(calendar, local_date="2026-01-05", session_label="late", **times)
    calendars.upsert_session(calendar, local_date="2026-01-05", session_label="late", is_primary=False, **times)
    calendars.delete_session(calendar, local_date="2026-01-05", session_label="late")
    with pytest.raises(NotFound, match="no session 'late' on 2026-01-05"):
        calendars.delete_session(calendar, local_date="2026-01-05", session_label="late")


def test_updates_respect_the_stored_sessions() -> None:
    calendar = build(last="2026-01-10").calendar
    with pytest.raises(Conflict, match="has a session on 2026-01-02"):
        calendars.update_calendar(calendar, valid_from="2026-01-03")
    with pytest.raises(InvalidInput, match="no changeable field uid"):
        calendars.update_calendar(calendar, uid="x")
    calendars.update_calendar(calendar, valid_to=dt.date(2026, 2, 1), display_name="New")
    assert Calendar.objects.values_list("valid_to", "display_name").get() == (dt.date(2026, 2, 1), "New")


def test_a_session_outside_a_horizon_that_shrank_meanwhile_is_refused() -> None:
    stale = factories.calendar()
    Calendar.objects.update(valid_to=dt.date(2026, 1, 31))
    with pytest.raises(InvalidInput, match="2026-01-01 to 2026-01-31") as refused:
        calendars.upsert_session(
            stale,
            local_date="2026-02-02",
            opens_at=at("2026-02-02T14:30:00Z"),
            closes_at=at("2026-02-02T21:00:00Z"),
        )
    assert refused.value.field == "local_date"
    assert not CalendarSession.objects.exists()


def test_an_update_judges_and_writes_over_what_is_stored_now() -> None:
    stale = factories.calendar()
    before = stale.display_name
    Calendar.objects.update(display_name="Renamed meanwhile", valid_to=dt.date(2026, 1, 31))
    with pytest.raises(InvalidInput, match="valid_to=2026-01-31 is before valid_from=2026-02-01"):
        calendars.update_calendar(stale, valid_from="2026-02-01")
    assert calendars.update_calendar(stale, display_name=before).valid_to == dt.date(2026, 1, 31)
    assert Calendar.objects.get().display_name == before


def test_a_deleted_calendar_is_not_changed() -> None:
    gone = factories.calendar()
    Calendar.objects.all().delete()
    with pytest.raises(NotFound, match="is deleted"):
        calendars.update_calendar(gone, display_name="Back")
    assert not Calendar.objects.exists()


def test_a_century_is_quick_enough_and_bulk(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(20):
        assert build("24/7", "1950-01-01", "2049-12-31").added == 36_525


def test_breaks_without_length_are_none() -> None:
    schedule = market_calendars.market_schedule(
        "CME_Equity", valid_from=dt.date(2026, 1, 5), valid_to=dt.date(2026, 1, 6)
    )
    assert [session.break_starts_at for session in schedule.sessions] == [None, None]

"""By when data are due: exact instants across clock changes, early closes, weekends and the end of a calendar."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.engine.freshness import AfterClose, AtTime, Every, Sessions, Verdict, due_of, judge

NEW_YORK = "America/New_York"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def sessions(*rows: tuple[str, str], last: str | None = None) -> Sessions:
    """Rows of (date, close in UTC); `last` is the last session that the calendar knows, the last row unless told."""
    return Sessions(
        [at(close) for _, close in rows],
        [day(date) for date, _ in rows],
        day(last or rows[-1][0]),
    )


# Thanksgiving 2026: closed on Thursday 26, early close at 13:00 in New York on Friday 27.
THANKSGIVING = sessions(
    ("2026-11-24", "2026-11-24T21:00"),
    ("2026-11-25", "2026-11-25T21:00"),
    ("2026-11-27", "2026-11-27T18:00"),
    ("2026-11-30", "2026-11-30T21:00"),
    last="2026-12-31",
)
HALF_PAST = AfterClose(dt.timedelta(minutes=90))


# --- when a session's data are due -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("date", "due"),
    [
        ("2026-03-06", "2026-03-06T23:30"),  # Friday, winter time
        ("2026-03-09", "2026-03-09T22:30"),  # Monday, summer time
        ("2026-10-30", "2026-10-30T22:30"),
        ("2026-11-02", "2026-11-02T23:30"),
    ],
)
def test_a_wall_clock_time_keeps_to_the_clock_when_it_changes(date: str, due: str) -> None:
    close = at(f"{date}T20:00")
    assert due_of(AtTime(dt.time(18, 30), NEW_YORK), close, day(date)) == at(due)


def test_a_time_on_the_day_after_is_told_by_that_days_clock() -> None:
    # Saturday 7 March is winter time at 18:30; Sunday 8 March at 06:00 is summer time already.
    rule = AtTime(dt.time(6), NEW_YORK, days_later=1)
    assert due_of(rule, at("2026-03-07T21:00"), day("2026-03-07")) == at("2026-03-08T10:00")
    assert due_of(rule, at("2026-03-06T21:00"), day("2026-03-06")) == at("2026-03-07T11:00")


def test_a_time_that_the_clock_skips_comes_that_much_later_and_one_that_it_repeats_comes_first() -> None:
    skipped = AtTime(dt.time(2, 30), NEW_YORK, days_later=1)
    assert due_of(skipped, at("2026-03-07T05:00"), day("2026-03-07")) == at("2026-03-08T07:30")  # 03:30 there
    repeated = AtTime(dt.time(1, 30), NEW_YORK, days_later=1)
    assert due_of(repeated, at("2026-10-31T05:00"), day("2026-10-31")) == at("2026-11-01T05:30")  # still summer time


def test_nothing_is_due_before_its_session_closes() -> None:
    rule = AtTime(dt.time(9), NEW_YORK)
    assert due_of(rule, at("2026-11-25T21:00"), day("2026-11-25")) == at("2026-11-25T21:00")


def test_the_delay_counts_from_an_early_close_too() -> None:
    assert due_of(HALF_PAST, at("2026-11-27T18:00"), day("2026-11-27")) == at("2026-11-27T19:30")


# --- the verdict -----------------------------------------------------------------------------------------------------
def test_over_a_holiday_nothing_is_expected() -> None:
    # given data up to Wednesday; when it is the evening of Thanksgiving
    verdict = judge(HALF_PAST, THANKSGIVING, at("2026-11-25T21:00"), at("2026-11-26T23:59"))
    # then
    assert verdict == Verdict(
        is_overdue=False,
        expected=at("2026-11-25T21:00"),
        expected_date=day("2026-11-25"),
        behind=0,
        next_due=at("2026-11-27T19:30"),
    )


def test_after_an_early_close_data_are_overdue_early() -> None:
    last = at("2026-11-25T21:00")
    assert not judge(HALF_PAST, THANKSGIVING, last, at("2026-11-27T19:30")).is_overdue  # at the very instant: not yet
    verdict = judge(HALF_PAST, THANKSGIVING, last, at("2026-11-27T19:30:01"))
    assert verdict == Verdict(
        is_overdue=True,
        expected=at("2026-11-27T18:00"),
        expected_date=day("2026-11-27"),
        due_since=at("2026-11-27T19:30"),
        behind=1,
        next_due=at("2026-11-30T22:30"),
    )
    assert verdict.late_by(at("2026-11-27T20:00")) == dt.timedelta(minutes=30)


def test_due_since_is_that_of_the_first_missing_session() -> None:
    verdict = judge(HALF_PAST, THANKSGIVING, at("2026-11-24T21:00"), at("2026-11-30T22:31"))
    assert (verdict.behind, verdict.due_since, verdict.expected_date) == (
        *(3, at("2026-11-25T22:30")),
        day("2026-11-30"),
    )
    assert verdict.next_due is None  # none of the sessions that were given
    assert verdict.ends_on == day("2026-12-31")


def test_rows_within_a_session_do_not_make_up_for_it() -> None:
    verdict = judge(HALF_PAST, THANKSGIVING, at("2026-11-27T17:59"), at("2026-11-27T20:00"))
    assert (verdict.is_overdue, verdict.behind) == (True, 1)


def test_rows_stamped_with_the_date() -> None:
    now = at("2026-11-27T20:00")
    assert judge(HALF_PAST, THANKSGIVING, at("2026-11-27T00:00"), now, stamped_by_date=True).is_overdue is False
    verdict = judge(HALF_PAST, THANKSGIVING, at("2026-11-25T00:00"), now, stamped_by_date=True)
    assert (verdict.is_overdue, verdict.expected) == (True, at("2026-11-27T00:00"))
    # by the close, the same rows are a session behind
    assert judge(HALF_PAST, THANKSGIVING, at("2026-11-27T00:00"), now).is_overdue is True


def test_without_data_the_newest_session_is_missed() -> None:
    verdict = judge(HALF_PAST, THANKSGIVING, None, at("2026-11-27T20:00"))
    assert (verdict.is_overdue, verdict.behind, verdict.due_since) == (True, None, at("2026-11-27T19:30"))


def test_without_data_and_before_anything_is_due_nothing_is_overdue() -> None:
    verdict = judge(HALF_PAST, THANKSGIVING, None, at("2026-11-24T20:00"))
    assert verdict == Verdict(is_overdue=False, next_due=at("2026-11-24T22:30"))


def test_data_of_the_future_are_not_behind() -> None:
    verdict = judge(HALF_PAST, THANKSGIVING, at("2030-01-01T00:00"), at("2026-11-27T20:00"))
    assert (verdict.is_overdue, verdict.behind) == (False, 0)


def test_a_calendar_that_ends_in_the_past_is_told() -> None:
    short = sessions(("2026-11-24", "2026-11-24T21:00"), ("2026-11-25", "2026-11-25T21:00"))
    now = at("2026-12-20T12:00")
    verdict = judge(HALF_PAST, short, at("2026-11-25T21:00"), now)
    assert (verdict.is_overdue, verdict.next_due, verdict.ends_on) == (False, None, day("2026-11-25"))
    behind = judge(HALF_PAST, short, at("2026-11-24T21:00"), now)
    assert (behind.is_overdue, behind.behind, behind.ends_on) == (True, 1, day("2026-11-25"))


def test_a_calendar_without_sessions() -> None:
    nothing = Sessions([], [], None)
    assert judge(HALF_PAST, nothing, None, at("2026-11-25T00:00")) == Verdict(is_overdue=False, has_no_sessions=True)


def test_sessions_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in the order of their closes"):
        sessions(("2026-11-25", "2026-11-25T21:00"), ("2026-11-24", "2026-11-24T21:00"))


# --- without a calendar ----------------------------------------------------------------------------------------------
SIX_HOURS = Every(dt.timedelta(hours=6), since=at("2026-11-01T00:00"))


def test_an_interval_counts_from_the_last_data() -> None:
    last = at("2026-11-25T12:00")
    fresh = judge(SIX_HOURS, None, last, at("2026-11-25T18:00"))
    assert fresh == Verdict(is_overdue=False, next_due=at("2026-11-25T18:00"))
    late = judge(SIX_HOURS, None, last, at("2026-11-25T18:01"))
    assert (late.is_overdue, late.due_since, late.next_due) == (True, at("2026-11-25T18:00"), None)
    assert late.late_by(at("2026-11-25T18:01")) == dt.timedelta(minutes=1)


def test_an_interval_without_data_counts_from_when_it_was_set() -> None:
    assert judge(SIX_HOURS, None, None, at("2026-11-01T06:00")).is_overdue is False
    assert judge(SIX_HOURS, None, None, at("2026-11-01T06:01")).due_since == at("2026-11-01T06:00")


# --- by definition ---------------------------------------------------------------------------------------------------
instants = st.integers(0, 45 * 24 * 60).map(lambda minutes: at("2026-10-15T00:00") + dt.timedelta(minutes=minutes))
rules = st.one_of(
    st.integers(0, 5_000).map(lambda minutes: AfterClose(dt.timedelta(minutes=minutes))),
    st.builds(AtTime, st.times(), st.sampled_from([NEW_YORK, "UTC", "Asia/Tokyo"]), st.integers(0, 7)),
)


@given(st.sets(st.integers(0, 40), min_size=1), rules, st.none() | instants, instants, st.booleans())
def test_the_verdict_is_what_a_walk_over_all_sessions_finds(days, rule, last, now, by_date) -> None:
    dates = [day("2026-10-15") + dt.timedelta(days=number) for number in sorted(days)]
    closes = [dt.datetime.combine(date, dt.time(16), ZoneInfo(NEW_YORK)).astimezone(dt.UTC) for date in dates]
    found = judge(rule, Sessions(closes, dates, dates[-1]), last, now, stamped_by_date=by_date)
    dues = [due_of(rule, close, date) for close, date in zip(closes, dates, strict=True)]
    stamps = [dt.datetime.combine(date, dt.time(), dt.UTC) for date in dates] if by_date else closes
    missing = [place for place, due in enumerate(dues) if due < now and (last is None or stamps[place] > last)]
    assert found.is_overdue == bool(missing)
    assert found.behind == (None if last is None else len(missing))
    assert found.due_since == (dues[missing[-1 if last is None else 0]] if missing else None)
    assert found.next_due == next((due for due in dues if due >= now), None)
    assert (found.ends_on is None) == (found.next_due is not None)

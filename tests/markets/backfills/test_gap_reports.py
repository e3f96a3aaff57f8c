"""Gap reports of stored tables: by calendar, frequency and asset."""

import datetime as dt

import pandas as pd
import pytest

from markets.data_nodes import gaps as table_gaps
from markets.data_nodes import registry
from markets.data_nodes.metadata import TableMetaData
from markets.exceptions import InvalidInput, NotFound, UnknownIdentifiers
from markets.models import CalendarSession
from markets.services.gaps import gap_report
from markets.services.node_runs import register_node
from tests.markets.backfills.nodes import UTC, Closes, close_of, delete_rows, make_calendar, weekdays
from tests.markets.data_nodes.nodes import ByBook, ByTime, Given, bars, make_assets

pytestmark = pytest.mark.django_db
DAYS = weekdays(10)
RANGE = (DAYS[0], DAYS[-1])


@pytest.fixture(autouse=True)
def calendar(monkeypatch):
    make_assets("A", "B", "C")
    monkeypatch.setattr(Closes, "days", list(DAYS))
    return make_calendar()


def ran(*missing, **fields):
    node = Closes(**fields)
    node.run()
    delete_rows(node, *missing)
    return node.get_node_update()


def counts(report):
    return {row.asset: (row.expected, row.stored, row.missing, row.off_session, row.longest) for row in report.rows()}


def test_an_asset_is_expected_from_its_first_row_on_and_until_the_range_ends():
    update = ran(("A", DAYS[0]), ("A", DAYS[3]), ("A", DAYS[9]))
    report = gap_report(update, *RANGE, calendar="DAYS")
    assert counts(report) == {"A": (9, 7, 2, 0, 1), "B": (10, 10, 0, 0, 0)}
    assert [(spell.start, spell.end, spell.count) for spell in report.spells_of("A")] == [
        (close_of(DAYS[3]), close_of(DAYS[3]), 1),
        (close_of(DAYS[9]), close_of(DAYS[9]), 1),
    ]
    assert (report.expected, report.missing, report.off_session, report.calendars) == (19, 2, 0, ["DAYS"])
    row = report.rows()[0]
    assert (row.first, row.last, row.share) == (close_of(DAYS[1]), close_of(DAYS[8]), 2 / 9)
    assert report.spells_of("B") == report.spells_of("NONE") == []


def test_a_named_asset_without_a_row_is_expected_from_the_start_of_the_range():
    report = gap_report(ran(), *RANGE, assets=["C"], calendar="DAYS")
    assert counts(report) == {"C": (10, 0, 10, 0, 10)}


def test_without_a_start_it_begins_with_the_first_row_and_without_an_end_it_ends_with_the_calendar():
    report = gap_report(ran(("B", DAYS[0]), ("A", DAYS[0])), calendar="DAYS")
    assert report.start == close_of(DAYS[1])
    assert counts(report)["A"] == (39, 9, 30, 0, 30)
    assert report.notes == ["The calendar DAYS ends at 2026-02-27: later sessions are not expected. Extend it."]


def test_rows_at_no_session_are_counted_apart(calendar):
    update = ran()
    calendar.sessions.filter(local_date=DAYS[4]).delete()
    assert counts(gap_report(update, *RANGE, calendar="DAYS"))["A"] == (9, 9, 0, 1, 0)


def test_an_asset_may_keep_to_a_calendar_of_its_own():
    make_calendar("EVERY", [day.date() for day in pd.date_range(DAYS[0], DAYS[-1])])
    report = gap_report(ran(), *RANGE, calendar="DAYS", asset_calendars={"B": "EVERY"})
    assert counts(report) == {"A": (10, 10, 0, 0, 0), "B": (12, 10, 2, 0, 2)}
    assert report.calendars == ["DAYS", "EVERY"]
    assert [row.calendar for row in report.rows()] == ["DAYS", "EVERY"]


def test_the_calendar_is_the_nodes_also_where_it_is_a_default_of_its_class(monkeypatch):
    monkeypatch.setattr(registry, "_modules", [*registry._modules, Closes.__module__])
    assert gap_report(ran(), *RANGE).calendars == ["DAYS"]
    assert gap_report(Closes(), *RANGE).calendars == ["DAYS"]
    make_calendar("OTHER")
    assert gap_report(ran(dataset="other", calendar_identifier="OTHER"), *RANGE).calendars == ["OTHER"]


def test_bars_of_minutes_honour_breaks_and_early_closes():
    opens = dt.datetime(2026, 3, 2, 14, tzinfo=UTC)
    made = make_calendar("HALF", [opens.date(), opens.date() + dt.timedelta(days=1)])
    first, second = made.sessions.order_by("local_date")
    CalendarSession.objects.filter(pk=first.pk).update(
        opens_at=opens,
        closes_at=opens + dt.timedelta(hours=3),
        break_starts_at=opens + dt.timedelta(hours=1),
        break_ends_at=opens + dt.timedelta(hours=2),
    )
    tomorrow = opens + dt.timedelta(days=1)
    CalendarSession.objects.filter(pk=second.pk).update(
        opens_at=tomorrow, closes_at=tomorrow + dt.timedelta(minutes=45), is_early_close=True
    )
    minutes = lambda start, *numbers: [start + dt.timedelta(minutes=number) for number in numbers]  # noqa: E731
    node = Given().returns(bars([(time, "A", 1.0) for time in minutes(opens, 30, 90, 150)]))
    node.table = TableMetaData(identifier="half-hours", data_frequency_id="30m")
    node.run()
    report = gap_report(node.get_node_update(), opens.date(), tomorrow.date(), calendar="HALF")
    # then 14:30 is there, 15:30 lies in the break, 16:30 is there; 15:00, 17:00, 14:30 and 14:45 tomorrow are missing
    assert counts(report) == {"A": (6, 2, 4, 1, 3)}
    assert [(spell.start, spell.end) for spell in report.spells_of("A")] == [
        (minutes(opens, 60)[0], minutes(opens, 60)[0]),
        (minutes(opens, 180)[0], minutes(tomorrow, 45)[0]),
    ]


def test_a_table_by_time_alone():
    node = ByTime().returns(bars([(close_of(DAYS[0]), 1.0), (close_of(DAYS[2]), 1.0)], index=("time_index",)))
    node.run()
    assert counts(gap_report(node.get_node_update(), DAYS[0], DAYS[3], calendar="DAYS")) == {"": (4, 2, 2, 0, 1)}


def test_a_table_with_two_dimensions_is_refused():
    node = ByBook().returns(bars([(0, "x", "A", 1.0)], index=ByBook.index_names))
    node.run()
    with pytest.raises(InvalidInput, match="has rows by book, asset_identifier"):
        gap_report(node.get_node_update(), calendar="DAYS")


def test_a_table_that_nobody_has_filled_expects_nothing():
    report = gap_report(register_node(Closes("empty")), *RANGE, calendar="DAYS")
    assert (report.rows(), report.missing) == ([], 0)


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"start": DAYS[5], "end": DAYS[4]}, InvalidInput, "is after end"),
        ({"start": dt.datetime.fromisoformat("2026-01-05")}, InvalidInput, "has no time zone"),
        ({"start": float("nan")}, InvalidInput, "start=nan is not a datetime"),
        ({"end": pd.NaT}, InvalidInput, "end is missing"),
        ({"calendar": "NONE"}, NotFound, "There is no calendar 'NONE'"),
        ({"calendar": "EMPTY"}, InvalidInput, "has no sessions"),
        ({"assets": ["NONE"]}, UnknownIdentifiers, "NONE"),
        ({"asset_calendars": {"A": "NONE"}}, NotFound, "There is no calendar 'NONE'"),
    ],
)
def test_hostile_questions_are_refused(values, error, said):
    make_calendar("EMPTY").sessions.all().delete()
    with pytest.raises(error, match=said):
        gap_report(ran(), **{"calendar": "DAYS", **values})


def test_weeks_are_refused_and_so_is_what_cannot_be_compared_at_once(monkeypatch):
    node = Given()
    node.table = TableMetaData(identifier="weekly", data_frequency_id="1w")
    node.run()
    with pytest.raises(InvalidInput, match="not for '1w'"):
        gap_report(node.get_node_update(), calendar="DAYS")
    monkeypatch.setattr(table_gaps, "MOST_PAIRS", 19)
    with pytest.raises(InvalidInput, match="2 assets at 10 instants are more than can be compared"):
        gap_report(ran(), *RANGE, calendar="DAYS")


def test_the_number_of_queries_does_not_depend_on_the_assets(django_assert_num_queries):
    names = [f"Z{number:03d}" for number in range(50)]
    make_assets(*names)
    updates = ran(), ran(dataset="many", asset_list=names)
    for update in updates:
        with django_assert_num_queries(5):
            gap_report(update, *RANGE, calendar="DAYS")

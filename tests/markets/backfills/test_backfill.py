"""Backfilling a node in this process: what is written, what is not, and what follows for others."""

import datetime as dt
from itertools import pairwise

import pytest
from django.db import connections

from markets import locks
from markets.data_nodes import backfill_plans
from markets.exceptions import AlreadyRunning, BackfillFailed, InvalidInput, NotFound, UnknownIdentifiers
from markets.models import Backfill, BackfillPart, NodeRun, NodeUpdate, RunStatus
from tests.markets.backfills.nodes import (
    UTC,
    Closes,
    Doubled,
    OnceOnly,
    Overwriting,
    close_of,
    delete_rows,
    make_calendar,
    weekdays,
)
from tests.markets.data_nodes.nodes import make_assets, recount, statistics, stored

pytestmark = pytest.mark.django_db
DAYS = weekdays(10)
EVERYTHING = (DAYS[0], DAYS[-1])


@pytest.fixture(autouse=True)
def source(monkeypatch):
    """Ten days of A and B; a test changes what the source gives."""
    make_assets("A", "B", "C")
    make_calendar()
    monkeypatch.setattr(Closes, "days", list(DAYS))
    monkeypatch.setattr(Closes, "absent", set())
    monkeypatch.setattr(Closes, "breaks_on", {})
    return monkeypatch


def written(node):
    return {(row[1], row[0].date()): row[2] for row in stored(node)}


def ran(node):
    node.run()
    return written(node)


# --- failed and missing only -----------------------------------------------------------------------------------------
def test_only_the_missing_sessions_are_computed_and_the_table_is_as_it_was():
    node = Closes()
    before = ran(node)
    delete_rows(node, ("A", DAYS[2]), ("A", DAYS[3]), ("B", DAYS[6]))
    # when
    plan = node.backfill(*EVERYTHING, failed_only=True, dry_run=True)
    outcome = node.backfill(*EVERYTHING, failed_only=True)
    # then
    assert plan.missing == 3
    assert [(part.start, part.end, part.assets, part.mode, part.rows) for part in plan.parts] == [
        (close_of(DAYS[2]), close_of(DAYS[3]), ("A",), "fill", 2),
        (close_of(DAYS[6]), close_of(DAYS[6]), ("B",), "fill", 1),
    ]
    assert (outcome.parts, outcome.done, outcome.rows_written, outcome.failed) == (2, 2, 3, [])
    assert written(node) == before
    assert statistics(node) == recount(node)


def test_a_second_one_does_nothing_and_says_so():
    node = Closes()
    ran(node)
    delete_rows(node, ("A", DAYS[2]))
    node.backfill(*EVERYTHING, failed_only=True)
    runs = NodeRun.objects.count()
    outcome = node.backfill(*EVERYTHING, failed_only=True)
    assert (outcome.parts, outcome.rows_written, NodeRun.objects.count()) == (0, 0, runs)
    assert outcome.text == "Nothing to do: no session is missing and no part has failed."


def test_stored_rows_stay_even_where_the_source_differs_now(source):
    node = Closes()
    before = ran(node)
    delete_rows(node, ("A", DAYS[2]), ("A", DAYS[5]))
    source.setattr(Closes, "price", staticmethod(lambda asset, place: -1.0))
    source.setattr(backfill_plans, "MOST_WINDOWS", 1)  # one window over both gaps, with stored rows between them
    outcome = node.backfill(*EVERYTHING, failed_only=True)
    assert (outcome.parts, outcome.rows_written) == (1, 2)
    assert written(node) == before | {("A", DAYS[2]): -1.0, ("A", DAYS[5]): -1.0}
    assert statistics(node) == recount(node)


def test_what_the_source_does_not_have_stays_missing(source):
    node = Closes()
    ran(node)
    delete_rows(node, ("A", DAYS[2]))
    source.setattr(Closes, "absent", {("A", DAYS[2])})
    outcome = node.backfill(*EVERYTHING, failed_only=True)
    assert (outcome.done, outcome.rows_written) == (1, 0)
    assert outcome.text == "1 of 1 part done, 0 rows written: nothing was missing or different."


def test_rows_at_the_end_that_no_run_brought_are_missing_too(source):
    node = Closes()
    source.setattr(Closes, "days", DAYS[:6])
    ran(node)
    source.setattr(Closes, "days", DAYS)
    outcome = node.backfill(*EVERYTHING, failed_only=True, assets=["B"])
    assert (outcome.parts, outcome.rows_written) == (1, 4)
    assert [row[3] for row in statistics(node)] == [6, 10]
    assert statistics(node) == recount(node)


def test_without_a_calendar_it_says_what_to_do():
    node = Closes(calendar_identifier="")
    ran(node)
    with pytest.raises(InvalidInput, match=r"names no calendar.* --calendar XNYS"):
        node.backfill(*EVERYTHING, failed_only=True)
    assert node.backfill(*EVERYTHING, failed_only=True, calendar="DAYS").parts == 0


# --- the whole range -------------------------------------------------------------------------------------------------
def test_the_whole_range_is_written_over_where_it_differs_and_nothing_outside_it(source):
    node = Closes()
    before = ran(node)
    delete_rows(node, ("B", DAYS[4]))
    source.setattr(Closes, "price", staticmethod(lambda asset, place: 7.0))
    outcome = node.backfill(DAYS[3], DAYS[5], assets=["B"])
    changed = {("B", day): 7.0 for day in DAYS[3:6]}
    assert outcome.rows_written == 3
    assert written(node) == before | changed
    assert statistics(node) == recount(node)
    run = NodeRun.objects.latest("id")
    assert (run.is_backfill, run.window_start, run.window_end, run.status) == (
        True,
        dt.datetime.combine(DAYS[3], dt.time(tzinfo=UTC)),
        dt.datetime.combine(DAYS[5], dt.time(23, 59, 59, 999_999, tzinfo=UTC)),
        RunStatus.SUCCEEDED,
    )
    assert "4 rows outside the backfill's window or assets were left alone" in run.log
    assert run.last_time_index is None  # it is no word on how far the node has come


def test_the_node_sees_the_progress_before_the_window_and_its_end():
    node = Closes()
    ran(node)
    node.backfill(DAYS[3], DAYS[5], assets=["B"])
    seen = node.calls[-1]
    assert (seen.asset_list, seen.index_progress) == (["B"], {"B": close_of(DAYS[2])})
    assert seen.limit_update_time == dt.datetime.combine(DAYS[5], dt.time(23, 59, 59, 999_999, tzinfo=UTC))
    assert seen.is_backfill
    node.run()
    assert not node.calls[-1].is_backfill
    assert node.calls[-1].limit_update_time is None


def test_an_asset_without_a_row_begins_one_bar_before_the_window():
    node = Closes(asset_list=("A", "B", "C"))
    outcome = node.backfill(DAYS[3], DAYS[5], assets=["C"])
    start = dt.datetime.combine(DAYS[3], dt.time(tzinfo=UTC))
    assert node.calls[-1].index_progress == {"C": start - dt.timedelta(days=1)}
    assert outcome.rows_written == 3
    assert set(written(node)) == {("C", day) for day in DAYS[3:6]}


def test_history_before_what_is_stored():
    node = Closes()
    Closes.days[:] = DAYS[4:]
    ran(node)
    Closes.days[:] = DAYS
    assert node.backfill(DAYS[0], DAYS[3]).rows_written == 8
    assert statistics(node) == recount(node)
    assert len(stored(node)) == 20


def test_equal_rows_are_not_touched_and_the_outcome_says_so():
    node = Closes()
    ran(node)
    outcome = node.backfill(*EVERYTHING)
    assert outcome.text == "1 of 1 part done, 0 rows written: nothing was missing or different."
    assert NodeRun.objects.latest("id").status == RunStatus.UP_TO_DATE


@pytest.mark.parametrize("kind", [Closes, Overwriting])
def test_a_node_that_is_not_scoped_by_assets(kind, source):
    node = kind(scoped=False)
    before = ran(node)
    source.setattr(Closes, "price", staticmethod(lambda asset, place: 7.0))
    assert node.backfill(DAYS[3], DAYS[5], assets=["B"]).rows_written == 3
    assert written(node) == before | {("B", day): 7.0 for day in DAYS[3:6]}
    assert statistics(node) == recount(node)


def test_insert_only_is_filled_and_never_changed(source):
    node = OnceOnly()
    before = ran(node)
    delete_rows(node, ("B", DAYS[4]))
    source.setattr(Closes, "price", staticmethod(lambda asset, place: 7.0))
    plan = node.backfill(*EVERYTHING, dry_run=True)
    assert {part.mode for part in plan.parts} == {"fill"}
    assert plan.notes == [
        f"{node.get_node_update()} is written once and never changed: only missing rows are inserted."
    ]
    assert node.backfill(*EVERYTHING).rows_written == 1
    assert written(node) == before | {("B", DAYS[4]): 7.0}


# --- parts -----------------------------------------------------------------------------------------------------------
def test_parts_are_windows_by_groups_of_assets(source):
    source.setattr(backfill_plans, "ROWS_A_PART", 4)
    node = Closes(asset_list=("A", "B", "C"))
    ran(node)
    plan = node.backfill(*EVERYTHING, dry_run=True)
    found = [(part.start.date(), part.end.date(), part.assets, part.rows) for part in plan.parts]
    assert len(plan.parts) == 9
    assert found[:2] == [(DAYS[0], DAYS[3], ("A",), 3), (DAYS[0], DAYS[3], ("B",), 3)]
    assert sum(part.rows for part in plan.parts) == 30
    windows = sorted({(part.start, part.end) for part in plan.parts})
    assert windows[0][0].date() == DAYS[0]
    assert windows[-1][1].date() == DAYS[-1]
    assert all(one[1] + dt.timedelta(microseconds=1) == two[0] for one, two in pairwise(windows))


def test_a_failed_part_stops_no_other_and_is_told_and_is_done_when_asked_again(source):
    source.setattr(backfill_plans, "ROWS_A_PART", 10)
    source.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    node = Closes()
    with pytest.raises(BackfillFailed, match=r"1 of 2 parts done, 10 rows written; 1 failed\..*The vendor is closed"):
        node.backfill(*EVERYTHING)
    assert set(written(node)) == {("B", day) for day in DAYS}
    failed, done = BackfillPart.objects.order_by("position")
    assert (failed.status, failed.error, failed.run.error_message) == (
        "failed",
        "The vendor is closed.",
        "The vendor is closed.",
    )
    assert (done.status, done.rows_written, done.run.rows_written) == ("done", 10, 10)
    # when the vendor is open again
    source.setattr(Closes, "breaks_on", {})
    outcome = node.backfill(*EVERYTHING)
    assert (outcome.parts, outcome.done, outcome.done_before, outcome.rows_written) == (2, 1, 1, 10)
    assert Backfill.objects.count() == 1
    assert statistics(node) == recount(node)


def test_failed_windows_belong_to_what_failed_and_is_missing(source):
    source.setattr(backfill_plans, "ROWS_A_PART", 10)
    node = Closes()
    before = ran(node)
    source.setattr(Closes, "price", staticmethod(lambda asset, place: 7.0))
    source.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    with pytest.raises(BackfillFailed):
        node.backfill(*EVERYTHING)
    source.setattr(Closes, "breaks_on", {})
    # when nothing is missing, but A was to be replaced
    outcome = node.backfill(DAYS[0], DAYS[-1], failed_only=True)
    assert (outcome.parts, outcome.rows_written) == (1, 10)
    assert written(node) == dict.fromkeys(before, 7.0)
    assert sorted(BackfillPart.objects.values_list("status", flat=True)) == ["done", "done", "mended"]
    assert node.backfill(DAYS[0], DAYS[-1], failed_only=True).parts == 0


# --- what follows for others -----------------------------------------------------------------------------------------
def test_readers_are_stale_from_the_first_row_that_came(source):
    node = Closes()
    reader = Doubled(node)
    reader.run()
    delete_rows(node, ("A", DAYS[2]), ("A", DAYS[6]))
    node.backfill(*EVERYTHING, failed_only=True)
    assert reader.get_node_update().stale_from == close_of(DAYS[2])
    assert node.get_node_update().stale_from is None


def test_a_fill_that_brings_nothing_makes_nobody_stale(source):
    node = Closes()
    reader = Doubled(node)
    reader.run()
    node.backfill(*EVERYTHING)
    assert reader.get_node_update().stale_from is None


def test_a_backfill_of_some_assets_leaves_the_nodes_scope():
    node = Closes()
    node.run()
    node.backfill(*EVERYTHING, assets=["A"])
    assert node.get_node_update().asset_scope == ["A", "B"]


def test_the_tree_does_what_is_read_first_and_leaves_nothing_stale(source):
    node = Closes()
    reader = Doubled(node)
    reader.run()
    source.setattr(Closes, "price", staticmethod(lambda asset, place: 7.0))
    plan = reader.backfill(*EVERYTHING, update_tree=True, dry_run=True)
    assert [part.node for part in plan.parts] == ["closes", "doubled"]
    outcome = reader.backfill(*EVERYTHING, update_tree=True)
    assert outcome.rows_written == 40
    assert set(written(reader).values()) == {14.0}
    assert reader.get_node_update().stale_from is None


def test_what_reads_a_failed_part_is_left_and_done_when_asked_again(source):
    node = Closes()
    reader = Doubled(node)
    reader.run()
    source.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    with pytest.raises(BackfillFailed, match="1 failed; 1 left"):
        reader.backfill(*EVERYTHING, update_tree=True)
    assert BackfillPart.objects.get(node_update=reader.get_node_update()).error == "Not begun: parts of closes failed."
    source.setattr(Closes, "breaks_on", {})
    assert reader.backfill(*EVERYTHING, update_tree=True).done == 2


# --- refusals --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("start", "end", "assets", "said"),
    [
        (DAYS[5], DAYS[4], None, "start=2026-01-12T00:00:00.* is after end"),
        (dt.datetime.fromisoformat("2026-01-05"), DAYS[4], None, "start=2026-01-05T00:00:00 has no time zone"),
        (float("nan"), DAYS[4], None, "start=nan is not a datetime"),
        (None, DAYS[4], None, "start is missing"),
        ("2026-01-32", DAYS[4], None, "start='2026-01-32' is no date"),
        ("yesterday", DAYS[4], None, "start='yesterday' is not a time"),
        (dt.date(1, 1, 1), DAYS[4], None, "outside the years 1678 to 2260"),
        (dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=12))), DAYS[4], None, "outside the years"),
        (DAYS[0], DAYS[4], [], "assets is empty"),
        (DAYS[0], DAYS[4], "A", "assets takes a list of identifiers, not 'A'"),
        (DAYS[0], DAYS[4], ["A", 5], r"assets\[1\]=5 is no identifier"),
        (DAYS[0], DAYS[4], ["A", " "], r"assets\[1\]=' ' is no identifier"),
        (DAYS[0], DAYS[4], (f"X{number}" for number in range(1_000_000)), "more than 100,000"),
    ],
)
def test_hostile_values_are_refused_by_name_and_nothing_is_written(start, end, assets, said):
    node = Closes()
    before = ran(node)
    with pytest.raises(InvalidInput, match=said):
        node.backfill(start, end, assets)
    assert (Backfill.objects.count(), NodeRun.objects.count()) == (0, 1)
    assert written(node) == before


def test_unknown_assets_are_listed_all_at_once():
    node = Closes()
    ran(node)
    with pytest.raises(UnknownIdentifiers, match=r"2 identifiers \(X, Y\) are not registered"):
        node.backfill(*EVERYTHING, assets=["Y", "A", "X"])
    assert not Backfill.objects.exists()


def test_instants_of_another_zone_are_the_same_instants():
    node = Closes()
    ran(node)
    east = dt.timezone(dt.timedelta(hours=9))
    plan = node.backfill(
        close_of(DAYS[2]).astimezone(east), close_of(DAYS[3]).isoformat(), failed_only=False, dry_run=True
    )
    assert [(part.start, part.end) for part in plan.parts] == [(close_of(DAYS[2]), close_of(DAYS[3]))]
    assert plan.parts[0].start.tzinfo is UTC


def test_an_asset_that_the_node_does_not_have_is_told_and_left_out():
    node = Closes()
    ran(node)
    plan = node.backfill(*EVERYTHING, assets=["A", "C"], dry_run=True)
    assert plan.notes == ["1 of the assets are none of closes's and are left out."]
    assert [part.assets for part in plan.parts] == [("A",)]


def test_a_dry_run_writes_nothing():
    node = Closes()
    ran(node)
    delete_rows(node, ("A", DAYS[2]))
    before = (stored(node), list(NodeUpdate.objects.values()), NodeRun.objects.count())
    node.backfill(*EVERYTHING, failed_only=True, dry_run=True)
    node.backfill(*EVERYTHING, dry_run=True)
    assert (stored(node), list(NodeUpdate.objects.values()), NodeRun.objects.count()) == before
    assert not Backfill.objects.exists()
    assert not BackfillPart.objects.exists()


def test_a_dry_run_of_a_node_that_never_ran_says_so_and_registers_nothing():
    with pytest.raises(NotFound, match="never ran"):
        Closes().backfill(*EVERYTHING, dry_run=True)
    assert not NodeUpdate.objects.exists()


@pytest.fixture
def elsewhere():
    """Another connection, as another process has one."""
    other = connections.create_connection("default")
    yield other.cursor()
    other.close()


def test_while_the_node_runs_it_is_refused_at_once(elsewhere):
    node = Closes()
    ran(node)
    lock = [locks.lock_class(locks.LockSpace.NODE_UPDATE), node.get_node_update().pk]
    elsewhere.execute("SELECT pg_advisory_lock(%s, %s)", lock)
    with pytest.raises(AlreadyRunning, match="closes is being updated by another process"):
        node.backfill(*EVERYTHING)
    assert not Backfill.objects.exists()
    elsewhere.execute("SELECT pg_advisory_unlock(%s, %s)", lock)
    assert node.backfill(*EVERYTHING).done == 1


def test_two_processes_do_not_do_the_same_backfill(source, elsewhere):
    source.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    node = Closes()
    with pytest.raises(BackfillFailed):
        node.backfill(*EVERYTHING)
    lock = [locks.lock_class(locks.LockSpace.BACKFILL), Backfill.objects.get().pk]
    elsewhere.execute("SELECT pg_advisory_lock(%s, %s)", lock)
    with pytest.raises(AlreadyRunning, match=r"Backfill .* is being done by another process"):
        node.backfill(*EVERYTHING)
    assert BackfillPart.objects.get().status == "failed"

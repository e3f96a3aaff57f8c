"""Quality checks: what each finds, row by row and against what is stored; and that a critical one stops the write."""

import pytest
from pydantic import ValidationError

from markets.engine.quality import CalendarGaps, Jump, Monotonic, NullShare, ValueRange
from markets.exceptions import InvalidInput, QualityError
from markets.models import NodeRun, RunStatus, StorageNode
from tests.factories import calendar
from tests.markets.data_nodes.nodes import DAY, START, ByTime, Given, bars, exists, make_assets, stored

pytestmark = pytest.mark.django_db
MISSING = float("nan")


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B")


class Checked(Given):
    checks = ()

    def quality_checks(self):
        return self.checks


def node_with(*checks, rows=None):
    node = Checked()
    if rows:
        node.returns(bars(rows)).run()
    node.checks = checks
    return node


def outcome():
    (found,) = NodeRun.objects.latest("id").quality
    return found["passed"], found["checked"], found["failed"], found["message"]


@pytest.mark.parametrize(
    ("check", "rows", "found"),
    [
        (NullShare(column="close", most=0.5), [(0, "A", 1.0), (1, "A", MISSING)], (True, 2, 0)),
        (NullShare(column="close", most=0.4), [(0, "A", 1.0), (1, "A", MISSING)], (False, 2, 1)),
        (
            ValueRange(column="close", least=0, most=10),
            [(0, "A", 0.0), (1, "A", 10.0), (2, "A", MISSING)],
            (True, 2, 0),
        ),
        (ValueRange(column="close", least=0), [(0, "A", -0.1), (0, "B", 5.0)], (False, 2, 1)),
        (Jump(column="close", most=0.5), [(0, "A", 2.0), (1, "A", MISSING), (2, "A", 3.0)], (True, 1, 0)),
        (Jump(column="close", most=0.5), [(0, "A", 2.0), (1, "A", 3.1), (0, "B", 9.0)], (False, 1, 1)),
        (Jump(column="close", most=0.5), [(0, "A", 0.0), (1, "A", 0.0), (2, "A", 1.0)], (False, 2, 1)),
        (Monotonic(column="close"), [(0, "A", 1.0), (1, "A", 1.0), (0, "B", 0.5)], (True, 1, 0)),
        (Monotonic(column="close", strict=True), [(0, "A", 1.0), (1, "A", 1.0)], (False, 1, 1)),
        (Monotonic(column="close", direction="decreasing"), [(0, "A", 1.0), (1, "A", 2.0)], (False, 1, 1)),
    ],
)
def test_what_each_check_finds(check, rows, found):
    # given
    node = node_with(check.model_copy(update={"severity": "warning"}))
    # when
    node.returns(bars(rows)).run()
    # then a warning is recorded and the rows are there
    assert outcome()[:3] == found
    assert len(stored(node)) == len(rows)


def test_the_first_row_is_compared_with_the_last_stored_one():
    # given
    node = node_with(Jump(column="close", most=0.1), rows=[(0, "A", 100.0), (0, "B", 1.0)])
    # when
    with pytest.raises(QualityError, match="A at 2026-01-03T21:00:00Z"):
        node.returns(bars([(1, "A", 150.0), (1, "B", 1.05)])).run()
    # then
    assert outcome()[:3] == (False, 2, 1)
    assert len(stored(node)) == 2


def test_rows_that_append_mode_leaves_alone_are_not_judged():
    # given
    node = node_with(ValueRange(column="close", most=10), rows=[(0, "A", 1.0)])
    # when the whole history comes again, with an old row that would fail
    node.returns(bars([(0, "A", 99.0), (1, "A", 2.0)])).run()
    # then
    assert outcome() == (True, 1, 0, "all 1 values in the range")


def test_a_critical_failure_writes_and_publishes_nothing_and_is_recorded():
    # given a node that never ran
    node = node_with(NullShare(column="close", most=0), ValueRange(column="close", least=0, severity="warning"))
    # when
    with pytest.raises(QualityError) as refused:
        node.returns(bars([(0, "A", MISSING), (1, "A", -1.0)])).run()
    # then
    assert str(refused.value).startswith("1 critical quality check failed; nothing was written. close: at most 0.00%")
    assert not exists(node)
    assert StorageNode.objects.get(storage_hash=node.storage_hash).columns == []
    run = NodeRun.objects.latest("id")
    assert (run.status, run.error_type, run.rows_written) == (RunStatus.FAILED, "QualityError", 0)
    assert [(item["severity"], item["passed"]) for item in run.quality] == [("critical", False), ("warning", False)]


def test_missing_sessions_are_found_between_what_is_stored_and_what_comes():
    # given a calendar that closes every day at 21:00
    calendar(*((START + day * DAY).date() for day in range(10)), unique_identifier="DAILY")
    node = node_with(CalendarGaps(calendar_identifier="DAILY", severity="warning"), rows=[(0, "A", 1.0)])
    # when A skips two sessions, and B, which is new, none
    node.returns(bars([(3, "A", 1.0), (4, "A", 1.0), (2, "B", 1.0), (3, "B", 1.0)])).run()
    # then
    assert outcome() == (False, 6, 2, "missing: A 2 (first 2026-01-03T21:00:00Z)")


def test_a_table_by_time_alone():
    # given
    node = type("Node", (ByTime,), {"quality_checks": lambda self: [Jump(column="close", most=0.5)]})()
    node.returns(bars([(0, 1.0)], index=("time_index",))).run()
    # when
    with pytest.raises(QualityError, match="the table at 2026-01-03"):
        node.returns(bars([(1, 2.0)], index=("time_index",))).run()
    # then
    assert len(stored(node)) == 1


def test_a_check_of_a_column_that_there_is_not():
    node = node_with(NullShare(column="volume", most=0))
    with pytest.raises(InvalidInput, match=r"reads 'volume', which is no column of numbers here\. Such are: close"):
        node.returns(bars([(0, "A", 1.0)])).run()
    assert not exists(node)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: NullShare(column="close", most=1.5),
        lambda: NullShare(column="close", most=MISSING),
        lambda: ValueRange(column="close"),
        lambda: ValueRange(column="close", least=2, most=1),
        lambda: Jump(column="close", most=0),
        lambda: Monotonic(column="", direction="increasing"),
    ],
)
def test_a_check_that_could_not_be_meant_is_refused(wrong):
    with pytest.raises(ValidationError):
        wrong()

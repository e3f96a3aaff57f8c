"""Write modes: what becomes of rows that are not later than what is stored."""

import datetime as dt

import pytest

from markets.data_nodes import stages
from markets.exceptions import DuplicateKeys, InvalidInput
from markets.models import NodeRun, RunStatus
from tests.markets.data_nodes.nodes import (
    DAY,
    START,
    ByBook,
    ByTime,
    Given,
    bars,
    make_assets,
    recount,
    statistics,
    stored,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B", "C")


@pytest.fixture(autouse=True, params=[stages.ROWS_AS_PARAMETERS, 0], ids=["as parameters", "in a table"])
def rows_as_parameters(request, monkeypatch):
    monkeypatch.setattr(stages, "ROWS_AS_PARAMETERS", request.param)


class Overwriting(Given):
    write_mode = "overwrite"


class InsertOnly(Given):
    write_mode = "insert_only"


def test_names_that_sql_takes_for_something_else():
    # given a dimension and columns named like what the statements count, and with signs of their parameters
    base = type("Odd", (Overwriting,), {"index_names": ("time_index", "first", "asset_identifier")})
    names = ["time_index", "first", "asset_identifier"]
    columns = ["rows", "ret_%", "%s", "inserted", "a{0}b"]
    node = base().returns(bars([(day, "x", "A", 1.0, 2.0, 3.0, 4.0, 5.0) for day in (0, 2)], columns, names))
    node.run()
    # when a row is corrected and one inserted between
    late = [(0, "x", "A", 1.0, 2.5, 3.0, 4.0, 5.0), (1, "x", "A", 1.0, 2.0, 3.0, 4.0, 5.0)]
    node.returns(bars(late, columns, names)).run()
    # then
    assert [row[4] for row in stored(node)] == [2.5, 2.0, 2.0]
    assert statistics(node) == recount(node)


# --- overwrite -------------------------------------------------------------------------------------------------------
def test_overwrite_corrects_inserts_and_appends_in_one_run():
    # given
    node = Overwriting().returns(bars([(0, "A", 1.0), (2, "A", 3.0), (0, "B", 5.0)]))
    node.run()
    # when one row differs, one is the same, one fills a gap, two are later and one asset is new
    frame = bars([(0, "A", 1.5), (1, "A", 2.0), (2, "A", 3.0), (3, "A", 4.0), (1, "B", 6.0), (0, "C", 7.0)])
    returned = node.returns(frame).run()
    # then
    assert stored(node) == [
        (START, "A", 1.5),
        (START + DAY, "A", 2.0),
        (START + 2 * DAY, "A", 3.0),
        (START + 3 * DAY, "A", 4.0),
        (START, "B", 5.0),
        (START + DAY, "B", 6.0),
        (START, "C", 7.0),
    ]
    assert statistics(node) == recount(node)
    assert len(returned) == 6
    run = NodeRun.objects.latest("id")
    assert (run.status, run.rows_returned, run.rows_written) == (RunStatus.SUCCEEDED, 6, 5)  # the same row is not


def test_overwriting_with_the_same_rows_writes_nothing():
    # given
    node = Overwriting().returns(bars([(0, "A", 1.0), (1, "A", float("nan"))]))
    node.run()
    before = stored(node)
    # when
    node.run()
    # then
    assert stored(node) == before
    assert statistics(node) == recount(node)
    run = NodeRun.objects.latest("id")
    assert (run.status, run.rows_written) == (RunStatus.UP_TO_DATE, 0)


def test_overwrite_puts_a_missing_value_over_a_number_and_a_number_over_a_missing_one():
    # given
    node = Overwriting().returns(bars([(0, "A", 1.0), (1, "A", float("nan"))]))
    node.run()
    # when
    node.returns(bars([(0, "A", float("nan")), (1, "A", 2.0)])).run()
    # then
    assert stored(node) == [(START, "A", None), (START + DAY, "A", 2.0)]


@pytest.mark.parametrize("base", [ByTime, ByBook])
def test_overwrite_knows_every_kind_of_index(base):
    # given
    node = type("Node", (base,), {"write_mode": "overwrite"})()
    names = base.index_names
    identity = () if base is ByTime else ("core", "A")
    node.returns(bars([(0, *identity, 1.0), (2, *identity, 3.0)], index=names)).run()
    # when
    node.returns(bars([(0, *identity, 9.0), (1, *identity, 2.0), (3, *identity, 4.0)], index=names)).run()
    # then
    assert [row[-1] for row in stored(node)] == [9.0, 2.0, 3.0, 4.0]
    assert statistics(node) == recount(node)
    assert NodeRun.objects.latest("id").rows_written == 3


# --- insert only -----------------------------------------------------------------------------------------------------
def test_insert_only_fills_gaps():
    # given
    node = InsertOnly().returns(bars([(0, "A", 1.0), (2, "A", 3.0)]))
    node.run()
    # when
    node.returns(bars([(1, "A", 2.0), (3, "A", 4.0), (0, "B", 5.0)])).run()
    # then
    assert [row[2] for row in stored(node)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert statistics(node) == recount(node)


def test_insert_only_refuses_the_whole_frame_listing_the_keys():
    # given
    node = InsertOnly().returns(bars([(0, "A", 1.0), (2, "A", 3.0)]))
    node.run()
    before = stored(node)
    # when
    with pytest.raises(DuplicateKeys) as refused:
        node.returns(bars([(0, "A", 1.0), (1, "A", 2.0), (2, "A", 3.5), (3, "A", 4.0)])).run()
    # then even an equal row is refused, both keys are named, and the new rows are not there either
    assert "holds 2 of the frame's keys already" in str(refused.value)
    assert "A / 2026-01-02T21:00:00Z, A / 2026-01-04T21:00:00Z" in str(refused.value)
    assert stored(node) == before
    assert statistics(node) == recount(node)
    assert NodeRun.objects.latest("id").status == RunStatus.FAILED


# --- append ----------------------------------------------------------------------------------------------------------
def test_append_says_how_many_rows_it_left_alone():
    # given
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0)]))
    node.run()
    # when
    node.returns(bars([(0, "A", 9.0), (1, "A", 9.0), (2, "A", 3.0)])).run()
    # then
    assert [row[2] for row in stored(node)] == [1.0, 2.0, 3.0]
    assert "2 rows are not later than the last row of their identity" in NodeRun.objects.latest("id").log


def test_an_unknown_write_mode_is_refused():
    # given
    node = Given().returns(bars([(0, "A", 1.0)]))
    node.run()
    node.write_mode = "replace"
    # when
    with pytest.raises(InvalidInput, match="append, overwrite, insert_only"):
        node.returns(bars([(1, "A", 1.0)])).run()
    # then
    assert [row[2] for row in stored(node)] == [1.0]


# --- deletion of the tail --------------------------------------------------------------------------------------------
def test_delete_after_date_is_inclusive_and_mends_the_statistics():
    # given
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0), (2, "A", 3.0), (1, "B", 4.0), (0, "C", 5.0)]))
    node.run()
    # when
    deleted = node.delete_after_date(START + DAY)
    # then
    assert (deleted.deleted_count, deleted.table_empty) == (3, False)
    assert deleted.identities == {("A",): 2, ("B",): 1}
    assert stored(node) == [(START, "A", 1.0), (START, "C", 5.0)]
    assert statistics(node) == recount(node)
    # and a run writes them anew
    node.run()
    assert [row[2] for row in stored(node)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert statistics(node) == recount(node)


def test_delete_after_date_keeps_to_the_named_identities():
    # given
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0), (1, "B", 4.0)]))
    node.run()
    # when
    deleted = node.delete_after_date(START, dimension_filters={"asset_identifier": ["A"]})
    # then
    assert deleted.identities == {("A",): 2}
    assert stored(node) == [(START + DAY, "B", 4.0)]
    assert statistics(node) == recount(node)


def test_deleting_everything_tells_that_the_table_is_empty():
    # given
    node = ByTime().returns(bars([(0, 1.0), (1, 2.0)], index=("time_index",)))
    node.run()
    # when
    deleted = node.delete_after_date(START - DAY)
    # then
    assert (deleted.deleted_count, deleted.table_empty) == (2, True)
    assert (stored(node), statistics(node)) == ([], [])
    assert node.get_df_between_dates().empty


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"after_date": dt.datetime(2026, 1, 3)}, "no time zone"),  # noqa: DTZ001
        ({"after_date": None}, "missing"),
        ({"after_date": START, "dimension_filters": {"book": ["x"]}}, "no dimension 'book'"),
    ],
)
def test_what_delete_after_date_refuses_deletes_nothing(arguments, message):
    # given
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0)]))
    node.run()
    # when
    with pytest.raises(InvalidInput, match=message):
        node.delete_after_date(**arguments)
    # then
    assert len(stored(node)) == 2
    assert statistics(node) == recount(node)

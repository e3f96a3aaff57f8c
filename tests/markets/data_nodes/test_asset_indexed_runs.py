"""Runs of asset-indexed nodes: whom they update and where those begin, in shards and backfills and at any depth."""

import datetime as dt

import pytest

from markets.data_nodes.runs import run_node
from markets.engine.shards import Shard
from markets.exceptions import InvalidInput
from markets.models import Asset, NodeRun, NodeUpdate, RunStatus, StorageNode
from tests.markets.data_nodes.asset_nodes import ByTenor, Daily, InBooks, Shifted
from tests.markets.data_nodes.nodes import DAY, START, Given, make_assets, stored

pytestmark = pytest.mark.django_db
BEGIN = dt.datetime(2026, 1, 5, 21, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B", "C")


# --- in a run --------------------------------------------------------------------------------------------------------
def test_a_run_updates_the_assets_of_its_scope_and_asks_for_them_once():
    # given
    node = Daily(asset_list=["B", "A"], offset_start=BEGIN)
    # when
    node.run()
    # then
    expected = [(BEGIN, "A", 1.0), (BEGIN + DAY, "A", 2.0), (BEGIN, "B", 1.0), (BEGIN + DAY, "B", 2.0)]
    assert stored(node) == expected
    assert (node.asked, node.told, node.get_update_asset_list()) == (1, ["B", "A"], ["B", "A"])
    # and the next run asks again, and goes on from the last rows
    node.run()
    assert node.asked == 2
    assert [row[0] for row in stored(node) if row[1] == "A"] == [BEGIN + day * DAY for day in range(4)]


def test_what_is_remembered_cannot_be_changed_from_outside():
    node = Daily(asset_list=["A"], offset_start=BEGIN)
    node.run()
    node.get_update_asset_list().append("B")
    assert node.get_update_asset_list() == ["A"]


def test_two_updates_share_the_table_each_with_its_assets():
    left, right = Daily(asset_list=["A"], offset_start=BEGIN), Daily(asset_list=["B"], offset_start=BEGIN + DAY)
    left.run()
    right.run()
    assert StorageNode.objects.count() == 1
    assert NodeUpdate.objects.count() == 2
    assert [row[:2] for row in stored(left)] == [
        (BEGIN, "A"),
        (BEGIN + DAY, "A"),
        (BEGIN + DAY, "B"),
        (BEGIN + 2 * DAY, "B"),
    ]


def test_the_assets_may_be_resolved_when_the_run_asks():
    # given a universe that grows between the runs
    class Universe(Daily):
        members = ["A"]

        def get_asset_list(self):
            super().get_asset_list()
            return Asset.objects.filter(unique_identifier__in=self.members).order_by("unique_identifier")

    node = Universe(offset_start=BEGIN)
    node.run()
    assert (node.told, node.asked) == (["A"], 1)
    # when
    node.members = ["A", "B"]
    node.run()
    # then
    assert (node.told, node.asked) == (["A", "B"], 2)
    assert [row[1] for row in stored(node)] == ["A"] * 4 + ["B"] * 2


def test_before_a_run_nothing_is_remembered():
    node = Daily(asset_list=["A"])
    with pytest.raises(InvalidInput, match="No run of this Daily has asked for its assets yet"):
        node.get_update_asset_list()


def test_a_run_that_is_refused_its_assets_remembers_none_and_writes_nothing():
    class Odd(Daily):
        answer = ["A"]

        def get_asset_list(self):
            return self.answer

    node = Odd(offset_start=BEGIN)
    node.run()
    node.answer = ["A", ""]
    with pytest.raises(InvalidInput, match=r"^asset_list\[1\] is blank\. Remove it\.$"):
        node.run()
    with pytest.raises(InvalidInput, match="has asked for its assets yet"):
        node.get_update_asset_list()
    assert len(stored(node)) == 2
    assert list(NodeRun.objects.order_by("id").values_list("status", flat=True)) == [
        RunStatus.SUCCEEDED,
        RunStatus.FAILED,
    ]


def test_shards_see_their_part_and_begin_at_the_nodes_start():
    # given
    node = Daily(asset_list=["A", "B", "C"], offset_start=BEGIN)
    parts = [Shard(index, 2) for index in range(2)]
    told = []
    # when
    for shard in parts:
        run_node(node, shard=shard)
        told.append(node.get_update_asset_list())
    # then
    assert told == [shard.cut(["A", "B", "C"]) for shard in parts]
    assert sorted(name for part in told for name in part) == ["A", "B", "C"]
    assert node.asked == 2
    assert [row[:2] for row in stored(node)] == [(BEGIN + day * DAY, name) for name in "ABC" for day in range(2)]


def test_overriding_statistics_bring_their_own_scope():
    node = Daily(asset_list=["A", "B"], offset_start=BEGIN)
    node.run()
    only = node.get_update_statistics().update_assets(["A"], init_fallback_date=BEGIN)
    node.run(override_update_stats=only)
    assert node.told == ["A"]
    assert [row[1] for row in stored(node)] == ["A"] * 4 + ["B"] * 2


# --- the start -------------------------------------------------------------------------------------------------------
def test_a_start_is_that_of_its_node_alone():
    told, bare = Daily(asset_list=["A"], offset_start=BEGIN), Daily("bare", asset_list=["A"])
    bare.run()
    assert stored(bare)[0][0] == bare.OFFSET_START == dt.datetime(2018, 1, 1, tzinfo=dt.UTC)
    assert told.OFFSET_START == BEGIN
    assert dt.datetime(2018, 1, 1, tzinfo=dt.UTC) == Daily.OFFSET_START
    shifted = [Shifted(offset_start=start).OFFSET_START for start in (BEGIN, None)]
    assert shifted == [BEGIN, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)]


def test_an_asset_that_has_rows_does_not_begin_anew_at_a_later_start():
    # given
    Daily(asset_list=["A"], offset_start=BEGIN).run()
    # when another update of the table begins later, with A and a new asset
    later = Daily(asset_list=["A", "B"], offset_start=BEGIN + 9 * DAY)
    later.run()
    # then
    assert [row[:2] for row in stored(later)] == [
        *((BEGIN + day * DAY, "A") for day in range(4)),
        *((BEGIN + day * DAY, "B") for day in (9, 10)),
    ]


def test_without_a_scope_the_start_still_stands_for_assets_never_seen():
    # given
    node = Daily(offset_start=BEGIN)
    # when
    node.run()
    # then there is no asset yet, and one would begin there
    assert (node.told, node.fallback) == (None, BEGIN)
    assert len(node.update_statistics) == 0
    # and a DataNode that is not asset-indexed has none
    plain = Given()
    plain.run()
    assert plain.update_statistics.get_last_update("nobody") is None


@pytest.mark.parametrize("scope", [["A", "B"], None])
def test_a_backfill_begins_where_its_window_does(scope):
    # given
    Daily(asset_list=["A", "B"], offset_start=BEGIN + 9 * DAY).run()
    node = Daily(asset_list=scope, offset_start=BEGIN + 9 * DAY)
    node.run()
    before = stored(node)
    # when
    node.backfill(BEGIN, BEGIN + DAY, ["A"])
    # then
    assert (node.told, node.fallback) == (["A"], BEGIN - DAY)
    assert stored(node) == [(BEGIN, "A", 2.0), *before]
    # and one of all assets of a node without a scope
    node.backfill(BEGIN + 2 * DAY, BEGIN + 3 * DAY)
    assert (node.told, node.fallback) == (scope, BEGIN + DAY)


# --- at any depth ----------------------------------------------------------------------------------------------------
def test_the_asset_may_be_the_second_dimension():
    # given
    node = InBooks(asset_list=["A"])
    node.rows = [(0, "x", "A", 1.0), (1, "y", "A", 2.0)]
    everyone = InBooks()
    everyone.rows = [(0, "x", "B", 3.0), *node.rows]
    everyone.run()
    # when
    node.run()
    # then
    assert node.update_statistics.index_progress == {("x", "A"): START, ("y", "A"): START + DAY}
    assert node.get_update_asset_list() == ["A"]
    with pytest.raises(InvalidInput, match="there is no window of an asset alone"):
        node.get_asset_update_range_map_great_or_equal()


def test_the_windows_of_assets_that_come_first():
    # given
    node = ByTenor(asset_list=["A"], offset_start=BEGIN)
    node.rows = [(0, "A", "1m", 1.0), (1, "A", "1y", 2.0)]
    # when
    node.run()
    node.run()
    # then
    assert node.get_asset_update_range_map_great_or_equal() == {
        "A": {"start_date_operand": ">=", "start_date": START},
    }
    flat = Daily(asset_list=["A", "B"], offset_start=BEGIN)
    flat.run()
    flat.asset_list.append("C")
    flat.run()
    assert flat.get_asset_update_range_map_great_or_equal(-DAY) == {
        "A": {"start_date_operand": ">=", "start_date": BEGIN},
        "B": {"start_date_operand": ">=", "start_date": BEGIN},
        "C": {"start_date_operand": ">=", "start_date": BEGIN - DAY},
    }

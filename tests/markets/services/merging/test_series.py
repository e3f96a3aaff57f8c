"""Time-indexed rows of merged assets: moved, left or filled in, with the statistics of a recount, and given back."""

import datetime as dt

import pytest
from django.db import connection

from markets.exceptions import Conflict, MergedAsset
from markets.models import Asset, AssetMerge, NodeRun, NodeUpdate, RunStatus
from markets.services.merging import merge_assets, merge_impact, undo_merge
from markets.services.snapshots import record_snapshots, snapshots_of
from tests import factories
from tests.markets.data_nodes.nodes import ByBook, Given, bars, make_assets, stored, table_of
from tests.markets.services.merging import states

pytestmark = pytest.mark.django_db
WHY = "The same share, entered twice."


@pytest.fixture
def pair() -> tuple[Asset, Asset]:
    """(kept, dropped); the tables of the nodes go with the transaction of the test."""
    kept, dropped, _ = make_assets("A", "B", "C")
    return kept, dropped


def closes(node: Given) -> list[tuple[int, str, float]]:
    start = dt.datetime(2026, 1, 2, 21, tzinfo=dt.UTC)
    return sorted(((row[0] - start).days, *row[1:]) for row in stored(node))


def test_rows_move_where_the_kept_asset_has_none(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("only").returns(bars([(0, "B", 1.0), (1, "B", 2.0), (1, "C", 9.0)]))
    node.run()
    before = states.everything()

    impact = merge_impact(dropped, kept)
    assert [(item.moved, item.left) for item in impact.items] == [(2, 0)]
    assert states.everything() == before
    merge = merge_assets(dropped, kept, reason=WHY)

    assert closes(node) == [(0, "A", 1.0), (1, "A", 2.0), (1, "C", 9.0)]
    assert states.recounted() == []
    undo_merge(merge, reason="They are two.")
    assert states.differing(before, states.everything()) == {}
    assert states.recounted() == []


def test_where_both_have_rows_somebody_has_to_choose(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("both").returns(bars([(0, "A", 1.0), (2, "A", 3.0), (1, "B", 20.0), (2, "B", 30.0)]))
    node.run()
    before = states.everything()
    impact = merge_impact(dropped, kept)
    assert impact.needs_choice
    assert not impact.can_merge
    assert impact.items[0].note == "Both have rows: 2 of B, 2 of A."
    with pytest.raises(
        Conflict, match=r"Both have time-indexed rows in .* \(2 rows\)\. Choose what becomes of those of B"
    ):
        merge_assets(dropped, kept, reason=WHY)
    assert states.everything() == before
    assert not AssetMerge.objects.exists()


def test_rows_are_left_under_the_old_identifier_and_stay_readable(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("left").returns(bars([(0, "A", 1.0), (1, "B", 20.0)]))
    node.run()
    rows = closes(node)
    merge = merge_assets(dropped, kept, reason=WHY, rows="leave")
    assert closes(node) == rows
    assert list(node.get_df_between_dates(unique_identifier_list=["B"])["close"]) == [20.0]
    assert states.recounted() == []
    later = Given("left").returns(bars([(5, "B", 99.0)]))
    with pytest.raises(MergedAsset, match="B was merged into A"):
        later.run()
    assert closes(node) == rows
    assert merge.record["items"][0]["left"] == 1


def test_gaps_are_filled_and_the_kept_ones_rows_win(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("filled").returns(bars([(0, "A", 1.0), (2, "A", 3.0), (1, "B", 20.0), (2, "B", 30.0), (3, "B", 40.0)]))
    node.run()
    before = states.everything()
    impact = merge_impact(dropped, kept, rows="fill")
    assert [(item.moved, item.left) for item in impact.items] == [(2, 1)]

    merge = merge_assets(dropped, kept, reason=WHY, rows="fill")

    assert closes(node) == [(0, "A", 1.0), (1, "A", 20.0), (2, "A", 3.0), (2, "B", 30.0), (3, "A", 40.0)]
    assert states.recounted() == []
    undo_merge(merge, reason="They are two.")
    assert states.differing(before, states.everything()) == {}
    assert states.recounted() == []


def test_a_table_with_further_dimensions_moves_by_each_of_them(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    index = ("time_index", "book", "asset_identifier")
    node = ByBook("books").returns(bars([(0, "x", "A", 1.0), (0, "x", "B", 2.0), (0, "y'", "B", 3.0)], index=index))
    node.run()
    before = states.everything()
    merge = merge_assets(dropped, kept, reason=WHY, rows="leave")
    assert [row[1:] for row in closes(node)] == [("x", "A", 1.0), ("x", "B", 2.0), ("y'", "A", 3.0)]
    assert states.recounted() == []
    undo_merge(merge, reason="They are two.")
    assert states.differing(before, states.everything()) == {}


def test_rows_written_since_stay_with_the_kept_asset(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("since").returns(bars([(0, "B", 1.0)]))
    node.run()
    merge = merge_assets(dropped, kept, reason=WHY)
    Given("since").returns(bars([(1, "A", 2.0)])).run()
    undo_merge(merge, reason="They are two.")
    assert closes(node) == [(0, "B", 1.0), (1, "A", 2.0)]
    assert states.recounted() == []


def test_undoing_is_refused_when_moved_rows_changed_since(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("changed").returns(bars([(0, "B", 1.0), (1, "B", 2.0)]))
    node.run()
    merge = merge_assets(dropped, kept, reason=WHY)
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "{table_of(node)}" SET close = 7 WHERE close = 2')
    before = states.everything()
    with pytest.raises(Conflict, match=r"of the 2 rows that it moved in .* some were changed or deleted since"):
        undo_merge(merge, reason="They are two.")
    assert states.everything() == before
    assert AssetMerge.objects.get().undone_at is None


def test_a_merge_is_refused_while_a_node_with_the_assets_runs(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    node = Given("running").returns(bars([(0, "B", 1.0)]))
    node.run()
    run = NodeRun.objects.get()
    NodeRun.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING, finished_at=None)
    with pytest.raises(Conflict, match="runs at this moment and has these assets"):
        merge_assets(dropped, kept, reason=WHY)
    assert not AssetMerge.objects.exists()


def test_readers_become_stale_and_scopes_are_told(pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    source = Given("source").returns(bars([(0, "B", 1.0)]))
    reader = Given("reader", [source]).returns(bars([(0, "B", 2.0)]))
    reader.scope = ["B"]
    reader.run()
    update = NodeUpdate.objects.get(update_hash=reader.update_hash)
    assert update.stale_from is None
    impact = merge_impact(dropped, kept)
    assert any("read or write B by its identifier" in text for text in impact.warnings)
    merge_assets(dropped, kept, reason=WHY)
    update.refresh_from_db()
    assert update.stale_from == dt.datetime(2026, 1, 2, 21, tzinfo=dt.UTC)
    assert update.stale_reason == "Rows of B became those of A."


def test_snapshots_move_too() -> None:
    kept, dropped = factories.asset(), factories.asset()
    since = dt.datetime(2026, 5, 25, 12, tzinfo=dt.UTC)
    record_snapshots([{"asset_identifier": str(dropped), "time_index": since, "ticker": "T"}])
    merge = merge_assets(dropped, kept, reason=WHY)
    assert list(snapshots_of(str(kept))["ticker"]) == ["T"]
    assert snapshots_of(str(dropped)).empty
    assert states.recounted() == []
    undo_merge(merge, reason="They are two.")
    assert list(snapshots_of(str(dropped))["ticker"]) == ["T"]

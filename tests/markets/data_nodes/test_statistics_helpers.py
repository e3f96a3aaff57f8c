"""The questions that a node asks its statistics."""

import datetime as dt

import pytest

from markets.data_nodes.statistics import UpdateStatistics
from markets.exceptions import InvalidInput

DAY = [dt.datetime(2026, 1, day, 21, tzinfo=dt.UTC) for day in range(1, 10)]


def by_asset():
    return UpdateStatistics(
        index_progress={"A": DAY[3], "B": DAY[5]},
        index_min={"A": DAY[0], "B": DAY[1]},
        row_counts={"A": 4, "B": 5},
        max_time_index_value=DAY[5],
    )


def by_book():
    return UpdateStatistics(
        index_progress={("core", "A"): DAY[3], ("core", "B"): DAY[5], ("tail", "A"): DAY[1]},
        index_min={("core", "A"): DAY[0], ("core", "B"): DAY[0], ("tail", "A"): DAY[0]},
        row_counts={("core", "A"): 4, ("core", "B"): 6, ("tail", "A"): 2},
        initial_fallback_date=DAY[0],
        dimensions=("book", "asset_identifier"),
    )


def test_which_assets_never_had_a_row():
    # given
    statistics = by_asset()
    # then
    for names, some, every in ((["A", "B"], False, False), (["A", "new"], True, False), (["new"], True, True)):
        scoped = statistics.update_assets(names, init_fallback_date=DAY[0])
        assert (scoped.is_any_asset_on_fallback_date(), scoped.are_all_assets_on_fallback_date()) == (some, every)


def test_how_far_an_asset_has_come():
    # given
    scoped = by_asset().update_assets(["A", "new"], init_fallback_date=DAY[0])
    # then
    assert scoped.get_last_update_index_2d("A") == DAY[3]
    assert scoped.get_last_update_index_2d("new") == DAY[0]
    assert scoped.get_asset_earliest_multiindex_update("A") == DAY[3]
    assert scoped.get_earliest_update_for_identity("unseen") == DAY[0]
    assert (scoped._initial_fallback_date, scoped._max_time_in_update_statistics) == (DAY[0], DAY[3])


def test_of_several_rows_of_one_identity_the_one_that_lags():
    # given
    statistics = by_book()
    # then
    assert statistics.get_earliest_update_for_identity("core") == DAY[3]
    assert statistics.get_last_update_index_2d("core") == DAY[5]
    assert statistics.get_earliest_update_for_identity("nowhere") == DAY[0]


def test_the_range_map_of_the_assets_has_two_names():
    # given
    statistics = by_asset()
    # then
    wanted = {
        "A": {"start_date_operand": ">=", "start_date": DAY[4]},
        "B": {"start_date_operand": ">=", "start_date": DAY[6]},
    }
    assert statistics.get_update_range_map_great_or_equal(dt.timedelta(days=1)) == wanted
    assert statistics.get_asset_update_range_map_great_or_equal(dt.timedelta(days=1)) == wanted


def test_pruning_by_level_keeps_what_is_named_and_adds_what_is_missing_below_the_first():
    # given
    statistics = by_book()
    # then at the first level nothing is added
    assert statistics.filter_assets_by_level(0, ["core", "new"]).index_progress == {
        ("core", "A"): DAY[3],
        ("core", "B"): DAY[5],
    }
    # and below it what is missing begins at the fallback date
    pruned = statistics.filter_assets_by_level(1, ["A", "C"])
    assert pruned.index_progress == {
        ("core", "A"): DAY[3],
        ("tail", "A"): DAY[1],
        ("core", "C"): DAY[0],
        ("tail", "C"): DAY[0],
    }
    assert pruned.row_counts == {("core", "A"): 4, ("tail", "A"): 2}
    # and the original is as it was
    assert len(statistics) == 3


def test_a_level_that_there_is_not():
    with pytest.raises(InvalidInput, match="the table has 2 dimensions"):
        by_book().filter_assets_by_level(2, ["A"])

"""The questions that a node asks its statistics."""

import datetime as dt

import pandas as pd
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


# --- what a caller may give ------------------------------------------------------------------------------------------
def test_statistics_from_text_and_dicts_of_dicts():
    # when
    given = UpdateStatistics(
        index_progress={"core": {"A": "2026-01-04T21:00:00Z", "B": pd.Timestamp("2026-01-06T22:00:00+01:00")}},
        index_min=None,
        max_time_index_value="2026-01-06T21:00:00Z",
        dimensions=("book", "asset_identifier"),
    )
    # then
    assert given.index_progress == {("core", "A"): DAY[3], ("core", "B"): DAY[5]}
    assert given.asset_time_statistics == {"core": {"A": DAY[3], "B": DAY[5]}}
    assert (given.index_min, given.max_time_index_value) == ({}, DAY[5])
    assert (given.limit_update_time, given.is_backfill) == (None, False)
    assert by_asset().asset_time_statistics == {"A": DAY[3], "B": DAY[5]}


@pytest.mark.parametrize(
    "fields",
    [
        {"index_progress": {"A": dt.datetime(2026, 1, 1)}},  # noqa: DTZ001
        {"index_progress": {"A": None}},
        {"index_min": {"A": "yesterday"}},
        {"limit_update_time": dt.datetime(2026, 1, 1)},  # noqa: DTZ001
        {"max_time_index_value": 5},
    ],
)
def test_a_time_that_is_none_or_has_no_zone(fields):
    with pytest.raises(InvalidInput, match=next(iter(fields))):
        UpdateStatistics(**fields)


def test_an_identity_that_is_missing_is_a_key_error():
    with pytest.raises(KeyError):
        by_asset()["nobody"]
    assert "nobody" not in by_asset()
    assert list(by_asset()) == ["A", "B"]


def test_no_assets_is_no_restriction():
    scoped = by_asset().update_assets(None, DAY[0])
    assert (scoped.asset_list, scoped.index_progress) == (None, {"A": DAY[3], "B": DAY[5]})
    assert scoped.get_max_time_in_update_statistics() == DAY[5]
    assert by_asset().update_assets(unique_identifier_list=["A"], init_fallback_date=DAY[0]).asset_list == ["A"]
    empty = by_asset().update_assets([], DAY[0])
    assert (empty.index_progress, empty.get_max_time_in_update_statistics()) == ({}, DAY[0])
    assert empty.get_update_range_map_great_or_equal() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"asset_list": ["A"], "unique_identifier_list": ["A"], "init_fallback_date": DAY[0]}, "not both"),
        ({"asset_list": ["A"]}, "Say where an asset"),
        ({"asset_list": "A", "init_fallback_date": DAY[0]}, "asset_list is a str"),
        ({"asset_list": 5, "init_fallback_date": DAY[0]}, "asset_list is a int"),
        ({"asset_list": ["A", 3], "init_fallback_date": DAY[0]}, r"asset_list\[1\] is a int"),
        ({"asset_list": ["A", " "], "init_fallback_date": DAY[0]}, r"asset_list\[1\] is blank"),
        ({"asset_list": ["A", "A"], "init_fallback_date": DAY[0]}, "names A more than once"),
    ],
)
def test_a_scope_that_is_none(arguments, message):
    with pytest.raises(InvalidInput, match=message) as refused:
        by_asset().update_assets(**arguments)
    assert isinstance(refused.value, TypeError) == (" is a " in message)


# --- by column -------------------------------------------------------------------------------------------------------
def test_column_statistics_are_narrowed_by_the_scope_and_not_wiped():
    # given
    statistics = by_asset()
    statistics.columns = ("close", "volume")
    # then
    own = {"A": {"min": DAY[0], "max": DAY[3]}, "B": {"min": DAY[1], "max": DAY[5]}}
    assert statistics.multi_index_column_stats == {"close": own, "volume": own}
    scoped = statistics.update_assets(["B", "new"], DAY[0])
    assert scoped.multi_index_column_stats == {"close": {"B": own["B"]}, "volume": {"B": own["B"]}}
    windows = scoped.get_update_range_map_great_or_equal_columnar(column_filter=["close"])
    assert windows == {
        "close": {
            "B": {"start_date_operand": ">=", "start_date": DAY[5]},
            "new": {"start_date_operand": ">=", "start_date": DAY[0]},
        }
    }
    assert set(scoped.get_update_range_map_great_or_equal_columnar(dt.timedelta(days=1))) == {"close", "volume"}
    with pytest.raises(InvalidInput, match="There is no column 'open'"):
        scoped.get_update_range_map_great_or_equal_columnar(column_filter=["open"])


def test_there_is_no_window_of_an_asset_alone_where_another_dimension_comes_first():
    with pytest.raises(InvalidInput, match="kept by book, asset_identifier"):
        by_book().get_asset_update_range_map_great_or_equal()

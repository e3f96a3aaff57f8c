"""InterpolatedPrices: bars on sessions; runs in slices store what one run would; nothing comes from the future."""

import datetime as dt
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.data_nodes.prices import BAR_COLUMNS
from markets.exceptions import FrameError, InvalidInput, NotFound
from markets.models import AssetCategory, AssetCategoryMembership, Calendar, CalendarSession
from markets.services import universes
from tests.markets.data_nodes.nodes import DAY, START, Given, bars, exists, make_assets, recount, statistics, stored

pytestmark = pytest.mark.django_db
SESSIONS = 40
NAMES = ("open_time", "open", "high", "low", "close", "adjusted_close", "vwap", "volume", "trade_count")


@pytest.fixture(autouse=True)
def market():
    make_assets("A", "B", "C")
    calendar = Calendar.objects.create(
        unique_identifier="DAILY", display_name="Daily", valid_from=START.date(), valid_to=(START + 60 * DAY).date()
    )
    CalendarSession.objects.bulk_create(
        CalendarSession(
            calendar=calendar,
            local_date=(START + day * DAY).date(),
            opens_at=START + day * DAY - dt.timedelta(hours=7),
            closes_at=START + day * DAY,
        )
        for day in range(SESSIONS)
    )


def full_bars(rows):
    """Rows (day, asset, close, adjusted, volume) as bars of the price schema."""
    frame = bars(
        [
            (day, name, None, close, close, close, close, adjusted, None, volume, None)
            for day, name, close, adjusted, volume in rows
        ],
        columns=NAMES,
    )
    frame["open_time"] = pd.DatetimeIndex([pd.NaT] * len(frame), tz="UTC")
    return frame.astype(dict.fromkeys(NAMES[1:], np.float64))


def nodes(name="prices", **options):
    source = Given(f"source of {name}")
    configuration = InterpolatedPricesConfiguration(dataset=name, calendar_identifier="DAILY", **options)
    return source, InterpolatedPrices(configuration, source)


def closes(node):
    place = 2 + [column.column_name for column in BAR_COLUMNS].index("close")
    return [(row[1], (row[0] - START) // DAY, row[place], row[-1]) for row in stored(node)]


def test_gaps_are_filled_from_the_past_up_to_the_limit_and_never_before_the_first_bar():
    # given A on days 1, 3 and 12, with at most 5 sessions filled; B with one bar
    source, node = nodes()
    source.returns(full_bars([(1, "A", 10, 9, 100), (3, "A", 11, None, 50), (12, "A", 12, 11, 70), (5, "B", 1, 1, 1)]))
    # when
    node.run()
    # then
    assert closes(node) == [
        ("A", 1, 10.0, False),
        ("A", 2, 10.0, True),
        ("A", 3, 11.0, False),
        *(("A", day, 11.0, True) for day in range(4, 9)),
        ("A", 12, 12.0, False),
        ("B", 5, 1.0, False),
    ]
    assert stored(node)[1] == (
        START + 2 * DAY,
        "A",
        START + 2 * DAY - dt.timedelta(hours=7),
        *(10.0, 10.0, 10.0, 10.0, 9.0),
        None,
        *(0.0, 0.0, True),
    )
    assert statistics(node) == recount(node)
    assert "A has no price on 3 sessions: its gap is longer than 5 sessions" in node.last_run.run.log


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rule", ["ffill", "none"])
def test_any_slicing_stores_what_one_run_stores(seed, rule):
    # given bars of three assets with gaps of every length, missing closes and missing adjusted closes
    generator = np.random.default_rng(seed)
    rows = [
        (day, name, None if generator.random() < 0.1 else round(float(generator.normal(100, 5)), 3),
         None if generator.random() < 0.3 else float(day), float(generator.integers(1, 99)))
        for name in "ABC"
        for day in range(SESSIONS)
        if generator.random() < 0.35
    ]  # fmt: skip
    source, whole = nodes("whole", rule=rule, maximum_fill_sessions=4)
    source.returns(full_bars(rows))
    whole.run()
    # when the same bars arrive in slices
    source, sliced = nodes("sliced", rule=rule, maximum_fill_sessions=4)
    cuts = [0, *sorted(generator.choice(np.arange(1, SESSIONS), 5, replace=False).tolist()), SESSIONS]
    for first, last in pairwise(cuts):
        source.returns(full_bars([row for row in rows if first <= row[0] < last]))
        sliced.run()
    # then
    assert stored(sliced) == stored(whole)
    left, right = sliced.get_df_between_dates(), whole.get_df_between_dates()
    for name in NAMES[1:]:
        assert left[name].to_numpy().tobytes() == right[name].to_numpy().tobytes()
    assert statistics(sliced) == recount(sliced)


def test_a_second_run_writes_nothing():
    source, node = nodes()
    source.returns(full_bars([(0, "A", 1, 1, 1), (2, "A", 2, 2, 2)]))
    node.run()
    assert len(node.run()) == 0
    assert node.last_run.status == "up_to_date"


def test_the_category_decides_which_assets():
    category = AssetCategory.objects.create(unique_identifier="tech", display_name="Tech")
    source, node = nodes(assets_category_unique_id="tech")
    source.returns(full_bars([(0, name, 1, 1, 1) for name in "ABC"]))
    with pytest.raises(InvalidInput, match=r"^The asset category tech is empty\. Add assets to it\.$"):
        node.run()
    for asset in make_assets("D") + list(category.assets.model.objects.filter(unique_identifier__in=["B"])):
        AssetCategoryMembership.objects.create(category=category, asset=asset)
    node.run()
    assert closes(node) == [("B", 0, 1.0, False)]
    # who joins later gets the whole history
    AssetCategoryMembership.objects.create(
        category=category, asset=category.assets.model.objects.get(unique_identifier="C")
    )
    node.run()
    assert closes(node) == [("B", 0, 1.0, False), ("C", 0, 1.0, False)]
    other = InterpolatedPrices(node.configuration.model_copy(update={"assets_category_unique_id": "biotech"}), source)
    with pytest.raises(NotFound, match=r"^There is no asset category 'biotech'\.$"):
        other.run()


def test_a_category_covers_who_ever_belonged():
    category = AssetCategory.objects.create(unique_identifier="tech", display_name="Tech")
    universes.register_spells(category, [("A", "2001-01-01", "2002-01-01"), ("B", "2010-01-01", None)])
    universes.register_spells(category, [("C", "2150-01-01", None)])
    source, node = nodes(assets_category_unique_id="tech")
    source.returns(full_bars([(0, name, 1, 1, 1) for name in "ABC"]))
    node.run()
    assert closes(node) == [("A", 0, 1.0, False), ("B", 0, 1.0, False)]


def test_list_and_category_together():
    with pytest.raises(InvalidInput, match=r"^Give either asset_list or assets_category_unique_id, not both\.$"):
        nodes(asset_list=["A"], assets_category_unique_id="tech")


def test_a_calendar_without_sessions():
    CalendarSession.objects.all().delete()
    source, node = nodes()
    source.returns(full_bars([(0, "A", 1, 1, 1)]))
    with pytest.raises(InvalidInput, match=r"^The calendar DAILY has no sessions\. Materialise them: "):
        node.run()
    assert not exists(node)


def test_a_bar_that_is_no_session_close_is_named_with_its_asset():
    # regression: the message counted assets instead of naming them
    source, node = nodes()
    source.returns(full_bars([(0, "A", 1, 1, 1), (START + dt.timedelta(hours=1), "B", 1, 1, 1)]))
    with pytest.raises(FrameError) as caught:
        node.run()
    assert str(caught.value) == (
        f"1 bars of {source.storage_hash} are not stamped at a session close of the calendar DAILY: B at "
        "2026-01-02T22:00:00Z (nearest close: 2026-01-02T21:00:00Z). Stamp bars at the close of their session, use the "
        "calendar that the assets trade on, or extend its sessions."
    )
    assert not exists(node)


def test_an_empty_source():
    source, node = nodes()
    source.returns(pd.DataFrame())
    assert len(node.run()) == 0
    assert not exists(node)


def test_rule_limit_calendar_and_source_choose_the_table_and_assets_do_not():
    _, node = nodes()
    assert nodes("other")[1].storage_hash != node.storage_hash  # another source
    configuration = node.configuration
    for change, moves in (
        ({"rule": "none"}, True),
        ({"maximum_fill_sessions": 4}, True),
        ({"calendar_identifier": "XNYS"}, True),
        ({"asset_list": ["A"]}, False),
        ({"dataset": "renamed"}, True),  # two names for one table would rename it back and forth
    ):
        other = InterpolatedPrices(configuration.model_copy(update=change), node.source)
        assert (other.storage_hash != node.storage_hash) == moves, change

"""AssetIndexedDataNode: its scope and its start, what they change and what not, and how a run remembers them."""

import datetime as dt
from types import SimpleNamespace

import pandas as pd
import pytest
from pydantic import ValidationError

from markets.data_nodes.asset_indexed import AssetIndexedDataNode
from markets.data_nodes.configuration import build_node, encode_node
from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.data_nodes.prices import ExternalPrices, ExternalPricesConfiguration
from markets.data_nodes.runs import run_node
from markets.data_nodes.snapshots import AssetSnapshot
from markets.engine.shards import Shard
from markets.exceptions import InvalidFields, InvalidInput, WrongType
from markets.models import Asset, NodeRun, NodeUpdate, RunStatus, StorageNode
from markets.services import node_classes
from tests.markets.data_nodes import asset_nodes
from tests.markets.data_nodes.asset_nodes import ByTenor, Daily, InBooks, Ranked, RankedConfiguration, Shifted
from tests.markets.data_nodes.nodes import DAY, START, ByTime, Given, make_assets, stored

pytestmark = pytest.mark.django_db
BEGIN = dt.datetime(2026, 1, 5, 21, tzinfo=dt.UTC)
NEW_YORK = dt.timezone(dt.timedelta(hours=-5))
A, B = SimpleNamespace(unique_identifier="A"), SimpleNamespace(asset_identifier="B")


@pytest.fixture(autouse=True)
def assets():
    make_assets("A", "B", "C")


def hashes(node):
    return node.storage_hash, node.update_hash


# --- what belongs to which hash --------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", [{"asset_list": ["A"]}, {"offset_start": BEGIN}])
@pytest.mark.parametrize("make", [Daily, Shifted, lambda **given: Ranked(RankedConfiguration(window=3, **given))])
def test_scope_and_start_change_who_is_updated_and_never_the_table(make, arguments):
    bare, told = make(), make(**arguments)
    assert told.storage_hash == bare.storage_hash
    assert told.update_hash != bare.update_hash
    # and None says the same as leaving it out
    assert hashes(make(**dict.fromkeys(arguments))) == hashes(bare)


def test_a_subclass_still_says_what_else_its_table_does_not_depend_on():
    assert Shifted("/a").storage_hash == Shifted("/b", asset_list=["A"]).storage_hash
    assert Shifted("/a").update_hash != Shifted("/b").update_hash
    assert Daily("other").storage_hash != Daily().storage_hash


@pytest.mark.parametrize(
    "same",
    [
        ["B", "A"],
        ("A", "B"),
        {"A", "B"},
        [A, B],
        [B, {"asset_identifier": "A"}],
        [{"unique_identifier": "B"}, "A"],
        pd.Index(["B", "A"]),
    ],
)
def test_order_and_form_of_the_assets_do_not_count(same):
    assert hashes(Daily(asset_list=same)) == hashes(Daily(asset_list=["A", "B"]))
    assert hashes(Daily(asset_list=(item for item in ["B", "A"]))) == hashes(Daily(asset_list=["A", "B"]))
    assert hashes(Ranked(RankedConfiguration(window=3, asset_list=same))) == hashes(
        Ranked(RankedConfiguration(window=3, asset_list=["A", "B"]))
    )


def test_registered_assets_are_taken_as_they_are():
    rows = list(Asset.objects.order_by("-unique_identifier"))
    node = Daily(asset_list=rows)
    assert node.asset_list == ["C", "B", "A"]
    assert hashes(node) == hashes(Daily(asset_list=["A", "B", "C"]))


@pytest.mark.parametrize("same", ["2026-01-05T21:00:00Z", BEGIN.astimezone(NEW_YORK), pd.Timestamp(BEGIN)])
def test_an_instant_is_the_same_in_every_zone_and_form(same):
    node = Daily(offset_start=same)
    assert (node.OFFSET_START, node.OFFSET_START.tzinfo) == (BEGIN, dt.UTC)
    assert hashes(node) == hashes(Daily(offset_start=BEGIN))


def test_nodes_that_are_asset_indexed_now_keep_their_tables_and_updates():
    """These literals may never change: rows would be looked for in another table."""
    prices = ExternalPrices(ExternalPricesConfiguration(dataset="a", path="x.csv", asset_list=["B", "A"]))
    filled = InterpolatedPrices(
        InterpolatedPricesConfiguration(dataset="b", calendar_identifier="X", asset_list=["B", "A"]), prices
    )
    for node in (prices, filled, AssetSnapshot()):
        assert isinstance(node, AssetIndexedDataNode)
    assert hashes(prices) == (
        "externalprices_263d5aa4635ea35e6e9c41385b6aacdb",
        "externalprices_ce2485356e5d8e452eeee2066d1843b1",
    )
    assert hashes(filled) == (
        "interpolatedprices_c87039ff27dce3608d475d1e334711a7",
        "interpolatedprices_2a7ad497c55818989961ee6e74bb085e",
    )
    assert hashes(AssetSnapshot()) == ("markets_assetsnapshot", "assetsnapshot_6bd7261ca10c6d606254a8e0d8a1680c")


# --- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (
            [],
            InvalidInput,
            "asset_list is empty: the node would update nothing. Name assets, or leave it out (None) for all.",
        ),
        (["A", " "], InvalidInput, "asset_list[1] is blank. Remove it."),
        ([{"asset_identifier": ""}], InvalidInput, "asset_list[0] is blank. Remove it."),
        (["A", A], InvalidInput, "asset_list names A more than once. Name each asset once."),
        (
            ["A", "B", 3],
            WrongType,
            "asset_list[2] is a int, neither an identifier nor an asset. Give the unique_identifier as text, or the "
            "asset.",
        ),
        (
            [{"ticker": "A"}],
            WrongType,
            "asset_list[0] is a dict, neither an identifier nor an asset. Give the unique_identifier as text, or the "
            "asset.",
        ),
        ("A", WrongType, "asset_list is a str, not a list of assets. Write ['A']."),
        (
            {"asset_identifier": "A"},
            WrongType,
            "asset_list is a dict, not a list of assets. Write [{'asset_identifier': 'A'}].",
        ),
        (7, WrongType, "asset_list is a int, not a list of assets. Write [7]."),
    ],
)
def test_a_scope_that_is_none_is_refused_at_once(given, kind, message):
    with pytest.raises(kind) as caught:
        Daily(asset_list=given)
    assert (str(caught.value), caught.value.field) == (message, "asset_list")
    assert isinstance(caught.value, TypeError) is (kind is WrongType)
    # and so by a configuration
    with pytest.raises(ValidationError) as refused:
        RankedConfiguration(window=3, asset_list=given)
    assert message in str(refused.value)
    assert not NodeUpdate.objects.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            BEGIN.replace(tzinfo=None),
            "offset_start=2026-01-05T21:00:00 has no time zone. Add one: 2026-01-05T21:00:00Z, or tzinfo=datetime.UTC.",
        ),
        (
            "2026-01-05",
            "offset_start=2026-01-05T00:00:00 has no time zone. Add one: 2026-01-05T00:00:00Z, or tzinfo=datetime.UTC.",
        ),
        ("soon", "offset_start='soon' is not a time. Use ISO 8601: 2026-01-31T21:00:00Z."),
        ("", "offset_start='' is not a time. Use ISO 8601: 2026-01-31T21:00:00Z."),
        (
            BEGIN.date(),
            "offset_start is a date, neither a datetime nor text. Write it as ISO 8601 with its zone: "
            "2026-01-31T21:00:00Z.",
        ),
        (
            0,
            "offset_start is a int, neither a datetime nor text. Write it as ISO 8601 with its zone: "
            "2026-01-31T21:00:00Z.",
        ),
        (
            pd.NaT,
            "offset_start is a NaTType, neither a datetime nor text. Write it as ISO 8601 with its zone: "
            "2026-01-31T21:00:00Z.",
        ),
        (
            "0001-01-01T00:00:00+14:00",
            "offset_start=0001-01-01T00:00:00+14:00 lies outside the years 1678 to 2260, where no row can be. Correct "
            "it.",
        ),
        (
            dt.datetime.max.replace(tzinfo=NEW_YORK),
            "offset_start=9999-12-31T23:59:59.999999-05:00 lies outside the years 1678 to 2260, where no row can be. "
            "Correct it.",
        ),
    ],
)
def test_a_start_that_is_no_instant_is_refused(given, message):
    with pytest.raises(InvalidInput) as caught:
        Daily(offset_start=given)
    assert (str(caught.value), caught.value.field) == (message, "offset_start")
    with pytest.raises(ValidationError) as refused:
        RankedConfiguration(window=3, offset_start=given)
    assert message in str(refused.value)


def test_a_class_without_assets_is_no_asset_indexed_one():
    class Rates(AssetIndexedDataNode):
        index_names = ("time_index", "curve")

    with pytest.raises(
        InvalidInput, match=r"^Rates is indexed by \(time_index, curve\), without asset_identifier\. Add it to index_na"
    ):
        Rates()
    assert ByTime.index_names == ("time_index",)  # a DataNode may


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


# --- stored, built again, and given by a form ------------------------------------------------------------------------
@pytest.fixture
def registered(settings):
    settings.NODE_MODULES = [asset_nodes.__name__]


@pytest.mark.parametrize(
    "node",
    [
        Daily(asset_list=[B, A], offset_start="2026-01-05T16:00:00-05:00"),
        Daily(),
        Ranked(RankedConfiguration(window=3, asset_list=[B, A], offset_start=BEGIN)),
    ],
)
def test_a_worker_builds_the_same_node(node, registered):
    built = build_node(encode_node(node))
    assert hashes(built) == hashes(node)
    assert built.OFFSET_START == node.OFFSET_START
    assert sorted(built.asset_list or []) == sorted(node.asset_list or [])


def test_its_form_offers_scope_and_start(registered):
    fields = {field.name: field for field in node_classes.find_class(f"{asset_nodes.__name__}.Daily").fields}
    assert {name: (field.kind, field.required) for name, field in fields.items()} == {
        "dataset": ("text", False),
        "asset_list": ("lines", False),
        "offset_start": ("time", False),
        "hash_namespace": ("text", False),
        "namespace": ("text", False),
    }
    assert fields["asset_list"].help == "Update these assets only, by their identifiers."
    assert fields["offset_start"].help == "Where an asset begins that has no row yet, with the time's zone."
    ranked = {field.name: field for field in node_classes.find_class(f"{asset_nodes.__name__}.Ranked").fields}
    assert [(name, ranked[name].kind, ranked[name].help) for name in list(ranked)[:2]] == [
        ("configuration.asset_list", "lines", "Update these assets only, by their identifiers."),
        ("configuration.offset_start", "time", "Where an asset begins that has no row yet, with the time's zone."),
    ]
    names = [item.name for item in node_classes.find_classes().classes]
    assert "AssetIndexedDataNode" not in names


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_form_gives_is_the_node(registered, strict):
    made = node_classes.register(
        node_classes.find_class(f"{asset_nodes.__name__}.Daily"),
        {"asset_list": ["B", "A"], "offset_start": "2026-01-05T21:00:00Z"},
        strict=strict,
    )
    assert made.update.update_hash == Daily(asset_list=["A", "B"], offset_start=BEGIN).update_hash
    assert made.update.build_configuration["arguments"] == {
        "asset_list": ["A", "B"],
        "offset_start": {"datetime": "2026-01-05T21:00:00+00:00"},
    }


def test_a_forms_faults_stand_at_their_fields(registered):
    chosen = node_classes.find_class(f"{asset_nodes.__name__}.Daily")
    with pytest.raises(InvalidFields) as caught:
        node_classes.register(chosen, {"asset_list": ["A", "A"], "offset_start": "2026-01-05T21:00:00"})
    assert caught.value.by_field == {
        "asset_list": "asset_list names A more than once. Name each asset once.",
        "offset_start": "offset_start=2026-01-05T21:00:00 has no time zone. Add one: 2026-01-05T21:00:00Z, or "
        "tzinfo=datetime.UTC.",
    }
    assert not NodeUpdate.objects.exists()


def test_it_is_public():
    import msm.data_nodes
    import msm.data_nodes.assets

    for module in (msm.data_nodes, msm.data_nodes.assets):
        assert module.AssetIndexedDataNode is AssetIndexedDataNode
        assert {"AssetIndexedDataNode", "AssetIndexedConfiguration"} <= set(module.__all__)

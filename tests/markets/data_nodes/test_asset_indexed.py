"""AssetIndexedDataNode: its scope and its start, what they change and what not, and how a run remembers them."""

import datetime as dt
from types import SimpleNamespace

import pandas as pd
import pytest
from pydantic import ValidationError

from markets.data_nodes.asset_indexed import AssetIndexedDataNode
from markets.data_nodes.configuration import build_node, encode_node
from markets.data_nodes.hash_namespaces import hash_namespace
from markets.data_nodes.interpolated_prices import InterpolatedPrices, InterpolatedPricesConfiguration
from markets.data_nodes.prices import ExternalPrices, ExternalPricesConfiguration
from markets.data_nodes.snapshots import AssetSnapshot
from markets.exceptions import InvalidFields, InvalidInput, WrongType
from markets.models import Asset, NodeUpdate
from markets.services import node_classes
from tests.markets.data_nodes import asset_nodes
from tests.markets.data_nodes.asset_nodes import Daily, Ranked, RankedConfiguration, Shifted
from tests.markets.data_nodes.nodes import ByTime, make_assets

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


def test_a_default_of_the_class_is_followed_in_whatever_form_it_is_given():
    class Fixed(Daily):
        def __init__(self, asset_list=("B", "A"), offset_start="2026-01-05T21:00:00Z"):
            super().__init__("fixed", asset_list=asset_list, offset_start=offset_start)

    bare = Fixed()
    assert (bare.asset_list, bare.OFFSET_START) == (["B", "A"], BEGIN)
    assert hashes(Fixed([A, B], BEGIN)) == hashes(Fixed(["A", "B"], BEGIN.astimezone(NEW_YORK))) == hashes(bare)
    assert encode_node(Fixed([A, B], BEGIN))["arguments"] == {}
    assert Fixed(["A"]).update_hash != bare.update_hash


def test_its_namespace_is_that_of_every_node():
    told = Daily(asset_list=["A"], hash_namespace="test")
    assert hashes(told) != hashes(Daily(asset_list=["A"]))
    assert hashes(Daily(asset_list=["A"], namespace="test")) == hashes(told)
    with hash_namespace("test"):
        assert hashes(Daily(asset_list=["A"])) == hashes(told)
        assert hashes(Daily(asset_list=["A"], hash_namespace="")) == hashes(Daily(asset_list=["A"], namespace=""))
    assert told.hash_namespace == "test"
    assert encode_node(Daily(namespace="test"))["arguments"] == {"hash_namespace": "test"}
    with pytest.raises(TypeError, match="asset_lst"):
        Daily(asset_lst=["A"])


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

"""Classes of registered modules are found, described and made into nodes; whatever is wrong writes nothing."""

import datetime as dt
import sys
from decimal import Decimal
from typing import Any

import pytest

from markets.data_nodes.configuration import build_node
from markets.exceptions import Conflict, InvalidFields, InvalidInput, UnknownNodeClass
from markets.models import AssetType, NodeUpdate, StorageNode
from markets.services import node_classes
from markets.services.node_runs import register_node
from tests.admin.nodes import Closes
from tests.markets.services import form_nodes

MODULE = form_nodes.__name__
SETTINGS: dict[str, Any] = {
    "dataset": "averages",
    "side": "sell",
    "since": "2026-01-31T21:00:00Z",
    "is_live": True,
    "window": {"length": 3},
}


@pytest.fixture(autouse=True)
def registered(settings) -> None:
    settings.NODE_MODULES = [MODULE]


@pytest.fixture
def prices(db) -> NodeUpdate:
    return register_node(Closes("closes", ["A"]))


def nothing_written() -> bool:
    return not (NodeUpdate.objects.exists() or StorageNode.objects.exists() or AssetType.objects.exists())


def register(name: str, values: dict[str, Any], **options: Any) -> node_classes.Registration:
    return node_classes.register(node_classes.find_class(f"{MODULE}.{name}"), values, **options)


def faults(name: str, values: dict[str, Any], **options: Any) -> dict[str, str]:
    with pytest.raises(InvalidFields) as caught:
        register(name, values, **options)
    return caught.value.by_field


# --- what is found ---------------------------------------------------------------------------------------------------
def test_classes_of_msm_and_of_the_setting_are_found_and_bases_are_not() -> None:
    found = {item.path: item for item in node_classes.find_classes().classes}

    assert "markets.data_nodes.prices.ExternalPrices" in found
    assert "portfolios.data_nodes.values.PortfolioValues" in found
    assert {path.rpartition(".")[2] for path in found if path.startswith(MODULE)} == {
        *("Averages", "AveragesOfAverages", "Plain", "Forgetful", "Unreadable")
    }
    for base in ("portfolios.data_nodes.signals.SignalWeights", "markets.data_nodes.snapshots.AssetSnapshot"):
        assert base not in found
    averages = found[f"{MODULE}.Averages"]
    assert averages.summary == "Averages of another node's closes."
    assert [(field.name, field.kind) for field in averages.fields] == [
        ("configuration.dataset", "text"),
        ("configuration.side", "choice"),
        ("configuration.since", "time"),
        ("configuration.is_live", "flag"),
        ("configuration.window.length", "number"),
        ("configuration.window.weights", "lines"),
        ("configuration.mode", "choice"),
        ("configuration.fee", "number"),
        ("configuration.day", "date"),
        ("configuration.asset_list", "lines"),
        ("configuration.other.length", "number"),
        ("configuration.other.weights", "lines"),
        ("configuration.extra", "structure"),
        ("prices", "node"),
        ("table", "node"),
        ("lag", "number"),
        ("hash_namespace", "text"),
    ]
    length = averages.fields[4]
    assert (length.help, length.required, length.group) == (
        "Sessions in the window. At least 1, at most 250.",
        True,
        "Window",
    )
    assert not averages.fields[10].required  # of a model that may be left out


def test_a_constructor_that_hands_on_takes_what_its_parent_takes() -> None:
    fields = node_classes.find_class(f"{MODULE}.AveragesOfAverages").fields
    assert [field.name for field in fields[:2]] == ["source", "configuration.dataset"]
    assert fields[-1].name == "hash_namespace"


@pytest.mark.django_db
def test_a_class_that_takes_no_text_says_so_and_hides_no_other() -> None:
    found = node_classes.find_class(f"{MODULE}.Unreadable")
    assert found.fields == ()
    assert found.schema is None
    assert found.problem.startswith("Its arguments cannot be read from text:")
    with pytest.raises(InvalidInput, match="Register it in Python"):
        node_classes.register(found, {"reader": 1})


@pytest.mark.parametrize("source", ["1 / 0", "raise SystemExit(1)", "import no_such_module", "def broken(:"])
def test_a_module_that_cannot_be_imported_is_told_and_hides_no_other(
    source: str, settings, tmp_path, monkeypatch
) -> None:
    (tmp_path / "broken_desk.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("broken_desk", None)
    settings.NODE_MODULES = ["broken_desk", MODULE]

    found = node_classes.find_classes()

    assert [module.name for module in found.broken] == ["broken_desk"]
    assert "MSM_NODE_MODULES names 'broken_desk', which cannot be imported" in found.broken[0].error
    assert f"{MODULE}.Plain" in [item.path for item in found.classes]


@pytest.mark.parametrize(
    "path",
    [
        *("os.system", "antigravity.x", "subprocess.Popen", "Plain", "", ".", f"{MODULE}.Base", f"{MODULE}._Private"),
        *(f"{MODULE}.Side", f"{MODULE}.DataNode", f"{MODULE}.APIDataNode", f"{MODULE}.pd", f"{MODULE}.nothing"),
        *("markets.data_nodes.access.APIDataNode", "markets.data_nodes.snapshots.AssetSnapshot", "\x00.\ud800"),
    ],
)
def test_what_is_no_registered_class_is_refused_and_nothing_is_imported(path: str) -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(UnknownNodeClass):
        node_classes.find_class(path)
    assert "antigravity" not in sys.modules


# --- registering -----------------------------------------------------------------------------------------------------
def test_every_kind_of_value_reaches_the_node(prices: NodeUpdate) -> None:
    values = {
        "configuration": {
            **SETTINGS,
            "mode": "exact",
            "fee": "0.25",
            "day": "2026-02-28",
            "asset_list": ["A", "B"],
            "window": {"length": 3, "weights": [0.5, 1]},
            "other": {"length": 9},
            "extra": {"x": 1.5},
        },
        "prices": "closes",
        "table": "closes",
        "lag": 2,
        "hash_namespace": "test",
    }

    made = register("Averages", values)

    assert made.created
    assert made.table is None
    assert made.update is not None
    assert str(made.update) == "test.averages"
    assert list(made.update.dependencies.all()) == [prices]
    node: Any = build_node(made.update.build_configuration)
    configuration = node.configuration
    assert (configuration.side, configuration.mode) == (form_nodes.Side.SELL, "exact")
    assert (configuration.fee, configuration.day) == (Decimal("0.25"), dt.date(2026, 2, 28))
    assert configuration.since == dt.datetime(2026, 1, 31, 21, tzinfo=dt.UTC)
    assert (configuration.window.weights, configuration.other.length) == ([0.5, 1.0], 9)
    assert (configuration.asset_list, configuration.extra) == (["A", "B"], {"x": 1.5})
    assert node.prices.update_hash == prices.update_hash
    assert (node.arguments["lag"], node.arguments["table"].identifier) == (2, "closes")
    assert node.update_hash == made.update.update_hash


def test_the_same_again_is_the_same_row_and_a_trial_leaves_nothing(prices: NodeUpdate) -> None:
    values = {"configuration": SETTINGS, "prices": prices.update_hash}

    trial = register("Averages", values, dry_run=True)
    assert (trial.update, trial.existing, trial.identifier) == (None, None, "averages")
    assert list(NodeUpdate.objects.all()) == [prices]

    first = register("Averages", values)
    again = register("Averages", {"configuration": {**SETTINGS, "mode": "fast"}, "prices": str(prices.uid)})
    assert first.created
    assert not again.created
    assert again.update == first.update
    assert NodeUpdate.objects.count() == 2


def test_a_node_of_another_class_is_refused_where_the_argument_says_which(prices: NodeUpdate) -> None:
    register("Averages", {"configuration": SETTINGS, "prices": "closes"})
    values = {"configuration": {**SETTINGS, "dataset": "second"}}

    assert faults("AveragesOfAverages", {**values, "source": "closes"}) == {
        "source": "closes is a Closes; this takes a Averages."
    }
    assert register("AveragesOfAverages", {**values, "source": "averages"}).created
    with pytest.raises(InvalidInput, match="multiple values for keyword argument 'prices'"):
        register("AveragesOfAverages", {**values, "source": "averages", "prices": "closes"})


@pytest.mark.parametrize("name", ["nobody", "", " ", "\ud800", 7, None, ["closes"], {"node": "x", "arguments": {}}])
def test_what_names_no_node_is_refused(name: Any, prices: NodeUpdate) -> None:
    found = faults("Averages", {"configuration": SETTINGS, "prices": name})
    assert [place.partition(".")[0] for place in found] == ["prices"]
    assert NodeUpdate.objects.count() == 1


def test_an_identifier_that_names_another_table_is_a_conflict_and_takes_nothing_along(prices: NodeUpdate) -> None:
    values = {"configuration": {**SETTINGS, "dataset": "closes"}, "prices": "closes"}
    with pytest.raises(Conflict, match="already names the table"):
        register("Averages", values)
    assert list(NodeUpdate.objects.all()) == [prices]
    assert StorageNode.objects.count() == 1


def test_every_fault_is_told_at_its_place(prices: NodeUpdate) -> None:
    configuration = {
        "side": "hold",
        "since": "2026-01-31T21:00:00",
        "is_live": "yes",
        "window": {"length": 0, "weights": [1, "x"], "depth": 1},
        "day": "31.01.2026",
        "colour": "red",
    }
    assert faults("Averages", {"configuration": configuration, "prices": "closes", "lag": 1.5, "other": 1}) == {
        "configuration.dataset": "This is required.",
        "configuration.side": "This has to be 'buy' or 'sell'.",
        "configuration.since": "This time has no zone. Add one: 2026-01-31T21:00:00Z.",
        "configuration.is_live": "This has to be true or false.",
        "configuration.window.length": "This has to be at least 1.",
        "configuration.window.weights.1": "This has to be a number.",
        "configuration.window.depth": "Unknown field. It takes length, weights.",
        "configuration.day": "This is no date. Use ISO 8601: 2026-01-31.",
        "configuration.colour": "Unknown field. It takes dataset, side, since, is_live, window, mode, fee, day, "
        "asset_list, other, extra.",
        "lag": "This has to be a whole number.",
        "other": "Unknown field. It takes configuration, prices, table, lag, hash_namespace.",
    }


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"text": "a\x00b"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"text": "x" * 1_000_000}, "text"),
        ({"text": 7}, "text"),
        ({"text": "a", "count": 10**400}, "count"),
        ({"text": "a", "count": float("nan")}, "count"),
        ({"text": "a", "count": float("inf")}, "count"),
        ({"text": "a", "count": "7"}, "count"),
        ({"text": "a", "count": True}, "count"),
        ({"text": "a", "a\x00": 1}, "arguments"),
        ({"text": _deep(5_000)}, "text" + ".x" * 39),
        ({"text": ["x"] * 300_000}, "text"),
        ({}, "text"),
    ],
)
def test_hostile_values_are_refused_at_their_place(values: dict[str, Any], place: str) -> None:
    (found,) = faults("Plain", values)
    assert found.startswith(place[:10])
    assert nothing_written()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("raise", "Plain refuses this configuration. ZeroDivisionError: no such window"),
        ("exit", "Plain refuses this configuration. SystemExit: 3"),
        ("circle", "DataNodes depend on each other in a circle"),
        ("describe", "Plain refuses this configuration. ValidationError"),
        ("publish", "Plain refuses this configuration. ValidationError"),
    ],
)
def test_what_the_class_itself_refuses_is_told_and_nothing_is_written(trouble: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        register("Plain", {"text": "no name!", "trouble": trouble})
    assert message in str(caught.value)
    assert nothing_written()


@pytest.mark.django_db
def test_a_node_that_a_worker_would_build_otherwise_is_refused() -> None:
    with pytest.raises(InvalidInput, match="makes another node of its stored configuration"):
        register("Forgetful", {"text": "a"})
    assert nothing_written()


def test_a_form_sends_text_for_everything(prices: NodeUpdate) -> None:
    settings = {**SETTINGS, "is_live": "true", "window": {"length": "3", "weights": ["0.5", "1"]}, "fee": "0.001"}
    made = register("Averages", {"configuration": settings, "prices": "closes", "lag": "2"}, strict=False)
    same = register(
        "Averages",
        {"configuration": {**SETTINGS, "window": {"length": 3, "weights": [0.5, 1]}}, "prices": "closes", "lag": 2},
    )
    assert made.update == same.update
    assert faults("Plain", {"text": "a", "count": "2.5"}, strict=False) == {"count": "This has to be a whole number."}


def test_msms_own_refusal_is_told_at_its_field(db) -> None:
    chosen = node_classes.find_class("markets.data_nodes.interpolated_prices.InterpolatedPrices")
    register_node(Closes("closes", ["A"]))
    configuration = {
        "dataset": "x",
        "calendar_identifier": "XNYS",
        "asset_list": ["A"],
        "assets_category_unique_id": "c",
    }
    with pytest.raises(InvalidFields) as caught:
        node_classes.register(chosen, {"configuration": configuration, "source": "closes"})
    assert caught.value.by_field == {
        "configuration.asset_list": "Give either asset_list or assets_category_unique_id, not both."
    }

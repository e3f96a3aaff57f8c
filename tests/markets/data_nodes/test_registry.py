"""Stored configurations: what is stored builds an equal node again, of registered classes only."""

import datetime as dt
import json
import sys
import types
import uuid
from decimal import Decimal
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, Field

from markets.data_nodes import registry
from markets.data_nodes.configuration import build_node, encode_node
from markets.data_nodes.metadata import ColumnMetaData
from markets.data_nodes.node import DataNode
from markets.data_nodes.registration import ensure_storage, ensure_update, record_metadata
from markets.exceptions import InvalidInput, UnknownNodeClass
from markets.models import Asset, NodeUpdate
from markets.services import node_runs

THIS = __name__


class Rule(Enum):
    FILL = "ffill"


class Window(BaseModel):
    days: int = 5
    starts_at: dt.datetime | None = None
    label: str = Field(default="", json_schema_extra={"scope": "none"})


class Anything(DataNode):
    def __init__(self, value, *, other=(1, 2), hash_namespace=""):
        self.value, self.other = value, other
        super().__init__(hash_namespace=hash_namespace)


class Parent(DataNode):
    def __init__(self, symbol, days=5, **options):
        self.symbol, self.days = symbol, days
        super().__init__(**options)


class HandsOn(Parent):
    def __init__(self, *positions, colour="red", **named):
        self.colour = colour
        super().__init__(*positions, **named)


class Demanding(Parent):
    def __init__(self, symbol, days, **options):
        super().__init__(symbol, days, **options)


class Mixin:
    def __init__(self, flavour="sweet", **options):
        self.flavour = flavour
        super().__init__(**options)


class Mixed(Mixin, DataNode):
    pass


class Forgetful(DataNode):
    def __init__(self, symbol):
        self.symbol = symbol  # and no super().__init__()


@pytest.fixture(autouse=True)
def registered():
    before = list(registry._modules)
    registry.register_module(THIS)
    yield
    registry._modules[:] = before


def rebuilt(node):
    return build_node(json.loads(json.dumps(encode_node(node))))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        "text",
        ["b", "a"],
        ("b", "a"),
        {"b", "a"},
        {dt.date(2026, 1, 2), dt.date(2026, 1, 3)},
        {"k": [1, {"n": None}]},
        {1: "one", dt.date(2026, 1, 2): "day"},
        Decimal("1.50"),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.date(2026, 1, 2),
        dt.timedelta(minutes=5),
        uuid.UUID(int=5),
        Path("/a/b"),
        Rule.FILL,
        Window(days=7, starts_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        Window(),
    ],
)
def test_an_argument_of_any_kind_comes_back_equal_and_of_its_type(value):
    # regressions among them: enums, paths, tuples, timedeltas, sets of dates and keys that are no text
    node = Anything(value)
    again = rebuilt(node)
    assert again.value == value
    assert type(again.value) is type(value)
    assert (again.update_hash, again.storage_hash) == (node.update_hash, node.storage_hash)


@pytest.mark.parametrize(
    "value",
    [np.float64(0.1), np.int64(3), [Asset(unique_identifier="B"), Asset(unique_identifier="A")],
     Asset(unique_identifier="A"), Anything([Anything(1), Anything(2)])],
    ids=["float", "int", "assets", "asset", "nodes"],
)  # fmt: skip
def test_what_comes_back_in_another_type_has_the_same_hashes(value):
    # regression: an unsorted list of assets came back as another node, with another table
    node = Anything(value)
    assert (rebuilt(node).update_hash, rebuilt(node).storage_hash) == (node.update_hash, node.storage_hash)


def test_a_default_of_another_type_than_json_has():
    # regression: the tuple came back as a list, which was not the default: another node, another table
    assert rebuilt(Anything(1)).update_hash == Anything(1).update_hash
    assert Anything(1, other=[1, 2]).update_hash == Anything(1).update_hash


def test_defaults_are_not_stored_so_that_a_node_follows_its_class():
    assert encode_node(Parent("A")) == {"node": f"{THIS}.Parent", "arguments": {"symbol": "A"}}


def test_a_value_that_only_the_parent_has_for_default_is_stored():
    # regression: it was left out, and the node could not be built from what was stored
    assert encode_node(Demanding("A", 5))["arguments"] == {"symbol": "A", "days": 5}
    assert rebuilt(Demanding("A", 5)).update_hash == Demanding("A", 5).update_hash


def test_a_namespace_is_part_of_what_is_stored():
    node = Anything(1, hash_namespace=" test ")
    assert rebuilt(node).hash_namespace == "test"
    assert rebuilt(node).update_hash == node.update_hash != Anything(1).update_hash


def test_positions_that_go_through_a_subclass_keep_their_names():
    # regression: they were neither hashed nor stored, so that two configurations wrote one table
    assert HandsOn("A", 7).arguments == {"symbol": "A", "days": 7, "colour": "red"}
    assert HandsOn("A").update_hash != HandsOn("B").update_hash
    assert HandsOn("A").update_hash == HandsOn(symbol="A", days=5).update_hash
    assert (rebuilt(HandsOn("A", 7)).symbol, rebuilt(HandsOn("A", 7)).days) == ("A", 7)


def test_the_arguments_of_a_mixin():
    # regression: only those of DataNodes' own constructors were seen
    assert Mixed(flavour="sour").update_hash != Mixed(flavour="bitter").update_hash
    assert rebuilt(Mixed(flavour="sour")).flavour == "sour"


def test_a_constructor_that_forgets_its_parent():
    # regression: AttributeError: hash_namespace
    assert rebuilt(Forgetful("A")).update_hash == Forgetful("A").update_hash


def test_arguments_that_cannot_be_stored():
    with pytest.raises(InvalidInput, match=r"^value holds a object, which has no canonical form\."):
        Anything(object()).update_hash  # noqa: B018
    with pytest.raises(InvalidInput, match=r"^value holds text with a NUL character, which cannot be stored\.$"):
        encode_node(Anything("a\x00"))


@pytest.mark.parametrize(
    "value",
    [Window(label="a\x00"), {"a\x00": 1}, [{"a": ("b\x00",)}], Path("a\x00"), "\ud800"],
)
def test_text_that_cannot_be_stored_is_found_wherever_it_stands(value, db):
    # regression: a NUL in a field of a model was a DataError of the database
    node = Anything(value)
    with pytest.raises(InvalidInput, match=r"^value holds text with a (NUL character|lone surrogate), which cannot"):
        ensure_update(node)
    assert not NodeUpdate.objects.exists()


def test_a_class_that_is_not_registered():
    stored = encode_node(Anything(1))
    registry._modules.remove(THIS)
    with pytest.raises(UnknownNodeClass) as caught:
        build_node(stored)
    assert str(caught.value).startswith(
        f"{THIS}.Anything is not in a registered module. Put the class into an importable module and name that module "
        "in MSM_NODE_MODULES; registered now: markets.data_nodes.access, "
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{THIS}.Anythin", f"{THIS} has no class Anythin. Did you mean Anything?"),
        (f"{THIS}.Qqq", f"{THIS} has no class Qqq. It may have been renamed."),
        (f"{THIS}.Window", f"{THIS}.Window is not a DataNode."),
        (f"{THIS}.THIS", f"{THIS} has no class THIS. It may have been renamed."),
        ("os.system", None),
    ],
)
def test_paths_that_name_no_node(path, message):
    with pytest.raises(UnknownNodeClass) as caught:
        build_node({"node": path, "arguments": {}})
    assert message is None or str(caught.value) == message


def test_a_model_that_is_none():
    with pytest.raises(UnknownNodeClass, match=r"\.Anything is not a configuration model\.$"):
        build_node({"node": f"{THIS}.Anything", "arguments": {"value": {"model": f"{THIS}.Anything", "fields": {}}}})


def test_a_configuration_that_the_class_no_longer_takes():
    with pytest.raises(UnknownNodeClass, match=r"no longer takes its stored configuration \(.*'colour'\)\. Create the"):
        build_node({"node": f"{THIS}.Anything", "arguments": {"value": 1, "colour": 2}})


def test_a_module_that_cannot_be_imported(settings, tmp_path, monkeypatch):
    # regression: it was said only of modules that do not exist
    (tmp_path / "broken_nodes.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.NODE_MODULES = ["broken_nodes"]
    with pytest.raises(UnknownNodeClass) as caught:
        registry.registered_class("broken_nodes.Node")
    assert str(caught.value) == (
        "MSM_NODE_MODULES names 'broken_nodes', which cannot be imported (division by zero). Install it where MSM "
        "runs, mend it, or remove it from the setting."
    )


@pytest.mark.django_db
def test_a_registered_node_is_found_by_hash_uid_and_identifier():
    node = Parent("A")
    update = node_runs.register_node(node)
    assert node_runs.find_node_update(node.update_hash) == update
    assert node_runs.find_node_update(str(update.uid)) == update
    assert node_runs.register_node(Parent("A")) == update
    assert NodeUpdate.objects.count() == 1


def test_modules_of_the_setting_are_registered(settings):
    module = types.ModuleType("nodes_of_a_test")
    module.Node = type("Node", (Parent,), {"__module__": "nodes_of_a_test"})
    sys.modules[module.__name__] = module
    try:
        settings.NODE_MODULES = [module.__name__]
        assert registry.node_class("nodes_of_a_test.Node") is module.Node
    finally:
        del sys.modules[module.__name__]


@pytest.mark.django_db
def test_the_unit_of_a_column_is_kept_where_there_is_one():
    node = Anything("priced")
    storage = ensure_storage(node)
    columns = [
        ColumnMetaData(column_name="close", dtype="float64", label="Close", unit="USD"),
        ColumnMetaData(column_name="volume", dtype="float64", label="Volume"),
    ]
    record_metadata(node, storage, {"close": "float64", "volume": "float64"}, columns)
    storage.refresh_from_db()
    assert storage.columns == [
        {"column_name": "close", "dtype": "float64", "label": "Close", "description": "", "unit": "USD"},
        {"column_name": "volume", "dtype": "float64", "label": "Volume", "description": ""},
    ]

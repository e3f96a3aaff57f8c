"""Hash namespaces: an experiment's nodes have tables and names of their own, and leave everybody else's alone."""

import pytest

from markets import namespaces
from markets.data_nodes import registry
from markets.data_nodes.access import APIDataNode
from markets.data_nodes.configuration import build_node, encode_node
from markets.data_nodes.hash_namespaces import hash_namespace
from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.node import DataNode
from markets.exceptions import InvalidInput, NotFound
from markets.models import NodeUpdate
from tests.markets.data_nodes.nodes import Given, bars, make_assets


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_modules", [*registry._modules, __name__, "tests.markets.data_nodes.nodes"])


class Plain(DataNode):
    """As the seeds write them: all that is not its own goes on to the base."""

    def __init__(self, days=5, *args, **kwargs):
        self.days = days
        super().__init__(*args, **kwargs)


class Closed(DataNode):
    """Takes no namespace at all."""

    def __init__(self, days=5):
        self.days = days
        super().__init__()


class Owner(DataNode):
    """`namespace` is an argument of its own."""

    def __init__(self, namespace="business", **options):
        self.namespace = namespace
        super().__init__(**options)


class Head(DataNode):
    """Builds what it reads in its constructor, before its parent's."""

    def __init__(self, *, hash_namespace=""):
        self.source = Plain()
        self.table = APIDataNode("bars")
        super().__init__(hash_namespace=hash_namespace)

    def dependencies(self):
        return {"source": self.source, "closed": Closed()}


def test_whoever_is_nearest_names_the_namespace():
    # given no block: the process's, which is none
    assert Plain().hash_namespace == ""
    with hash_namespace(" outer "):
        # then the block's, unless one is named; "" among the names
        assert Plain().hash_namespace == Closed().hash_namespace == "outer"
        assert Plain(hash_namespace="mine").hash_namespace == "mine"
        assert Plain(hash_namespace="").hash_namespace == ""
        assert Plain(namespace="").hash_namespace == ""
        with hash_namespace("inner"):
            assert Plain().hash_namespace == "inner"
        with hash_namespace(""):
            assert Plain().hash_namespace == ""
        assert Plain().hash_namespace == "outer"
    assert Plain().hash_namespace == ""


def test_a_default_that_a_subclass_hands_on_names_nothing():
    with hash_namespace("outer"):
        assert Given().hash_namespace == "outer"
        assert Given(hash_namespace="").hash_namespace == ""


def test_hashes_without_a_namespace_are_those_that_they_were():
    plain = Plain()
    with hash_namespace("test"):
        assert Plain(hash_namespace="").storage_hash == plain.storage_hash
        assert Plain().storage_hash != plain.storage_hash
        assert Plain().storage_hash == Plain(hash_namespace="test").storage_hash == Plain(namespace="test").storage_hash


def test_the_alias_and_its_name_agree():
    assert Plain(namespace="test").hash_namespace == "test"
    assert Plain(namespace=" test", hash_namespace="test ").hash_namespace == "test"
    with pytest.raises(InvalidInput, match="hash_namespace='a' and namespace='b' name two namespaces"):
        Plain(namespace="b", hash_namespace="a")


def test_an_argument_of_that_name_is_the_classes_own():
    node = Owner(namespace="equities", hash_namespace="test")
    assert (node.namespace, node.hash_namespace) == ("equities", "test")
    assert node.storage_hash != Owner(hash_namespace="test").storage_hash


@pytest.mark.parametrize("name", ["two words", "a\x00b", ".x", "x" * 64, "\ud800", 5])
def test_a_name_that_cannot_begin_an_identifier(name):
    with pytest.raises(InvalidInput, match="hash_namespace"):
        Plain(hash_namespace=name)
    with pytest.raises(InvalidInput, match="hash_namespace"), hash_namespace(name):
        pass


def test_what_a_node_builds_belongs_to_its_namespace():
    # when it is built in the constructor, and when dependencies() is asked later, outside the block
    node = Head(hash_namespace="test")
    assert node.source.hash_namespace == "test"
    assert {name: item.hash_namespace for name, item in node.upstream().items()} == {"source": "test", "closed": "test"}
    # and an explicit "" keeps an outer block out
    with hash_namespace("outer"):
        bare = Head(hash_namespace="")
    assert bare.source.hash_namespace == ""
    with hash_namespace("outer"):
        assert bare.upstream()["closed"].hash_namespace == ""


@pytest.mark.parametrize("make", [Plain, Closed, Head, lambda: Plain(hash_namespace="")])
def test_a_stored_node_is_built_as_it_was_whatever_block_it_is_built_in(make, db):
    with hash_namespace("stored"):
        node = make()
    stored = encode_node(node)
    for ambient in ("", "other"):
        with hash_namespace(ambient):
            built = build_node(stored)
        assert (built.hash_namespace, built.update_hash) == (node.hash_namespace, node.update_hash)
    # and one that was stored without a namespace stays without
    bare = encode_node(Plain(days=7))
    with hash_namespace("other"):
        assert build_node(bare).hash_namespace == ""


def test_no_namespace_within_a_namespace_of_the_process_is_remembered(monkeypatch):
    monkeypatch.setattr(namespaces, "_current", "examples")
    assert Plain().hash_namespace == "examples"
    bare = Plain(hash_namespace="")
    assert bare.hash_namespace == ""
    assert build_node(encode_node(bare)).hash_namespace == ""
    assert build_node(encode_node(Plain())).hash_namespace == "examples"
    assert "hash_namespace" not in encode_node(Plain())["arguments"]


@pytest.mark.django_db
def test_a_tree_runs_in_its_namespace_and_is_found_from_within():
    # given a real table and an experiment under one identifier
    make_assets("A")
    real = Given().returns(bars([(0, "A", 1.0)]))
    real.table = TableMetaData(identifier="bars")
    real.run()
    with hash_namespace("test"):
        experiment = Given().returns(bars([(0, "A", 2.0)]))
    experiment.table = TableMetaData(identifier="bars")
    experiment.run()
    # then each is found from its own side, and the experiment from outside by its full name only
    assert APIDataNode.build_from_identifier("bars").get_df_between_dates()["close"].tolist() == [1.0]
    with hash_namespace("test"):
        inner = APIDataNode.build_from_identifier("bars")
    assert inner.get_df_between_dates()["close"].tolist() == [2.0]
    assert APIDataNode.build_from_identifier("test.bars").storage_hash == experiment.storage_hash
    with hash_namespace("other"):  # what it has not itself it reads from outside
        assert APIDataNode.build_from_identifier("bars").storage_hash == real.storage_hash
    assert build_node(encode_node(inner)).storage_hash == experiment.storage_hash


@pytest.mark.django_db
def test_only_an_experiment_publishes_a_name():
    make_assets("A")
    with hash_namespace("test"):
        node = Given()
    node.table = TableMetaData(identifier="private")
    node.run()
    with pytest.raises(NotFound):
        APIDataNode.build_from_identifier("private")


@pytest.mark.django_db
def test_an_identifier_that_is_too_long_with_its_namespace():
    make_assets("A")
    node = Given(hash_namespace="test")
    node.table = TableMetaData(identifier="x" * 251)
    with pytest.raises(InvalidInput, match="has 256 characters with its namespace; 255 is the most"):
        node.run()
    assert NodeUpdate.objects.get().storage.identifier is None

"""The stored edges follow `dependencies()`, and no circle gets into them, not even through a published identifier."""

import pytest

from markets.data_nodes import registration
from markets.data_nodes.access import APIDataNode
from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.runs import execution_order
from markets.exceptions import DependencyCycleError
from markets.models import NodeRun, NodeUpdate
from markets.services import node_runs
from tests.markets.data_nodes.nodes import Given, bars, make_assets, stored


@pytest.fixture(autouse=True)
def assets(db):
    make_assets("A", "B")


def published(name, reads=()):
    """A node whose table is found by its name; what it reads is no part of its configuration."""

    class Published(Given):
        _ARGS_IGNORE_IN_STORAGE_HASH = ("reads",)

    node = Published(name)
    node.reads = list(reads)
    node.table = TableMetaData(identifier=name)
    return node


def edges():
    through = NodeUpdate.dependencies.through.objects
    return sorted(through.values_list("from_nodeupdate__update_hash", "to_nodeupdate__update_hash"))


# --- drift -----------------------------------------------------------------------------------------------------------
def test_edges_follow_what_a_node_reads_now():
    # given
    first, second, third = Given("first"), Given("second"), Given("third")
    head = published("head", [first, second])
    head.run()
    assert edges() == sorted([(head.update_hash, first.update_hash), (head.update_hash, second.update_hash)])
    # when its code reads others, with the same configuration
    head.reads = [second, third]
    head.run()
    # then
    assert edges() == sorted([(head.update_hash, second.update_hash), (head.update_hash, third.update_hash)])
    assert NodeUpdate.objects.filter(update_hash=first.update_hash).exists()  # it goes on without this reader
    # and when it reads nothing
    head.reads = []
    head.run()
    assert edges() == []


def test_a_drift_deep_in_the_tree_is_mended_by_a_run_of_its_head():
    # given head → middle → first
    first, second = Given("first"), Given("second")
    middle = published("middle", [first])
    head = published("head", [middle])
    head.run()
    before = NodeRun.objects.count()
    # when the one in the middle reads another
    middle.reads = [second]
    head.run()
    # then
    assert edges() == sorted([(head.update_hash, middle.update_hash), (middle.update_hash, second.update_hash)])
    ran = NodeRun.objects.order_by("id").values_list("node_update__update_hash", flat=True)[before:]
    assert list(ran) == [second.update_hash, middle.update_hash, head.update_hash]


def test_edges_to_the_writers_of_a_table_read_by_identifier():
    # given a table with one writer, read by identifier
    class Part(Given):
        _ARGS_IGNORE_IN_STORAGE_HASH = ("name",)

    one, other = Part("one"), Part("other").returns(bars([(0, "B", 1.0)]))
    one.table = other.table = TableMetaData(identifier="parts")
    one.run()
    head = published("head", [APIDataNode.build_from_identifier("parts")])
    head.run()
    assert edges() == [(head.update_hash, one.update_hash)]
    # when a second one writes the table
    other.run()
    head.run()
    # then both are read, and neither was run for it
    assert edges() == sorted([(head.update_hash, one.update_hash), (head.update_hash, other.update_hash)])
    assert (one.calls.count("update"), other.calls.count("update")) == (1, 1)


# --- circles ---------------------------------------------------------------------------------------------------------
def test_a_circle_of_three_is_named_before_anything_runs():
    one, two, three = Given("one"), Given("two"), Given("three")
    one.reads, two.reads, three.reads = [two], [three], [one]
    with pytest.raises(DependencyCycleError) as caught:
        one.run()
    names = " → ".join(node.update_hash for node in (one, two, three, one))
    assert str(caught.value) == f"DataNodes depend on each other in a circle: {names}."
    assert (NodeUpdate.objects.count(), NodeRun.objects.count()) == (0, 0)


def test_a_circle_through_an_identifier_is_refused_and_the_edges_stay_as_they_were():
    # given prices, and a signal that reads them
    prices = published("prices")
    prices.run()
    signal = published("signal", [prices])
    signal.run()
    before = edges()
    # when the prices come to read the signal, by its published name
    prices.reads = [APIDataNode.build_from_identifier("signal")]
    assert [node.name for node in execution_order(signal)] == ["prices", "signal"]  # a walk sees no circle
    for run in (prices.run, signal.run, lambda: node_runs.register_node(prices)):
        with pytest.raises(DependencyCycleError) as caught:
            run()
        assert str(caught.value) == (
            "DataNodes depend on each other in a circle, one of them by identifier: "
            f"{prices.update_hash} → {signal.update_hash} → {prices.update_hash}. Take one of these dependencies out."
        )
    # then
    assert edges() == before
    assert NodeRun.objects.count() == 3  # prices, and prices with the signal
    assert len(stored(prices)) == 1


def test_an_edge_that_its_node_has_given_up_closes_no_circle():
    # given head → source as stored, and code in which it is the other way round
    source, head = published("source"), published("head")
    head.reads = [source]
    head.run()
    assert edges() == [(head.update_hash, source.update_hash)]
    head.reads, source.reads = [], [head]
    # when, without a run of the other one first
    registration.ensure_update(source)
    # then
    assert edges() == [(source.update_hash, head.update_hash)]
    source.run()
    assert edges() == [(source.update_hash, head.update_hash)]


def test_a_node_that_reads_its_own_table_by_identifier_reads_its_past():
    # regression: it depended on itself, and each of its runs marked it as stale
    node = published("own")
    node.run()
    node.reads = [APIDataNode.build_from_identifier("own")]
    node.returns(bars([(1, "A", 2.0)])).run()
    assert edges() == []
    assert NodeUpdate.objects.get().stale_from is None

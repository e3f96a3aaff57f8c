"""Readers of a table by its identifier: they rest on whoever writes it, companions and later writers among them."""

import threading

import pytest
from django.db import connections

from markets.data_nodes.access import APIDataNode
from markets.data_nodes.metadata import TableMetaData
from markets.data_nodes.output import NodeOutput
from markets.exceptions import DependencyDriftError
from markets.models import NodeUpdate
from tests.markets.data_nodes.nodes import DAY, START, Given, bars, make_assets, stored


class Weights(Given):
    """Written beside another node's rows."""

    write_mode = "overwrite"

    def get_table_metadata(self):
        return TableMetaData(identifier="weights")


class Values(Given):
    write_mode = "overwrite"

    def __init__(self, name="values", *, hash_namespace=""):
        self.weights = Weights("weights")
        super().__init__(name, hash_namespace=hash_namespace)

    def companions(self):
        return (self.weights,)

    def returns_both(self, values, weights):
        return self.returns(NodeOutput(bars(values), [(self.weights, bars(weights))]))


class Copy(Given):
    """What its source has beyond what it has itself."""

    def __init__(self, source, *, name="copy", hash_namespace=""):
        self.source = source
        super().__init__(name, [source], hash_namespace=hash_namespace)

    def update(self):
        rows = self.source.get_df_between_dates()
        last = self.update_statistics.index_progress
        return rows[[name not in last or time > last[name] for time, name in rows.index]]


def update_of(node):
    return NodeUpdate.objects.get(update_hash=node.update_hash)


@pytest.mark.django_db
def test_a_reader_of_a_companion_rests_on_the_node_that_writes_it():
    # given
    make_assets("A", "B")
    values = Values().returns_both([(0, "A", 1.0), (1, "A", 1.0)], [(0, "A", 0.5), (1, "A", 0.5)])
    values.run()
    reader = Copy(APIDataNode.build_from_identifier("weights"))
    reader.run()
    # then there is an edge
    assert [item.update_hash for item in update_of(reader).dependencies.all()] == [values.update_hash]
    assert update_of(reader).tables_read == [values.weights.storage_hash]
    assert update_of(values).companion_tables == [values.weights.storage_hash]
    # when a weight is corrected
    values.returns_both([(1, "A", 1.0)], [(1, "A", 0.75)]).run()
    # then the reader is stale from there, and computed again
    assert update_of(reader).stale_from == START + DAY
    reader.run(update_tree=False, force_update=True)
    assert [row[-1] for row in stored(reader)] == [0.5, 0.75]
    assert update_of(reader).stale_from is None


@pytest.mark.django_db
def test_a_writer_that_came_after_the_reader_marks_it():
    # given two updates of one table; the second was not there when the reader was linked
    make_assets("A", "B")

    class Part(Given):
        _ARGS_IGNORE_IN_STORAGE_HASH = ("name",)
        write_mode = "overwrite"

        def get_table_metadata(self):
            return TableMetaData(identifier="shared")

    first, second = Part("first"), Part("second")
    first.returns(bars([(day, "A", 1.0) for day in range(3)])).run()
    reader = Copy(APIDataNode.build_from_identifier("shared"))
    reader.run()
    # when
    second.returns(bars([(1, "A", 9.0)])).run()
    # then
    assert update_of(reader).stale_from == START + DAY


@pytest.mark.django_db
def test_a_node_that_reads_its_own_table_does_not_make_itself_stale():
    make_assets("A")
    node = type("Own", (Given,), {"write_mode": "overwrite"})("own")
    node.table = TableMetaData(identifier="own")
    node.returns(bars([(0, "A", 1.0), (1, "A", 1.0)])).run()
    node.dependencies = lambda: {"own": APIDataNode("own")}
    node.returns(bars([(0, "A", 5.0)])).run()
    assert [row[-1] for row in stored(node)] == [5.0, 1.0]
    assert update_of(node).stale_from is None
    assert not update_of(node).dependencies.exists()


@pytest.mark.django_db
def test_dependencies_that_change_each_time_they_are_asked_for_are_refused():
    # given
    make_assets("A")
    numbers = iter(range(1_000))
    node = Given("restless")
    node.dependencies = lambda: {"source": Given(f"source {next(numbers)}")}
    # when
    with pytest.raises(DependencyDriftError, match=r"Given\.dependencies\(\) tells other nodes each time"):
        node.run(update_tree=False)
    # then what is told anew, and stays, is followed
    one, other = Given("one"), Given("other")
    node.dependencies = lambda: {"source": one}
    node.run()
    node.dependencies = lambda: {"source": other}
    node.run()
    assert [item.update_hash for item in update_of(node).dependencies.all()] == [other.update_hash]


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_begins_between_a_mark_and_its_commit_reads_the_new_rows(transactional_db):
    # given a reader that has come to day 1, and a writer that has looked for readers and not committed
    make_assets("A")
    source = type("Source", (Given,), {"write_mode": "overwrite"})("source")
    source.returns(bars([(0, "A", 1.0), (1, "A", 1.0)])).run()
    reader = Copy(source)
    reader.run(update_tree=False)
    source.returns(bars([(2, "A", 1.0)])).run()
    marked, commit, errors = threading.Event(), threading.Event(), []

    def after(error):
        marked.set()
        assert commit.wait(20)

    def write():
        try:
            source.after = after
            source.returns(bars([(2, "A", 7.0)])).run()  # the reader is not there yet: it is not marked
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    assert marked.wait(20)
    # when the reader begins now
    threading.Timer(0.5, commit.set).start()
    reader.run(update_tree=False)
    writer.join()
    # then it waited, and has the new row
    assert errors == []
    assert commit.is_set()
    assert [row[-1] for row in stored(reader)] == [1.0, 1.0, 7.0]
    assert update_of(reader).stale_from is None

"""The tree of runs: order, one run an update at a time, what a dead process leaves behind, two writers at once."""

import datetime as dt
import threading

import psycopg
import pytest
from django.db import connection, connections

from markets import locks
from markets.data_nodes import registration, run_records
from markets.data_nodes.metadata import ColumnMetaData, TableMetaData
from markets.data_nodes.statistics import UpdateStatistics
from markets.exceptions import AlreadyRunning, DependencyCycleError, InvalidInput, NotFound, RunSuperseded
from markets.models import NodeRun, NodeUpdate, RunStatus, StorageNode
from tests.markets.data_nodes.nodes import (
    DAY,
    START,
    ByBook,
    Given,
    bars,
    exists,
    make_assets,
    recount,
    statistics,
    stored,
)

INTERRUPTED = (
    "The process that ran this update died or lost its database. Nothing of the run was written; run it again."
)


@pytest.fixture
def assets(db):
    make_assets("A", "B")


@pytest.fixture
def committed_assets(transactional_db):
    make_assets("A", "B")


@pytest.fixture
def other_connection(transactional_db):
    """A second connection to the test's database, as another process has."""
    settings = connection.get_connection_params()
    options = {key: settings[key] for key in ("dbname", "user", "host", "port", "password") if settings.get(key)}
    with psycopg.connect(**options, autocommit=True) as other:
        yield other


# --- order -----------------------------------------------------------------------------------------------------------
def test_the_nine_steps_in_order(assets):
    # given a node that looks around in each step
    seen = {}

    class Looking(Given):
        def _look(self, step):
            storages = StorageNode.objects.filter(storage_hash=self.storage_hash)
            updates = NodeUpdate.objects.filter(update_hash=self.update_hash)
            has_statistics = "update_statistics" in vars(self)
            rows = len(stored(self)) if exists(self) else None
            seen[step] = (storages.count(), updates.count(), has_statistics, rows)

        def get_asset_list(self):
            self._look("get_asset_list")
            return super().get_asset_list()

        def update(self):
            self._look("update")
            return super().update()

        def get_table_metadata(self):
            self._look("get_table_metadata")
            return super().get_table_metadata()

        def run_post_update_routines(self, error_on_last_update):
            self._look("run_post_update_routines")
            super().run_post_update_routines(error_on_last_update)

    node = Looking()
    node.scope = ["A"]
    # when
    node.run()
    # then
    assert node.calls == [
        "get_asset_list",
        "update",
        "get_column_metadata",
        "get_table_metadata",
        "run_post_update_routines(False)",
    ]
    assert seen == {
        "get_asset_list": (1, 1, True, None),
        "update": (1, 1, True, None),
        "get_table_metadata": (1, 1, True, 1),
        "run_post_update_routines": (1, 1, True, 1),
    }


def test_dependencies_run_first_and_each_once(assets):
    # given a diamond in which the two middle nodes have equal, but not the same, sources
    order = []

    def note(node):
        order.append(node.name)
        return bars([(0, "A", 1.0)])

    def source():
        node = Given("source")
        node.make = note
        return node

    left, right = Given("left", [source()]), Given("right", [source()])
    head = Given("head", [left, right])
    left.make = right.make = head.make = note
    # when
    head.run()
    # then
    assert order == ["source", "left", "right", "head"]
    edges = {
        update.update_hash.split("_")[0] + ":" + name: set(update.dependencies.values_list("update_hash", flat=True))
        for name, update in (
            (node.name, NodeUpdate.objects.get(update_hash=node.update_hash)) for node in (head, left, right)
        )
    }
    assert edges == {
        "given:head": {left.update_hash, right.update_hash},
        "given:left": {source().update_hash},
        "given:right": {source().update_hash},
    }


def test_a_dependency_has_run_before_the_asset_list_is_asked_for(assets):
    source = Given("source").returns(bars([(0, "B", 1.0)]))

    class Follower(Given):
        def get_asset_list(self):
            return list(source.get_update_statistics())

    head = Follower("head", [source])
    head.make = lambda node: bars([(0, name, 1.0) for name in node.update_statistics])
    head.run()
    assert stored(head) == [(START, "B", 1.0)]


def test_a_ladder_of_diamonds_is_registered_in_few_queries(assets, django_assert_max_num_queries):
    # regression: each node registered its whole tree anew, so that 12 levels took thousands of queries
    level = [Given("0a"), Given("0b")]
    for number in range(1, 12):
        level = [Given(f"{number}a", level), Given(f"{number}b", level)]
    head = Given("head", level)
    with django_assert_max_num_queries(25 * 42):
        head.run()
    assert NodeRun.objects.filter(status=RunStatus.SUCCEEDED).count() == 25
    with django_assert_max_num_queries(25 * 30):
        head.run()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["source", "head"]),
        ({"update_tree": False}, ["head"]),
        ({"update_only_tree": True}, ["source"]),
    ],
)
def test_what_part_of_the_tree_runs(assets, options, expected):
    source = Given("source")
    head = Given("head", [source])
    head.run(**options)
    assert [node.name for node in (source, head) if "update" in node.calls] == expected
    if "update_tree" in options:
        assert not exists(source)
    if "update_only_tree" in options:
        assert not exists(head)


def test_a_circle_is_named(assets):
    first, second = Given("first"), Given("second")
    assert first.update_hash != second.update_hash  # hashes are taken before the circle is closed
    first.reads.append(second)
    second.reads.append(first)
    with pytest.raises(DependencyCycleError) as caught:
        first.run()
    assert str(caught.value) == (
        f"DataNodes depend on each other in a circle: {first.update_hash} → {second.update_hash} → {first.update_hash}."
    )
    assert NodeRun.objects.count() == 0


def test_a_failed_dependency_stops_the_tree_and_keeps_what_ran_before(assets):
    good = Given("good")
    bad = Given("bad", [good]).returns(None)
    head = Given("head", [bad])
    with pytest.raises(InvalidInput, match="returned None"):
        head.run()
    assert stored(good) == [(START, "A", 1.0)]
    assert head.calls == []
    assert dict(NodeRun.objects.values_list("node_update__update_hash", "status")) == {
        good.update_hash: RunStatus.SUCCEEDED,
        bad.update_hash: RunStatus.FAILED,
    }


# --- statistics ------------------------------------------------------------------------------------------------------
def test_statistics_are_scoped_to_the_asset_list(assets):
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 1.0)]))
    node.run()
    node.scope = ["B", "A"]
    node.run()
    found = node.update_statistics
    assert found.index_progress == {"B": node.OFFSET_START, "A": START + DAY}
    assert found.index_min == {"A": START}
    assert found.max_time_index_value == START + DAY
    assert found.get_update_range_map_great_or_equal() == {
        "B": {"start_date_operand": ">=", "start_date": node.OFFSET_START},
        "A": {"start_date_operand": ">=", "start_date": START + DAY},
    }


def test_statistics_of_three_levels_are_scoped_by_the_asset(assets):
    # regression: every identity was reported as never seen
    index = ["time_index", "book", "asset_identifier"]
    node = ByBook().returns(bars([(0, "x", "A", 1.0), (1, "y", "A", 1.0), (0, "x", "B", 1.0)], index=index))
    node.run()
    node.scope = ["A"]
    node.run()
    assert node.update_statistics.index_progress == {("x", "A"): START, ("y", "A"): START + DAY}


def test_overriding_statistics_are_used_as_they_are_even_when_empty(assets):
    # regression: an empty override was taken for none
    node = Given()
    node.run()
    node.scope = ["A"]
    empty = UpdateStatistics()
    node.run(override_update_stats=empty)
    assert node.update_statistics is empty


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (
            ["A", 3],
            "asset_list[1] is a int, neither an identifier nor an asset. Give the unique_identifier as text, or the "
            "asset.",
        ),
        (["A", " "], "asset_list[1] is blank. Remove it."),
        (["A", "B", "A"], "asset_list names A more than once. Name each asset once."),
    ],
)
def test_a_wrong_asset_list(assets, scope, message):
    node = Given()
    node.scope = scope
    with pytest.raises(InvalidInput) as caught:
        node.run()
    assert (str(caught.value), caught.value.field) == (message, "asset_list")
    assert NodeRun.objects.get().status == RunStatus.FAILED


# --- one run at a time -----------------------------------------------------------------------------------------------
def number_of(node):
    return registration.ensure_update(node).pk


@pytest.mark.django_db(transaction=True)
def test_a_run_is_refused_while_another_process_runs_the_update(committed_assets, other_connection):
    # given
    node = Given()
    node.table = TableMetaData(identifier="bars")
    number = number_of(node)
    other_connection.execute("SELECT pg_advisory_lock(%s, %s)", [int(locks.LockSpace.NODE_UPDATE), number])
    # when
    with pytest.raises(AlreadyRunning) as caught:
        node.run()
    # then
    assert str(caught.value) == (f"{node.update_hash} is being updated by another process. Wait for its run to end.")
    assert NodeRun.objects.count() == 0
    # and when the other has let go
    other_connection.execute("SELECT pg_advisory_unlock_all()")
    node.run()
    assert stored(node) == [(START, "A", 1.0)]


@pytest.mark.django_db(transaction=True)
def test_a_dependency_that_another_process_updates_is_waited_for(committed_assets, other_connection):
    # given two trees that share a node, and another process in the middle of that node's run
    shared = Given("shared")
    head = Given("head", reads=[Given("shared")])
    lock = [int(locks.LockSpace.NODE_UPDATE), number_of(shared)]
    other_connection.execute("SELECT pg_advisory_lock(%s, %s)", lock)
    threading.Timer(0.5, lambda: other_connection.execute("SELECT pg_advisory_unlock(%s, %s)", lock)).start()
    # when
    head.run()
    # then both ran, one after the other's end
    assert set(NodeRun.objects.values_list("status", flat=True)) == {RunStatus.SUCCEEDED}
    assert NodeRun.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_run_of_a_dead_process_is_closed_by_the_next_one(committed_assets):
    node = Given()
    dead = NodeRun.objects.create(node_update=registration.ensure_update(node), started_at=START)
    node.run()
    dead.refresh_from_db()
    assert (dead.status, dead.error_type, dead.error_message) == (RunStatus.FAILED, "Interrupted", INTERRUPTED)
    assert dead.finished_at is not None
    assert NodeRun.objects.get(status=RunStatus.SUCCEEDED).rows_written == 1


@pytest.mark.django_db(transaction=True)
def test_runs_of_dead_processes_are_found_without_a_next_one(committed_assets, other_connection):
    # regression: such a run was shown as running for ever
    dead = NodeRun.objects.create(node_update=registration.ensure_update(Given("dead")), started_at=START)
    alive = NodeRun.objects.create(node_update=registration.ensure_update(Given("alive")), started_at=START)
    lock = [int(locks.LockSpace.NODE_UPDATE), alive.node_update_id]
    other_connection.execute("SELECT pg_advisory_lock(%s, %s)", lock)
    assert run_records.close_interrupted_runs() == 1
    assert dict(NodeRun.objects.values_list("pk", "status")) == {dead.pk: RunStatus.FAILED, alive.pk: RunStatus.RUNNING}


@pytest.mark.django_db(transaction=True)
def test_a_run_that_lost_its_connection_writes_nothing_once_another_took_over(committed_assets):
    # given a node whose connection is cut in update(), while another process runs the same update to its end
    slow, quick = Given(), Given()

    def cut(node):
        connection.close()

        def elsewhere():
            quick.run()
            connections.close_all()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return bars([(5, "B", 5.0)])

    slow.make = cut
    # when
    with pytest.raises(RunSuperseded):
        slow.run()
    # then
    assert stored(slow) == [(START, "A", 1.0)]
    assert statistics(slow) == recount(slow)
    assert list(NodeRun.objects.order_by("id").values_list("status", "error_type")) == [
        (RunStatus.FAILED, "Interrupted"),
        (RunStatus.SUCCEEDED, ""),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_cuts_leaves_a_failed_run(committed_assets, other_connection):
    node = Given()

    def cut(node):
        pid = connection.connection.info.backend_pid
        other_connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        return bars([(0, "A", 1.0)])

    node.make = cut
    with pytest.raises(Exception, match=r"terminating connection|closed"):
        node.run()
    run = NodeRun.objects.get()
    assert (run.status, run.error_type) == (RunStatus.FAILED, "OperationalError")
    assert not exists(node)
    node.returns(bars([(0, "A", 1.0)])).run()
    assert stored(node) == [(START, "A", 1.0)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("repeat", range(3))
def test_two_updates_make_one_table_at_once(committed_assets, repeat):
    # given two updates of one table, each with its own asset, that meet after update()
    class Shard(Given):
        _ARGS_IGNORE_IN_STORAGE_HASH = ("name",)

    barrier = threading.Barrier(2, timeout=20)
    shards = [Shard("A"), Shard("B")]
    errors = []

    def make(node):
        barrier.wait()
        return bars([(day, node.name, 1.0) for day in range(2000)])

    def run(node):
        try:
            node.make = make
            node.run()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    # when
    threads = [threading.Thread(target=run, args=[node]) for node in shards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then both have written
    assert errors == []
    assert StorageNode.objects.count() == 1
    assert statistics(shards[0]) == recount(shards[0])
    assert [row[3] for row in statistics(shards[0])] == [2000, 2000]


# --- the record ------------------------------------------------------------------------------------------------------
def test_the_last_run_tells_status_counts_and_timings(assets):
    node = Given().returns(bars([(0, "A", 1.0), (1, "A", 2.0)]))
    node.run()
    run = NodeRun.objects.get()
    assert node.last_run.run == run
    assert (run.status, run.rows_returned, run.rows_written, run.last_time_index) == ("succeeded", 2, 2, START + DAY)
    assert set(run.timings) == {"statistics", "update", "validate", "quality", "write", "total"}
    assert run.log.endswith("info 2 rows written, 2 returned")
    # regression: after a failed run the node still showed the one before
    node.returns(None)
    with pytest.raises(InvalidInput):
        node.run()
    assert (node.last_run.status, node.last_run.rows_written) == ("failed", 0)
    assert node.last_run.run == NodeRun.objects.first()


def test_what_never_ran_says_so(db):
    node = Given()
    with pytest.raises(NotFound, match=r"has no table yet. Run it first: node.run\(\)\.$"):
        node.get_df_between_dates()
    with pytest.raises(NotFound, match=r"never ran. Run it first: node.run\(\)\.$"):
        node.get_node_update()


def test_labels_of_columns_that_are_not_described_are_kept(assets):
    # regression: the next run of a node that describes nothing wiped them
    node = Given()
    node.declared = [ColumnMetaData(column_name="close", dtype="float64", label="Close")]
    node.run()
    node.declared = None
    node.returns(bars([(1, "A", 1.0)])).run()
    assert StorageNode.objects.get().columns[0]["label"] == "Close"


@pytest.mark.parametrize("index_names", [("asset_identifier", "time_index"), (), ("time_index", "a", "a")])
def test_wrong_index_names(db, index_names):
    wrong = type("Wrong", (Given,), {"index_names": index_names})
    with pytest.raises(InvalidInput, match=r"^Wrong.index_names is \[.*\]; time_index comes first, each once\.$"):
        wrong().run()
    assert StorageNode.objects.count() == 0


def test_started_and_finished_are_aware(assets):
    Given().run()
    run = NodeRun.objects.get()
    assert run.started_at <= run.finished_at <= dt.datetime.now(dt.UTC)

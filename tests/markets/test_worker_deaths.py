"""Workers that are killed or hang in the middle of a tree: found, followed by another, and nothing half written."""

import os
import random
import signal
import time
from contextlib import suppress

import psutil
import pytest
from django.db import connection

from markets import locks
from markets.models import JobStatus, NodeRun, RunStatus, StepStatus
from markets.services import jobs, node_runs, step_recovery, step_watch
from tests.markets.data_nodes.nodes import exists, stored
from tests.markets.tree_nodes import Sharded, Source, Stubborn
from tests.markets.trees import WHOLE, ask, has_begun, nothing_is_half_written, step_of
from tests.markets.workers import finished, kill_whole, wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
    pytest.mark.xdist_group("worker"),
]
SEED = 20261127
POINTS = 20


def test_code_that_cannot_be_stopped_ends_with_its_process(start_worker, marks):
    # given
    start_worker()
    # when
    node = Stubborn("stubborn", marks)
    job = finished(ask(node))
    # then
    step = step_of(job, node)
    assert (job.status, step.error_type, step.attempts) == ("failed", "TimeLimitExceeded", 1)
    assert [(run.status, run.error_type) for run in NodeRun.objects.all()] == [("failed", "TimeLimitExceeded")]
    assert not exists(node)


def test_a_worker_that_hangs_is_found_by_its_heartbeat_and_can_never_write(start_worker, marks, monkeypatch):
    # given a worker that stands still in the middle of a run
    hung = start_worker()
    node = Source("node", marks, seconds=1.0)
    job = ask(node)
    wait_for(has_begun(marks, "node"))
    children = hung.children()
    for child in children:
        child.suspend()
    # when its heartbeat is not old yet
    assert step_recovery.recover_steps() == 0
    step = job.steps.get()
    assert (step.status, step.deaths) == (StepStatus.RUNNING, 0)
    # and when it is
    monkeypatch.setattr(step_watch, "HEARTBEAT_LIMIT", 1.0)
    time.sleep(1.2)
    other = start_worker()
    assert node_runs.recover_interrupted() >= 1
    finished(job)
    # then another worker has done it
    assert (job.status, job.steps.get().deaths) == (JobStatus.SUCCEEDED, 1)
    assert sorted(NodeRun.objects.values_list("status", "error_type")) == [("failed", "Interrupted"), ("succeeded", "")]
    before = stored(node)
    # and the hung one, when it wakes, changes nothing
    for child in children:
        child.resume()
    kill_whole(other.pid)
    other.wait()
    time.sleep(0.5)  # the broker sees that it is gone, and hands it nothing more
    after = Source("after", marks)
    assert finished(ask(after)).status == JobStatus.SUCCEEDED  # done by the one that woke: it is as good as new
    assert stored(node) == before
    assert job.steps.get().attempts == 2
    nothing_is_half_written(node, after)


def test_workers_killed_at_twenty_points_of_a_tree_leave_every_table_whole(start_worker, marks, monkeypatch):
    """Seeded: the same points on every run. A quarter of the kills take a whole worker, the others one of its children.

    After each the tree is run to its end, and every row is counted.
    """
    # given a tree with shards, on two workers
    monkeypatch.setattr(step_recovery, "MESSAGE_PATIENCE", step_recovery.dt.timedelta(seconds=1))
    monkeypatch.setattr(jobs, "QUEUE_PATIENCE", jobs.dt.timedelta(seconds=1))
    monkeypatch.setattr(jobs, "MOST_ATTEMPTS", POINTS)
    chance = random.Random(SEED)
    source = Source("source", marks, before_commit=0.05)
    left = Sharded("left", marks, [source], seconds=0.05, before_commit=0.05)
    right = Source("right", marks, [source], seconds=0.1, before_commit=0.1)
    head = Source("head", marks, [left, right], seconds=0.05)
    tree = [source, left, right, head]
    workers = [start_worker(concurrency=2), start_worker(concurrency=2)]
    wait_for(lambda: all(len(process.children()) == 2 for process in workers))
    deaths = 0
    for point in range(POINTS):
        # when
        job = ask(head)
        wait_for(lambda: job.steps.exclude(status=StepStatus.WAITING).exists())  # noqa: B023
        time.sleep(chance.uniform(0.0, 0.8))
        victim = chance.choice(workers)
        if point % 4 == 3:
            kill_whole(victim.pid)
            victim.wait()
            workers[workers.index(victim)] = start_worker(concurrency=2)
        else:
            for child in chance.sample(victim.children(), k=min(1, len(victim.children()))):
                with suppress(psutil.NoSuchProcess):
                    os.kill(child.pid, signal.SIGKILL)

        def is_over() -> bool:
            node_runs.recover_interrupted()  # as beat does
            job.refresh_from_db()  # noqa: B023
            return job.is_finished  # noqa: B023

        wait_for(is_over)
        # then
        assert job.status == JobStatus.SUCCEEDED, (point, job.error)
        for node in tree:
            assert len(stored(node)) == (point + 1) * WHOLE, (point, node.name)
        nothing_is_half_written(*tree)
        assert set(job.steps.values_list("status", flat=True)) == {StepStatus.SUCCEEDED}
        assert set(NodeRun.objects.filter(status=RunStatus.FAILED).values_list("error_type", "rows_written")) <= {
            ("Interrupted", 0)
        }
        deaths += sum(job.steps.values_list("deaths", flat=True))
    assert deaths > 0  # some of the kills met a run
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s",
            [locks.lock_class(locks.LockSpace.STEP)],
        )
        assert cursor.fetchone() == (0,)

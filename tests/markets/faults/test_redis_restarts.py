"""Redis restarts with tasks queued: none is lost, none has its effect twice."""

import signal
from functools import partial

from markets.models import JobStatus
from tests.markets.faults.asking import ended, job_of, reached
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, assert_table_is_whole
from tests.markets.faults.world import wait_for


def test_queued_tasks_outlive_the_broker(world, place, tmp_path):
    # given three tasks in the queue, nobody to do them, and a broker that dies
    nodes = [Staged(str(place), table=f"k{number}") for number in range(3)]
    asked = [job_of(node) for node in nodes]
    world.send([job.uid for job in asked])
    world.stop_redis(signal.SIGKILL)
    # when
    world.start_redis()
    world.start_worker(tmp_path / "worker.log")
    # then
    for job, node in zip(asked, nodes, strict=True):
        assert (ended(job).status, job.attempts) == (JobStatus.SUCCEEDED, 1), job.error
        assert_one_run(node)
    assert world.queued() == 0


def test_a_worker_outlives_the_broker_in_mid_job_with_others_queued(world, place, tmp_path):
    # given a worker in the middle of a job, and two more in the queue
    nodes = [Staged(str(place), table=f"k{number}") for number in range(3)]
    asked = [job_of(node) for node in nodes]
    (place / "hold update").touch()
    worker = world.start_worker(tmp_path / "worker.log")
    world.send([asked[0].uid])
    wait_for(partial(reached, place, "update"), "the first job to begin")
    world.send([job.uid for job in asked[1:]])
    # when the broker is killed, and the job ends before it is back
    world.stop_redis(signal.SIGKILL)
    (place / "hold update").unlink()
    ended(asked[0])
    world.start_redis()
    # then the worker goes on by itself; that the first message comes again changes nothing
    for job, node in zip(asked, nodes, strict=True):
        assert (ended(job).status, job.attempts) == (JobStatus.SUCCEEDED, 1), job.error
        assert_one_run(node)
    assert worker.poll() is None
    world.send([asked[0].uid])
    wait_for(lambda: world.queued() == 0, "the queue to be empty")
    for node in nodes:
        assert_one_run(node)


def assert_one_run(node):
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED], jobs_are_done=False)

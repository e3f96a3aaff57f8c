"""Two workers are given one update at the same time: one writes, the other waits for it and finds nothing to do."""

from functools import partial

from markets.models import Job, JobStatus, NodeRun
from tests.markets.faults.asking import ended, job_of, reached
from tests.markets.faults.nodes import Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, UP_TO_DATE, assert_table_is_whole
from tests.markets.faults.world import wait_for


def _note_of(job: Job) -> str:
    return " ".join(job.steps.values_list("note", flat=True))


def test_two_workers_are_given_the_same_update(world, place, tmp_path):
    workers = [world.start_worker(tmp_path / f"worker{number}.log") for number in range(2)]
    # given one message delivered twice, both taken while the run is under way
    node = Staged(str(place))
    (place / "hold update").touch()
    job = job_of(node)
    world.send([job.uid, job.uid])
    wait_for(partial(reached, place, "update"), "the job to begin")
    wait_for(lambda: world.queued() == 0, "both messages to be taken")
    # when
    (place / "hold update").unlink()
    ended(job)
    # then
    assert (job.status, job.attempts, job.counters) == (JobStatus.SUCCEEDED, 1, {"nodes": 1, "rows_written": 400})
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED])

    # given two jobs for one update, the second taken while the first one runs
    (place / "days").write_text("300")
    (place / "reached").unlink()
    (place / "hold update").touch()
    first, second = job_of(node), job_of(node)
    world.send([first.uid])
    wait_for(partial(reached, place, "update"), "the first job to begin")
    # when
    world.send([second.uid])
    # then the second waits, says so, and runs when the first has ended: there is nothing left to do
    wait_for(lambda: "Waiting for another run" in _note_of(second), "the second job to wait")
    assert NodeRun.objects.filter(status="running").count() == 1
    (place / "hold update").unlink()
    assert ended(first).status == JobStatus.SUCCEEDED
    assert ended(second).status == JobStatus.SUCCEEDED
    assert_table_is_whole(node, rows_of(300), [SUCCEEDED, SUCCEEDED, UP_TO_DATE])
    # and asked again, it finds nothing to do
    again = job_of(node)
    world.send([again.uid])
    assert ended(again).status == JobStatus.SUCCEEDED
    assert_table_is_whole(node, rows_of(300), [SUCCEEDED, SUCCEEDED, UP_TO_DATE, UP_TO_DATE])
    assert [worker.poll() for worker in workers] == [None, None]

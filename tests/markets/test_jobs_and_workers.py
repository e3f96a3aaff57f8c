"""Jobs done by a real worker process through the real broker; and what is left when it is killed: nothing half done."""

import subprocess
import sys
import time
import uuid

import pytest
from django.db import connection, transaction

from markets import locks
from markets.data_nodes import registry
from markets.exceptions import NotFound, UnknownNodeClass
from markets.models import Job, JobMessage, JobStatus, NodeRun, NodeStep, RunStatus, StepStatus
from markets.services import jobs, node_runs, step_runs
from tests.markets import worker_nodes
from tests.markets.data_nodes.nodes import exists, recount, statistics, stored
from tests.markets.worker_nodes import DAYS, Murderous, Slow
from tests.markets.workers import (
    ROOT,
    environment,
    finished,
    has_begun,
    kill_whole,
    pool_children,
    wait_for,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
    pytest.mark.xdist_group("worker"),
]


def everything_is_written_once(node: Slow) -> None:
    assert len(stored(node)) == 2 * DAYS
    assert [row[2] for row in stored(node)] == [
        *(float(number) for number in range(0, 2 * DAYS, 2)),
        *(float(number) for number in range(1, 2 * DAYS, 2)),
    ]
    assert statistics(node) == recount(node)
    assert NodeRun.objects.filter(status=RunStatus.SUCCEEDED).count() == 1
    assert NodeRun.objects.filter(status=RunStatus.RUNNING).count() == 0


# --- a worker at work ------------------------------------------------------------------------------------------------
def test_a_job_is_done_by_a_worker_while_its_progress_is_watched(start_worker, tmp_path):
    # given
    node = Slow(str(tmp_path / "marks"), steps=8)
    update = node_runs.register_node(node)
    start_worker()
    # when
    job = node_runs.request_run(update)
    assert job.status == JobStatus.QUEUED
    assert node_runs.request_run(update) == job  # asking twice gives the same job
    seen = set()

    def watch() -> bool:
        job.refresh_from_db()
        seen.add((job.status, job.progress_done, job.progress_total, job.progress_text))
        return job.is_finished

    wait_for(watch)
    # then
    assert job.status == JobStatus.SUCCEEDED, job.error
    running = sorted(item[1:] for item in seen if item[0] == JobStatus.RUNNING and item[2])
    assert len({done for done, *_ in running}) >= 3
    assert (250, 1000, "Slow: step 2") in running  # regression: the node's NUL character made the job fail
    assert (job.progress_done, job.progress_total, job.attempts) == (1000, 1000, 1)
    assert job.counters == {"nodes": 1, "rows_written": 2 * DAYS}
    assert [message.text.split(" in ")[0] for message in JobMessage.objects.all()] == [
        "Slow: succeeded, 600 rows written"
    ]
    assert NodeRun.objects.get().job == job
    everything_is_written_once(node)


@pytest.mark.parametrize(("stage", "steps"), [("update", {"steps": 8}), ("before commit", {"steps_before_commit": 8})])
@pytest.mark.parametrize("victim", ["pool child", "whole worker"])
def test_a_worker_killed_in_mid_run_loses_nothing(start_worker, tmp_path, stage, steps, victim):
    # given a worker in the middle of a run, or between the copied rows and the commit
    marks = tmp_path / "marks"
    node = Slow(str(marks), **steps)
    update = node_runs.register_node(node)
    worker = start_worker()
    job = node_runs.request_run(update)
    wait_for(has_begun(marks, stage))
    time.sleep(0.3)
    # when
    if victim == "pool child":
        for child in pool_children(worker):
            child.kill()
    else:
        kill_whole(worker.pid)
        step = NodeStep.objects.get()
        wait_for(lambda: not locks.is_held(locks.LockSpace.STEP, step.pk))
        # then nothing partial is there
        assert not exists(node)
        assert statistics(node) == []
        job.refresh_from_db()
        assert job.status == JobStatus.RUNNING
        assert NodeRun.objects.get().status == RunStatus.RUNNING
        # and a new worker
        start_worker()
    # then the job is done after all
    finished(job)
    assert (job.status, job.attempts) == (JobStatus.SUCCEEDED, 1), job.error
    step = NodeStep.objects.get()
    assert (step.status, step.attempts, step.deaths, step.retries) == (StepStatus.SUCCEEDED, 2, 1, 0)
    everything_is_written_once(node)
    dead = NodeRun.objects.get(status=RunStatus.FAILED)
    assert (dead.error_type, dead.rows_written) == ("Interrupted", 0)
    assert JobMessage.objects.filter(level="warning").count() == 1


def test_a_job_that_kills_its_worker_again_and_again_ends_failed(start_worker):
    # given
    update = node_runs.register_node(Murderous())
    start_worker()
    # when
    job = finished(node_runs.request_run(update))
    # then
    step = NodeStep.objects.get()
    assert (job.status, step.status, step.deaths) == (JobStatus.FAILED, StepStatus.FAILED, jobs.MOST_ATTEMPTS)
    assert job.error == (
        "Interrupted: Its worker died 3 times. Look for the cause in the worker's log (most often the machine's "
        "memory), mend it, and run it again."
    )
    # and no run pretends to go on
    assert set(NodeRun.objects.values_list("status", "error_type")) == {(RunStatus.FAILED, "Interrupted")}


def test_a_job_whose_node_fails_tells_why(start_worker, tmp_path):
    node = Slow(str(tmp_path / "no such directory" / "marks"))
    update = node_runs.register_node(node)
    start_worker()
    job = finished(node_runs.request_run(update))
    assert job.status == JobStatus.FAILED
    assert job.error.startswith("FileNotFoundError: [Errno 2] No such file or directory")
    assert NodeRun.objects.get().error_type == "FileNotFoundError"
    assert not exists(node)


# --- delivery --------------------------------------------------------------------------------------------------------
def test_a_second_delivery_of_a_finished_job_does_nothing(tmp_path):
    node = Slow(str(tmp_path / "marks"))
    job = node_runs.request_run(node_runs.register_node(node))
    jobs.execute(str(job.uid))
    step = NodeStep.objects.get()
    step_runs.execute(str(step.uid))
    before = Job.objects.values().get(), NodeStep.objects.values().get()
    assert before[0]["status"] == JobStatus.SUCCEEDED
    # when both messages come once more
    jobs.execute(str(job.uid))
    step_runs.execute(str(step.uid), redelivered=True)
    # then
    assert (Job.objects.values().get(), NodeStep.objects.values().get()) == before
    everything_is_written_once(node)


def test_a_second_delivery_of_a_running_job_does_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS_FOR_A_DEAD_WORKER", 0.2)
    job = node_runs.request_run(node_runs.register_node(Slow(str(tmp_path / "marks"))))
    holder = connection.copy()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [int(locks.LockSpace.JOB), job.pk])
    try:
        jobs.execute(str(job.uid))
        assert jobs.recover_interrupted_jobs() == []
    finally:
        holder.close()
    job.refresh_from_db()
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)


def test_a_job_whose_message_was_lost_is_queued_again(start_worker, tmp_path):
    # regression: such a job waited for ever, and "Run now" kept returning it
    node = Slow(str(tmp_path / "marks"))
    update = node_runs.register_node(node)
    arguments = {"node_update": str(update.uid), "update_tree": True}
    lost = Job.objects.create(kind="run_node", title="lost", arguments=arguments, queued_at=update.created_at)
    assert jobs.recover_interrupted_jobs() == []  # it may be under way
    Job.objects.update(updated_at=update.created_at - jobs.QUEUE_PATIENCE)
    assert jobs.recover_interrupted_jobs() == [lost]
    assert jobs.recover_interrupted_jobs() == []  # not at every look
    start_worker()
    assert finished(lost).status == JobStatus.SUCCEEDED
    everything_is_written_once(node)


def test_nothing_is_queued_when_the_transaction_of_the_request_fails(tmp_path):
    update = node_runs.register_node(Slow(str(tmp_path / "marks")))
    with transaction.atomic():
        node_runs.request_run(update)
        transaction.set_rollback(True)
    assert Job.objects.count() == 0


def test_without_a_broker_the_job_fails_with_the_remedy_and_the_caller_goes_on(tmp_path):
    update = node_runs.register_node(Slow(str(tmp_path / "marks")))
    code = (
        "import django; django.setup()\n"
        "from markets.models import NodeUpdate\n"
        "from markets.services import node_runs\n"
        "job = node_runs.request_run(NodeUpdate.objects.get())\n"
        "print(job.status)"
    )
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(REDIS_URL="redis://127.0.0.1:1/0", DJANGO_SETTINGS_MODULE="msm_project.settings"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "failed"  # regression: the job in the caller's hands still said "queued"
    assert time.monotonic() - began < 20
    job = Job.objects.get()
    assert job.status == JobStatus.FAILED
    assert job.error.startswith("The broker cannot be reached (")
    assert job.error.endswith("). Start Redis, or check REDIS_URL, then ask again.")
    assert update.runs.count() == 0


# --- what cannot be done ---------------------------------------------------------------------------------------------
def test_an_unknown_kind_of_job_fails_with_the_known_ones():
    # regression: the error was "KeyError: 'dance'"
    job = Job.objects.create(kind="dance", title="dance", queued_at="2026-01-02T00:00Z")
    jobs.execute(str(job.uid))
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert job.error.startswith("NotFound: No worker knows jobs of kind 'dance'. Known: ")


def test_an_unknown_job():
    with pytest.raises(NotFound, match=r"^There is no job 00000000-0000-0000-0000-000000000000\.$"):
        jobs.execute(str(uuid.UUID(int=0)))


def test_a_node_that_no_worker_could_build_is_refused_at_once(tmp_path):
    update = node_runs.register_node(Slow(str(tmp_path / "marks")))
    registry._modules.remove(worker_nodes.__name__)
    with pytest.raises(UnknownNodeClass, match=r"^tests.markets.worker_nodes.Slow is not in a registered module\."):
        node_runs.request_run(update)
    assert Job.objects.count() == 0


def test_a_deleted_node(tmp_path):
    update = node_runs.register_node(Slow(str(tmp_path / "marks")))
    job = node_runs.request_run(update)
    update.delete()
    jobs.execute(str(job.uid))
    job.refresh_from_db()
    assert (job.status, job.error) == (JobStatus.FAILED, "NotFound: The DataNode of this job was deleted.")

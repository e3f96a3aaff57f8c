"""A tree of DataNodes run by real workers: level by level, siblings side by side, each node once, whatever fails."""

import time
from collections.abc import Iterator

import psutil
import pytest

from markets.exceptions import Conflict
from markets.models import Job, JobMessage, JobStatus, NodeRun, NodeStep, NodeUpdate, RunStatus, StepStatus
from markets.services import jobs, node_runs, step_recovery, steps
from tests.markets.data_nodes.nodes import exists, recount, statistics, stored
from tests.markets.tree_nodes import (
    CHUNK,
    IDENTIFIERS,
    Broken,
    Flaky,
    Foreign,
    HalfDeclared,
    Limited,
    LimitedInDatabase,
    LosesDatabase,
    Sharded,
    Source,
    Undeclared,
)
from tests.markets.trees import WHOLE, ask, has_begun, named, nothing_is_half_written, statuses, step_of, told
from tests.markets.workers import finished, redis_client, wait_for, worker_starter

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("nodes"),
    pytest.mark.xdist_group("worker"),
]


@pytest.fixture(scope="module")
def worker(django_db_setup: None, django_db_blocker, tmp_path_factory) -> Iterator[psutil.Process]:
    """One worker of two processes for the tests that do not kill it."""
    client = redis_client()
    client.flushdb()
    with django_db_blocker.unblock(), worker_starter(tmp_path_factory.mktemp("worker")) as start:
        yield start(concurrency=2)
    client.flushdb()
    client.close()


# --- order -----------------------------------------------------------------------------------------------------------
def test_siblings_run_side_by_side_each_node_once_and_in_order(worker, marks):
    # given a diamond
    source = Source("source", marks, seconds=0.1)
    left, right = Source("left", marks, [source], seconds=1.5), Source("right", marks, [source], seconds=1.5)
    head = Source("head", marks, [left, right])
    # when
    job = finished(ask(head))
    # then
    assert (job.status, job.error) == (JobStatus.SUCCEEDED, "")
    seen = told(marks)
    assert {name: len(instants) for name, instants in seen.items()} == {
        f"{name} {what}": 1 for name in ("source", "left", "right", "head") for what in ("begin", "end")
    }
    assert max(seen["left begin"][0], seen["right begin"][0]) < min(seen["left end"][0], seen["right end"][0])
    assert seen["source end"] < min(seen["left begin"], seen["right begin"])
    assert max(seen["left end"], seen["right end"]) < seen["head begin"]
    assert list(
        job.steps.values_list("level", "status", "attempts", "rows_written", "assets_done", "assets_total")
    ) == [(level, "succeeded", 1, WHOLE, 8, 8) for level in (0, 1, 1, 2)]
    assert job.counters == {"nodes": 4, "rows_written": 4 * WHOLE}
    assert (job.progress_done, job.progress_total, job.attempts) == (4000, 4000, 1)
    nothing_is_half_written(source, left, right, head)


def test_two_jobs_that_share_a_node_run_it_once_and_no_worker_waits(worker, marks):
    # given
    shared = Source("shared", marks, seconds=1.5)
    one, two = Source("one", marks, [shared]), Source("two", marks, [shared])
    # when
    first, second = ask(one), ask(two)
    finished(first), finished(second)
    # then
    assert [first.status, second.status] == [JobStatus.SUCCEEDED] * 2
    seen = told(marks)
    assert {name: len(instants) for name, instants in seen.items()} == dict.fromkeys(
        ("shared begin", "shared end", "one begin", "one end", "two begin", "two end"), 1
    )
    by_other = next(step for job in (first, second) if (step := step_of(job, shared)).rows_written == 0)
    assert by_other.note == "Another job ran it meanwhile."
    nothing_is_half_written(shared, one, two)


# --- failures --------------------------------------------------------------------------------------------------------
def test_a_failure_skips_what_rests_on_it_and_only_that(worker, marks):
    # given
    broken, good = Broken("broken", marks), Source("good", marks, seconds=0.3)
    on_good = Source("on_good", marks, [good])
    on_broken = Source("on_broken", marks, [broken])
    head = Source("head", marks, [on_broken, on_good])
    # when
    job = finished(ask(head))
    # then
    assert statuses(job) == {
        "broken": "failed",
        "on_broken": "skipped",
        "good": "succeeded",
        "on_good": "succeeded",
        "head": "skipped",
    }
    assert job.status == JobStatus.FAILED
    assert job.error == (
        "ValueError: the figures do not add up (DataNode Broken)\n"
        f"Not run because of it: {on_broken.update_hash}, {head.update_hash}."
    )
    failed = step_of(job, broken)
    assert (failed.attempts, failed.retries, failed.tries) == (1, 0, 1)  # an error of the node's code is final
    assert step_of(job, head).note == f"Not run, because it rests on {broken.update_hash}."
    assert "on_broken begin" not in told(marks)
    assert not exists(on_broken)
    nothing_is_half_written(good, on_good)


@pytest.mark.parametrize(
    ("kind", "retries", "error"),
    [(Flaky, 2, "ConnectionResetError"), (LosesDatabase, 1, "OperationalError")],
)
def test_an_error_that_may_pass_is_tried_again_with_a_pause(worker, marks, kind, retries, error):
    # when
    node = kind("weak", marks)
    job = finished(ask(node))
    # then
    step = step_of(job, node)
    assert (job.status, step.status, step.retries, step.deaths) == ("succeeded", "succeeded", retries, 0), job.error
    begun = told(marks)["weak begin"]
    assert len(begun) == retries + 1
    assert begun[1] - begun[0] >= 0.8 * node.retry_delay
    warnings = list(JobMessage.objects.filter(level="warning").values_list("text", flat=True))
    assert len(warnings) == retries
    assert warnings[0].startswith(f"{kind.__name__}: try 2 of 4 at ")
    assert f" UTC, because {error}: " in warnings[0]
    assert set(NodeRun.objects.filter(status=RunStatus.FAILED).values_list("error_type", flat=True)) <= {
        error,
        "Interrupted",
    }
    nothing_is_half_written(node)


# --- limits and cancelling -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [Limited, LimitedInDatabase])
def test_a_run_that_takes_too_long_is_stopped(worker, marks, kind):
    # when
    node = kind("slow", marks, seconds=60)
    job = finished(ask(node))
    # then
    step = step_of(job, node)
    assert (job.status, step.status, step.error_type, step.retries) == ("failed", "failed", "TimeLimitExceeded", 0)
    assert step.error.startswith("It did not end within its time limit of 1 s, and nothing of this run was written.")
    run = NodeRun.objects.get()
    assert (run.status, run.error_type, run.error_message, run.rows_written) == (
        RunStatus.FAILED,
        "TimeLimitExceeded",
        step.error,
        0,
    )
    assert not exists(node)
    # and the worker's connection is as good as new
    after = Source("after", marks)
    assert finished(ask(after)).status == JobStatus.SUCCEEDED
    nothing_is_half_written(after)


def test_cancelling_stops_what_runs_and_drops_what_waits(worker, marks):
    # given
    slow = Source("slow", marks, seconds=60)
    head = Source("head", marks, [slow])
    job = ask(head)
    wait_for(has_begun(marks, "slow"))
    # when
    user = named("alice")
    jobs.cancel(job, user=user)
    jobs.cancel(job, user=named("bob"))  # harmless
    assert statuses(job)["head"] == "cancelled"  # at once
    # then
    began = time.monotonic()
    finished(job)
    assert time.monotonic() - began < 20
    assert (job.status, job.error, statuses(job)) == (
        JobStatus.CANCELLED,
        "Cancelled by alice.",
        {"slow": "cancelled", "head": "cancelled"},
    )
    run = NodeRun.objects.get()
    assert (run.status, run.error_type, run.error_message, run.rows_written) == (
        RunStatus.FAILED,
        "Cancelled",
        "Cancelled by alice. Nothing of this run was written.",
        0,
    )
    assert not exists(slow)
    with pytest.raises(Conflict, match=r"^The job is over \(cancelled\)\. There is nothing to cancel\.$"):
        jobs.cancel(job, user=user)


def test_a_run_that_is_cancelled_between_its_rows_and_the_commit_leaves_none(worker, marks):
    # given
    node = Source("node", marks, before_commit=60)
    job = ask(node)
    wait_for(lambda: "node end" in told(marks))
    time.sleep(0.3)
    # when
    jobs.cancel(job)
    finished(job)
    # then
    assert (job.status, job.error) == (JobStatus.CANCELLED, "Cancelled.")
    assert not exists(node)
    assert statistics(node) == []
    assert NodeRun.objects.get().error_type == "Cancelled"


def test_cancelling_a_job_that_no_worker_has_taken(marks):
    job = ask(Source("node", marks))
    assert jobs.cancel(job).status == JobStatus.CANCELLED
    jobs.execute(str(job.uid))  # its message comes all the same
    job.refresh_from_db()
    assert (job.status, job.attempts, job.steps.count()) == (JobStatus.CANCELLED, 0, 0)
    assert NodeRun.objects.count() == 0
    # and the next request makes a job of its own
    assert ask(Source("node", marks)) != job


# --- shards ----------------------------------------------------------------------------------------------------------
def test_shards_write_what_one_run_would_have_written(worker, marks):
    # given
    whole, sharded = Source("whole", marks), Sharded("sharded", marks, seconds=0.5)
    whole.run()
    # when
    job = finished(ask(sharded))
    # then
    assert job.status == JobStatus.SUCCEEDED, job.error
    assert stored(sharded) == stored(whole)
    shards = list(job.steps.values_list("shard", "shard_count", "status", "rows_written", "assets_total"))
    assert [shard[:3] for shard in shards] == [(number, 4, "succeeded") for number in range(4)]
    assert sum(shard[3] for shard in shards) == WHOLE
    assert sum(shard[4] for shard in shards) == len(IDENTIFIERS)
    assert len({shard[4] for shard in shards}) > 1 or shards[0][4] < len(IDENTIFIERS)
    assert NodeRun.objects.filter(shard_count=4, status=RunStatus.SUCCEEDED).count() == 4
    assert job.counters == {"nodes": 1, "rows_written": WHOLE}
    # and once more, from where they left off
    whole.run()
    assert finished(ask(sharded)).status == JobStatus.SUCCEEDED
    assert stored(sharded) == stored(whole)
    assert len(stored(sharded)) == 2 * WHOLE
    update = sharded.get_node_update()
    update.refresh_from_db()
    assert update.asset_scope == sorted(IDENTIFIERS)
    nothing_is_half_written(sharded, whole)


def test_without_declared_columns_the_first_run_is_whole_and_the_next_ones_have_shards(worker, marks):
    # regression: the first shard's data fixed the dtypes, and other shards failed
    # given whole numbers in one shard, fractions in the others
    whole, undeclared = Undeclared("whole", marks), Undeclared("undeclared", marks)
    whole.run()
    assert {row[2] % 1 for row in stored(whole)} == {0.0, 0.5}
    # when
    first = finished(ask(undeclared))
    # then
    assert (first.status, first.error) == (JobStatus.SUCCEEDED, "")
    assert list(first.steps.values_list("shard", "shard_count", "rows_written")) == [(0, 1, WHOLE)]
    assert undeclared.get_storage().columns[0]["dtype"] == "float64"
    assert stored(undeclared) == stored(whole)
    # when it is run again, then the table tells the columns
    whole.run()
    second = finished(ask(undeclared))
    assert (second.status, second.error) == (JobStatus.SUCCEEDED, "")
    assert [step.shard_count for step in second.steps.all()] == [4] * 4
    assert stored(undeclared) == stored(whole)
    nothing_is_half_written(undeclared, whole)


def test_shards_that_declare_some_of_the_columns_are_refused_whichever_comes_first(worker, marks):
    node = HalfDeclared("half", marks)
    job = finished(ask(node))
    assert job.status == JobStatus.FAILED
    assert set(job.steps.values_list("status", "error_type")) == {("failed", "FrameError")}
    assert (
        "The table of HalfDeclared has no columns yet, and get_column_metadata() does not declare size: the shards "
        "might disagree about the dtype. Declare all columns or none. Nothing was written."
    ) in job.error
    assert not exists(node)


def test_a_stale_node_is_fresh_again_when_all_of_its_shards_were_computed_anew(worker, marks):
    # given a node whose last days rest on data that changed
    node = Sharded("sharded", marks)
    assert finished(ask(node)).status == JobStatus.SUCCEEDED
    before, update = stored(node), node.get_node_update()
    since = before[CHUNK - 10][0]
    NodeUpdate.objects.update(stale_from=since, stale_marked_at=since, stale_reason="The test says so.")
    # when
    job = finished(node_runs.request_run(update, recompute_stale=True))
    # then its tail was written anew, from where it was cut
    assert job.status == JobStatus.SUCCEEDED, job.error
    assert len(stored(node)) == len(before) + (CHUNK - 10) * len(IDENTIFIERS)
    assert stored(node)[: CHUNK - 10] == before[: CHUNK - 10]
    update.refresh_from_db()
    assert (update.stale_from, update.stale_marked_at) == (None, None)
    assert statistics(node) == recount(node)


def test_a_shard_may_not_write_another_ones_assets(worker, marks):
    node = Foreign("foreign", marks)
    job = finished(ask(node))
    assert job.status == JobStatus.FAILED
    assert set(job.steps.values_list("status", "error_type")) == {("failed", "FrameError")}
    assert " not in this shard (shard 1 of 4)." in job.error
    assert not exists(node)


# --- messages --------------------------------------------------------------------------------------------------------
def test_a_step_whose_message_was_lost_is_sent_again(worker, marks, monkeypatch):
    # given
    monkeypatch.setattr(steps, "publish", lambda step, delay=0.0: None)
    node = Source("node", marks)
    job = ask(node)
    wait_for(lambda: job.steps.filter(status=StepStatus.QUEUED).exists() or Job.objects.get().is_finished)
    monkeypatch.undo()
    # when its message is gone
    NodeStep.objects.filter(status=StepStatus.QUEUED).update(published_at=None)
    step_recovery.recover_steps()
    # then
    assert finished(job).status == JobStatus.SUCCEEDED
    nothing_is_half_written(node)

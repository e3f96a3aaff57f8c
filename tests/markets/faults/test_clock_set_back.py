"""The clock goes back: no run ends before it began, no duration is negative, no job and no schedule waits for it.

The clock that is set back is Python's, by which every record is stamped: `timezone.now` is replaced, the one place from
which the code takes it. PostgreSQL's own clock stamps nothing that is compared. How long things take is measured by
`perf_counter`, which no setting of the clock moves; the last test replaces nothing and asks that of the platform.
"""

import datetime as dt
import time

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from markets.data_nodes import run_records
from markets.models import Job, JobStatus, NodeRun, NodeUpdate
from markets.services import jobs
from msm_project import beat
from msm_project.celery import app
from tests.markets.data_nodes.nodes import DAY
from tests.markets.faults.asking import job_of
from tests.markets.faults.nodes import FIRST, Staged, rows_of
from tests.markets.faults.whole import SUCCEEDED, UP_TO_DATE, assert_table_is_whole

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def set_back(monkeypatch):
    real = timezone.now
    return lambda by=HOUR: monkeypatch.setattr(timezone, "now", lambda: real() - by)


def test_in_mid_run(world, place, set_back):
    # given a clock that is set back in update(), and once more before the commit
    node = Staged(str(place))
    Staged.at["update"] = set_back
    Staged.at["before commit"] = lambda: set_back(2 * HOUR)
    # when
    node.run()
    # then
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED])
    run = NodeRun.objects.get()
    assert run.finished_at == run.started_at  # of the two readings, the one that can be true
    assert 0 < run.timings["total"] < 60
    assert min(run.timings.values()) >= 0
    # and the next runs, which begin before the last one began, are as good as any
    Staged.at.clear()
    (place / "days").write_text("210")
    Staged(str(place)).run()
    Staged(str(place)).run()
    assert_table_is_whole(node, rows_of(210), [SUCCEEDED, SUCCEEDED, UP_TO_DATE])
    latest = NodeRun.objects.first()
    assert (latest.status, latest.started_at < run.started_at) == ("up_to_date", True)


def test_a_run_that_fails_and_one_whose_process_died(world, place, set_back):
    def fail():
        set_back()
        raise ValueError("no file today")

    node = Staged(str(place))
    Staged.at["update"] = fail
    with pytest.raises(ValueError, match="no file today"):
        node.run()
    NodeRun.objects.create(node_update=NodeUpdate.objects.get(), started_at=timezone.now() + HOUR)
    assert run_records.close_interrupted_runs() == 1
    assert_table_is_whole(node, [], [("failed", "ValueError"), ("failed", "Interrupted")])


def test_stale_rows_are_recomputed_under_a_clock_set_back(world, place, set_back):
    # given a node marked as stale, by a clock that is ahead
    node = Staged(str(place))
    node.run()
    since = FIRST.to_pydatetime() + 100 * DAY
    NodeUpdate.objects.update(stale_from=since, stale_reason="late", stale_marked_at=timezone.now() + 2 * HOUR)
    set_back()
    # when
    Staged(str(place)).run(force_update=True)
    # then
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED, SUCCEEDED], written=600)
    assert NodeUpdate.objects.get().stale_from is None


def test_a_job(world, place, set_back):
    # given a job that was asked for by a clock that is ahead of the worker's, which is set back once more meanwhile
    node = Staged(str(place))
    job = job_of(node)
    set_back()
    Staged.at["update"] = lambda: set_back(2 * HOUR)
    # when
    jobs.execute(str(job.uid))
    # then
    job.refresh_from_db()
    assert job.status == JobStatus.SUCCEEDED
    assert job.queued_at <= job.started_at <= job.finished_at
    assert_table_is_whole(node, rows_of(200), [SUCCEEDED])


def test_a_job_whose_message_was_lost_does_not_wait_for_the_clock(world, place, set_back):
    # regression: it waited for the hour and ten minutes
    job = job_of(Staged(str(place)))
    set_back()
    assert jobs.recover_interrupted_jobs() == [job]
    assert jobs.recover_interrupted_jobs() == []  # not at every look
    assert Job.objects.get().status == JobStatus.QUEUED


def test_schedules_do_not_wait_for_the_clock(world):
    # regression: beat sent nothing until the clock had come back to where it was
    every_minute = IntervalSchedule.objects.create(every=60, period="seconds")
    now = timezone.now()
    ahead = PeriodicTask.objects.create(name="a", task="t", interval=every_minute, last_run_at=now + HOUR)
    usual = PeriodicTask.objects.create(
        name="u", task="t", interval=every_minute, last_run_at=now - dt.timedelta(seconds=20)
    )
    assert ModelEntry(ahead, app=app).is_due().next > 3000
    # when
    assert beat.forget_the_future() == 1
    # then
    ahead.refresh_from_db()
    assert ModelEntry(ahead, app=app).is_due().next <= 60
    usual.refresh_from_db()
    assert usual.last_run_at == now - dt.timedelta(seconds=20)


def test_beat_notices_a_clock_that_is_set_back_and_no_other():
    start = beat.clock()
    time.sleep(0.05)
    assert not beat.went_back(start, beat.clock())
    assert beat.went_back(start, start - 3600)
    assert not beat.went_back(start, start + 3600)
    assert not beat.went_back(start, start - 1)  # a correction of a second makes no schedule late
    assert not time.get_clock_info("perf_counter").adjustable
    assert not time.get_clock_info("monotonic").adjustable

"""A schedule comes due: a real beat sends it through the real broker, a real worker runs the node, once."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import ModelEntry

from markets.models import Job, JobStatus, NodeRun, NodeSchedule, NodeUpdate
from markets.services import node_runs, node_schedules
from msm_project.celery import app
from tests.markets.worker_nodes import DAYS, Slow
from tests.markets.workers import ROOT, environment, wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
    pytest.mark.xdist_group("worker"),
]
# Two instants a year. Beat looks at entries with a single hour only near that hour, at those with several always.
NEW_YEAR = "0 0,12 1 1 *"


@pytest.fixture
def start_beat(tmp_path: Path) -> Iterator[Callable[[], None]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        log = (tmp_path / "beat.log").open("w")
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "msm_project.beat"],
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def scheduled(tmp_path: Path, name: str, *, is_enabled: bool = True) -> NodeUpdate:
    update = node_runs.register_node(Slow(str(tmp_path / name)))
    node_schedules.set_schedule(update, NEW_YEAR, zone="America/New_York", is_enabled=is_enabled)
    return update


def due(update: NodeUpdate) -> tuple[bool, float]:
    """What beat's own entry says of the node's task: whether it is due, and else in how many seconds to look again."""
    entry = ModelEntry(PeriodicTask.objects.get(node_schedule__node_update=update), app=app)
    state = entry.is_due()
    return bool(state.is_due), float(state.next)


def miss_a_new_year() -> None:
    """All tasks ran last two years ago, as after an outage: those that are alive are due."""
    PeriodicTask.objects.update(last_run_at=timezone.now() - dt.timedelta(days=800))


def test_a_due_schedule_fires_once_and_a_disabled_or_removed_one_does_not(start_beat, start_worker, tmp_path):
    # given three schedules, none of them due as they were just set
    alive, disabled, removed = (scheduled(tmp_path, name) for name in ("alive", "disabled", "removed"))
    assert due(alive)[0] is False
    # when a new year was missed meanwhile
    node_schedules.set_schedule(disabled, NEW_YEAR, zone="America/New_York", is_enabled=False)
    miss_a_new_year()
    assert due(alive)[0] is True
    assert due(disabled)[0] is False
    node_schedules.remove_schedule(removed)
    began = timezone.now()
    start_worker()
    start_beat()
    # then the one that is alive is run by the worker
    wait_for(lambda: Job.objects.filter(status=JobStatus.SUCCEEDED).exists())
    job = Job.objects.get()
    assert job.arguments["node_update"] == str(alive.uid)
    assert job.title == f"Run {alive}, scheduled {NEW_YEAR} America/New_York"
    run = NodeRun.objects.get()
    assert (run.node_update, run.job, run.rows_written) == (alive, job, 2 * DAYS)
    fired = NodeSchedule.objects.get(node_update=alive).last_fired_at
    assert fired >= began
    # and beat, which has looked at all tasks by then and looks again, sends no other
    wait_for(lambda: PeriodicTask.objects.filter(total_run_count=1).exists())
    is_due, seconds = due(alive)
    assert not is_due
    assert seconds > 60
    time.sleep(6)  # beat looks at its tasks every five seconds
    assert Job.objects.count() == 1
    assert NodeSchedule.objects.get(node_update=alive).last_fired_at == fired
    assert NodeSchedule.objects.get(node_update=disabled).last_fired_at is None
    assert PeriodicTask.objects.filter(total_run_count__gt=0, task="markets.run_scheduled_node").count() == 1
    # and when it is changed while beat runs, beat takes the change over without a restart
    with transaction.atomic():
        node_schedules.set_schedule(alive, "*/2 * * * *", zone="UTC")
        miss_a_new_year()
    wait_for(lambda: NodeSchedule.objects.get(node_update=alive).last_fired_at > fired)

"""A backfill whose process is killed with kill -9 half-way: the next one goes on, and nothing is twice or missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from markets.data_nodes import registry
from markets.models import Backfill, BackfillPart, Job, JobStatus, NodeRun, NodeUpdate
from markets.services import backfills, jobs
from tests.markets.backfills import nodes
from tests.markets.backfills.nodes import Killed, delete_rows
from tests.markets.data_nodes.nodes import make_assets, recount, statistics, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("worker")]
ROOT = Path(__file__).resolve().parents[3]
NAMES = ("A", "B")
DAYS = Killed.days
JOB = "import django; django.setup(); import markets.tasks; from markets.services import jobs; jobs.execute({!r})"


@pytest.fixture
def node(transactional_db, monkeypatch, tmp_path, request):
    """Twelve days, of which every second one but the first and the last is gone; the third part kills its process."""
    monkeypatch.setattr(registry, "_modules", [*registry._modules, nodes.__name__])
    make_assets(*NAMES)
    nodes.make_calendar()
    made = Killed(str(tmp_path / "marks"), 3, request.param, NAMES)
    made.run()
    return made


def process(*command: str) -> "subprocess.CompletedProcess[str]":
    user, name, host, port = (connection.settings_dict[key] for key in ("USER", "NAME", "HOST", "PORT"))
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{user}@/{name}?host={host}&port={port or 5432}",
        "REDIS_URL": settings.REDIS_URL,
        "DJANGO_SETTINGS_MODULE": "msm_project.settings",
        "MSM_NODE_MODULES": nodes.__name__,
    }
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def is_whole_again(node: Killed, before: list) -> None:
    assert stored(node) == before
    assert statistics(node) == recount(node)
    assert set(BackfillPart.objects.values_list("status", flat=True)) == {"done"}
    assert sum(BackfillPart.objects.values_list("rows_written", flat=True)) == 10
    assert Backfill.objects.count() == 1
    dead = NodeRun.objects.get(status="failed")
    assert (dead.error_type, dead.is_backfill, dead.rows_written) == ("Interrupted", True, 0)
    assert not NodeRun.objects.filter(status="running").exists()


@pytest.mark.parametrize("node", [False, True], ids=["in update", "before commit"], indirect=True)
def test_a_killed_command_goes_on_when_it_is_given_again(node):
    before = stored(node)
    delete_rows(node, *((name, day) for name in NAMES for day in DAYS[1:-1:2]))
    command = [
        *("manage.py", "backfill", node.update_hash, "--start", str(DAYS[0]), "--end", str(DAYS[-1])),
        *("--failed-only", "--calendar", "DAYS", "--json"),
    ]
    # when it is killed in its third part
    assert process(*command).returncode == -9
    assert list(BackfillPart.objects.order_by("position").values_list("status", flat=True)) == [
        *("done", "done", "waiting", "waiting", "waiting")
    ]
    assert len(stored(node)) == 18
    assert statistics(node) == recount(node)
    # when it is given again, and once more
    again = process(*command)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == {
        "parts": 5,
        "parts_done": 3,
        "parts_done_before": 2,
        "parts_failed": 0,
        "parts_left": 0,
        "rows_written": 6,
        "failures": [],
        "notes": [],
    }
    is_whole_again(node, before)


@pytest.mark.parametrize("node", [True], ids=["before commit"], indirect=True)
def test_a_job_whose_worker_is_killed_goes_on_with_the_parts_that_are_not_done(node):
    before = stored(node)
    delete_rows(node, *((name, day) for name in NAMES for day in DAYS[1:-1:2]))
    request = backfills.clean_request(DAYS[0], DAYS[-1], failed_only=True, calendar="DAYS")
    update = NodeUpdate.objects.get()
    job = backfills.request_backfill(update, request)
    assert process("-c", JOB.format(str(job.uid))).returncode == -9
    job.refresh_from_db()
    assert job.status == JobStatus.RUNNING
    assert backfills.request_backfill(update, request) == job
    # when the next worker takes it
    jobs.execute(str(job.uid))
    job = Job.objects.get(pk=job.pk)
    assert (job.status, job.attempts) == (JobStatus.SUCCEEDED, 2)
    assert (job.counters["parts_done_before"], job.counters["rows_written"]) == (2, 6)
    is_whole_again(node, before)

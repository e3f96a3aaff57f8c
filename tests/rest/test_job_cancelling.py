"""Jobs over REST: their steps, the time left, and cancelling."""

import datetime as dt

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from markets.models import Job, JobStatus, NodeStep, StepStatus
from markets.services import node_runs
from tests import factories
from tests.markets.data_nodes.nodes import Given

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    client.force_authenticate(factories.user("markets.view_job", "markets.change_job"))
    return client


def cancel(api: APIClient, job: Job, body: object = None) -> tuple[int, dict]:
    response = api.post(f"/api/v1/job/{job.uid}/cancel/", body if body is not None else {}, format="json")
    return response.status_code, response.json()


def tree(job: Job) -> list[NodeStep]:
    """A running step and one that waits for it."""
    head = node_runs.register_node(Given("head", [Given("source")]))
    source = head.dependencies.get()
    now = timezone.now()
    running = NodeStep.objects.create(
        job=job, node_update=source, position=0, level=0, status="running", attempts=1, started_at=now, heartbeat_at=now
    )
    return [running, NodeStep.objects.create(job=job, node_update=head, position=1, level=1, depends_on=[0])]


def test_a_waiting_job_is_over_at_once_and_only_once(api):
    # given
    job = factories.job(kind="preview_import")
    # when
    status, body = cancel(api, job)
    # then
    assert (status, body["status"], body["is_finished"]) == (200, "cancelled", True)
    assert body["error"] == f"Cancelled by {body['cancelled_by']}."
    # and when it is over
    status, body = cancel(api, job)
    assert status == 409
    assert body["errors"][0]["detail"] == "The job is over (cancelled). There is nothing to cancel."


def test_of_a_running_tree_what_waits_is_cancelled_and_what_runs_is_asked_to_stop(api):
    # given
    job = factories.job(status=JobStatus.RUNNING, started_at=timezone.now())
    running, _ = tree(job)
    # when
    status, body = cancel(api, job)
    # then
    assert (status, body["status"], body["is_finished"]) == (202, "running", False)
    assert [step["status"] for step in body["steps"]] == ["running", "cancelled"]
    assert body["cancel_requested_at"] is not None
    # and asking again changes nothing
    assert cancel(api, job)[0] == 202
    running.refresh_from_db()
    assert running.status == StepStatus.RUNNING
    assert job.messages.count() == 1


def test_a_running_job_that_would_leave_half_of_its_work_is_not_cancelled(api):
    job = factories.job(kind="apply_import", status=JobStatus.RUNNING, started_at=timezone.now())
    status, body = cancel(api, job)
    assert status == 409
    assert body["errors"][0]["detail"] == ("The job is under way and is not stopped half-way. Wait until it has ended.")
    job.refresh_from_db()
    assert (job.status, job.cancel_requested_at) == (JobStatus.RUNNING, None)


@pytest.mark.parametrize("body", [{"force": True}, [1], "x"])
def test_hostile_bodies(api, body):
    job = factories.job()
    assert cancel(api, job, body)[0] == 400
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_what_is_no_job(api):
    for uid in ("nonsense", "00000000-0000-0000-0000-000000000000", "%00"):
        assert api.post(f"/api/v1/job/{uid}/cancel/", {}, format="json").status_code == 404


def test_a_job_tells_its_steps_and_the_time_left(api):
    # given half of a job done in a minute
    started = timezone.now() - dt.timedelta(seconds=60)
    job = factories.job(status=JobStatus.RUNNING, started_at=started, progress_done=1000, progress_total=2000)
    tree(job)
    # when
    body = api.get(f"/api/v1/job/{job.uid}/").json()
    # then
    assert body["eta_seconds"] == pytest.approx(60, abs=5)
    first, second = body["steps"]
    assert (first["position"], first["level"], first["status"], first["tries"], first["shard_count"]) == (
        *(0, 0, "running", 1, 1),
    )
    assert (second["depends_on"], second["status"], second["tries"]) == ([0], "waiting", 0)
    # and of one that has not begun there is nothing to tell
    body = api.get(f"/api/v1/job/{factories.job().uid}/").json()
    assert (body["eta_seconds"], body["steps"]) == (None, [])

"""Run now: asked for by POST, by who may, once; and the state that its progress bar reads."""

import datetime as dt

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from markets.models import Job, JobStatus, NodeUpdate
from markets.services import jobs
from tests.admin import rows

JSON = {"Accept": "application/json"}


@pytest.fixture
def update(db) -> NodeUpdate:
    return rows.priced_node(rows.assets(), run=False)


def run_url(update: NodeUpdate) -> str:
    return reverse("admin:markets_nodeupdate_run", args=(update.pk,))


def test_a_get_runs_nothing(boss: Client, update: NodeUpdate) -> None:
    assert boss.get(run_url(update)).status_code == 405
    assert not Job.objects.exists()


def test_who_may_only_look_runs_nothing(viewer: Client, update: NodeUpdate) -> None:
    assert viewer.post(run_url(update), headers=JSON).status_code == 403
    assert not Job.objects.exists()
    page = viewer.get(reverse("admin:markets_nodeupdate_change", args=(update.pk,))).content.decode()
    assert "data-run-form" not in page


def test_the_permission_to_run_is_enough(client: Client, update: NodeUpdate) -> None:
    user = rows.viewer("runner")
    user.user_permissions.add(Permission.objects.get(codename="run_nodeupdate"))
    client.force_login(User.objects.get(pk=user.pk))
    assert client.post(run_url(update), headers=JSON).status_code == 202
    assert Job.objects.get().requested_by == user


def test_without_a_csrf_token_nothing_runs(update: NodeUpdate) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(rows.administrator())
    assert client.post(run_url(update), headers=JSON).status_code == 403
    assert not Job.objects.exists()


def test_pressing_twice_asks_once_and_the_page_finds_the_bar_again(boss: Client, update: NodeUpdate) -> None:
    first = boss.post(run_url(update), headers=JSON).json()
    second = boss.post(run_url(update), headers=JSON).json()
    assert first == second
    assert Job.objects.count() == 1
    page = boss.get(reverse("admin:markets_nodeupdate_change", args=(update.pk,))).content.decode()
    assert f'data-url="{first["progress_url"]}"' in page


def test_without_a_script_the_button_leads_back_to_the_page(boss: Client, update: NodeUpdate) -> None:
    response = boss.post(run_url(update))
    assert response.status_code == 302
    assert response["Location"] == reverse("admin:markets_nodeupdate_change", args=(update.pk,))


def test_a_class_that_is_not_registered_is_refused_with_the_remedy(boss: Client, update: NodeUpdate) -> None:
    NodeUpdate.objects.update(build_configuration={"node": "gone.module.Node", "arguments": {}})
    response = boss.post(run_url(update), headers=JSON)
    assert response.status_code == 409
    assert "MSM_NODE_MODULES" in response.json()["error"]
    page = boss.get(reverse("admin:markets_nodeupdate_change", args=(update.pk,))).content.decode()
    assert "It cannot be run from here." in page


def progress(client: Client, job: Job) -> dict:
    return client.get(reverse("admin:job_progress", args=(job.uid,))).json()


def test_the_state_of_a_run_that_ends_well(boss: Client, update: NodeUpdate) -> None:
    boss.post(run_url(update), headers=JSON)
    job = Job.objects.get()
    assert progress(boss, job)["status"] == "queued"
    assert progress(boss, job)["warning"] == ""

    jobs.execute(str(job.uid))

    state = progress(boss, job)
    assert state["status"] == "succeeded"
    assert state["result"] == "Done: 1 DataNode run, 1,200 rows written."
    assert boss.get(state["run_url"]).status_code == 200
    assert boss.get(state["job_url"]).status_code == 200


def test_the_state_of_a_run_that_fails(boss: Client) -> None:
    update = rows.failing_node()
    boss.post(run_url(update), headers=JSON)
    job = Job.objects.get()
    jobs.execute(str(job.uid))
    state = progress(boss, job)
    assert state["status"] == "failed"
    assert "Ask for it again." in state["error"]
    assert boss.get(state["run_url"]).status_code == 200


def test_a_queue_without_a_worker_says_how_to_start_one(boss: Client, update: NodeUpdate) -> None:
    boss.post(run_url(update), headers=JSON)
    Job.objects.update(queued_at=rows.long_ago(), updated_at=rows.long_ago())
    assert "celery -A msm_project worker" in progress(boss, Job.objects.get())["warning"]


def test_a_queue_behind_another_job_says_so(boss: Client, update: NodeUpdate) -> None:
    boss.post(run_url(update), headers=JSON)
    Job.objects.update(queued_at=rows.long_ago(), updated_at=rows.long_ago())
    Job.objects.create(kind="x", title="other", status=JobStatus.RUNNING, queued_at=timezone.now())
    assert "busy with 1 other job" in progress(boss, Job.objects.get(kind="run_node"))["warning"]


def test_a_worker_that_died_is_noticed(boss: Client) -> None:
    now = timezone.now() - dt.timedelta(minutes=1)
    job = Job.objects.create(kind="x", title="x", status=JobStatus.RUNNING, queued_at=now, started_at=now)
    assert "is gone" in progress(boss, job)["warning"]


def test_progress_is_for_who_may_look(client: Client, update: NodeUpdate) -> None:
    job = Job.objects.create(kind="x", title="x", queued_at=timezone.now())
    client.force_login(User.objects.create_user("nobody", password=rows.PASSWORD, is_staff=True))
    assert client.get(reverse("admin:job_progress", args=(job.uid,))).status_code == 403


def test_a_stale_node_says_so_and_offers_its_recomputation(boss: Client, update: NodeUpdate) -> None:
    # given
    page_url = reverse("admin:markets_nodeupdate_change", args=(update.pk,))
    assert "Recompute from there" not in boss.get(page_url).content.decode()
    since = dt.datetime(2026, 1, 5, 21, tzinfo=dt.UTC)
    NodeUpdate.objects.filter(pk=update.pk).update(
        stale_from=since, stale_marked_at=since, stale_reason="Prices have late or changed rows."
    )
    # then the page, the list and its filter tell
    page = boss.get(page_url).content.decode()
    assert "Rows from 2026-01-05 21:00:00 UTC on are stale: Prices have late or changed rows." in page
    assert "Recompute from there" in page
    list_url = reverse("admin:markets_nodeupdate_changelist")
    assert ">stale<" in boss.get(list_url, {"stale": "yes"}).content.decode()
    assert ">stale<" not in boss.get(list_url, {"stale": "no"}).content.decode()
    # and its button asks for a job of its own
    assert boss.post(run_url(update), {"recompute_stale": "1"}, headers=JSON).status_code == 202
    job = Job.objects.get()
    assert job.arguments["recompute_stale"] is True
    assert job.title.startswith("Recompute ")

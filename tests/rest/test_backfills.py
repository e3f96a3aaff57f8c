"""Gaps and backfills over REST."""

import datetime as dt
from typing import Any

import pytest
from rest_framework.test import APIClient

from markets.data_nodes import registry
from markets.models import Backfill, BackfillPart, Job, JobStatus, NodeRun
from markets.services import jobs
from tests.markets.backfills import nodes
from tests.markets.backfills.nodes import Closes, close_of, delete_rows, make_calendar, weekdays
from tests.markets.data_nodes.nodes import make_assets, recount, statistics, stored
from tests.rest.base import ROOT

DAYS = weekdays(10)


@pytest.fixture
def node(db: None, monkeypatch: pytest.MonkeyPatch) -> Closes:
    """Ten days of A and B, of which A misses the third and fourth, and B the seventh."""
    monkeypatch.setattr(registry, "_modules", [*registry._modules, nodes.__name__])
    monkeypatch.setattr(Closes, "days", list(DAYS))
    make_assets("A", "B", "C")
    make_calendar()
    made = Closes(calendar_identifier="DAYS")
    made.run()
    delete_rows(made, ("A", DAYS[2]), ("A", DAYS[3]), ("B", DAYS[6]))
    return made


def instant(day: dt.date) -> str:
    return f"{close_of(day):%Y-%m-%dT%H:%M:%SZ}"


def gaps(client: APIClient, query: str = "") -> Any:
    return client.get(f"{ROOT}data-node/closes/gaps/?calendar=DAYS&end={DAYS[-1]}{query}")


def post(client: APIClient, **body: Any) -> Any:
    whole = {"start": str(DAYS[0]), "end": str(DAYS[-1]), "calendar": "DAYS", **body}
    return client.post(f"{ROOT}data-node/closes/backfill/", whole, format="json")


def test_gaps_are_told_asset_by_asset(viewer: APIClient, node: Closes) -> None:
    body = gaps(viewer).json()
    assert body["count"] == 2
    assert body["results"][0] == {
        "asset_identifier": "A",
        "calendar": "DAYS",
        "first": instant(DAYS[0]),
        "last": instant(DAYS[9]),
        "expected": 10,
        "stored": 8,
        "missing": 2,
        "share": 0.2,
        "off_session": 0,
        "longest_gap": 2,
        "number_of_gaps": 1,
        "gaps": [{"start": instant(DAYS[2]), "end": instant(DAYS[3]), "missing": 2}],
    }
    assert body["results"][1]["gaps"] == [{"start": instant(DAYS[6]), "end": instant(DAYS[6]), "missing": 1}]


def test_gaps_are_paged_and_filtered_by_asset(viewer: APIClient, node: Closes) -> None:
    page = gaps(viewer, "&limit=1").json()
    assert [row["asset_identifier"] for row in page["results"]] == ["A"]
    assert [row["asset_identifier"] for row in viewer.get(page["next"]).json()["results"]] == ["B"]
    assert [row["asset_identifier"] for row in gaps(viewer, "&asset_identifier=B,NONE").json()["results"]] == ["B"]
    assert gaps(viewer, f"&start={DAYS[4]}&asset_identifier=A").json()["results"][0]["missing"] == 0


@pytest.mark.parametrize(
    ("query", "attr", "said"),
    [
        ("start=2026-02-01&end=2026-01-01", "start", "is after end"),
        ("start=2026-01-01T00:00:00", "start", "has no time zone"),
        ("start=", "start", "start is empty"),
        ("calendar=", "calendar", "calendar is empty"),
        ("end=NaN", "end", "is not a time"),
        ("end=%00", "end", "is not a time"),
        ("start=0001-01-01", "start", "outside the years"),
        ("start=" + "9" * 5000, "start", "is no time"),
        ("limit=0", "limit", "whole number"),
        ("asset_identifier=,", "asset_identifier", "empty value"),
    ],
)
def test_bad_questions_about_gaps_are_400(viewer: APIClient, node: Closes, query: str, attr: str, said: str) -> None:
    response = viewer.get(f"{ROOT}data-node/closes/gaps/?{query}")
    assert response.status_code == 400, response.content
    assert response.json()["errors"][0]["attr"] == attr
    assert said in response.json()["errors"][0]["detail"]


@pytest.mark.parametrize("calendar", ["NONE", "%00", "x" * 300])
def test_an_unknown_calendar_is_404(viewer: APIClient, node: Closes, calendar: str) -> None:
    assert viewer.get(f"{ROOT}data-node/closes/gaps/?calendar={calendar}").status_code == 404


def test_gaps_take_as_many_queries_for_many_assets_as_for_few(
    viewer: APIClient, node: Closes, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps(viewer)  # Django remembers a little from the first request
    with django_assert_num_queries(12):
        assert gaps(viewer).json()["count"] == 2
    names = [f"Z{number:03d}" for number in range(40)]
    make_assets(*names)
    Closes("many", names).run()
    with django_assert_num_queries(12):
        many = viewer.get(f"{ROOT}data-node/many/gaps/?calendar=DAYS&end={DAYS[-1]}").json()
    assert (many["count"], {row["missing"] for row in many["results"]}) == (40, {0})


def test_a_dry_run_answers_the_plan_and_does_nothing(admin: APIClient, node: Closes) -> None:
    before = stored(node)
    response = post(admin, failed_only=True, dry_run=True)
    assert response.status_code == 200
    body = response.json()
    assert (body["parts"], body["rows_expected"], body["missing"], body["notes"]) == (2, 3, 3, [])
    assert body["windows"][0] == {
        "node": "closes",
        "start": instant(DAYS[2]),
        "end": instant(DAYS[3]),
        "assets": 1,
        "mode": "fill",
        "rows_expected": 2,
    }
    assert stored(node) == before
    assert (Backfill.objects.count(), Job.objects.count(), NodeRun.objects.count()) == (0, 0, 1)


def test_a_worker_does_it_and_the_same_one_is_asked_once(admin: APIClient, node: Closes) -> None:
    first = post(admin, failed_only=True)
    assert first.status_code == 202
    assert first["Location"].endswith(f"/job/{first.json()['uid']}/")
    assert post(admin, failed_only=True).json()["uid"] == first.json()["uid"]
    assert post(admin, failed_only=True, assets=["A"]).json()["uid"] != first.json()["uid"]
    # when the worker takes it
    jobs.execute(first.json()["uid"])
    job = Job.objects.get(uid=first.json()["uid"])
    assert (job.status, job.counters["parts_done"], job.counters["rows_written"]) == (JobStatus.SUCCEEDED, 2, 3)
    assert (job.progress_done, job.progress_total) == (2_000, 2_000)
    assert job.progress_text == "2 of 2 parts, 3 rows written"
    assert [message.text for message in job.messages.all()] == [
        "Planned: 2 parts, 3 rows expected, 3 missing.",
        "2 of 2 parts done, 3 rows written.",
    ]
    assert set(NodeRun.objects.filter(is_backfill=True).values_list("job", flat=True)) == {job.pk}
    assert statistics(node) == recount(node)
    assert len(stored(node)) == 20


def test_a_second_one_has_nothing_to_do_and_its_job_says_so(admin: APIClient, node: Closes) -> None:
    for _ in range(2):
        uid = post(admin, failed_only=True).json()["uid"]
        jobs.execute(uid)
    job = Job.objects.get(uid=uid)
    assert job.status == JobStatus.SUCCEEDED
    assert job.messages.last().text == "Nothing to do: no session is missing and no part has failed."


def test_a_failed_part_fails_the_job_with_the_list_and_asking_again_does_the_rest(
    admin: APIClient, node: Closes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Closes, "breaks_on", {"A": "The vendor is closed."})
    uid = post(admin, failed_only=True).json()["uid"]
    jobs.execute(uid)
    job = Job.objects.get(uid=uid)
    assert job.status == JobStatus.FAILED
    assert "1 of 2 parts done, 1 row written; 1 failed." in job.error
    assert "closes from 2026-01-07 21:00 to 2026-01-08 21:00 UTC: The vendor is closed." in job.error
    assert job.counters["parts_failed"] == 1
    monkeypatch.setattr(Closes, "breaks_on", {})
    again = post(admin, failed_only=True).json()["uid"]
    assert again != uid
    jobs.execute(again)
    assert Backfill.objects.count() == 1
    assert Job.objects.get(uid=again).counters == {
        "parts": 2,
        "parts_done": 1,
        "parts_done_before": 1,
        "parts_failed": 0,
        "parts_left": 0,
        "rows_written": 2,
    }


def test_a_job_that_is_ended_meanwhile_begins_no_further_part(
    admin: APIClient, node: Closes, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = post(admin, failed_only=True).json()["uid"]
    update = Closes.update

    def ends_its_job(self: Closes) -> Any:
        Job.objects.filter(uid=uid).update(status=JobStatus.FAILED, finished_at=dt.datetime.now(dt.UTC))
        return update(self)

    monkeypatch.setattr(Closes, "update", ends_its_job)
    jobs.execute(uid)
    assert list(BackfillPart.objects.order_by("position").values_list("status", flat=True)) == ["done", "waiting"]
    assert Job.objects.get(uid=uid).status == JobStatus.FAILED
    assert len(stored(node)) == 19


@pytest.mark.parametrize(
    ("body", "status", "attr"),
    [
        ({"start": None}, 400, "start"),
        ({"start": "2026-02-01"}, 400, "start"),
        ({"start": "2026-01-01T00:00:00"}, 400, "start"),
        ({"end": "NaN"}, 400, "end"),
        ({"end": 5}, 400, "end"),
        ({"assets": []}, 400, "assets"),
        ({"assets": ["NONE"]}, 400, None),
        ({"assets": "A"}, 400, "assets"),
        ({"assets": [f"X{number}" for number in range(100_001)]}, 400, "assets"),
        ({"failed_only": "yes"}, 400, "failed_only"),
        ({"calendar": "NONE", "failed_only": True}, 404, None),
        ({"unknown": 1}, 400, "unknown"),
    ],
)
def test_bad_requests_are_refused_and_nothing_is_asked(
    admin: APIClient, node: Closes, body: dict[str, Any], status: int, attr: str | None
) -> None:
    for dry in (True, False):
        response = post(admin, **{"dry_run": dry, **body})
        assert response.status_code == status, response.content
        if attr:
            assert attr in response.json()["errors"][0]["attr"]
    assert not Backfill.objects.exists()
    assert not Job.objects.exists()


def test_without_a_calendar_missing_only_is_400_with_the_remedy(admin: APIClient, node: Closes) -> None:
    bare = Closes("bare", calendar_identifier="")
    bare.run()
    body = {"start": str(DAYS[0]), "end": str(DAYS[-1]), "failed_only": True}
    response = admin.post(f"{ROOT}data-node/bare/backfill/", body, format="json")
    assert response.status_code == 400
    assert "Name one: calendar=XNYS" in response.json()["errors"][0]["detail"]

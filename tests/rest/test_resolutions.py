"""Resolutions over REST: a list is given, watched, read with its evidence, decided, and asked again."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from markets.models import (
    Asset,
    HomeMarketPolicy,
    ItemStatus,
    Job,
    RememberedDecision,
    Resolution,
    ResolutionItem,
)
from markets.openfigi.fake.universe import rows_for
from markets.services import jobs
from markets.services.figi_registration import register_assets_from_figis
from tests import factories
from tests.factories import CANDIDATE, OTHER_CANDIDATE
from tests.rest.base import ROOT

pytestmark = pytest.mark.django_db
RESOLVE, LISTS, REVIEW = (f"{ROOT}openfigi/{name}/" for name in ("resolve", "resolution", "review"))
APPLE, WRONG = "US0378331005", "US0378331006"


@pytest.fixture
def analyst() -> APIClient:
    client = APIClient()
    client.force_authenticate(factories.person("analyst"))
    return client


def send(client: APIClient, path: str, body: Any = None) -> Any:
    return client.post(path, {} if body is None else body, format="json")


def work(uid: str) -> None:
    job = Resolution.objects.get(uid=uid).job
    assert job is not None
    jobs.execute(str(job.uid))


def test_a_list_is_given_watched_and_read_with_its_evidence(openfigi, analyst: APIClient) -> None:
    answer = send(analyst, RESOLVE, {"identifiers": [APPLE, WRONG, APPLE], "source": "desk", "title": "Mine"})
    assert answer.status_code == 202
    given = answer.json()
    assert (given["title"], given["source"], given["lines"], given["repeated"]) == ("Mine", "desk", 3, 1)
    assert (given["job"]["status"], given["job"]["kind"]) == ("queued", "resolve_figis")
    assert answer.headers["Location"].endswith(f"{LISTS}{given['uid']}/")

    work(given["uid"])
    watched = analyst.get(answer.headers["Location"]).json()
    assert (watched["job"]["status"], watched["counts"]) == ("succeeded", {"rejected": 1, "review": 1})
    assert watched["requests_sent"] == 1

    items = analyst.get(f"{LISTS}{given['uid']}/items/").json()
    assert items["count"] == 2
    assert [(row["line"], row["text"], row["status"]) for row in items["results"]] == [
        (1, APPLE, "review"),
        (2, WRONG, "rejected"),
    ]
    for query, texts in {
        "status=rejected": [WRONG],
        "scheme=isin": [APPLE],
        "search=us03": [APPLE, WRONG],
        "status=review&search=nothing": [],
    }.items():
        found = analyst.get(f"{LISTS}{given['uid']}/items/?{query}").json()["results"]
        assert [row["text"] for row in found] == texts, query

    evidence = analyst.get(f"{LISTS}{given['uid']}/items/1/").json()
    assert evidence["answer"]["job"] == {"idType": "ID_ISIN", "idValue": APPLE}
    assert [row["figi"] for row in evidence["candidates"]] == [row["figi"] for row in rows_for("ID_ISIN", APPLE)]
    assert analyst.get(f"{LISTS}{given['uid']}/items/2/").json()["answer"] is None


def test_text_is_a_list_too(analyst: APIClient) -> None:
    assert send(analyst, RESOLVE, {"text": f"# mine\n{APPLE}\n\nIBM@XNYS\n"}).status_code == 202
    assert list(ResolutionItem.objects.order_by("line").values_list("line", "scheme", "value", "venue")) == [
        (2, "isin", APPLE, ""),
        (4, "ticker", "IBM", "XNYS"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "identifiers"),
        ({"identifiers": []}, "identifiers"),
        ({"identifiers": ["", "# nothing"]}, "identifiers"),
        ({"identifiers": ["A"] * 10_001}, "identifiers"),
        ({"identifiers": ["A"], "text": "A"}, "identifiers"),
        ({"text": "A\n" * 10_001}, "identifiers"),
        ({"text": "A\n" * 1_100_000}, "text"),
        ({"text": "A\x00"}, "text"),
        ({"identifiers": ["A\x00"]}, "identifiers.0"),
        ({"identifiers": [1]}, "identifiers.0"),
        ({"identifiers": [APPLE], "source": "x" * 65}, "source"),
        ({"identifiers": [APPLE], "title": "a\x00b"}, "title"),
        ({"identifiers": [APPLE], "colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_list_that_is_none_is_refused_whole(analyst: APIClient, body: dict[str, Any], field: str) -> None:
    answer = send(analyst, RESOLVE, body)
    assert answer.status_code == 400, answer.content[:300]
    assert answer.json()["errors"][0]["attr"] == field
    assert (Resolution.objects.count(), ResolutionItem.objects.count(), Job.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize("line", ["0", "2", "-1", "x", "9" * 30, "%00", "1.0"])
def test_a_line_that_is_not_in_the_list_is_404(analyst: APIClient, line: str) -> None:
    item = factories.resolution_item(line=1)
    other = factories.resolution_item(line=2)
    assert other.resolution_id != item.resolution_id
    assert analyst.get(f"{LISTS}{item.resolution.uid}/items/{line}/").status_code == 404
    assert analyst.get(f"{LISTS}{item.resolution.uid}/items/1/").status_code == 200


def test_what_failed_is_resumed_and_what_is_done_is_not(openfigi, analyst: APIClient) -> None:
    item = factories.resolution_item(status="failed", tries=3)
    path = f"{LISTS}{item.resolution.uid}/resume/"
    answer = send(analyst, path)
    assert (answer.status_code, answer.json()["job"]["status"]) == (202, "queued")
    item.refresh_from_db()
    assert (item.status, item.tries) == ("pending", 0)
    again = send(analyst, path)  # while it waits, it is the same job
    assert again.json()["job"]["uid"] == answer.json()["job"]["uid"]
    work(str(item.resolution.uid))
    refused = send(analyst, path)
    assert refused.status_code == 409
    assert "has its outcome" in refused.json()["errors"][0]["detail"]
    assert Job.objects.count() == 1


def test_an_item_is_accepted_and_only_once(analyst: APIClient) -> None:
    item = factories.resolution_item(status="review")
    path = f"{REVIEW}{item.pk}/"
    shown = analyst.get(path).json()
    assert shown["suggested_figi"] is None
    assert [(row["figi"], row["exchange_code"]) for row in shown["candidates"]] == [
        (CANDIDATE, "US"),
        (OTHER_CANDIDATE, "GR"),
    ]
    for wrong in ("BBG000BPH459", "", "x"):
        assert send(analyst, f"{path}accept/", {"figi": wrong}).json()["errors"][0]["attr"] == "figi"
    assert not Asset.objects.exists()
    answer = send(analyst, f"{path}accept/", {"figi": OTHER_CANDIDATE, "reason": "Traded there"})
    assert (answer.status_code, answer.json()["status"]) == (200, "registered")
    assert answer.json()["asset_identifier"] == OTHER_CANDIDATE
    kept = RememberedDecision.objects.get()
    assert (kept.figi, kept.source, kept.reason) == (OTHER_CANDIDATE, "desk", "Traded there")
    for late in ("accept", "decline", "postpone"):
        body = {"figi": CANDIDATE} if late == "accept" else {}
        assert send(analyst, f"{path}{late}/", body).status_code == 409
    assert analyst.get(path).status_code == 404
    assert Asset.objects.count() == 1


def test_an_index_cannot_be_accepted(analyst: APIClient) -> None:
    row = {"figi": CANDIDATE, "marketSector": "Index", "name": "X"}
    item = factories.resolution_item(status="review", answer=factories.figi_answer(rows=[row]))
    shown = analyst.get(f"{REVIEW}{item.pk}/").json()
    assert (shown["suggested_figi"], shown["candidates"][0]["is_acceptable"]) == (None, False)
    answer = send(analyst, f"{REVIEW}{item.pk}/accept/", {"figi": CANDIDATE})
    assert answer.status_code == 400
    assert "It is an index, not an asset." in answer.json()["errors"][0]["detail"]
    item.refresh_from_db()
    assert item.status == ItemStatus.REVIEW
    assert not RememberedDecision.objects.exists()


def test_what_is_declined_is_reopened_and_what_is_put_off_comes_last(analyst: APIClient) -> None:
    first, second = (factories.resolution_item(status="review") for _ in range(2))
    assert send(analyst, f"{REVIEW}{first.pk}/postpone/").json()["is_postponed"] is True
    assert [row["id"] for row in analyst.get(REVIEW).json()["results"]] == [second.pk, first.pk]
    assert analyst.get(REVIEW).json()["results"][0]["num_candidates"] == 2
    assert send(analyst, f"{REVIEW}{second.pk}/reopen/").status_code == 409
    assert send(analyst, f"{REVIEW}{second.pk}/decline/", {"reason": "A fund"}).json()["status"] == "declined"
    assert RememberedDecision.objects.get().figi == ""
    assert send(analyst, f"{REVIEW}{second.pk}/reopen/").json()["status"] == "review"
    assert not RememberedDecision.objects.exists()
    assert not Asset.objects.exists()


def test_a_rule_is_tried_and_then_applied_to_what_was_chosen(analyst: APIClient) -> None:
    chosen = factories.resolution(source="desk")
    items = [factories.resolution_item(chosen, status="review") for _ in range(3)]
    other = factories.resolution_item(factories.resolution(source="other"), status="review")
    body = {"exchange_codes": ["ln", "us"], "resolution_uid": str(chosen.uid), "dry_run": True}
    told = send(analyst, f"{REVIEW}decide/", body).json()
    assert told == {"dry_run": True, "accepted": 3, "left": 0}
    assert not Asset.objects.exists()
    assert send(analyst, f"{REVIEW}decide/", {**body, "exchange_codes": ["LN"]}).json()["left"] == 3
    assert send(analyst, f"{REVIEW}decide/", {**body, "dry_run": False}).json() == {
        "dry_run": False,
        "accepted": 3,
        "left": 0,
    }
    assert list(Asset.objects.values_list("unique_identifier", flat=True)) == [CANDIDATE]
    assert RememberedDecision.objects.count() == 3
    other.refresh_from_db()
    assert other.status == ItemStatus.REVIEW
    assert {ResolutionItem.objects.get(pk=item.pk).figi for item in items} == {CANDIDATE}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "exchange_codes"),
        ({"exchange_codes": []}, "exchange_codes"),
        ({"exchange_codes": ["U S"]}, "exchange_codes"),
        ({"exchange_codes": ["ÜS"]}, "exchange_codes"),
        ({"exchange_codes": "US"}, "exchange_codes"),
        ({"exchange_codes": ["US"], "scheme": "colour"}, "scheme"),
        ({"exchange_codes": ["US"], "dry_run": "yes"}, "dry_run"),
        ({"exchange_codes": ["US"], "resolution_uid": "0190d7e2-3f4a-7cde-8a11-0123456789ab"}, "resolution_uid"),
        ({"exchange_codes": ["US"], "reason": "x" * 1_001}, "reason"),
    ],
    ids=str,
)
def test_a_rule_that_is_none_decides_nothing(analyst: APIClient, body: dict[str, Any], field: str) -> None:
    factories.resolution_item(status="review")
    answer = send(analyst, f"{REVIEW}decide/", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"].partition(".")[0] == field
    assert not Asset.objects.exists()
    assert ResolutionItem.objects.get().status == ItemStatus.REVIEW


def test_the_inbox_is_filtered(analyst: APIClient) -> None:
    item = factories.resolution_item(factories.resolution(source="a"), status="review", scheme="isin", text="ONE")
    factories.resolution_item(factories.resolution(source="b"), status="review")
    queries = ("source=a", "scheme=isin", f"resolution_uid={item.resolution.uid}", "search=one", "is_postponed=false")
    for query, number in zip(queries, (1, 1, 1, 1, 2), strict=True):
        assert analyst.get(f"{REVIEW}?{query}").json()["count"] == number, query


def test_home_markets_are_written_in_capitals_and_once_a_source(analyst: APIClient) -> None:
    path = f"{ROOT}openfigi/home-market/"
    made = send(analyst, path, {"source": " desk ", "exchange_codes": ["us", "GR", "US"]})
    assert (made.status_code, made.json()["source"], made.json()["exchange_codes"]) == (201, "desk", ["US", "GR"])
    assert send(analyst, path, {"source": "desk", "exchange_codes": ["LN"]}).status_code == 409
    for codes in (["U-S"], [""], ["A" * 9], ["\x00"], [None], "US"):
        assert send(analyst, path, {"source": "other", "exchange_codes": codes}).status_code == 400, codes
    row = f"{path}{made.json()['uid']}/"
    assert analyst.patch(row, {"source": "else"}, format="json").status_code == 400
    assert analyst.put(row, made.json(), format="json").json() == made.json()
    assert analyst.patch(row, {"exchange_codes": ["fp"]}, format="json").json()["exchange_codes"] == ["FP"]
    changes = analyst.get(f"{row}history/").json()["results"]
    assert [change["operation"] for change in changes] == ["changed", "created"]
    assert HomeMarketPolicy.objects.count() == 1


def test_all_that_waits_is_asked_for_as_one_list(analyst: APIClient) -> None:
    path = f"{ROOT}openfigi/pending/resolve/"
    refused = send(analyst, path)
    assert (refused.status_code, refused.json()["errors"][0]["detail"]) == (409, "Nothing waits for OpenFIGI.")
    register_assets_from_figis([CANDIDATE, OTHER_CANDIDATE], source="a file")
    answer = send(analyst, path)
    assert (answer.status_code, answer.json()["source"], answer.json()["lines"]) == (202, "pending", 2)
    assert set(ResolutionItem.objects.values_list("value", flat=True)) == {CANDIDATE, OTHER_CANDIDATE}
    again = send(analyst, path)
    assert again.status_code == 409
    assert "is being resolved already" in again.json()["errors"][0]["detail"]
    assert Resolution.objects.count() == 1


@pytest.mark.parametrize("path", ["resolution/", "review/", "home-market/", "items"])
def test_lists_take_as_many_queries_for_many_rows(analyst: APIClient, path: str) -> None:
    owner = factories.resolution()
    address = f"{LISTS}{owner.uid}/items/" if path == "items" else f"{ROOT}openfigi/{path}"

    def grow(number: int) -> None:
        for _ in range(number):
            factories.resolution_item(owner, status="registered", asset=factories.asset())
            factories.resolution_item(factories.resolution(job=factories.job()), status="review")
            factories.home_market()

    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            assert analyst.get(address).status_code == 200
        return len(counted)

    grow(2)
    queries()
    few = queries()
    grow(12)
    assert queries() == few

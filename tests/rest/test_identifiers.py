"""REST of identifiers: edits, batches, and what an identifier named on a day."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from markets.models import Asset, AssetIdentifier
from markets.services.assets import set_openfigi_details
from markets.services.identifiers import add_identifier
from tests import factories

URL = "/api/v1/asset-identifier/"
RESOLVE = f"{URL}resolve/"
TICKER = {"scheme": "ticker", "venue": "XNAS"}
D = dt.date

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    verbs = [f"markets.{verb}_assetidentifier" for verb in ("view", "add", "change", "delete")]
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(factories.user(*verbs, 'markets.view_asset'))}")
    return client


@pytest.fixture
def meta() -> Asset:
    asset = factories.asset(unique_identifier="META")
    add_identifier(asset, "ticker", "FB", venue="XNAS", valid_from=D(2012, 5, 18), valid_to=D(2022, 6, 9))
    add_identifier(asset, "ticker", "META", venue="XNAS", valid_from=D(2022, 6, 9), source="exchange")
    return asset


def post(api: APIClient, url: str, body: Any, status: int = 200) -> Any:
    response = api.post(url, body, format="json")
    assert response.status_code == status, response.content
    return response.json()


def fault(body: Any) -> tuple[str | None, str]:
    [error] = body["errors"]
    return error["attr"], error["detail"]


def stored() -> list[tuple]:
    rows = AssetIdentifier.objects.order_by("scheme", "value", "valid_from")
    return list(rows.values_list("asset__unique_identifier", "scheme", "value", "valid_from", "valid_to"))


def test_a_row_is_made_changed_and_deleted_under_its_etag(api: APIClient, meta: Asset) -> None:
    body = {"asset_uid": str(meta.uid), "scheme": "isin", "value": "us30303m1027", "evidence": {"row": 7}}
    made = api.post(URL, body, format="json")
    assert made.status_code == 201
    row = made.json()
    assert (row["asset_identifier"], row["value"], row["evidence"]) == ("META", "US30303M1027", {"row": 7})
    url = f"{URL}{row['uid']}/"
    # when it was changed meanwhile
    changed = api.patch(url, {"valid_from": "2012-05-18"}, format="json", HTTP_IF_MATCH=made["ETag"])
    assert (changed.status_code, changed.json()["valid_from"]) == (200, "2012-05-18")
    assert api.patch(url, {"valid_to": "2030-01-01"}, format="json", HTTP_IF_MATCH=made["ETag"]).status_code == 412
    # then what GET gives is valid input for PUT
    assert api.put(url, api.get(url).json(), format="json").status_code == 200
    assert api.delete(url, HTTP_IF_MATCH=changed["ETag"]).status_code == 204
    history = api.get(f"/api/v1/asset/{meta.uid}/history/").json()["results"]
    assert [(item["operation"], item["entity"], item["name"]) for item in history[:3]] == [
        ("deleted", "identifier", "META isin US30303M1027"),
        ("changed", "identifier", "META isin US30303M1027"),
        ("created", "identifier", "META isin US30303M1027"),
    ]
    assert history[1]["changes"] == [{"field": "valid_from", "old": None, "new": "2012-05-18"}]
    assert len(stored()) == 2


@pytest.mark.parametrize(
    ("body", "status", "attr", "says"),
    [
        ({"scheme": "isin", "value": "US0378331005"}, 400, "asset_uid", "by asset_uid or asset_identifier"),
        ({"asset_identifier": "NOBODY", "scheme": "isin", "value": "US0378331005"}, 400, "asset_identifier", "NOBODY"),
        ({"asset_identifier": "META", "scheme": "isin", "value": "US0378331006"}, 400, "value", "check digit"),
        ({"asset_identifier": "META", "scheme": "ISIN", "value": "US0378331005"}, 400, "scheme", "is no scheme"),
        ({"asset_identifier": "META", "scheme": "isin", "value": "US0378331005", "venue": "XNAS"}, 400, "venue", "no"),
        ({"asset_identifier": "META", "scheme": "x1", "value": "1", "valid_to": "2200-01-01"}, 400, "valid_to", "2199"),
        ({"asset_identifier": "META", "scheme": "x1", "value": "1", "valid_to": "infinity"}, 400, "valid_to", "format"),
        ({"asset_identifier": "META", "scheme": "x1", "value": "1", "evidence": [1]}, 400, "evidence", "JSON object"),
        (
            {
                "asset_identifier": "META",
                "scheme": "ticker",
                "value": "fb",
                "venue": "XNAS",
                "valid_from": "2022-06-08",
            },
            409,
            None,
            "Ticker FB of META (from 2022-06-08) overlaps that of META (from 2012-05-18 to before 2022-06-09)",
        ),
        (
            {
                "asset_identifier": "META",
                "scheme": "ticker",
                "value": "META",
                "venue": "XNAS",
                "valid_from": "2022-06-09",
            },
            409,
            None,
            "META has ticker META@XNAS from 2022-06-09 already",
        ),
    ],
)
def test_what_is_refused_says_why_and_writes_nothing(
    api: APIClient, meta: Asset, body: dict[str, Any], status: int, attr: str | None, says: str
) -> None:
    before = stored()
    named, detail = fault(post(api, URL, body, status))
    assert named == attr
    assert says in detail
    assert stored() == before


def test_whose_it_is_and_its_value_never_change(api: APIClient, meta: Asset) -> None:
    row = AssetIdentifier.objects.get(value="FB")
    for name, value in (("value", "FBX"), ("scheme", "sedol"), ("asset_identifier", "OTHER")):
        response = api.patch(f"{URL}{row.uid}/", {name: value}, format="json")
        assert (response.status_code, fault(response.json())[0]) == (400, name)
    response = api.patch(f"{URL}{row.uid}/", {"valid_to": "2012-05-18"}, format="json")
    assert (response.status_code, fault(response.json())[0]) == (400, "valid_to")
    row.refresh_from_db()
    assert (row.value, row.valid_to) == ("FB", D(2022, 6, 9))


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("asset_identifier=META", ["FB", "META"]),
        ("asset_identifier=OTHER", ["US30303M1027"]),
        ("asset_identifier=NOBODY", []),
        ("scheme=isin", ["US30303M1027"]),
        ("value=FB", ["FB"]),
        ("value__in=FB,META", ["FB", "META"]),
        ("search=us30", ["US30303M1027"]),
        ("venue=XNAS", ["FB", "META"]),
        ("valid_on=2022-06-08", ["US30303M1027", "FB"]),
        ("valid_on=2022-06-09", ["US30303M1027", "META"]),
        ("valid_on=2012-05-17", ["US30303M1027"]),
    ],
)
def test_lists_are_filtered(api: APIClient, meta: Asset, query: str, values: list[str]) -> None:
    add_identifier(factories.asset(unique_identifier="OTHER"), "isin", "US30303M1027")
    body = api.get(f"{URL}?{query}").json()
    assert [row["value"] for row in body["results"]] == values
    assert body["count"] == len(values)


def test_a_walk_by_cursor_comes_by_every_row_once(api: APIClient, meta: Asset) -> None:
    for place in range(5):
        factories.asset_identifier(meta, value=f"W{place}", venue="" if place % 2 else "XNYS")
    found, url = [], f"{URL}?cursor=&limit=2"
    while url:
        body = api.get(url).json()
        found += [row["value"] for row in body["results"]]
        url = body["next"]
    assert found == ["FB", "META", "W0", "W1", "W2", "W3", "W4"]


def test_a_list_costs_the_same_queries_for_one_row_as_for_many(api: APIClient, meta: Asset) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert api.get(URL).status_code == 200
        return len(found)

    queries()  # the first one of a token reads what is known of it, too
    few = queries()
    for place in range(30):
        factories.asset_identifier(value=f"MANY{place}")
    assert queries() == few


def test_a_batch_is_written_whole_or_tells_every_fault(api: APIClient, meta: Asset) -> None:
    rows: list[Any] = [
        {"asset_identifier": "META", "scheme": "cusip", "value": "30303M102", "source": "file"},
        {"asset_uid": str(meta.uid), "scheme": "ticker", "value": "META", "venue": "XNAS", "valid_from": "2022-06-09"},
        {"asset_identifier": "META", "scheme": "ticker", "value": "FB", "venue": "XNAS", "valid_from": "2020-01-01"},
        {"asset_identifier": "NOBODY", "scheme": "cusip", "value": "037833100"},
        {"asset_identifier": "META", "scheme": "cusip", "value": "037833101"},
        {"asset_identifier": "META", "scheme": "ticker", "value": "NEW", "valid_from": "2020-01-01"},
        {"asset_uid": str(meta.uid), "scheme": "ticker", "value": "NEW", "valid_from": "2021-01-01"},
        {"asset_identifier": "META", "scheme": "cusip", "value": "30303M102", "wrong": 1},
        7,
    ]
    before = stored()
    response = api.put(URL, rows, format="json")
    assert response.status_code == 400
    assert {error["attr"] for error in response.json()["errors"]} == {
        *("2.valid_from", "3.asset_identifier", "4.value", "6.valid_from", "7.wrong", "8.row"),
    }
    assert stored() == before
    # when the faulty ones may be left out
    body = api.put(f"{URL}?on_error=skip", rows, format="json").json()
    assert [row["outcome"] for row in body["results"]] == [
        *("created", "unchanged", "rejected", "rejected", "rejected", "created", "rejected", "rejected", "rejected"),
    ]
    assert (body["created"], body["results"][6]["key"]) == (2, "META ticker NEW")
    assert "among the same rows" in body["results"][6]["reason"]
    assert sorted(set(stored()) - set(before)) == [
        ("META", "cusip", "30303M102", None, None),
        ("META", "ticker", "NEW", D(2020, 1, 1), None),
    ]
    assert AssetIdentifier.objects.get(value="30303M102").source == "file"


def test_a_list_can_be_sent_back_as_it_was_read(api: APIClient, meta: Asset) -> None:
    rows = api.get(URL).json()["results"]
    body = api.put(URL, rows, format="json").json()
    assert (body["unchanged"], body["created"]) == (2, 0)
    rows[0]["valid_to"] = "2022-06-08"
    response = api.put(URL, rows, format="json")
    assert (response.status_code, fault(response.json())[0]) == (400, "0.uid")
    assert len(stored()) == 2


def test_who_it_was_on_a_day(api: APIClient, meta: Asset) -> None:
    body = api.get(f"{RESOLVE}?scheme=ticker&value=fb&venue=XNAS&as_of=2022-06-08").json()
    assert body == {
        "scheme": "ticker",
        "value": "FB",
        "venue": "XNAS",
        "start": "2022-06-08",
        "end": "2022-06-08",
        "outcome": "found",
        "asset_identifier": "META",
        "asset_uid": str(meta.uid),
        "intervals": [
            {
                "asset_uid": str(meta.uid),
                "asset_identifier": "META",
                "venue": "XNAS",
                "valid_from": "2012-05-18",
                "valid_to": "2022-06-09",
                "source": "",
            }
        ],
        "gaps": [],
    }
    assert api.get(f"{RESOLVE}?scheme=ticker&value=FB&as_of=2022-06-09").json()["outcome"] == "not_found"
    partial = api.get(f"{RESOLVE}?scheme=ticker&value=FB&start=2022-06-07&end=2022-06-10").json()
    assert (partial["outcome"], partial["asset_identifier"]) == ("partial", None)
    assert partial["gaps"] == [{"first": "2022-06-09", "last": "2022-06-10"}]


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ("value=FB", "scheme"),
        ("scheme=ticker", "value"),
        ("scheme=ticker&value=FB&as_of=2022-13-01", "as_of"),
        ("scheme=ticker&value=FB&start=2022-01-01", "end"),
        ("scheme=ticker&value=FB&start=2022-01-02&end=2022-01-01", "end"),
        ("scheme=ticker&value=FB&as_of=2022-01-01&end=2022-01-01", "as_of"),
        ("scheme=isin&value=US0378331006", "value"),
        ("scheme=ticker&value=FB&venue=XNASDAQ", "venue"),
        ("scheme=ticker&value=%00", "value"),
        ("scheme=ticker&value=FB&on=2022-01-01", "on"),
    ],
)
def test_a_wrong_question_is_400_naming_the_parameter(api: APIClient, meta: Asset, query: str, attr: str) -> None:
    response = api.get(f"{RESOLVE}?{query}")
    assert response.status_code == 400
    assert fault(response.json())[0] == attr


def test_many_questions_are_answered_in_their_order_in_constant_queries(api: APIClient, meta: Asset) -> None:
    set_openfigi_details(meta, figi="BBG000MM2P62")
    asked = [
        {"scheme": "ticker", "value": "META", "venue": "XNAS"},
        {"scheme": "figi", "value": "BBG000MM2P62"},
        {"scheme": "ticker", "value": "NOBODY"},
    ]
    post(api, RESOLVE, {"identifiers": asked})
    with CaptureQueriesContext(connection) as few:
        body = post(api, RESOLVE, {"identifiers": asked, "as_of": "2025-01-02"})
    assert [item["outcome"] for item in body["results"]] == ["found", "found", "not_found"]
    with CaptureQueriesContext(connection) as many:
        body = post(api, RESOLVE, {"identifiers": asked * 300, "as_of": "2025-01-02"})
    assert [item["value"] for item in body["results"][:3]] == ["META", "BBG000MM2P62", "NOBODY"]
    assert len(body["results"]) == 900
    assert len(many) == len(few)


def test_wrong_questions_are_told_by_their_place(api: APIClient, meta: Asset) -> None:
    asked = [{"scheme": "ticker", "value": "META"}, {"scheme": "figi", "value": "BBG000MM2P63"}]
    assert fault(post(api, RESOLVE, {"identifiers": asked}, 400))[0] == "identifiers.1.value"
    assert fault(post(api, RESOLVE, {"identifiers": asked[:1] * 10_001}, 400))[0] == "identifiers"
    assert fault(post(api, RESOLVE, {"identifiers": []}, 400))[0] == "identifiers.non_field_errors"
    assert fault(post(api, RESOLVE, {"identifiers": asked[:1], "end": "2020-01-01"}, 400))[0] == "start"


def test_a_read_only_token_may_ask_and_not_write(meta: Asset) -> None:
    client = APIClient()
    person = factories.user("markets.view_assetidentifier", "markets.add_assetidentifier")
    client.credentials(HTTP_AUTHORIZATION=f"Token {factories.token(person, is_read_only=True)}")
    post(client, RESOLVE, {"identifiers": [{"scheme": "ticker", "value": "META"}]})
    body = {"asset_identifier": "META", "scheme": "my_id", "value": "1"}
    assert "read-only" in fault(post(client, URL, body, 403))[1]
    assert len(stored()) == 2

"""Asset snapshots over REST: listed, added as a batch, as a frame, and the one that held at a time."""

import datetime as dt
import io
import json
from typing import Any

import pandas as pd
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from markets.models import AssetSnapshot, NodeRun
from markets.services import snapshots
from tests import factories
from tests.rest.base import ROOT, body_of, is_error

pytestmark = pytest.mark.django_db
URL = f"{ROOT}asset-snapshot/"
NOON = dt.datetime(2026, 5, 25, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def registered() -> None:
    for name in ("BTC", "ETH", "SOL"):
        factories.asset(unique_identifier=name)


def row(asset: str = "BTC", time: dt.datetime = NOON, **texts: Any) -> dict[str, Any]:
    return {"time_index": time.isoformat().replace("+00:00", "Z"), "asset_identifier": asset, **texts}


def record(*rows: dict[str, Any]) -> None:
    snapshots.record_snapshots(list(rows))


def send(client: APIClient, *rows: Any, **headers: str) -> Any:
    return client.post(URL, {"snapshots": list(rows)}, format="json", headers=headers)


def stored() -> list[tuple[str, dt.datetime, str]]:
    rows = AssetSnapshot.objects.order_by("asset_identifier", "time_index")
    return list(rows.values_list("asset_identifier", "time_index", "ticker"))


def listed(client: APIClient, query: str = "") -> list[tuple[str, str]]:
    body = client.get(f"{URL}{query}").json()
    return [(item["asset_identifier"], item["time_index"]) for item in body["results"]]


# --- adding ----------------------------------------------------------------------------------------------------------
def test_a_batch_is_added_and_what_a_list_answers_can_be_sent_back(admin: APIClient) -> None:
    # when
    answer = send(admin, row("BTC", ticker="XBT", name="Bitcoin"), row("ETH", exchange_code=None))
    # then
    assert (answer.status_code, answer.json()) == (201, {"inserted": 2})
    body = admin.get(URL).json()
    assert body["count"] == 2
    assert body["results"][0] == {
        "time_index": "2026-05-25T12:00:00Z",
        "asset_identifier": "BTC",
        "name": "Bitcoin",
        "ticker": "XBT",
        "exchange_code": None,
        "asset_ticker_group_id": None,
    }
    later = {**body["results"][0], "time_index": "2026-05-25T15:00:00+02:00"}
    assert send(admin, later).status_code == 201
    assert stored() == [("BTC", NOON, "XBT"), ("BTC", NOON + HOUR, "XBT"), ("ETH", NOON, "")]


def test_one_stored_key_refuses_the_batch_and_every_such_row_is_named(admin: APIClient) -> None:
    # given
    record(row("BTC"), row("ETH"))
    before = stored()
    # when
    answer = send(admin, row("SOL"), row("ETH"), row("BTC", NOON + HOUR), row("BTC", ticker="other"))
    # then
    assert is_error(answer, 409)
    assert [(item["code"], item["attr"]) for item in answer.json()["errors"]] == [
        ("duplicate_key", "snapshots.1"),
        ("duplicate_key", "snapshots.3"),
    ]
    assert answer.json()["errors"][0]["detail"] == (
        "ETH has a snapshot at 2026-05-25T12:00:00Z already. Give it a later time."
    )
    assert stored() == before


def test_of_many_colliding_rows_each_is_named(admin: APIClient) -> None:
    rows = [row("BTC", NOON + HOUR * place) for place in range(40)]
    record(*rows)
    answer = send(admin, *rows, row("SOL"))
    assert [item["attr"] for item in answer.json()["errors"]] == [f"snapshots.{place}" for place in range(40)]
    assert len(stored()) == 40


def test_unknown_assets_are_named_and_nothing_is_written(admin: APIClient) -> None:
    answer = send(admin, row("BTC"), row("nobody"), row("noone"))
    assert is_error(answer, 400)
    assert "2 identifiers (nobody, noone) are not registered" in answer.json()["errors"][0]["detail"]
    assert stored() == []


def test_who_and_why_are_kept_with_the_run(admin: APIClient) -> None:
    send(admin, row("BTC"), **{"X-Change-Reason": "listed anew"})
    log = NodeRun.objects.get().log
    assert "written by " in log
    assert "(REST): listed anew" in log


@pytest.mark.parametrize(
    "rows",
    [
        [],
        "x",
        None,
        {},
        [[]],
        [5],
        [{"asset_identifier": "BTC"}],
        [{"time_index": "2026-05-25T12:00:00Z"}],
        [{"time_index": "2026-05-25T12:00:00", "asset_identifier": "BTC"}],
        [{"time_index": 5, "asset_identifier": "BTC"}],
        [{"time_index": "1500-01-01T00:00:00Z", "asset_identifier": "BTC"}],
        [{"time_index": "0001-01-01T00:00:00+14:00", "asset_identifier": "BTC"}],
        [{"time_index": "2026-05-25T12:00:00.1234567Z", "asset_identifier": "BTC"}],
        [row(" ")],
        [row("a\x00b")],
        [row(ticker=7)],
        [row(ticker="a\x00b")],
        [row(name="x" * 256)],
        [row(nonsense=1)],
        [row(), row()],
        [row()] * 10_001,
    ],
)
def test_wrong_batches_are_400_and_write_nothing(admin: APIClient, rows: Any) -> None:
    assert is_error(admin.post(URL, {"snapshots": rows}, format="json"), 400)
    assert stored() == []


# --- the list --------------------------------------------------------------------------------------------------------
def test_filters_and_orders(admin: APIClient) -> None:
    record(row("BTC", name="Bitcoin"), row("BTC", NOON + HOUR, ticker="XBT"), row("ETH", NOON + 2 * HOUR))
    one, two, three = (
        ("BTC", "2026-05-25T12:00:00Z"),
        ("BTC", "2026-05-25T13:00:00Z"),
        ("ETH", "2026-05-25T14:00:00Z"),
    )
    assert listed(admin) == [one, two, three]
    assert listed(admin, "?ordering=-time_index") == [three, two, one]
    assert listed(admin, "?ordering=-asset_identifier") == [three, two, one]
    assert listed(admin, "?asset_identifier=ETH") == [three]
    assert listed(admin, "?asset_identifier__in=ETH,SOL") == [three]
    uid = factories.Asset.objects.get(unique_identifier="BTC").uid
    assert listed(admin, f"?asset_uid={uid}") == [one, two]
    assert listed(admin, "?start=2026-05-25T13:00:00Z") == [two, three]
    assert listed(admin, "?end=2026-05-25T15:00:00%2B02:00") == [one, two]
    assert listed(admin, "?search=bitc") == [one]
    assert listed(admin, "?search=xb") == [two]
    assert listed(admin, "?as_of=2026-05-25T12:30:00Z") == [one]
    assert listed(admin, "?as_of=2026-05-25") == [two, three]
    assert listed(admin, "?as_of=2026-05-24") == []


def test_a_walk_sees_every_row_once(admin: APIClient) -> None:
    record(*(row(asset, NOON + HOUR * place) for place in range(5) for asset in ("BTC", "ETH")))
    for ordering in ("", "&ordering=-time_index", "&ordering=time_index"):
        seen, url = [], f"{URL}?limit=3&cursor={ordering}"
        while url:
            body = admin.get(url).json()
            seen += [(item["asset_identifier"], item["time_index"]) for item in body["results"]]
            url = body["next"]
        assert len(seen) == 10
        assert seen == listed(admin, f"?limit=100{ordering}")


@pytest.mark.parametrize(
    "query",
    [
        *("start=x", "start=", "as_of=x", "as_of=2026-05-25T12:00:00", "asset_uid=x", "asset_identifier=%00"),
        *("start=2026-05-26&end=2026-05-25", "as_of=2026-05-25&start=2026-05-25", "ordering=name", "uid=x"),
        *("cursor=x", "as_of=%25s", "asset_identifier__in=" + ",".join(["a"] * 501)),
    ],
)
def test_wrong_questions_are_400(admin: APIClient, query: str) -> None:
    assert is_error(admin.get(f"{URL}?{query}"), 400)


# --- the latest ------------------------------------------------------------------------------------------------------
def test_the_latest_of_an_asset_and_the_one_that_held(admin: APIClient) -> None:
    record(row("BTC", ticker="old"), row("BTC", NOON + HOUR, ticker="new", name="Bitcoin"))
    asset = factories.Asset.objects.get(unique_identifier="BTC")
    url = f"{ROOT}asset/{asset.uid}/latest-snapshot/"
    assert admin.get(url).json() == {
        "asset_uid": str(asset.uid),
        "asset_identifier": "BTC",
        "asset_type": asset.asset_type,
        "snapshot_time": "2026-05-25T13:00:00Z",
        "time_index": "2026-05-25T13:00:00Z",
        "name": "Bitcoin",
        "ticker": "new",
        "exchange_code": None,
        "asset_ticker_group_id": None,
    }
    assert admin.get(url, {"as_of": "2026-05-25T12:59:59Z"}).json()["ticker"] == "old"
    nothing = admin.get(url, {"as_of": "2026-05-24"}).json()
    assert (nothing["asset_identifier"], nothing["time_index"], nothing["ticker"]) == ("BTC", None, None)
    for query in ("as_of=x", "as_of=2026-05-25T12:00:00", "as_of=", "start=2026-05-25"):
        assert is_error(admin.get(f"{url}?{query}"), 400), query


# --- as a frame ------------------------------------------------------------------------------------------------------
def frame(client: APIClient, query: str = "") -> list[list[Any]]:
    response = client.get(f"{URL}data/{query}")
    assert response.status_code == 200, body_of(response)
    return list(json.loads(body_of(response))["data"])


def test_snapshots_as_a_frame(admin: APIClient) -> None:
    assert frame(admin) == []  # before the first one
    record(row("BTC", ticker="old"), row("BTC", NOON + HOUR, ticker="new"), row("ETH"))
    first, second, third = (
        ["2026-05-25T12:00:00Z", "BTC", "", "old", "", ""],
        ["2026-05-25T12:00:00Z", "ETH", "", "", "", ""],
        ["2026-05-25T13:00:00Z", "BTC", "", "new", "", ""],
    )
    assert frame(admin) == [first, second, third]
    assert frame(admin, "?as_of=2026-05-25") == [second, third]
    assert frame(admin, "?as_of=2026-05-25T12:30:00Z&asset_identifier=BTC") == [first]
    assert frame(admin, "?as_of=9999-12-31T23:59:59.999999Z&columns=ticker&limit=1") == [
        ["2026-05-25T12:00:00Z", "ETH", ""]
    ]
    assert frame(admin, "?start=2026-05-25T12:30:00Z") == [third]
    text = body_of(admin.get(f"{URL}data/?format=csv")).decode()
    assert text.splitlines()[1] == "2026-05-25T12:00:00Z,BTC,,old,,"
    table = pd.read_parquet(io.BytesIO(body_of(admin.get(f"{URL}data/?format=parquet"))))
    assert table["ticker"].tolist() == ["old", "", "new"]
    for query in ("as_of=2026-05-25&start=2026-05-25T00:00:00Z", "as_of=x", "columns=nonsense", "format=xml"):
        assert is_error(admin.get(f"{URL}data/?{query}"), 400), query


def test_the_list_takes_as_many_queries_for_few_as_for_many(admin: APIClient) -> None:
    admin.get(URL)  # the token's last use is written once a minute
    counts = []
    for count in (3, 60):
        record(*(row("SOL", NOON + HOUR * (count * 100 + place)) for place in range(count)))
        with CaptureQueriesContext(connection) as captured:
            admin.get(f"{URL}?ordering=-time_index")
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 4

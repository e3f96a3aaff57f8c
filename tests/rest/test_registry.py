"""Each resource: what its rows look like, how they change, what is refused, and what a GET answer is good for."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from markets.models import (
    Asset,
    AssetCategory,
    AssetType,
    Calendar,
    CalendarSession,
    Job,
    JobStatus,
    NodeRun,
    RunStatus,
)
from markets.services import categories, universes
from portfolios.models import Portfolio
from tests import factories
from tests.rest.base import LISTS, READS, ROOT, ROUTES, Route, World, call, is_error, stored


def send(client: APIClient, method: str, path: str, body: Any = None, **headers: Any) -> Any:
    return getattr(client, method)(
        ROOT + path, data=json.dumps({} if body is None else body), content_type="application/json", **headers
    )


def first_error(response: Any) -> tuple[str, str | None]:
    assert is_error(response), response.content
    error = response.json()["errors"][0]
    return error["code"], error["attr"]


# --- what holds for all ----------------------------------------------------------------------------------------------
PUTS = [route for route in ROUTES if route.method == "put" and route.path.endswith("}/")]


@pytest.mark.parametrize("route", PUTS, ids=str)
def test_a_get_answer_is_valid_put_input(route: Route, world: World, admin: APIClient) -> None:
    path = world.fill(route.path)
    answer = admin.get(ROOT + path)
    before = stored()
    response = send(admin, "put", path, answer.json(), HTTP_IF_MATCH=answer.headers["ETag"])
    assert response.status_code == 200, response.content
    after = {name: value for name, value in stored().items() if value != before[name]}
    assert {**response.json(), "updated_at": ""} == {**answer.json(), "updated_at": ""}
    assert set(after) <= {f"markets_{route.path.split('/')[0].replace('-', '')}"}


@pytest.mark.parametrize("route", PUTS, ids=str)
def test_etag_names_the_state_of_a_row(route: Route, world: World, admin: APIClient) -> None:
    path = world.fill(route.path)
    first = admin.get(ROOT + path).headers["ETag"]
    assert admin.get(ROOT + path).headers["ETag"] == first
    changed = call(admin, route, world, HTTP_IF_MATCH=f'"other", {first}')
    assert changed.status_code == 200
    second = changed.headers["ETag"]
    assert second != first
    assert admin.get(ROOT + path).headers["ETag"] == second
    refused = call(admin, route, world, HTTP_IF_MATCH=first)
    assert refused.status_code == 412
    assert first_error(refused) == ("precondition_failed", None)
    assert call(admin, route, world, HTTP_IF_MATCH="*").status_code == 200


@pytest.mark.parametrize("route", PUTS, ids=str)
def test_read_only_fields_cannot_change(route: Route, world: World, admin: APIClient) -> None:
    path = world.fill(route.path)
    answer = admin.get(ROOT + path).json()
    before = stored()
    for name in ("uid", "created_at", "updated_at", "unique_identifier", "asset_type"):
        if name not in answer or (name == "asset_type" and route.path.startswith("asset/")):
            continue
        for method in ("put", "patch"):
            response = send(admin, method, path, {**answer, name: "other"})
            assert response.status_code == 400
            assert first_error(response) == ("read_only", name)
    assert stored() == before


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_the_envelope_of_lists(route: Route, world: World, viewer: APIClient) -> None:
    body = viewer.get(ROOT + route.path).json()
    assert set(body) == {"count", "next", "previous", "results"}
    assert body["count"] == len(body["results"]) > 0
    assert (body["next"], body["previous"]) == (None, None)


@pytest.mark.parametrize("route", [route for route in READS if "{" in route.path], ids=str)
def test_times_end_in_z(route: Route, world: World, viewer: APIClient) -> None:
    response = call(viewer, route, world)
    if response.streaming:
        return
    body = response.json()
    rows = body.get("results", [body])
    times = [value for row in rows for name, value in row.items() if name.endswith("_at") and value]
    assert all(value.endswith("Z") for value in times)


def test_paging_walks_every_row_once(viewer: APIClient, db: None) -> None:
    for _ in range(7):
        factories.asset(asset_type="same")
    path: str | None = f"{ROOT}asset/?limit=3&ordering=asset_type"
    seen = []
    while path:
        body = viewer.get(path).json()
        assert body["count"] == 7
        seen += [row["uid"] for row in body["results"]]
        path = body["next"]
    assert len(seen) == len(set(seen)) == 7
    assert viewer.get(f"{ROOT}asset/?offset=100").json()["results"] == []


# --- assets ----------------------------------------------------------------------------------------------------------
def test_create_an_asset(analyst: APIClient) -> None:
    response = send(analyst, "post", "asset/", {"unique_identifier": "  CME:ESZ6 ", "asset_type": " Asset Future "})
    assert response.status_code == 201
    body = response.json()
    row = Asset.objects.get()
    assert body == {
        "uid": str(row.uid),
        "id": row.pk,
        "unique_identifier": "CME:ESZ6",
        "asset_type": "asset_future",
        "is_custom_by_organization": True,
        "openfigi_details": None,
        "created_at": body["created_at"],
        "updated_at": body["updated_at"],
    }
    assert response.headers["Location"].endswith(f"/api/v1/asset/{row.uid}/")
    assert AssetType.objects.get().asset_type == "asset_future"
    again = send(analyst, "post", "asset/", {"unique_identifier": "CME:ESZ6"})
    assert again.status_code == 409
    assert first_error(again) == ("conflict", None)
    assert "'CME:ESZ6'" in again.json()["errors"][0]["detail"]


def test_asset_details_are_nested(viewer: APIClient, db: None) -> None:
    asset = factories.asset()
    details = factories.details(asset, ticker="AAPL", name="APPLE INC")
    body = viewer.get(f"{ROOT}asset/{asset.uid}/").json()["openfigi_details"]
    assert (body["figi"], body["ticker"], body["name"], body["isin"]) == (details.figi, "AAPL", "APPLE INC", None)
    assert "raw_payload" not in body


def test_asset_type_can_be_cleared_and_is_untouched_when_left_out(analyst: APIClient) -> None:
    asset = factories.asset(asset_type="bond")
    send(analyst, "patch", f"asset/{asset.uid}/", {"is_custom_by_organization": False})
    asset.refresh_from_db()
    assert (asset.asset_type, asset.is_custom_by_organization) == ("bond", False)
    assert send(analyst, "patch", f"asset/{asset.uid}/", {"asset_type": None}).json()["asset_type"] is None


def test_public_assets_are_deleted_by_force_only(analyst: APIClient, admin: APIClient) -> None:
    asset = factories.asset(is_custom_by_organization=False)
    path = f"{ROOT}asset/{asset.uid}/"
    impact = analyst.get(f"{path}delete-impact/").json()
    assert (impact["can_delete"], impact["blocking_count"]) == (False, 0)
    assert "public master" in impact["warnings"][0]
    assert analyst.delete(path).status_code == 409
    assert analyst.delete(f"{path}?force=true").status_code == 403
    assert admin.delete(path).status_code == 409
    assert first_error(admin.delete(f"{path}?force=maybe")) == ("invalid", "force")
    assert Asset.objects.filter(pk=asset.pk).exists()
    assert admin.delete(f"{path}?force=true").status_code == 204
    assert not Asset.objects.filter(pk=asset.pk).exists()
    assert admin.delete(path).status_code == 404


def test_an_asset_with_data_is_never_deleted(world: World, admin: APIClient) -> None:
    asset = Asset.objects.get(unique_identifier="AAA")
    path = f"{ROOT}asset/{asset.uid}/"
    impact = admin.get(f"{path}delete-impact/").json()
    blockers = [item for item in impact["relationships"] if item["blocks_delete"]]
    assert [(item["key"], item["count"], item["effect"]) for item in blockers] == [
        ("markets.updatestatistic.asset", 1, "blocks_delete")
    ]
    response = admin.delete(f"{path}?force=true")
    assert response.status_code == 409
    assert f"{world.node.storage.identifier} (4 rows)" in response.json()["errors"][0]["detail"]
    assert Asset.objects.filter(pk=asset.pk).exists()


def test_asset_filters(viewer: APIClient, db: None) -> None:
    apple = factories.asset(unique_identifier="BBG1", asset_type="equity", is_custom_by_organization=False)
    factories.details(apple, ticker="AAPL", name="APPLE INC", figi="BBG000B9XRY4", isin="US0378331005")
    percent = factories.asset(unique_identifier="a%b_c", asset_type="currency_spot")
    plain = factories.asset(unique_identifier="axbyc")
    category = factories.category(apple, plain)

    def found(query: str) -> list[str]:
        response = viewer.get(f"{ROOT}asset/?{query}")
        assert response.status_code == 200, response.content
        return [row["unique_identifier"] for row in response.json()["results"]]

    assert found("") == ["BBG1", "a%b_c", "axbyc"]
    assert found("ordering=-unique_identifier") == ["axbyc", "a%b_c", "BBG1"]
    assert found(f"categories__uid={category.uid}") == ["BBG1", "axbyc"]
    assert found("categories__uid=00000000-0000-7000-8000-000000000000") == []
    assert found("asset_type=Currency%20Spot") == ["a%b_c"]
    assert found("asset_type__in=EQUITY,currency_spot") == ["BBG1", "a%b_c"]
    assert found("unique_identifier=bbg1") == []
    assert found("unique_identifier__in=BBG1,axbyc,nothing") == ["BBG1", "axbyc"]
    assert found("unique_identifier__contains=%25B_") == ["a%b_c"]
    assert found("unique_identifier__contains=") == ["BBG1", "a%b_c", "axbyc"]
    assert found(f"uid={plain.uid}") == ["axbyc"]
    assert found(f"uid__in={plain.uid},{percent.uid}") == ["a%b_c", "axbyc"]
    assert found("is_custom_by_organization=false") == ["BBG1"]
    assert found("search=aap") == ["BBG1"]
    assert found("search=apple") == ["BBG1"]
    assert found("search=APPLE") == found("search=inc%20app") == found("search=us0378331005") == ["BBG1"]
    assert found("search=A%25B") == ["a%b_c"]
    assert found("search=%25") == found("search=%25b") == found("search=pple") == []
    assert found("asset_type=currency_spot&search=a") == ["a%b_c"]
    assert found("search=") == ["BBG1", "a%b_c", "axbyc"]
    assert found("figi=BBG000B9XRY4") == found("ticker=AAPL") == found("isin=US0378331005") == ["BBG1"]
    assert first_error(viewer.get(f"{ROOT}asset/?is_custom_by_organization=maybe"))[1] == "is_custom_by_organization"
    unknown = viewer.get(f"{ROOT}asset/?asset_typ=x").json()["errors"][0]
    assert unknown["attr"] == "asset_typ"
    assert "Did you mean asset_type?" in unknown["detail"]
    assert "categories__uid" in unknown["detail"]


# --- asset types -----------------------------------------------------------------------------------------------------
def test_asset_types(analyst: APIClient) -> None:
    made = send(analyst, "post", "asset-type/", {"asset_type": " Currency Spot ", "display_name": "Spot"})
    assert made.json()["asset_type"] == "currency_spot"
    assert send(analyst, "post", "asset-type/", {"asset_type": "currency_spot"}).status_code == 409
    path = f"asset-type/{made.json()['uid']}/"
    assert send(analyst, "patch", path, {"display_name": None, "metadata_json": {"a": [1]}}).json()[
        "metadata_json"
    ] == {"a": [1]}
    factories.asset(asset_type="currency_spot")
    impact = analyst.get(f"{ROOT}{path}delete-impact/").json()
    assert (impact["can_delete"], impact["blocking_count"]) == (False, 1)
    refused = analyst.delete(ROOT + path)
    assert first_error(refused) == ("protected", None)
    assert "1 asset." in refused.json()["errors"][0]["detail"]
    Asset.objects.all().delete()
    assert analyst.delete(ROOT + path).status_code == 204


# --- categories ------------------------------------------------------------------------------------------------------
def members(category: Any) -> set[str]:
    return {row.unique_identifier for row in categories.members_of(AssetCategory.objects.get(uid=category))}


def test_categories(analyst: APIClient) -> None:
    one, two, three = (factories.asset(unique_identifier=name) for name in ("one", "two", "three"))
    made = send(
        analyst, "post", "asset-category/", {"display_name": " S&P 500 ", "assets": [str(one.uid), str(one.uid)]}
    )
    assert made.status_code == 201
    body = made.json()
    assert (body["unique_identifier"], body["display_name"], body["number_of_assets"]) == ("s_p_500", "S&P 500", 1)
    second = send(analyst, "post", "asset-category/", {"display_name": "S&P 500"})
    assert second.json()["unique_identifier"] == "s_p_500_2"
    path = f"asset-category/{body['uid']}/"
    added = send(analyst, "post", f"{path}append-assets/", {"assets": [str(one.uid), str(two.uid), str(two.uid)]})
    assert added.json() == {"uid": body["uid"], "added": 1, "kept": 1, "removed": 0}
    unknown = "00000000-0000-7000-8000-000000000000"
    refused = send(analyst, "post", f"{path}append-assets/", {"assets": [str(three.uid), unknown]})
    assert first_error(refused) == ("unknown_identifier", "assets")
    assert unknown in refused.json()["errors"][0]["detail"]
    assert members(body["uid"]) == {"one", "two"}
    removed = send(analyst, "post", f"{path}remove-assets/", {"assets": [str(one.uid), str(three.uid)]})
    assert removed.json() == {"uid": body["uid"], "added": 0, "kept": 1, "removed": 1}
    assert send(analyst, "patch", path, {"description": "Large"}).json()["number_of_assets"] == 1
    assert send(analyst, "patch", path, {"assets": [str(three.uid)]}).json()["number_of_assets"] == 1
    assert members(body["uid"]) == {"three"}
    assert send(analyst, "patch", path, {"assets": None}).status_code == 400
    assert send(analyst, "patch", path, {"description": None}).json()["description"] is None
    assert send(analyst, "patch", path, {"display_name": None}).status_code == 400
    broken = send(analyst, "patch", path, {"display_name": "New", "assets": [unknown]})
    assert broken.status_code == 400
    assert analyst.get(ROOT + path).json()["display_name"] == "S&P 500", "all or nothing"
    assert send(analyst, "patch", path, {"assets": []}).json()["number_of_assets"] == 0
    assert analyst.delete(ROOT + path).status_code == 204
    assert Asset.objects.count() == 3


def test_changing_members_changes_the_etag(analyst: APIClient) -> None:
    category, asset = factories.category(), factories.asset()
    path = f"asset-category/{category.uid}/"
    before = analyst.get(ROOT + path).headers["ETag"]
    send(analyst, "post", f"{path}append-assets/", {"assets": [str(asset.uid)]})
    after = analyst.get(ROOT + path).headers["ETag"]
    assert after != before
    send(analyst, "post", f"{path}append-assets/", {"assets": [str(asset.uid)]})
    assert analyst.get(ROOT + path).headers["ETag"] == after, "nothing changed"


def test_members_as_of(analyst: APIClient) -> None:
    one, two, three = (factories.asset(unique_identifier=name) for name in ("one", "two", "three"))
    category = factories.category()
    universes.register_spells(
        category, [(one, "2020-01-01", "2021-01-01"), (one, "2022-01-01", None), (two, "2020-06-01", None)]
    )

    def found(query: str) -> list[str]:
        response = analyst.get(f"{ROOT}asset/?categories__uid={category.uid}{query}")
        assert response.status_code == 200, response.content
        return [row["unique_identifier"] for row in response.json()["results"]]

    def number(query: str) -> int:
        response = analyst.get(f"{ROOT}asset-category/{category.uid}/{query}")
        assert response.status_code == 200, response.content
        return response.json()["number_of_assets"]

    expected = {
        "": ["one", "two"],
        "2019-12-31": [],
        "2020-01-01": ["one"],
        "2019-12-31T23:59:59.999999Z": [],
        "2020-01-01T00:00:00Z": ["one"],
        "2020-01-01T01:00:00+01:00": ["one"],
        "2020-06-01T00:00:00%2B01:00": ["one"],
        "2020-12-31": ["one", "two"],
        "2021-01-01": ["two"],
        "2199-12-31": ["one", "two"],
    }
    for instant, names in expected.items():
        assert found(f"&as_of={instant}" if instant else "") == names, instant
        assert number(f"?as_of={instant}" if instant else "") == len(names), instant
    send(analyst, "post", f"asset-category/{category.uid}/remove-assets/", {"assets": [str(two.uid)]})
    assert (found(""), found("&as_of=2024-01-01"), number(""), number("?as_of=2024-01-01")) == (
        ["one"],
        ["one", "two"],
        1,
        2,
    )
    listed = analyst.get(f"{ROOT}asset-category/?assets__uid={two.uid}").json()
    assert listed["count"] == 0
    assert analyst.get(f"{ROOT}asset-category/?assets__uid={one.uid}").json()["results"][0]["number_of_assets"] == 1
    assert found("&as_of=2024-01-01&unique_identifier=three") == []
    assert three.unique_identifier == "three"


BAD_TIMES = [
    "junk",
    "2026-13-01",
    "",
    "%00",
    "2026-01-01T00:00:00",
    "9999-12-31",
    "0001-01-01T00:00:00%2B23:59",
    "1899-12-31",
]


@pytest.mark.parametrize("text", [*BAD_TIMES, "2026-01-01&as_of=2026-01-02"])
def test_bad_times_are_400(text: str, analyst: APIClient) -> None:
    category = factories.category()
    for path in (f"asset/?categories__uid={category.uid}&as_of=", f"asset-category/{category.uid}/?as_of="):
        response = analyst.get(f"{ROOT}{path}{text}")
        assert response.status_code == 400, path
        assert first_error(response)[1] == "as_of"
    alone = analyst.get(f"{ROOT}asset/?as_of=2026-01-01")
    assert alone.status_code == 400
    assert alone.json()["errors"][0]["detail"] == "as_of goes with categories__uid. Give both, or leave it out."


def test_a_page_shows_500_of_503_members_and_the_next_the_rest(analyst: APIClient) -> None:
    category = factories.category(*(factories.asset() for _ in range(503)))
    first = analyst.get(f"{ROOT}asset/?categories__uid={category.uid}&limit=500").json()
    assert (first["count"], len(first["results"])) == (503, 500)
    assert len(analyst.get(first["next"]).json()["results"]) == 3
    assert analyst.get(f"{ROOT}asset-category/{category.uid}/").json()["number_of_assets"] == 503


# --- calendars -------------------------------------------------------------------------------------------------------
NYSE = {
    "source_identifier": "NYSE",
    "unique_identifier": "XNYS",
    "display_name": "New York",
    "valid_from": "2026-01-01",
    "valid_to": "2026-01-10",
}


def test_calendar_from_a_market(analyst: APIClient) -> None:
    made = send(analyst, "post", "calendar/create-from-pandas-calendar/", NYSE)
    assert made.status_code == 201
    body = made.json()
    assert {name: body[name] for name in ("created", "added", "changed", "removed", "kept")} == {
        "created": True,
        "added": 6,
        "changed": 0,
        "removed": 0,
        "kept": 0,
    }
    assert body["calendar"]["timezone"] == "America/New_York"
    assert body["calendar"]["source"] == "pandas_market_calendars"
    sessions = analyst.get(f"{ROOT}calendar/{body['calendar']['uid']}/sessions/?start=2026-01-05").json()
    assert [row["local_date"] for row in sessions["results"]] == [f"2026-01-0{day}" for day in (5, 6, 7, 8, 9)]
    assert sessions["results"][0]["opens_at"] == "2026-01-05T14:30:00Z"
    assert sessions["results"][0]["closes_at"] == "2026-01-05T21:00:00Z"
    again = send(analyst, "post", "calendar/create-from-pandas-calendar/", NYSE)
    assert (again.status_code, again.json()["kept"], again.json()["added"]) == (200, 6, 0)


@pytest.mark.parametrize(
    ("change", "attr", "text"),
    [
        ({"source_identifier": "NYSEE"}, "source_identifier", "Did you mean NYSE"),
        ({"source_identifier": "XSGO"}, "source_identifier", "cannot compute XSGO"),
        ({"timezone": "Mars/Phobos"}, "timezone", "no IANA time zone"),
        ({"timezone": "../../etc/passwd"}, "timezone", "no IANA time zone"),
        ({"valid_to": "2025-12-31"}, "valid_to", "before valid_from"),
        ({"valid_to": "2300-01-01"}, "valid_to", "between 1900-01-01 and 2199-12-31"),
        ({"valid_from": "2026-01-01T00:00:00Z"}, "valid_from", ""),
        ({"session_label": " "}, "session_label", "blank"),
        ({"unique_identifier": "a\nb"}, "unique_identifier", "several lines"),
    ],
)
def test_calendar_from_a_market_refused(change: dict, attr: str, text: str, analyst: APIClient) -> None:
    response = send(analyst, "post", "calendar/create-from-pandas-calendar/", {**NYSE, **change})
    assert response.status_code == 400
    error = response.json()["errors"][0]
    assert error["attr"] == attr
    assert text in error["detail"]
    assert not Calendar.objects.exists()
    assert not CalendarSession.objects.exists()


def test_calendar_horizon_and_deletion(analyst: APIClient, admin: APIClient) -> None:
    calendar = factories.calendar(dt.date(2026, 6, 1))
    path = f"calendar/{calendar.uid}/"
    assert first_error(send(analyst, "patch", path, {"valid_from": "2026-07-01"})) == ("conflict", None)
    assert first_error(send(analyst, "patch", path, {"valid_to": "2025-07-01"})) == ("invalid", "valid_to")
    assert send(analyst, "patch", path, {"calendar_type": "weird thing"}).json()["calendar_type"] == "WEIRD_THING"
    portfolio = factories.portfolio(calendar=calendar)
    impact = admin.get(f"{ROOT}{path}delete-impact/").json()
    assert (impact["can_delete"], impact["blocking_count"], impact["affected_count"]) == (False, 1, 2)
    refused = admin.delete(ROOT + path)
    assert first_error(refused) == ("protected", None)
    assert "1 of portfolios" in refused.json()["errors"][0]["detail"]
    portfolio.delete()
    assert admin.delete(ROOT + path).status_code == 204
    assert not CalendarSession.objects.exists()


# --- DataNodes and jobs ----------------------------------------------------------------------------------------------
def test_data_node_freshness(viewer: APIClient, db: None) -> None:
    update = factories.node_update()
    never = viewer.get(f"{ROOT}data-node/{update.uid}/").json()
    assert (never["last_run"], never["last_time_index"]) == (None, None)
    last = dt.datetime(2026, 1, 9, 21, tzinfo=dt.UTC)
    factories.node_run(update, last_time_index=last)
    factories.node_run(update, status=RunStatus.FAILED, error_type="Boom", error_message="It failed.")
    row = viewer.get(f"{ROOT}data-node/?identifier={update.storage.identifier}").json()["results"][0]
    assert (row["last_run"]["status"], row["last_run"]["error_message"]) == ("failed", "It failed.")
    assert row["last_time_index"] == "2026-01-09T21:00:00Z"
    runs = viewer.get(f"{ROOT}data-node/{update.storage.identifier}/runs/").json()
    assert [run["status"] for run in runs["results"]] == ["failed", "succeeded"]


def test_data_node_detail_and_statistics(world: World, viewer: APIClient) -> None:
    body = viewer.get(ROOT + world.fill("data-node/{identifier}/")).json()
    assert body["uid"] == str(world.node.uid)
    assert body["class_name"] == "Bars"
    assert body["columns"][0] == {
        "column_name": "close",
        "dtype": "float64",
        "label": "Close",
        "unit": "",
        "description": "",
    }
    assert body["key_columns"] == ["asset_identifier", "time_index"]
    assert body["last_run"]["rows_written"] == 12
    assert body["last_time_index"] == "2026-01-05T21:00:00Z"
    rows = viewer.get(ROOT + world.fill("data-node/{identifier}/statistics/?asset_identifier=CCC,AAA")).json()[
        "results"
    ]
    assert [(row["identity"], row["row_count"], row["last_time_index"]) for row in rows] == [
        ({"asset_identifier": "AAA"}, 4, "2026-01-05T21:00:00Z"),
        ({"asset_identifier": "CCC"}, 4, "2026-01-05T21:00:00Z"),
    ]


def test_the_etag_of_a_data_node_covers_its_latest_run_and_what_it_reads(viewer: APIClient) -> None:
    update, source = factories.node_update(), factories.node_update()
    path = f"{ROOT}data-node/{update.uid}/"
    seen = [viewer.get(path).headers["ETag"]]
    run = factories.node_run(update, status=RunStatus.RUNNING, finished_at=None)
    seen.append(viewer.get(path).headers["ETag"])
    NodeRun.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, finished_at=run.started_at)
    seen.append(viewer.get(path).headers["ETag"])
    update.dependencies.add(source)
    seen.append(viewer.get(path).headers["ETag"])
    assert len(set(seen)) == 4
    assert viewer.get(path).headers["ETag"] == seen[-1], "nothing changed"


def test_a_data_node_with_many_dependencies_takes_no_more_queries(
    admin: APIClient, django_assert_max_num_queries: Any
) -> None:
    update = factories.node_update()
    update.dependencies.set([factories.node_update() for _ in range(20)])
    with django_assert_max_num_queries(8):
        body = admin.get(f"{ROOT}data-node/{update.uid}/").json()
    assert len({row["identifier"] for row in body["dependencies"]}) == 20


def test_an_identifier_that_several_nodes_write_is_read_but_not_run(admin: APIClient) -> None:
    one = factories.node_update()
    two = factories.node_update(storage=one.storage)
    path = f"{ROOT}data-node/{one.storage.identifier}/"
    assert admin.get(f"{path}data/").status_code == 200
    assert admin.get(f"{path}statistics/").status_code == 200
    run = send(admin, "post", f"data-node/{one.storage.identifier}/run/")
    for response in (admin.get(path), admin.get(f"{path}runs/"), run):
        assert response.status_code == 409
        assert first_error(response) == ("conflict", None)
        detail = response.json()["errors"][0]["detail"]
        assert one.update_hash in detail
        assert two.update_hash in detail
    assert not Job.objects.exists()


def test_run_a_node(world: World, analyst: APIClient) -> None:
    response = send(
        analyst, "post", world.fill("data-node/{identifier}/run/"), {"update_tree": False, "recompute_stale": False}
    )
    assert response.status_code == 202
    body = response.json()
    job = Job.objects.get(uid=body["uid"])
    assert (body["kind"], body["status"]) == ("run_node", "queued")
    assert body["arguments"] == {
        "node_update": str(world.node.uid),
        "update_tree": False,
        "recompute_stale": False,
    }
    assert job.requested_by is not None
    assert body["requested_by"] == job.requested_by.username
    assert response.headers["Location"].endswith(f"/api/v1/job/{job.uid}/")
    again = send(analyst, "post", world.fill("data-node/{identifier}/run/"), {"update_tree": False})
    assert again.json()["uid"] == body["uid"]
    # and a run with its dependencies is another job
    assert send(analyst, "post", world.fill("data-node/{identifier}/run/")).json()["uid"] != body["uid"]


def test_a_class_that_is_not_registered_cannot_run(admin: APIClient) -> None:
    update = factories.node_update()
    response = send(admin, "post", f"data-node/{update.uid}/run/")
    assert response.status_code == 400
    assert "MSM_NODE_MODULES" in response.json()["errors"][0]["detail"]
    assert not Job.objects.exists()


def test_job_detail_has_its_messages(viewer: APIClient, db: None) -> None:
    job = factories.job(title="Run bars")
    for text in ("one", "two"):
        job.messages.create(text=text)
    body = viewer.get(f"{ROOT}job/{job.uid}/").json()
    assert [message["text"] for message in body["messages"]] == ["one", "two"]
    assert (body["title"], body["is_finished"]) == ("Run bars", False)
    finished = factories.job(status=JobStatus.FAILED, finished_at=job.queued_at)
    listed = viewer.get(f"{ROOT}job/?status=failed").json()
    assert [row["uid"] for row in listed["results"]] == [str(finished.uid)]
    assert first_error(viewer.get(f"{ROOT}job/?status=nonsense"))[1] == "status"


# --- portfolios ------------------------------------------------------------------------------------------------------
def test_portfolios(analyst: APIClient) -> None:
    calendar = factories.calendar()
    made = send(
        analyst,
        "post",
        "portfolio/",
        {
            "unique_identifier": "p",
            "calendar_uid": str(calendar.uid),
            "weights_between_rebalances": "drift",
            "commission_fee": "0.00018",
        },
    )
    assert made.status_code == 201
    body = made.json()
    assert body["turnover_basis"] == "drifted"
    assert body["commission_fee"] == "0.000180000000000000"
    assert (body["calendar_uid"], body["calendar_name"]) == (str(calendar.uid), calendar.unique_identifier)
    path = f"portfolio/{body['uid']}/"
    assert send(analyst, "patch", path, {"commission_fee": 0.5}).json()["commission_fee"] == "0.500000000000000000"
    for fee in ("1", "-0.1", "x", "NaN", "1e-30"):
        assert first_error(send(analyst, "patch", path, {"commission_fee": fee}))[1] == "commission_fee"
    assert first_error(send(analyst, "patch", path, {"calendar_uid": str(uuid.uuid4())}))[1] == "calendar_uid"
    Portfolio.objects.update(values_node=factories.node_update())
    for change in ({"commission_fee": "0.1"}, {"weights_between_rebalances": "constant"}, {"valuation_column": "open"}):
        refused = send(analyst, "patch", path, change)
        assert first_error(refused) == ("conflict", None)
        assert next(iter(change)) in refused.json()["errors"][0]["detail"]
    kept = send(analyst, "patch", path, {"display_name": "Mine", "commission_fee": "0.5"})
    assert kept.status_code == 200
    assert (kept.json()["display_name"], kept.json()["calendar_uid"]) == ("Mine", str(calendar.uid))
    # and the calendar is fixed with them: the figures are annualised by it
    refused = send(analyst, "patch", path, {"calendar_uid": None})
    assert (refused.status_code, first_error(refused)) == (409, ("conflict", None))
    assert send(analyst, "post", "portfolio/", {"unique_identifier": "p"}).status_code == 409

"""PUT on lists: outcomes, refusals, and what a GET answer is good for."""

import json
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from markets.models import Asset, AssetType, OpenFigiDetails
from tests import factories
from tests.rest.base import ROOT, ROUTES, World, is_error, stored


def put(client: APIClient, path: str, rows: Any, **headers: Any) -> Any:
    return client.put(ROOT + path, data=json.dumps(rows), content_type="application/json", **headers)


@pytest.mark.django_db
def test_outcomes_row_by_row(analyst: APIClient) -> None:
    factories.asset(unique_identifier="B", asset_type="bond")
    factories.asset(unique_identifier="C", asset_type="bond")
    rows = [
        {"unique_identifier": "A", "asset_type": "Crypto", "openfigi_details": {"ticker": "AA", "name": "Alpha"}},
        {"unique_identifier": "B", "asset_type": None},
        {"unique_identifier": "C", "asset_type": " BOND "},
    ]
    response = put(analyst, "asset/", rows)
    assert response.status_code == 200, response.content
    assert response.json() == {
        "created": 1,
        "updated": 1,
        "unchanged": 1,
        "rejected": 0,
        "results": [
            {"row": 0, "key": "A", "outcome": "created", "field": None, "reason": None},
            {"row": 1, "key": "B", "outcome": "updated", "field": None, "reason": None},
            {"row": 2, "key": "C", "outcome": "unchanged", "field": None, "reason": None},
        ],
    }
    assert list(Asset.objects.values_list("unique_identifier", "asset_type")) == [
        *(("A", "crypto"), ("B", None), ("C", "bond"))
    ]
    assert OpenFigiDetails.objects.values_list("asset__unique_identifier", "ticker", "name").get() == (
        *("A", "AA", "Alpha"),
    )


@pytest.mark.django_db
def test_every_fault_is_told_and_nothing_is_written(analyst: APIClient) -> None:
    rows: list[Any] = [
        {"unique_identifier": "A"},
        {"unique_identifier": "B", "asset_type": 5, "openfigi_details": {"figi": "x"}},
        {"unique_identifier": "A"},
        7,
        {"unique_identifier": "C", "\ud800": 1},
    ]
    before = stored()
    response = put(analyst, "asset/", rows)
    assert is_error(response, 400)
    errors = response.json()["errors"]
    assert {error["attr"] for error in errors} == {"1.asset_type", "1.figi", "2.unique_identifier", "3.row", "4.?"}
    assert all(error["code"] == "invalid" for error in errors)
    assert stored() == before
    response = put(analyst, "asset/?on_error=skip", rows)
    body = response.json()
    assert (response.status_code, body["created"], body["rejected"]) == (200, 1, 4)
    assert [row["outcome"] for row in body["results"]] == ["created", *["rejected"] * 4]
    assert body["results"][2] == {
        "row": 2,
        "key": "A",
        "outcome": "rejected",
        "field": "unique_identifier",
        "reason": "unique_identifier='A' stands in row 0 already. Name each asset once.",
    }
    assert list(Asset.objects.values_list("unique_identifier", flat=True)) == ["A"]


# Identifiers have no key of their own: the same row again is unchanged, see test_identifiers.py.
BULK = sorted(
    {route.path for route in ROUTES if route.method == "put" and "{" not in route.path} - {"asset-identifier/"}
)


@pytest.mark.parametrize("path", BULK)
def test_what_each_list_answers_is_valid_input_for_it(path: str, world: World, analyst: APIClient) -> None:
    rows = analyst.get(ROOT + path).json()["results"]
    assert rows
    before = stored()
    response = put(analyst, path, rows)
    assert response.status_code == 200, response.content
    assert response.json()["unchanged"] == len(rows)
    after = stored()
    assert {name for name in after if after[name] != before[name]} <= {"markets_assettype"}  # registered types
    fixed = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z") | {"uid": str(uuid.uuid4())}
    for name, other in fixed.items():
        response = put(analyst, path, [{**rows[0], name: other}])
        assert is_error(response, 400)
        assert response.json()["errors"][0]["attr"] == f"0.{name}"
    assert stored() == after


@pytest.mark.parametrize("path", BULK)
def test_each_list_skips_the_wrong_rows_when_asked(path: str, world: World, analyst: APIClient) -> None:
    (route,) = (route for route in ROUTES if (route.method, route.path) == ("put", path))
    (row,) = world.body(route.body)
    rows = [row, {**row, "nonsense": 1}, row]
    before = stored()
    assert is_error(put(analyst, path, rows), 400)
    assert stored() == before
    body = put(analyst, f"{path}?on_error=skip", rows).json()
    assert (body["created"], body["rejected"]) == (1, 2)
    assert [item["outcome"] for item in body["results"]] == ["created", "rejected", "rejected"]
    assert body["results"][1]["field"] == "nonsense"
    assert "stands in row 0 already" in body["results"][2]["reason"]


@pytest.mark.django_db
def test_members_are_not_changed_in_bulk(analyst: APIClient) -> None:
    category = factories.category(factories.asset(), unique_identifier="core")
    response = put(analyst, "asset-category/", [{"unique_identifier": "core", "assets": []}])
    assert response.json()["errors"][0]["attr"] == "0.assets"
    response = put(analyst, "asset-category/", [{"unique_identifier": "core", "number_of_assets": 2}])
    assert response.json()["errors"][0]["attr"] == "0.number_of_assets"
    rows = [{"unique_identifier": "core", "number_of_assets": 1, "description": "Why"}]
    assert put(analyst, "asset-category/", rows).json()["updated"] == 1
    assert category.assets.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["asset/", "asset-type/"])
def test_a_get_answer_is_valid_put_input(path: str, analyst: APIClient) -> None:
    factories.details(factories.asset(asset_type="bond"), name="Name")
    factories.asset()
    factories.asset_type(display_name="Bond", metadata_json={"a": [1.5, None]})
    rows = analyst.get(ROOT + path).json()["results"]
    before = stored()
    response = put(analyst, path, rows)
    assert response.status_code == 200, response.content
    assert response.json()["unchanged"] == len(rows)
    assert stored() == {**before, "markets_assettype": stored()["markets_assettype"]}  # the type bond is registered
    for name in ("uid", "created_at", "updated_at"):
        wrong = "2026-01-01T00:00:00Z" if name.endswith("_at") else "01a1fa84-8267-75d4-8899-dfd616382964"
        response = put(analyst, path, [{**rows[0], name: wrong}])
        assert is_error(response, 400)
        assert response.json()["errors"][0]["attr"] == f"0.{name}"


@pytest.mark.django_db
def test_updated_at_guards_a_row(analyst: APIClient) -> None:
    asset = factories.asset(unique_identifier="A")
    row = analyst.get(f"{ROOT}asset/{asset.uid}/").json()
    assert put(analyst, "asset/", [{**row, "asset_type": "bond"}]).json()["updated"] == 1
    response = put(analyst, "asset/", [{**row, "asset_type": "fund"}])
    assert is_error(response, 400)
    assert response.json()["errors"][0]["attr"] == "0.updated_at"
    assert Asset.objects.get().asset_type == "bond"


@pytest.mark.django_db
def test_asset_types(analyst: APIClient) -> None:
    rows = [{"asset_type": "Currency Spot", "display_name": "Spot"}, {"asset_type": "bond"}]
    assert put(analyst, "asset-type/", rows).json()["created"] == 2
    assert [row["key"] for row in put(analyst, "asset-type/", rows).json()["results"]] == ["currency_spot", "bond"]
    assert list(AssetType.objects.values_list("asset_type", "display_name")) == [
        ("bond", None),
        ("currency_spot", "Spot"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("body", [[], {}, {"unique_identifier": "A"}, None, "A", [{}] * 10_001])
def test_what_is_no_list_of_rows_is_400(body: Any, analyst: APIClient) -> None:
    assert is_error(put(analyst, "asset/", body), 400)
    assert not Asset.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["on_error=ignore", "on_error=", "on_error=skip&on_error=skip", "force=true"])
def test_bad_queries_are_400(query: str, analyst: APIClient) -> None:
    assert is_error(put(analyst, f"asset/?{query}", [{"unique_identifier": "A"}]), 400)
    assert not Asset.objects.exists()


@pytest.mark.django_db
def test_a_list_has_no_etag(analyst: APIClient) -> None:
    rows = [{"unique_identifier": "A"}]
    assert is_error(put(analyst, "asset/", rows, HTTP_IF_MATCH='"x"'), 412)
    assert put(analyst, "asset/", rows, HTTP_IF_MATCH="*").status_code == 200


@pytest.mark.django_db
def test_as_many_queries_for_many_rows_as_for_few(analyst: APIClient, django_assert_max_num_queries: Any) -> None:
    for size in (3, 3_000):
        rows = [{"unique_identifier": f"{size}-{n}", "openfigi_details": {"ticker": "T"}} for n in range(size)]
        with django_assert_max_num_queries(20):
            assert put(analyst, "asset/", rows).json()["created"] == size

"""Duplicates and merges over REST: found, looked at, merged, redirected, undone."""

import pytest
from rest_framework.test import APIClient

from markets.models import Asset, AssetMerge, DistinctAssets
from tests import factories
from tests.rest.base import ROOT, is_error

pytestmark = pytest.mark.django_db
WHY = "One share."


@pytest.fixture
def pair() -> tuple[Asset, Asset]:
    """(kept, dropped), of one ISIN."""
    rows = [factories.asset(unique_identifier=name, asset_type="equity") for name in ("KEPT", "DROPPED")]
    for row in rows:
        factories.details(row, isin="US0378331005")
    return rows[0], rows[1]


def test_from_the_group_to_the_redirect_and_back(admin: APIClient, pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    (group,) = admin.get(f"{ROOT}asset-duplicate/?reason=isin").json()["results"]
    assert (group["strength"], group["number_of_assets"]) == ("likely", 2)
    assert [asset["uid"] for asset in group["assets"]] == [str(dropped.uid), str(kept.uid)]
    address = f"{ROOT}asset/{dropped.uid}/"
    impact = admin.get(f"{address}merge-impact/?into={kept.uid}").json()
    assert (impact["can_merge"], impact["kept_identifier"], impact["refusals"]) == (True, "KEPT", [])
    assert not AssetMerge.objects.exists()

    made = admin.post(f"{address}merge/", {"into": str(kept.uid), "reason": WHY}, format="json")

    assert made.status_code == 201
    assert made.json()["items"] == impact["items"]
    moved = admin.get(address)
    assert (moved.status_code, moved["Cache-Control"]) == (308, "no-store")
    assert moved["Location"].endswith(f"/api/v1/asset/{kept.uid}/")
    assert is_error(moved, 308)
    assert moved.json()["errors"][0]["code"] == "merged"
    assert admin.get(moved["Location"]).json()["uid"] == str(kept.uid)
    for answer in (
        admin.patch(address, {"asset_type": "bond"}, format="json"),
        admin.delete(address),
        admin.post(f"{address}merge/", {"into": str(kept.uid), "reason": WHY}, format="json"),
    ):
        assert is_error(answer, 409)
        assert "DROPPED was merged into KEPT" in answer.json()["errors"][0]["detail"]
    names = [row["unique_identifier"] for row in admin.get(f"{ROOT}asset/").json()["results"]]
    assert names == ["KEPT"]
    listed = admin.get(f"{ROOT}asset/?is_merged=true").json()["results"]
    assert [row["unique_identifier"] for row in listed] == ["DROPPED"]
    assert admin.get(f"{ROOT}asset-merge/?dropped_uid={dropped.uid}&is_undone=false").json()["count"] == 1

    undone = admin.post(f"{ROOT}asset-merge/{made.json()['uid']}/undo/", {"reason": "Two."}, format="json")

    assert (undone.status_code, undone.json()["undo_reason"]) == (200, "Two.")
    assert admin.get(address).status_code == 200
    again = admin.post(f"{ROOT}asset-merge/{made.json()['uid']}/undo/", {"reason": "Two."}, format="json")
    assert is_error(again, 409)


def test_pairs_that_are_no_duplicates_are_not_listed(admin: APIClient, pair: tuple[Asset, Asset]) -> None:
    body = {"assets": [str(row.uid) for row in pair], "reason": WHY}
    assert admin.post(f"{ROOT}asset-duplicate/not-duplicates/", body, format="json").json() == {"pairs": 1}
    assert admin.get(f"{ROOT}asset-duplicate/").json()["results"] == []
    assert admin.post(f"{ROOT}asset-duplicate/maybe-duplicates/", body, format="json").json() == {"pairs": 1}
    assert len(admin.get(f"{ROOT}asset-duplicate/").json()["results"]) == 1


def test_pages_are_followed(admin: APIClient) -> None:
    for number in range(5):
        for _ in range(2):
            factories.details(factories.asset(), isin=f"US000000000{number}")
    seen, address = [], f"{ROOT}asset-duplicate/?limit=2&reason=isin"
    while address:
        page = admin.get(address).json()
        seen += [group["key"] for group in page["results"]]
        address = page["next"]
    assert seen == [[f"US000000000{number}"] for number in range(5)]


def test_hostile_input_is_400_and_writes_nothing(admin: APIClient, pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    for query in (
        "reason=x",
        "limit=0",
        "limit=x",
        "cursor=x",
        'cursor=["isin"]',
        "cursor=[[[[",
        "nothing=1",
        "limit=101",
    ):
        assert is_error(admin.get(f"{ROOT}asset-duplicate/?{query}"), 400), query
    address = f"{ROOT}asset/{dropped.uid}/"
    for query in ("", "?into=x", f"?into={kept.uid}&rows=x", "?into=0190d7e2-3f4a-7cde-8a11-0123456789ab"):
        assert is_error(admin.get(f"{address}merge-impact/{query}"), 400), query
    good = {"into": str(kept.uid), "reason": WHY}
    for change in ({"into": 3}, {"into": None}, {"reason": ""}, {"reason": "x" * 501}, {"rows": "x"}, {"into": ["a"]}):
        assert is_error(admin.post(f"{address}merge/", good | change, format="json"), 400), change
    for assets in ([], ["x"], [str(kept.uid)] * 2, "x", [None], ["nobody", "KEPT"]):
        answer = admin.post(f"{ROOT}asset-duplicate/not-duplicates/", {"assets": assets, "reason": WHY}, format="json")
        assert is_error(answer, 400), assets
    assert not AssetMerge.objects.exists()
    assert not DistinctAssets.objects.exists()

"""The pages of duplicates: groups, two side by side, the merge, the notice of the redirect, and its undoing."""

import pytest
from django.test import Client

from markets.models import Asset, AssetMerge, DistinctAssets
from tests import factories

pytestmark = pytest.mark.django_db
LIST = "/admin/markets/asset/duplicates/"


@pytest.fixture
def pair() -> tuple[Asset, Asset]:
    rows = [factories.asset(unique_identifier=name, asset_type="equity") for name in ("KEPT", "DROPPED")]
    for row in rows:
        factories.details(row, isin="US0378331005", name="Acme <b>Inc</b>")
    return rows[0], rows[1]


def test_from_the_list_to_the_merge_and_back(admin_client: Client, pair: tuple[Asset, Asset]) -> None:
    kept, dropped = pair
    page = admin_client.get(LIST).content.decode()
    merge_url = f"/admin/markets/asset/{dropped.pk}/merge/{kept.pk}/"
    assert "Same ISIN" in page
    assert merge_url in page
    assert "Acme <b>" not in page
    asked = admin_client.get(merge_url).content.decode()
    assert "KEPT stays." in asked
    nothing = admin_client.post(merge_url, {"rows": "refuse", "reason": "", "confirm": "1"})
    assert "Say why" in nothing.content.decode()
    looked = admin_client.post(merge_url, {"rows": "fill", "reason": "One share.", "look": "1"})
    assert looked.status_code == 200
    assert not AssetMerge.objects.exists()

    done = admin_client.post(merge_url, {"rows": "refuse", "reason": "One share.", "confirm": "1"}, follow=True)

    assert "DROPPED was merged into KEPT." in done.content.decode()
    merge = AssetMerge.objects.get()
    assert merge.merged_by is not None
    redirect = admin_client.get(f"/admin/markets/asset/{dropped.pk}/change/").content.decode()
    assert "Merged into" in redirect
    assert "One share. Nothing is written to it any more." in redirect
    listed = admin_client.get("/admin/markets/asset/").content.decode()
    assert "KEPT" in listed
    assert "DROPPED" not in listed
    assert "DROPPED" in admin_client.get("/admin/markets/asset/?merged=yes").content.decode()
    undo_url = f"/admin/markets/asset/merges/{merge.pk}/undo/"
    assert undo_url in redirect
    assert admin_client.get(undo_url).status_code == 200
    undone = admin_client.post(undo_url, {"reason": "Two."}, follow=True).content.decode()
    assert "was undone." in undone
    dropped.refresh_from_db()
    assert dropped.merged_into is None


@pytest.mark.parametrize(("address", "shown"), [(LIST, "Duplicates"), ("/admin/markets/asset/", "Assets")])
def test_one_entry_of_the_sidebar_is_marked(admin_client: Client, address: str, shown: str) -> None:
    # regression: the list of duplicates lies below the address of the assets, and both were marked
    (groups,) = (admin_client.get(address).context["sidebar_navigation"],)
    items = [item for group in groups for item in group["items"]]
    assert [item["title"] for item in items if item["active"]] == [shown]


def test_a_refused_merge_says_why_and_has_no_button(admin_client: Client, pair: tuple[Asset, Asset]) -> None:
    kept, _ = pair
    page = admin_client.get(f"/admin/markets/asset/{kept.pk}/merge/{kept.pk}/").content.decode()
    assert "KEPT is the same asset" in page
    assert 'name="confirm"' not in page


def test_not_duplicates(admin_client: Client, pair: tuple[Asset, Asset]) -> None:
    url = f"{LIST}distinct/?assets={pair[0].pk},{pair[1].pk}"
    assert admin_client.get(url).status_code == 200
    assert not DistinctAssets.objects.exists()
    page = admin_client.post(url, {"assets": f"{pair[0].pk},{pair[1].pk}", "reason": "Two series."}, follow=True)
    assert "No two assets look like one here." in page.content.decode()
    assert DistinctAssets.objects.get().reason == "Two series."


def test_hostile_addresses_are_answered(admin_client: Client, pair: tuple[Asset, Asset]) -> None:
    big = "9" * 30
    for url, status in (
        (f"{LIST}?reason=%00", 200),
        (f"{LIST}?after=[[", 200),
        (f'{LIST}?after=["isin","\\u0000"]', 200),
        (f"{LIST}distinct/?assets={big},x,%00", 404),
        (f"/admin/markets/asset/{big}/merge/1/", 404),
        (f"/admin/markets/asset/{pair[0].pk}/merge/{big}/", 404),
        (f"/admin/markets/asset/merges/{big}/undo/", 404),
    ):
        assert admin_client.get(url).status_code == status, url
    answer = admin_client.post(
        f"/admin/markets/asset/{pair[0].pk}/merge/{pair[1].pk}/", {"rows": "\x00", "reason": "\x00", "confirm": "1"}
    )
    assert answer.status_code == 200
    assert not AssetMerge.objects.exists()

"""The Snapshots tab of an asset's page."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse

from markets.models import Asset, AssetSnapshot, NodeRun
from markets.services import snapshots
from tests import factories
from tests.admin import rows

NOON = dt.datetime(2026, 5, 25, 12, tzinfo=dt.UTC)
FORM = {
    "time_index_0": "2026-05-25",
    "time_index_1": "12:00:00",
    "name": "Bitcoin",
    "ticker": "BTC",
    "exchange_code": "",
    "asset_ticker_group_id": "",
    "reason": "listed",
}


@pytest.fixture
def asset(db: None) -> Asset:
    return factories.asset(unique_identifier="BTC")


def url(asset: Asset) -> str:
    return reverse("admin:asset_snapshots", args=(asset.pk,))


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_an_asset_without_snapshots_says_what_to_do(asset: Asset, boss: Client) -> None:
    page = text(boss, url(asset))
    assert "No snapshot is stored" in page
    assert "/api/v1/asset-snapshot/" in page
    assert "Add a snapshot" in page


def test_each_page_of_the_asset_leads_to_the_tab(asset: Asset, boss: Client) -> None:
    for name in ("markets_asset_change", "markets_asset_history"):
        assert f'href="{url(asset)}"' in text(boss, reverse(f"admin:{name}", args=(asset.pk,)))
    page = text(boss, url(asset))
    for name in ("markets_asset_change", "markets_asset_history"):
        assert f'href="{reverse(f"admin:{name}", args=(asset.pk,))}"' in page


def test_the_history_newest_first_and_what_is_hostile_escaped(asset: Asset, boss: Client) -> None:
    # given
    for hour, ticker in enumerate(("OLD", "NEW", rows.HOSTILE)):
        row = {"time_index": NOON + dt.timedelta(hours=hour), "asset_identifier": "BTC", "ticker": ticker}
        snapshots.record_snapshots(row)
    # when
    page = text(boss, url(asset))
    # then
    assert page.index("2026-05-25 14:00") < page.index("2026-05-25 13:00") < page.index("2026-05-25 12:00")
    assert rows.HOSTILE not in page
    upwards = text(boss, f"{url(asset)}?snapshots_sort=time")
    assert upwards.index("2026-05-25 12:00") < upwards.index("2026-05-25 13:00")
    # and the form begins with what holds
    assert 'value="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"' in page


def test_a_snapshot_is_added_with_its_reason(asset: Asset, boss: Client) -> None:
    response = boss.post(url(asset), FORM)
    assert (response.status_code, response["Location"]) == (302, url(asset))
    stored = AssetSnapshot.objects.get()
    assert (stored.asset_identifier, stored.time_index, stored.name, stored.ticker) == ("BTC", NOON, "Bitcoin", "BTC")
    assert "written by boss (admin): listed" in NodeRun.objects.get().log


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"reason": ""}, "Say why"),
        ({"time_index_0": ""}, "This field is required"),
        ({"time_index_0": "x"}, "Enter a valid date"),
        ({"time_index_0": "1500-01-01"}, "outside the years 1678 to 2260"),
        ({"name": "", "ticker": " "}, "Say at least one thing"),
        ({"ticker": "x" * 256}, "at most 255"),
        ({"ticker": "a\x00b"}, "Null characters are not allowed"),
    ],
)
def test_what_is_refused_is_said_in_the_form(asset: Asset, boss: Client, changes: dict[str, str], shown: str) -> None:
    response = boss.post(url(asset), {**FORM, **changes})
    assert response.status_code == 200
    assert shown in response.content.decode()
    assert not AssetSnapshot.objects.exists()


def test_a_time_that_is_taken_is_said_in_the_form(asset: Asset, boss: Client) -> None:
    boss.post(url(asset), FORM)
    response = boss.post(url(asset), {**FORM, "ticker": "OTHER"})
    assert response.status_code == 200
    assert "give corrections a later time_index" in response.content.decode()
    assert AssetSnapshot.objects.get().ticker == "BTC"


def test_who_may_only_look_sees_no_form(asset: Asset) -> None:
    client = Client()
    client.force_login(rows.viewer())
    assert "Add a snapshot" not in text(client, url(asset))
    assert client.post(url(asset), FORM).status_code == 403
    assert not AssetSnapshot.objects.exists()


def test_an_asset_that_is_none(boss: Client) -> None:
    assert boss.get("/admin/markets/asset/999999999/snapshots/").status_code == 404
    assert boss.get(f"/admin/markets/asset/{'9' * 30}/snapshots/").status_code in (302, 404)

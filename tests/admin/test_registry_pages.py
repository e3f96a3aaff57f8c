"""The pages of issuers, indices and assets with terms: they open, save through the services, and say what is wrong."""

from django.test import Client
from django.urls import reverse

from markets.models import Asset, Bond, Future
from tests import factories

NAMES = ("issuer", "indextype", "index", "currencyspot", "bond", "future", "calendardate", "calendarevent")


def test_every_page_opens_empty_and_with_rows(boss: Client, viewer: Client) -> None:
    for name in NAMES:
        assert boss.get(reverse(f"admin:markets_{name}_changelist")).status_code == 200
        assert boss.get(reverse(f"admin:markets_{name}_add")).status_code == 200
        assert viewer.get(reverse(f"admin:markets_{name}_add")).status_code == 403
    made = [factories.issuer(), factories.index_type(), factories.index(), factories.currency_spot()]
    made += [factories.bond(), factories.future(), factories.calendar_date(), factories.calendar_event()]
    for row in made:
        name = row._meta.model_name
        for client in (boss, viewer):
            assert client.get(reverse(f"admin:markets_{name}_changelist")).status_code == 200
            assert client.get(reverse(f"admin:markets_{name}_change", args=(row.pk,))).status_code == 200
    page = boss.get(reverse("admin:markets_asset_change", args=(made[4].pk,))).content.decode()
    assert reverse("admin:markets_bond_change", args=(made[4].pk,)) in page
    page = boss.get(reverse("admin:markets_calendar_change", args=(made[6].calendar_id,))).content.decode()
    assert reverse("admin:markets_calendardate_change", args=(made[6].pk,)) in page


def test_a_bond_is_made_and_deleted_and_its_asset_stays(boss: Client) -> None:
    values = {
        "unique_identifier": "B",
        "issuer": factories.issuer().pk,
        "currency_asset": factories.currency().pk,
        "issue_date": "2026-05-27",
        "maturity_date": "",
        "status": "ACTIVE",
    }
    refused = boss.post(reverse("admin:markets_bond_add"), {**values, "maturity_date": "2020-01-01"})
    assert refused.status_code == 200
    assert not Asset.objects.filter(unique_identifier="B").exists()
    assert boss.post(reverse("admin:markets_bond_add"), values).status_code == 302
    bond = Bond.objects.get(asset__unique_identifier="B")
    assert boss.post(reverse("admin:markets_bond_delete", args=(bond.pk,)), {"reason": "test"}).status_code == 302
    assert not Bond.objects.exists()
    assert Asset.objects.filter(unique_identifier="B").exists()


def test_a_perpetual_future_with_an_expiry_is_refused_with_the_reason(boss: Client) -> None:
    future = factories.future()
    values = {
        "underlying_index": future.underlying_index_id,
        "kind": "PERPETUAL",
        "expires_at_0": "2026-12-18",
        "expires_at_1": "22:00:00",
        "quote_unit": "USD",
        "contract_size": "50",
        "contract_unit": "BTC",
        "settlement_asset": future.settlement_asset_id,
        "margin_asset": future.margin_asset_id,
        "settlement_model": "LINEAR",
        "settlement_method": "CASH",
    }
    url = reverse("admin:markets_future_change", args=(future.pk,))
    refused = boss.post(url, values)
    assert refused.status_code == 200
    assert "a perpetual one has none" in refused.content.decode()
    assert Future.objects.get().kind == "EXPIRING"
    assert boss.post(url, {**values, "expires_at_0": "", "expires_at_1": ""}).status_code == 302
    assert (Future.objects.get().kind, Future.objects.get().expires_at) == ("PERPETUAL", None)

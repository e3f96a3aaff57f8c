"""Forms that make wrong input hard, and tabs that save through the services."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from markets.admin.careful_forms import ExactDecimalField
from markets.models import Asset, Bond, Calendar, CalendarEvent, Future, OpenFigiDetails
from tests import factories
from tests.admin import rows
from tests.admin.test_editing import DETAILS


def bond_values(**changed: Any) -> dict[str, Any]:
    values = {
        "issuer": factories.issuer().pk,
        "currency_asset": factories.currency().pk,
        "issue_date": "2026-05-27",
        "maturity_date": "2031-05-27",
        "status": "ACTIVE",
        **changed,
    }
    return {f"bond-0-{name}": value for name, value in values.items()}


def test_an_asset_and_its_bond_are_made_on_one_page(boss: Client) -> None:
    values = {"unique_identifier": "B", "asset_type": "", **DETAILS, **bond_values()}
    assert boss.post(reverse("admin:markets_asset_add"), values).status_code == 302
    asset = Asset.objects.get(unique_identifier="B")
    assert asset.asset_type == "bond"
    assert Bond.objects.get().pk == asset.pk


def test_what_the_service_refuses_in_a_tab_writes_nothing(boss: Client) -> None:
    values = {"unique_identifier": "B", "asset_type": "", **DETAILS, **bond_values(maturity_date="2020-01-01")}
    response = boss.post(reverse("admin:markets_asset_add"), values)
    assert response.status_code == 200
    assert "matures before it is issued" in response.content.decode()
    assert not Asset.objects.filter(unique_identifier="B").exists()


def test_terms_are_changed_in_the_tab(boss: Client) -> None:
    future = factories.future()
    factories.asset_type(asset_type="future")
    values = {
        "asset_type": "future",
        **DETAILS,
        "future-INITIAL_FORMS": "1",
        "future-0-asset": future.pk,
        "future-0-underlying_index": future.underlying_index_id,
        "future-0-kind": "PERPETUAL",
        "future-0-quote_unit": "usd",
        "future-0-contract_size": "0.0010",
        "future-0-contract_unit": "btc",
        "future-0-settlement_asset": future.settlement_asset_id,
        "future-0-margin_asset": future.margin_asset_id,
        "future-0-settlement_model": "INVERSE",
        "future-0-settlement_method": "CASH",
    }
    response = boss.post(reverse("admin:markets_asset_change", args=(future.pk,)), values)
    assert response.status_code == 302
    stored = Future.objects.get()
    assert (stored.kind, stored.expires_at, stored.contract_size) == ("PERPETUAL", None, Decimal("0.001"))
    assert (stored.quote_unit, stored.contract_unit) == ("USD", "BTC")


def test_only_the_tabs_that_fit_the_type_are_there(boss: Client) -> None:
    bond, (share,) = factories.bond(), rows.assets(1)
    plain = factories.asset(asset_type=None)
    for asset, tabs in (
        (bond.asset, ["openfigi_details", "bond"]),
        (share, ["openfigi_details"]),
        (plain, ["openfigi_details", "currencyspot", "bond", "future"]),
    ):
        page = boss.get(reverse("admin:markets_asset_change", args=(asset.pk,)))
        assert [inline.formset.prefix for inline in page.context["inline_admin_formsets"]] == tabs


def test_a_type_with_terms_of_another_kind_is_refused_on_the_page(boss: Client) -> None:
    bond = factories.bond()
    factories.asset_type(asset_type="equity")
    values = {"asset_type": "equity", **DETAILS, "bond-TOTAL_FORMS": "0"}
    response = boss.post(reverse("admin:markets_asset_change", args=(bond.pk,)), values)
    assert "has the terms of a bond" in response.content.decode()
    assert Asset.objects.get(pk=bond.pk).asset_type == "bond"


def test_a_taken_identifier_is_linked(boss: Client) -> None:
    (taken,) = rows.assets(1)
    link = f'href="{reverse("admin:markets_asset_change", args=(taken.pk,))}"'
    asset = {"unique_identifier": taken.unique_identifier, "asset_type": "", **DETAILS}
    for values in (asset, {**asset, "unique_identifier": "NEW", "openfigi_details-0-figi": taken.unique_identifier}):
        text = boss.post(reverse("admin:markets_asset_add"), values).content.decode()
        if "is no FIGI" not in text:
            assert "already exists" in text
            assert link in text
    assert Asset.objects.count() == 1
    issuer = factories.issuer()
    text = boss.post(
        reverse("admin:markets_issuer_add"), {"unique_identifier": issuer.unique_identifier, "display_name": "x"}
    ).content.decode()
    assert f'href="{reverse("admin:markets_issuer_change", args=(issuer.pk,))}"' in text


def test_a_taken_figi_is_linked_to_its_asset(boss: Client) -> None:
    owner = factories.asset()
    details = factories.details(owner)
    values = {"unique_identifier": "NEW", "asset_type": "", **DETAILS, "openfigi_details-0-figi": details.figi}
    text = boss.post(reverse("admin:markets_asset_add"), values).content.decode()
    assert f'href="{reverse("admin:markets_asset_change", args=(owner.pk,))}"' in text
    assert OpenFigiDetails.objects.count() == 1


def test_a_bond_that_exists_is_linked_when_it_is_added_again(boss: Client) -> None:
    bond = factories.bond()
    response = boss.post(
        reverse("admin:markets_bond_add"), {"unique_identifier": bond.asset.unique_identifier, "status": "ACTIVE"}
    )
    assert f'href="{reverse("admin:markets_bond_change", args=(bond.pk,))}"' in response.content.decode()


def test_nothing_is_chosen_unasked_and_numbers_have_no_noise(boss: Client) -> None:
    text = boss.get(reverse("admin:markets_future_add")).content.decode()
    assert text.count("Choose…") == 3
    assert "No type" not in boss.get(reverse("admin:markets_asset_add")).content.decode()
    future = factories.future()
    text = boss.get(reverse("admin:markets_future_change", args=(future.pk,))).content.decode()
    assert 'value="50"' in text
    assert ExactDecimalField().prepare_value(Decimal("100.000")) == "100"


def test_a_breadcrumb_shows_the_identifier_as_it_is(boss: Client) -> None:
    calendar = factories.calendar(unique_identifier="xlower")
    text = boss.get(reverse("admin:markets_calendar_change", args=(calendar.pk,))).content.decode()
    crumbs = text.split('class="msm-crumbs"')[1].split("</nav>")[0]
    assert ">xlower<" in crumbs.replace("\n", "")
    assert "Xlower" not in crumbs


@pytest.mark.parametrize("field", ["asset_type"])
@pytest.mark.parametrize("typed", ["nosuch", "\x00", "x" * 300])
def test_a_type_that_there_is_not_is_refused(boss: Client, field: str, typed: str) -> None:
    values = {"unique_identifier": "NEW", field: typed, **DETAILS}
    response = boss.post(reverse("admin:markets_asset_add"), values)
    assert response.status_code == 200
    assert "There is no asset type" in response.content.decode()
    assert not Asset.objects.exists()


def test_an_event_type_is_taken_as_a_person_writes_it(boss: Client) -> None:
    calendar = factories.calendar()
    values = {"calendar": calendar.pk, "event_date": "2026-12-18", "event_type": "last trade"}
    response = boss.post(reverse("admin:markets_calendarevent_add"), values)
    assert response.status_code == 302, response.content.decode()
    assert CalendarEvent.objects.get().event_type == "LAST_TRADE"


def test_sessions_are_replaced_with_a_reason_only(boss: Client) -> None:
    values = {
        "unique_identifier": "XNYS",
        "display_name": "New York",
        "calendar_type": "TRADING",
        "timezone": "America/New_York",
        "source_identifier": "XNYS",
        "valid_from": "2024-01-01",
        "valid_to": "2024-01-31",
    }
    boss.post(reverse("admin:markets_calendar_add"), values)
    calendar = Calendar.objects.get()
    url = reverse("admin:markets_calendar_change", args=(calendar.pk,))
    shorter = {**values, "valid_to": "2024-01-15"}
    response = boss.post(url, shorter)
    assert "Saving removes 12 sessions and changes 0" in response.content.decode()
    assert calendar.sessions.count() == 21
    assert boss.post(url, {**shorter, "reason": "the year is over"}).status_code == 302
    assert calendar.sessions.count() == 9


def test_the_market_of_another_source_is_kept(boss: Client) -> None:
    calendar = factories.calendar(source="a vendor", source_identifier="VENDOR-7")
    text = boss.get(reverse("admin:markets_calendar_change", args=(calendar.pk,))).content.decode()
    assert '<option value="VENDOR-7" selected>' in text


def test_what_is_typed_finds_rows_of_every_kind_that_one_may_see(boss: Client, viewer: Client, client: Client) -> None:
    (asset,) = rows.assets(1)
    factories.issuer(unique_identifier="BBG-issuer")
    url = reverse("admin:search")
    text = boss.get(url, {"s": "BBG", "extended": "1"}).content.decode()
    assert reverse("admin:markets_asset_change", args=(asset.pk,)) in text
    assert "BBG-issuer" in text
    client.force_login(factories.user("markets.view_issuer", is_staff=True))
    text = client.get(url, {"s": "BBG", "extended": "1"}).content.decode()
    assert reverse("admin:markets_asset_change", args=(asset.pk,)) not in text
    assert "BBG-issuer" in text
    assert boss.get(url, {"s": "\x00%" * 300, "extended": "1"}).status_code == 200

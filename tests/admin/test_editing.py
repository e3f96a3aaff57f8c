"""What is saved here goes through the services, and what they refuse comes back as the form's error."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from markets.models import AccessToken, Asset, AssetCategory, AssetType, Calendar, OpenFigiDetails
from markets.services import access, categories, universes
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight
from tests.admin import rows

TABS = ("openfigi_details", "currencyspot", "bond", "future")
DETAILS = {
    f"{tab}-{name}": value
    for tab in TABS
    for name, value in (
        ("TOTAL_FORMS", "1"),
        ("INITIAL_FORMS", "0"),
        ("MIN_NUM_FORMS", "0"),
        ("MAX_NUM_FORMS", "1"),
    )
}
NO_MEMBERS = {
    "memberships-TOTAL_FORMS": "0",
    "memberships-INITIAL_FORMS": "0",
    "memberships-MIN_NUM_FORMS": "0",
    "memberships-MAX_NUM_FORMS": "1000",
}


def test_an_asset_with_details_is_made(boss: Client) -> None:
    rows.assets(1)
    values = {"unique_identifier": " MY-ASSET ", "asset_type": "equity", "is_custom_by_organization": "on"}
    details = {"openfigi_details-0-ticker": "AAPL", "openfigi_details-0-figi": "bbg000b9xry4"}
    response = boss.post(reverse("admin:markets_asset_add"), {**values, **DETAILS, **details})
    assert response.status_code == 302, response.content
    asset = Asset.objects.get(unique_identifier="MY-ASSET")
    assert asset.openfigi_details.figi == "BBG000B9XRY4"


def test_a_wrong_figi_is_refused_and_nothing_is_written(boss: Client) -> None:
    values = {"unique_identifier": "MY-ASSET", "asset_type": ""}
    response = boss.post(
        reverse("admin:markets_asset_add"), {**values, **DETAILS, "openfigi_details-0-figi": "BBG000B9XRY5"}
    )
    assert response.status_code == 200
    text = response.content.decode()
    assert "is no FIGI" in text
    assert 'value="MY-ASSET"' in text
    assert not Asset.objects.exists()


def test_an_asset_is_changed_and_its_identifier_is_not(boss: Client) -> None:
    asset = rows.assets(1)[0]
    url = reverse("admin:markets_asset_change", args=(asset.pk,))
    values = {"unique_identifier": "OTHER", "asset_type": "", **DETAILS, "openfigi_details-INITIAL_FORMS": "1"}
    details = {"openfigi_details-0-asset": asset.pk, "openfigi_details-0-ticker": "NEW"}
    assert boss.post(url, {**values, **details}).status_code == 302
    asset.refresh_from_db()
    assert asset.unique_identifier != "OTHER"
    assert asset.asset_type is None
    assert asset.is_custom_by_organization is False
    assert OpenFigiDetails.objects.get().ticker == "NEW"


def test_an_asset_with_data_is_not_deleted(boss: Client) -> None:
    members = rows.assets(2)
    rows.priced_node(members[:1])
    url = reverse("admin:markets_asset_delete", args=(members[0].pk,))
    response = boss.post(url, {"reason": "wrong", "certain": "on"}, follow=True)
    assert "cannot be deleted" in response.content.decode()
    assert Asset.objects.count() == 2


def test_selected_assets_are_deleted_through_the_service(boss: Client) -> None:
    members = rows.assets(2)
    boss.post(
        reverse("admin:markets_asset_changelist"),
        {
            "action": "delete_selected",
            "_selected_action": [row.pk for row in members],
            "confirm": "1",
            "shown": "2",
            "reason": "test",
            "certain": "on",
        },
    )
    assert not Asset.objects.exists()


def test_members_are_pasted_into_a_category(boss: Client) -> None:
    members = rows.assets(3)
    pasted = "\n".join(row.unique_identifier for row in members[:2]) + f", {members[2].unique_identifier}"
    values = {"unique_identifier": "mine", "display_name": "Mine", "add_assets": pasted, **NO_MEMBERS}
    response = boss.post(reverse("admin:markets_assetcategory_add"), values)
    assert response.status_code == 302, response.content
    assert AssetCategory.objects.get().assets.count() == 3


def test_members_leave_from_now_on_and_the_page_shows_the_history(boss: Client) -> None:
    one, two, three = rows.assets(3)
    row = rows.category([])
    universes.register_spells(row, [(one, "2020-01-01", "2021-01-01"), (two, "2020-06-01", None)])
    url = reverse("admin:markets_assetcategory_change", args=(row.pk,))
    member = row.memberships.get(asset=two)
    response = boss.post(
        url,
        {
            "display_name": "Mine",
            "add_assets": three.unique_identifier,
            **NO_MEMBERS,
            "memberships-TOTAL_FORMS": "1",
            "memberships-INITIAL_FORMS": "1",
            "memberships-0-id": member.pk,
            "memberships-0-category": row.pk,
            "memberships-0-asset": two.pk,
            "memberships-0-DELETE": "on",
            "reason": "moved to the other list",
        },
    )
    assert response.status_code == 302, response.content
    assert categories.members_of(row) == [three]
    assert categories.members_of(row, as_of="2020-12-31") == [one, two]
    response = boss.get(url)
    text = response.content.decode()
    assert [str(found[0]) for found in response.context["history"].rows] == [
        f'<a class="msm-link" href="/admin/markets/asset/{asset.pk}/change/">{asset}</a>' for asset in (one, two, three)
    ]
    assert "2020-01-01 00:00" in text
    assert "members_then" not in response.context
    response = boss.get(url, {"as_of": "2020-12-31"})
    assert len(response.context["members_then"].rows) == 2
    assert "2 members on 2020-12-31" in response.content.decode()
    for hostile in ("junk", "<script>alert(1)</script>", "9999-12-31", "\x00", "2020-12-31T00:00:00"):
        response = boss.get(url, {"as_of": hostile})
        assert response.status_code == 200
        assert "members_then" not in response.context
        assert 'role="alert"' in response.content.decode()
        assert "<script>alert(1)" not in response.content.decode()


def test_the_list_and_the_filter_count_members_of_now(boss: Client) -> None:
    one, two = rows.assets(2)
    row = rows.category([])
    universes.register_spells(row, [(one, "2020-01-01", "2021-01-01"), (one, "2022-01-01", None)])
    universes.register_spells(row, [(two, "2020-01-01", "2021-01-01")])
    shown = boss.get(reverse("admin:markets_assetcategory_changelist")).context["cl"].result_list
    assert [found.number_of_members for found in shown] == [1]
    shown = boss.get(reverse("admin:markets_asset_changelist"), {"category": "technology"}).context["cl"].result_list
    assert list(shown) == [one]


def test_an_unknown_member_is_named_and_nothing_is_saved(boss: Client) -> None:
    values = {"unique_identifier": "mine", "display_name": "Mine", "add_assets": "NOBODY", **NO_MEMBERS}
    response = boss.post(reverse("admin:markets_assetcategory_add"), values)
    assert response.status_code == 200
    assert "NOBODY" in response.content.decode()
    assert not AssetCategory.objects.exists()


def test_a_calendar_of_a_market_gets_its_sessions(boss: Client) -> None:
    values = {
        "unique_identifier": "XNYS",
        "display_name": "New York",
        "calendar_type": "TRADING",
        "timezone": "America/New_York",
        "source_identifier": "XNYS",
        "valid_from": "2024-01-01",
        "valid_to": "2024-01-31",
    }
    response = boss.post(reverse("admin:markets_calendar_add"), values)
    assert response.status_code == 302, response.content
    assert Calendar.objects.get().sessions.count() == 21


def test_a_wrong_time_zone_is_an_error_of_its_field(boss: Client) -> None:
    calendar = rows.calendar(1)
    values = {
        "display_name": "x",
        "calendar_type": "TRADING",
        "timezone": "Mars/Olympus",
        "valid_from": "2020-01-01",
        "valid_to": "2020-01-31",
    }
    response = boss.post(reverse("admin:markets_calendar_change", args=(calendar.pk,)), values)
    assert response.status_code == 200
    assert "is no IANA time zone" in response.content.decode()


def test_conventions_cannot_be_changed_once_values_are_computed(boss: Client) -> None:
    members = rows.assets(2)
    portfolio = rows.portfolio(members, sessions=3, values_node=rows.priced_node(members))
    url = reverse("admin:portfolios_portfolio_change", args=(portfolio.pk,))
    assert boss.post(url, {"display_name": "New", "description": "", "commission_fee": "0.5"}).status_code == 302
    stored = Portfolio.objects.get()
    assert stored.display_name == "New"
    assert float(stored.commission_fee) == 0.00018


def test_a_deleted_portfolio_takes_its_weights_and_values_along(boss: Client) -> None:
    members = rows.assets(2)
    kept = rows.portfolio(members, sessions=2, identifier="kept")
    gone = rows.portfolio(members, sessions=3, identifier="gone")
    response = boss.post(reverse("admin:portfolios_portfolio_delete", args=(gone.pk,)), {"reason": "test"})
    assert response.status_code == 302
    assert list(Portfolio.objects.all()) == [kept]
    assert set(PortfolioValue.objects.values_list("portfolio_identifier", flat=True)) == {"kept"}
    assert set(PortfolioWeight.objects.values_list("portfolio_identifier", flat=True)) == {"kept"}


def test_a_token_is_shown_once_and_its_digest_never(boss: Client) -> None:
    user = User.objects.get()
    response = boss.post(reverse("admin:markets_accesstoken_add"), {"name": "robot", "user": user.pk, "expiry_0": ""})
    token = re.search(r'id="new-token">([0-9a-f]+)<', response.content.decode())
    assert token is not None
    assert "no-store" in response["Cache-Control"]
    row = AccessToken.objects.get()
    assert row.token_key == token[1][: len(row.token_key)]
    listed = boss.get(reverse("admin:markets_accesstoken_changelist")).content.decode()
    dashboard = boss.get(reverse("admin:index")).content.decode()
    for text in (listed, dashboard, response.content.decode()):
        assert row.digest not in text
    assert token[1] not in listed


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_token_is_revoked_by_post_only(boss: Client, method: str) -> None:
    AccessToken.objects.create(user=User.objects.get(), name="robot")
    url = reverse("admin:revoke_token", args=(AccessToken.objects.get().token_key,))
    getattr(boss, method)(url)
    assert AccessToken.objects.exists() is (method == "get")


def test_the_viewer_saves_nothing(viewer: Client) -> None:
    asset = rows.assets(1)[0]
    assert viewer.post(reverse("admin:markets_asset_change", args=(asset.pk,)), {"asset_type": ""}).status_code == 403
    assert viewer.get(reverse("admin:markets_asset_add")).status_code == 403
    assert viewer.get(reverse("admin:markets_accesstoken_add")).status_code == 403


def test_only_a_superuser_makes_a_token_for_somebody_else(boss: Client) -> None:
    # given a member of staff who may add tokens, and a superuser
    administrator = User.objects.get()
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["add_accesstoken", "view_accesstoken"]))
    client = Client()
    client.force_login(clerk)
    # when the clerk asks for a token of the superuser
    client.post(reverse("admin:markets_accesstoken_add"), {"name": "x", "user": administrator.pk, "expiry_0": ""})
    # then it lends the clerk's own rights
    assert [token.user for token in AccessToken.objects.all()] == [clerk]
    with pytest.raises(PermissionDenied):
        access.create_token(owner=administrator, made_by=clerk)
    # and an expiry in the past is refused in the form
    late = client.post(
        reverse("admin:markets_accesstoken_add"), {"name": "x", "expiry_0": "2020-01-01", "expiry_1": "00:00:00"}
    )
    assert "must expire in the future" in late.content.decode()
    assert AccessToken.objects.count() == 1


@pytest.mark.parametrize("key", ["Currency Spot", " currency_SPOT "])
def test_the_key_of_an_asset_type_is_normalised(boss: Client, key: str) -> None:
    response = boss.post(reverse("admin:markets_assettype_add"), {"asset_type": key, "display_name": "Spot"})
    assert response.status_code == 302, response.content
    assert AssetType.objects.values_list("asset_type", "display_name").get() == ("currency_spot", "Spot")


def test_an_asset_type_that_exists_is_not_overwritten_by_adding_it(boss: Client) -> None:
    AssetType.objects.create(asset_type="currency_spot", display_name="As it was")
    response = boss.post(
        reverse("admin:markets_assettype_add"), {"asset_type": "Currency Spot", "display_name": "Other"}
    )
    assert response.status_code == 200
    assert "already exists" in response.content.decode()
    assert AssetType.objects.values_list("asset_type", "display_name").get() == ("currency_spot", "As it was")

"""Deletions show what goes along and what is in the way, and want a reason."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db.models.signals import pre_delete
from django.test import Client
from django.urls import reverse

from markets.admin import deleting
from markets.models import Asset, AssetCategory, AssetType, Issuer, OpenFigiDetails
from markets.services import audit
from portfolios.models import Portfolio, PortfolioValue
from tests import factories
from tests.admin import rows
from tests.admin.test_bulk_actions import clerk


def delete_url(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_delete", args=(row.pk,))


def delete_selected(client: Client, chosen: list[Any], **said: Any) -> Any:
    options = chosen[0]._meta
    url = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
    return client.post(url, {"action": "delete_selected", "_selected_action": [row.pk for row in chosen], **said})


def impact(response: Any) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in response.context["question"].more["table"].rows]


def test_what_is_in_the_way_is_named_and_there_is_no_button(boss: Client) -> None:
    issuer = factories.issuer()
    bonds = [factories.bond(issuer=issuer) for _ in range(7)]
    response = boss.get(delete_url(issuer))
    text = response.content.decode()
    assert response.context["question"].title == "The issuer An issuer cannot be deleted"
    assert impact(response) == [("Bonds", "7")]
    assert "must go first" in text
    assert reverse("admin:markets_bond_change", args=(bonds[0].pk,)) in text
    assert "and 2 more" in text
    assert "Delete or change those first" in text
    assert response.context["question"].button == ""
    assert "msm-button-danger" not in text
    # and posting it all the same deletes nothing
    assert boss.post(delete_url(issuer), {"reason": "x"}).status_code == 200
    assert Issuer.objects.exists()


@pytest.mark.parametrize("reason", [None, "", "   ", "\x00", "x" * 501])
def test_without_a_reason_nothing_is_deleted(boss: Client, reason: str | None) -> None:
    category = rows.category(rows.assets(2))
    response = boss.post(delete_url(category), {} if reason is None else {"reason": reason})
    assert response.status_code == 200
    assert response.context["question"].form.errors["reason"]
    assert impact(response) == [("Category memberships", "2")]
    assert AssetCategory.objects.exists()


def test_the_reason_is_said_to_the_audit(boss: Client) -> None:
    heard: list[str | None] = []

    def hear(**_: Any) -> None:
        heard.append(audit.current().reason)

    category = rows.category([])
    pre_delete.connect(hear, sender=AssetCategory)
    try:
        assert boss.post(delete_url(category), {"reason": " a duplicate "}).status_code == 302
    finally:
        pre_delete.disconnect(hear, sender=AssetCategory)
    assert heard == ["a duplicate"]
    assert not AssetCategory.objects.exists()


def test_a_public_asset_goes_only_when_that_is_confirmed(boss: Client, db: None) -> None:
    # given assets of the public master
    one, two = rows.assets(2)
    Asset.objects.update(is_custom_by_organization=False)
    # then somebody without the permission is told, and has no button
    staff = clerk("view_asset", "delete_asset")
    text = staff.get(delete_url(one)).content.decode()
    assert "belongs to the public master" in text
    assert staff.post(delete_url(one), {"reason": "x", "certain": "on"}).status_code == 200
    # and the administrator has to say it
    assert boss.post(delete_url(one), {"reason": "x"}).status_code == 200
    assert Asset.objects.count() == 2
    assert boss.post(delete_url(one), {"reason": "x", "certain": "on"}).status_code == 302
    assert list(Asset.objects.all()) == [two]


def test_an_asset_with_data_is_told_to_leave_its_categories_instead(boss: Client) -> None:
    members = rows.assets(1)
    rows.priced_node(members)
    text = boss.get(delete_url(members[0])).content.decode()
    assert "It has data in test-closes." in text
    assert "remove them from their categories instead" in text


def test_a_type_in_use_is_kept_by_its_assets(boss: Client) -> None:
    rows.assets(3)
    response = boss.get(delete_url(AssetType.objects.get()))
    assert impact(response) == [("Assets", "3")]
    assert "Give those assets another type first" in response.content.decode()


def test_a_portfolio_shows_its_values(boss: Client) -> None:
    portfolio = rows.portfolio(rows.assets(2), sessions=3)
    assert impact(boss.get(delete_url(portfolio))) == [("Portfolio weights", "6"), ("Portfolio values", "3")]
    boss.post(delete_url(portfolio), {"reason": "x"})
    assert not Portfolio.objects.exists()
    assert not PortfolioValue.objects.exists()


def test_many_rows_are_summed_and_deleted_together(boss: Client) -> None:
    members = rows.assets(2)
    chosen = [rows.category(members, "One"), rows.category(members[:1], "Two"), rows.category([], "Three")]
    asked = delete_selected(boss, chosen[:2], index="0")
    assert asked.context["question"].title == "Delete 2 asset categories?"
    assert impact(asked) == [("Category memberships", "3")]
    assert AssetCategory.objects.count() == 3
    done = delete_selected(boss, chosen[:2], reason="x", confirm="1", shown="2")
    assert [str(said) for said in get_messages(done.wsgi_request)] == ["2 asset categories were deleted."]
    assert list(AssetCategory.objects.all()) == [chosen[2]]


def test_one_that_is_in_use_keeps_all_of_the_selection(boss: Client) -> None:
    used, free = factories.issuer(), factories.issuer()
    factories.bond(issuer=used)
    response = delete_selected(boss, [used, free], reason="x", confirm="1", shown="2")
    assert response.context["question"].button == ""
    assert impact(response) == [("Bonds", "1")]
    assert Issuer.objects.count() == 2


def test_a_selection_without_a_reason_or_that_changed_is_asked_again(boss: Client) -> None:
    chosen = [factories.issuer(), factories.issuer()]
    assert "Say why" in delete_selected(boss, chosen, confirm="1", shown="2").content.decode()
    again = delete_selected(boss, chosen, reason="x", confirm="1", shown="5")
    assert "it was 5, now it is 2" in again.content.decode()
    assert Issuer.objects.count() == 2


def test_more_than_a_thousand_are_not_deleted_at_once(boss: Client) -> None:
    Issuer.objects.bulk_create([Issuer(unique_identifier=f"i{n}", display_name="x") for n in range(1_001)])
    chosen = [Issuer.objects.first()]
    response = delete_selected(boss, chosen, select_across="1", reason="x", confirm="1", shown="1001")
    assert str(next(iter(get_messages(response.wsgi_request)))).startswith("More than 1,000 issuers are selected")
    assert Issuer.objects.count() == deleting.MOST_DELETED + 1


def test_what_goes_along_needs_its_own_permission(db: None) -> None:
    bond = factories.bond()
    staff = clerk("view_asset", "delete_asset")
    text = staff.post(delete_url(bond.asset), {"reason": "x"}).content.decode()
    assert "You may not delete bonds, which would go along" in text
    assert Asset.objects.filter(pk=bond.pk).exists()
    Asset.objects.filter(pk=bond.pk).update(asset_type=None)


def test_the_viewer_deletes_nothing(viewer: Client) -> None:
    category = rows.category([])
    assert viewer.get(delete_url(category)).status_code == 403
    assert viewer.post(delete_url(category), {"reason": "x"}).status_code == 403
    delete_selected(viewer, [category], reason="x", confirm="1", shown="1")
    assert AssetCategory.objects.exists()


def test_details_of_a_tab_are_deleted_with_a_reason_only(boss: Client) -> None:
    (asset,) = rows.assets(1)
    prefix = "openfigi_details"
    values = {
        "asset_type": "equity",
        f"{prefix}-TOTAL_FORMS": "1",
        f"{prefix}-INITIAL_FORMS": "1",
        f"{prefix}-0-asset": asset.pk,
        f"{prefix}-0-DELETE": "on",
    }
    url = reverse("admin:markets_asset_change", args=(asset.pk,))
    refused = boss.post(url, values)
    assert "Saving deletes the OpenFIGI details" in refused.content.decode()
    assert OpenFigiDetails.objects.exists()
    assert boss.post(url, {**values, "reason": "they were another share's"}).status_code == 302
    assert not OpenFigiDetails.objects.exists()

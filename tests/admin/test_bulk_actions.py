"""Actions on many assets: they say what they will do, ask, do it whole or not at all, and tell."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from markets.admin import asset_actions
from markets.models import Asset, AssetCategory, AssetCategoryMembership
from markets.services import audit, categories
from tests import factories
from tests.admin import rows

URL = "/admin/markets/asset/"


def act(client: Client, action: str, chosen: list[Any], query: str = "", **said: Any) -> Any:
    return client.post(URL + query, {"action": action, "_selected_action": [row.pk for row in chosen], **said})


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def clerk(*permissions: str) -> Client:
    """Somebody of the staff with these permissions of markets."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=permissions, content_type__app_label="markets"),
    )
    client = Client()
    client.force_login(user)
    return client


# --- categories ------------------------------------------------------------------------------------------------------
def test_assets_are_added_after_a_page_that_says_how_many(boss: Client) -> None:
    # given one member already
    one, two, three = rows.assets(3)
    category = rows.category([one])
    # when two are chosen, and the category named
    asked = act(boss, "add_to_category", [one, two], index="0")
    planned = act(boss, "add_to_category", [one, two], category=category.pk, reason="")
    # then nothing is written before it is confirmed
    assert asked.context["question"].button == "Continue"
    assert planned.context["question"].will == ["Add 1 asset to Technology, from now on. 1 belongs to it already."]
    assert categories.members_of(category) == [one]
    # when it is confirmed
    done = act(
        boss, "add_to_category", [one, two], "?type=equity", category=category.pk, reason="", confirm="1", shown="2"
    )
    # then it is done, told, and the list comes back with its filter
    assert (done.status_code, done["Location"]) == (302, URL + "?type=equity")
    assert told(done) == ["Technology: 1 asset added, 1 kept."]
    assert categories.members_of(category) == [one, two]
    assert three not in categories.members_of(category)


def test_a_new_category_is_made_of_the_selection(boss: Client) -> None:
    chosen = rows.assets(2)
    said = {"new_category": "Crypto core", "reason": "asked for by the desk"}
    planned = act(boss, "add_to_category", chosen, **said)
    assert planned.context["question"].will == ["Make the category Crypto core with 2 assets."]
    act(boss, "add_to_category", chosen, **said, confirm="1", shown="2")
    category = AssetCategory.objects.get()
    assert category.unique_identifier == "crypto_core"
    assert categories.members_of(category) == chosen


@pytest.mark.parametrize(
    "said",
    [{}, {"category": "999999"}, {"category": "\x00"}, {"category": "x"}, {"new_category": "a\x00b"}],
    ids=str,
)
def test_what_is_no_category_is_refused_on_the_page(boss: Client, said: dict[str, str]) -> None:
    chosen = rows.assets(2)
    rows.category([])
    response = act(boss, "add_to_category", chosen, **said, reason="", confirm="1", shown="2")
    assert response.status_code == 200
    assert response.context["question"].button == "Continue"
    assert response.context["question"].form.errors
    assert not AssetCategoryMembership.objects.exists()
    assert AssetCategory.objects.count() == 1


def test_both_a_category_and_a_new_one_are_refused(boss: Client) -> None:
    chosen, category = rows.assets(1), rows.category([])
    response = act(boss, "add_to_category", chosen, category=category.pk, new_category="Other", reason="")
    assert "one of the two" in response.content.decode()


def test_removing_needs_a_reason_and_keeps_the_past(boss: Client) -> None:
    one, two = rows.assets(2)
    category = rows.category([one])
    refused = act(boss, "remove_from_category", [one, two], category=category.pk, reason=" ", confirm="1", shown="2")
    assert "Say why." in refused.content.decode()
    assert categories.members_of(category) == [one]
    said = {"category": category.pk, "reason": "delisted"}
    planned = act(boss, "remove_from_category", [one, two], **said)
    assert planned.context["question"].will == [
        "Remove 1 asset from Technology, from now on. 1 of the selected does not belong to it."
    ]
    done = act(boss, "remove_from_category", [one, two], **said, confirm="1", shown="2")
    assert told(done) == ["Technology: 1 asset removed, 0 remain."]
    assert categories.members_of(category) == []
    assert AssetCategoryMembership.objects.get(category=category).valid_to is not None


def test_nothing_to_do_has_no_button(boss: Client) -> None:
    (one,) = rows.assets(1)
    category = rows.category([one])
    planned = act(boss, "add_to_category", [one], category=category.pk, reason="")
    assert planned.context["question"].button == ""
    assert planned.context["question"].will[0].startswith("Nothing would change.")


def test_the_reason_is_said_to_the_audit(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str | None] = []
    append = categories.append_members

    def listening(*arguments: Any) -> Any:
        heard.append(audit.current().reason)
        return append(*arguments)

    monkeypatch.setattr(asset_actions.categories, "append_members", listening)
    chosen, category = rows.assets(1), rows.category([])
    act(boss, "add_to_category", chosen, category=category.pk, reason="index change", confirm="1", shown="1")
    assert heard == ["index change"]
    assert audit.current().reason is None


# --- types -----------------------------------------------------------------------------------------------------------
def test_types_change_and_the_refused_are_told_with_reasons(boss: Client) -> None:
    # given a share, an asset with the terms of a bond, and the bond's currency
    (share,) = rows.assets(1)
    factories.asset_type(asset_type="fund")
    bond = factories.bond()
    currency = bond.currency_asset
    chosen = [share, bond.asset, currency]
    said = {"asset_type": "fund", "reason": "it was registered wrongly"}
    # when
    planned = act(boss, "change_type", chosen, **said)
    # then
    assert planned.context["question"].will == ["Give 1 asset the type fund."]
    assert planned.context["question"].refused[0] == "2 assets are refused and left alone:"
    assert Asset.objects.get(pk=share.pk).asset_type == "equity"
    # when it is confirmed
    done = act(boss, "change_type", chosen, **said, confirm="1", shown="3")
    # then
    changed, refused = told(done)
    assert changed == "1 asset changed to fund, 0 kept."
    assert f"{bond.asset} has the terms of a bond" in refused
    assert f"{currency} is the currency of the bond {bond.asset}" in refused
    assert [Asset.objects.get(pk=row.pk).asset_type for row in chosen] == ["fund", "bond", "currency"]


@pytest.mark.parametrize("asset_type", ["", "nosuch", "\x00", "x" * 5_000])
def test_a_type_that_is_none_is_refused(boss: Client, asset_type: str) -> None:
    chosen = rows.assets(1)
    response = act(boss, "change_type", chosen, asset_type=asset_type, reason="x", confirm="1", shown="1")
    assert response.status_code == 200
    assert response.context["question"].form.errors
    assert Asset.objects.get().asset_type == "equity"


# --- selections ------------------------------------------------------------------------------------------------------
def test_a_selection_that_changed_meanwhile_is_shown_again(boss: Client) -> None:
    chosen = rows.assets(3)
    category = rows.category([])
    said = {"category": category.pk, "reason": "", "select_across": "1"}
    again = act(boss, "add_to_category", chosen[:1], **said, confirm="1", shown="2")
    assert "it was 2, now it is 3" in again.content.decode()
    assert categories.members_of(category) == []
    act(boss, "add_to_category", chosen[:1], **said, confirm="1", shown="3")
    assert categories.members_of(category) == chosen


def test_a_whole_filter_is_acted_on_and_no_more(boss: Client) -> None:
    members, others = rows.assets(3), rows.assets(2, prefix="OTHER")
    category, target = rows.category(members), rows.category([], "Target")
    said = {"category": target.pk, "reason": "", "select_across": "1", "confirm": "1", "shown": "3"}
    act(boss, "add_to_category", members[:1], "?category=technology", **said)
    assert categories.members_of(target) == members
    assert categories.members_of(category) == members
    assert not set(others) & set(categories.members_of(target))


@pytest.mark.parametrize("action", ["add_to_category", "remove_from_category", "change_type", "delete_selected"])
def test_ids_of_no_asset_do_nothing(boss: Client, action: str) -> None:
    rows.assets(1)
    other = rows.calendar(1)
    response = boss.post(URL, {"action": action, "_selected_action": [str(10**12), "0", str(-other.pk)], "index": "0"})
    assert response.status_code == 302
    assert told(response) == ["The selection names no row. Select the rows again."]


def test_more_than_an_action_takes_is_refused_with_the_remedy(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset_actions, "MOST_ACTED", 2)
    chosen, category = rows.assets(3), rows.category([])
    said = {"category": category.pk, "reason": "", "select_across": "1", "confirm": "1", "shown": "3"}
    response = act(boss, "add_to_category", chosen[:1], **said)
    assert "More than 2 assets are selected" in told(response)[0]
    assert "register_universe" in told(response)[0]
    assert categories.members_of(category) == []


def test_a_hundred_thousand_are_added_at_once(boss: Client) -> None:
    Asset.objects.bulk_create(
        [Asset(unique_identifier=f"A{place:06d}", asset_type="equity") for place in range(100_000)], batch_size=10_000
    )
    category = rows.category([])
    first = Asset.objects.first()
    said = {"category": category.pk, "reason": "", "select_across": "1", "confirm": "1", "shown": "100000"}
    response = act(boss, "add_to_category", [first], **said)
    assert told(response) == ["Technology: 100,000 assets added, 0 kept."]
    assert AssetCategoryMembership.objects.filter(category=category).at().count() == 100_000


# --- who may ---------------------------------------------------------------------------------------------------------
def test_the_viewer_may_export_and_nothing_else(viewer: Client) -> None:
    chosen, category = rows.assets(1), rows.category([])
    page = viewer.get(URL)
    assert [name for name, _ in page.context["action_form"].fields["action"].choices if name] == ["export_rows"]
    for action in ("add_to_category", "remove_from_category", "change_type", "delete_selected"):
        said = {"category": category.pk, "asset_type": "equity", "reason": "x", "confirm": "1", "shown": "1"}
        act(viewer, action, chosen, **said)
    assert Asset.objects.count() == 1
    assert not AssetCategoryMembership.objects.exists()


def test_each_action_needs_its_own_permission(db: None) -> None:
    chosen, category = rows.assets(1), rows.category([])
    client = clerk("view_asset", "change_assetcategory", "view_assetcategory")
    names = {name for name, _ in client.get(URL).context["action_form"].fields["action"].choices if name}
    assert names == {"add_to_category", "remove_from_category", "export_rows"}
    said = {"new_category": "Mine", "reason": "", "confirm": "1", "shown": "1"}
    response = act(client, "add_to_category", chosen, **said)
    assert "new_category" not in response.context["question"].form.fields
    assert AssetCategory.objects.count() == 1
    act(client, "add_to_category", chosen, category=category.pk, reason="", confirm="1", shown="1")
    assert categories.members_of(category) == chosen


def test_the_choices_of_types_are_found_by_typing_and_by_those_who_may_look(boss: Client, db: None) -> None:
    factories.asset_type(asset_type="currency_spot", display_name="Spot")
    factories.asset_type(asset_type="equity")
    url = reverse("admin:assettype_choices")
    assert boss.get(url, {"term": "curr"}).json()["results"] == [{"id": "currency_spot", "text": "Spot"}]
    assert boss.get(url, {"term": "\x00zz"}).json()["results"] == []
    assert clerk("view_asset").get(url).status_code == 403

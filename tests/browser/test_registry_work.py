"""What an analyst does in the registry: choose assets for a category, delete with a reason, add a future."""

import pytest
from django.urls import reverse

from markets.models import AssetCategory, Future
from markets.services import categories
from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_two_assets_are_added_to_a_category(visit: Visit) -> None:
    # given
    rows.administrator()
    one, two, three = rows.assets(3)
    category = rows.category([])
    visit.log_in()
    # when two are selected and the category is found by typing
    visit.open(reverse("admin:markets_asset_changelist"))
    for place in (0, 1):
        visit.page.locator("input.action-select").nth(place).check()
    visit.page.select_option("select[name=action]", "add_to_category")
    visit.page.click("button[name=index]")
    visit.page.click(".select2-selection")
    visit.page.keyboard.type("tech")
    visit.page.click(".select2-results__option >> text=Technology")
    visit.page.click("text=Continue")
    visit.page.wait_for_selector("text=Add 2 assets to Technology, from now on.")
    assert categories.members_of(category) == []
    visit.page.click("button[name=confirm]")
    # then
    visit.page.wait_for_selector("text=Technology: 2 assets added, 0 kept.")
    assert categories.members_of(category) == [one, two]
    assert three not in categories.members_of(category)
    assert visit.complaints == []


def test_a_deletion_shows_its_impact_and_wants_a_reason(visit: Visit) -> None:
    rows.administrator()
    category = rows.category(rows.assets(2))
    visit.log_in()
    visit.open(reverse("admin:markets_assetcategory_change", args=(category.pk,)))
    visit.page.click("text=Delete asset category")
    visit.page.wait_for_selector("text=Category memberships")
    visit.page.click(".msm-button-danger")
    visit.page.wait_for_selector("text=Say why.")
    assert AssetCategory.objects.exists()
    visit.page.fill("input[name=reason]", "a duplicate")
    visit.page.click(".msm-button-danger")
    visit.page.wait_for_selector("text=was deleted successfully")
    assert not AssetCategory.objects.exists()
    assert visit.complaints == []


@pytest.mark.parametrize("place", ["page", "tab"])
def test_a_perpetual_future_has_no_expiry_to_fill(visit: Visit, place: str) -> None:
    # given an expiring future
    rows.administrator()
    factories.asset_type(asset_type="future")
    future = factories.future()
    prefix = "future-0-" if place == "tab" else ""
    name = "markets_asset_change" if place == "tab" else "markets_future_change"
    visit.log_in()
    visit.open(reverse(f"admin:{name}", args=(future.pk,)) + ("#future" if place == "tab" else ""))
    expiry = visit.page.locator(f"[name={prefix}expires_at_0]")
    assert expiry.is_visible()
    assert visit.page.locator(f"[name={prefix}settles_at_0]").is_visible()
    # when it is made perpetual
    visit.page.select_option(f"[name={prefix}kind]", "PERPETUAL")
    # then the expiry is hidden and emptied, and nothing else is
    assert expiry.is_hidden()
    assert expiry.input_value() == ""
    assert visit.page.locator(f"[name={prefix}settles_at_0]").is_visible()
    # and it comes back, empty, when the kind does
    visit.page.select_option(f"[name={prefix}kind]", "EXPIRING")
    assert expiry.is_visible()
    visit.page.select_option(f"[name={prefix}kind]", "PERPETUAL")
    visit.page.click("button[name=_continue]")
    visit.page.wait_for_selector("text=was changed successfully")
    assert visit.page.locator(f"[name={prefix}expires_at_0]").is_hidden()
    assert (Future.objects.get().kind, Future.objects.get().expires_at) == ("PERPETUAL", None)
    assert visit.complaints == []


def test_the_search_of_everything_finds_an_asset(visit: Visit) -> None:
    rows.administrator()
    asset = rows.assets(1)[0]
    visit.log_in()
    visit.page.keyboard.press("Control+k")
    visit.page.fill("#search-input-command", "TCK0")
    visit.page.keyboard.press("End")
    visit.page.click(f"#command-results >> text={asset.unique_identifier}")
    visit.page.wait_for_url(f"**{reverse('admin:markets_asset_change', args=(asset.pk,))}")
    assert visit.complaints == []

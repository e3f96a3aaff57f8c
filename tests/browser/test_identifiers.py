"""Identifiers in a browser: added on the tab, renamed, and asked for by a day."""

import datetime as dt

import pytest
from django.urls import reverse

from markets.models import AssetIdentifier
from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_a_ticker_is_added_renamed_and_found_by_its_day(visit: Visit) -> None:
    # given
    rows.administrator()
    asset = factories.asset(unique_identifier="BBG000MM2P62")
    visit.log_in()
    # when
    visit.open(reverse("admin:markets_asset_change", args=(asset.pk,)))
    visit.page.click(f"a[href='{reverse('admin:asset_identifiers', args=(asset.pk,))}']")
    visit.page.wait_for_selector("text=No identifier is recorded")
    for name, value in (("scheme", "ticker"), ("value", "fb"), ("venue", "XNAS"), ("valid_from", "2012-05-18")):
        visit.page.fill(f"input[name={name}]", value)
    visit.page.fill("input[name=reason]", "listed")
    visit.page.click("text=Add the identifier")
    visit.page.wait_for_selector("text=has ticker FB@XNAS now.")
    visit.page.click("text=Rename")
    visit.page.fill("input[name=value]", "META")
    visit.page.fill("input[name=effective]", "2022-06-09")
    visit.page.fill("input[name=reason]", "rebranded")
    visit.page.click("button:text('Rename')")
    visit.page.wait_for_selector("text=is ticker META@XNAS from 2022-06-09 on.")
    visit.page.click("text=Who was it on this day?")
    visit.page.fill("input[name=value]", "fb")
    visit.page.fill("input[name=day]", "2022-06-08")
    visit.page.click("button:text('Ask')")
    visit.page.wait_for_selector("#answer a:text('BBG000MM2P62')")
    # then
    stored = AssetIdentifier.objects.order_by("valid_from").values_list("value", "valid_from", "valid_to")
    assert list(stored) == [
        ("FB", dt.date(2012, 5, 18), dt.date(2022, 6, 9)),
        ("META", dt.date(2022, 6, 9), None),
    ]
    assert visit.complaints == []

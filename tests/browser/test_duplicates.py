"""Duplicates in a real browser: from the list to the merge, wide and narrow."""

import os
from collections.abc import Iterator

import pytest

from markets.models import AssetMerge
from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit
from tests.browser.test_rights import fits
from tests.markets.data_nodes.nodes import Given, bars, drop_tables

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
SHOTS = os.environ.get("MSM_SHOTS")  # where to leave pictures of the pages


@pytest.fixture(autouse=True)
def no_tables(transactional_db: None) -> Iterator[None]:
    yield
    drop_tables()


def look(visit: Visit, name: str) -> None:
    assert fits(visit)
    if SHOTS:
        visit.page.screenshot(path=f"{SHOTS}/{name}-{visit.page.viewport_size['width']}.png", full_page=True)


@pytest.mark.parametrize("width", [1440, 480])
def test_two_assets_are_merged(visit: Visit, width: int) -> None:
    rows.administrator()
    kept, dropped = (factories.asset(unique_identifier=name, asset_type="equity") for name in ("KEPT", "DROPPED"))
    factories.details(kept, isin="US0378331005", ticker="KEEP", name="Acme Incorporated, class A shares")
    factories.details(dropped, isin="US0378331005", ticker="DROP", name="Acme Incorporated, class A shares")
    factories.category(dropped)
    Given("both").returns(bars([(0, "KEPT", 1.0), (0, "DROPPED", 1.5), (1, "DROPPED", 2.0)])).run()
    visit.log_in()
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.open("/admin/markets/asset/duplicates/")
    look(visit, "groups")
    visit.page.click("text=into KEPT >> nth=0")
    visit.page.wait_for_selector("text=Both have time-indexed rows")
    look(visit, "asked")
    visit.page.select_option("[name=rows]", "fill")
    visit.page.fill("[name=reason]", "One share.")
    visit.page.click("[name=confirm]")
    visit.page.wait_for_selector("text=DROPPED was merged into KEPT.")
    assert AssetMerge.objects.get().rows == "fill"
    visit.open(f"/admin/markets/asset/{dropped.pk}/change/")
    look(visit, "redirect")
    visit.page.click("text=Undo the merge")
    look(visit, "undo")
    visit.page.fill("[name=reason]", "Two shares.")
    visit.page.click("button:has-text('Undo the merge')")
    visit.page.wait_for_selector("text=was undone.")
    assert visit.complaints == []

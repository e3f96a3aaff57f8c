"""The lineage in a real browser: from the picture to the node, by mouse and by keyboard; the forms of a node."""

from typing import Any

import pytest
from django.urls import reverse

from markets.models import FreshnessPolicy, NodeSchedule, NodeUpdate
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
LINEAGE = "/admin/markets/nodeupdate/lineage/"


@pytest.fixture
def nodes(transactional_db: None) -> list[NodeUpdate]:
    rows.administrator()
    members = rows.assets(2)
    return [rows.priced_node(members, "test-closes", run=False), rows.report_node(members)]


def address(update: NodeUpdate) -> str:
    return reverse("admin:markets_nodeupdate_change", args=(update.pk,))


def test_from_the_menu_to_the_picture_to_the_node(visit: Visit, nodes: list[NodeUpdate]) -> None:
    closes, report = nodes
    page = visit.page
    visit.log_in()
    page.get_by_role("link", name="Lineage").click()
    page.wait_for_url(f"{visit.url}{LINEAGE}")
    boxes = page.locator("svg .msm-node")
    assert boxes.count() == NodeUpdate.objects.count()
    left = page.locator(f'svg a[href="{address(closes)}"]').bounding_box()
    right = page.locator(f'svg a[href="{address(report)}"]').bounding_box()
    assert left["x"] + left["width"] < right["x"]  # what is read stands left of who reads it
    # by keyboard: the picture scrolls, and each of its boxes can be reached and opened
    page.locator(f'svg a[href="{address(closes)}"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{visit.url}{address(closes)}")
    # by mouse, from the neighbourhood on the node's page
    page.locator(f'#lineage svg a[href="{address(report)}"]').click()
    page.wait_for_url(f"{visit.url}{address(report)}")
    page.get_by_role("link", name="All that feeds it or rests on it").click()
    page.wait_for_url(f"**{LINEAGE}?node={report.uid}")
    assert page.locator("svg .msm-node-current").count() == 1
    page.get_by_role("link", name="50 %", exact=True).click()
    page.wait_for_url("**zoom=50")
    half = page.locator("svg .msm-node-current").bounding_box()
    assert half["width"] < 0.6 * right["width"]
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1440, 480])
def test_no_page_is_wider_than_its_window(width: int, visit: Visit, nodes: list[NodeUpdate]) -> None:
    closes, _ = nodes
    visit.log_in()
    visit.page.set_viewport_size({"width": width, "height": 900})
    for path in (LINEAGE, address(closes), *(address(closes).replace("change", name) for name in PAGES)):
        visit.open(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert visit.complaints == []


PAGES = ("schedule", "freshness")


def test_a_schedule_and_a_policy_are_set_by_hand(visit: Visit, nodes: list[NodeUpdate]) -> None:
    closes, _ = nodes
    page: Any = visit.page
    visit.log_in()
    visit.open(address(closes))
    page.get_by_role("link", name="Set a schedule").click()
    page.get_by_label("When").fill("30 22 * * 1-9")
    page.get_by_label("Time zone").select_option("America/New_York")
    page.get_by_role("button", name="Save schedule").click()
    assert "The day of week '1-9' is not understood" in page.locator(".msm-fault").inner_text()
    page.get_by_label("When").fill("30 22 * * 1-5")
    page.get_by_role("button", name="Save schedule").click()
    page.wait_for_url(f"{visit.url}{address(closes)}#schedule")
    assert "At 22:30, Monday through Friday (America/New_York)" in page.locator("#schedule").inner_text()
    page.get_by_role("link", name="Set a policy").click()
    page.get_by_label("Data are expected").select_option("every")
    page.get_by_label("Every").fill("6")
    page.get_by_label("Unit").select_option("hours")
    page.get_by_role("button", name="Save policy").click()
    page.wait_for_url(f"{visit.url}{address(closes)}#freshness")
    assert "every 6 hours" in page.locator("#freshness").inner_text()
    assert NodeSchedule.objects.get().is_enabled
    assert FreshnessPolicy.objects.get().is_active
    assert visit.complaints == []

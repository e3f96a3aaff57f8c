"""What a person sees of rights, and an index's values: no complaint of the browser, nothing wider than the screen."""

import pytest
from django.urls import reverse

from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def fits(visit: Visit) -> bool:
    """Whether no element of the page reaches beyond the screen, tables that scroll by themselves excepted."""
    beyond = """() => [...document.querySelectorAll("main *, #main *, form *")].filter((element) => {
      const box = element.getBoundingClientRect();
      const scrolls = element.closest(".msm-scroll, [style*=overflow], .overflow-x-auto, .msm-table, table");
      return box.width > 0 && box.right > window.innerWidth + 1 && !scrolls;
    }).map((element) => `${element.tagName}.${element.className}`)"""
    return visit.page.evaluate(beyond) == []


@pytest.mark.parametrize("width", [1440, 480])
def test_the_page_of_an_index_draws_its_values(visit: Visit, width: int) -> None:
    rows.administrator()
    index = factories.index_values()
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.log_in()
    visit.open(reverse("admin:markets_index_change", args=(index.pk,)))
    visit.wait_for_charts(1)
    assert "2026-01-05 21:00" in visit.page.inner_text("#values")
    assert fits(visit)
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1440, 480])
def test_an_administrator_ticks_a_group(visit: Visit, width: int) -> None:
    rows.administrator()
    ada = factories.person("viewer")
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.log_in()
    visit.open(reverse("admin:auth_user_change", args=(ada.pk,)))
    assert fits(visit)
    visit.page.check("text=operator: sees everything")
    visit.page.click("[name=_save]")
    visit.page.wait_for_url(f"**{reverse('admin:auth_user_changelist')}*")
    assert "operator, viewer" in visit.page.inner_text("#result_list")
    assert sorted(ada.groups.values_list("name", flat=True)) == ["operator", "viewer"]
    assert fits(visit)
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1440, 480])
def test_an_operator_renews_sessions(visit: Visit, width: int) -> None:
    operator = factories.person("operator")
    operator.set_password(rows.PASSWORD)
    operator.save()
    calendar = factories.market_calendar()
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.log_in(operator.username)
    visit.open(reverse("admin:markets_calendar_change", args=(calendar.pk,)))
    assert not visit.page.query_selector("[name=_save]")
    visit.page.fill("#refresh [name=valid_to]", "2026-05-27")
    visit.page.click("text=Renew sessions")
    visit.page.wait_for_selector("text=2 added, 0 changed, 0 removed, 1 kept")
    assert calendar.sessions.count() == 3
    assert fits(visit)
    assert visit.complaints == []

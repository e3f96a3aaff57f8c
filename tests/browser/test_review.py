"""What a person does with a list: paste it, watch it, and decide what it leaves open without a mouse."""

from typing import Any

import pytest
from django.urls import reverse

from markets.models import Asset, RememberedDecision, Resolution, ResolutionItem
from markets.openfigi.fake.universe import rows_for
from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
INBOX = reverse("admin:markets_resolutionitem_changelist")
APPLE, IBM, AMAZON, WRONG = "US0378331005", "US4592001014", "US0231351067", "US0378331006"


def status_of(text: str) -> tuple[str, str]:
    return ResolutionItem.objects.values_list("status", "figi").get(text=text)


def test_a_pasted_list_is_resolved_and_decided_by_keyboard_alone(openfigi: Any, visit: Visit, worker: None) -> None:
    rows.administrator()
    visit.log_in()
    visit.open(reverse("admin:markets_resolution_add"))
    visit.page.fill("textarea[name=identifiers]", f"{APPLE}\n{IBM}\n{AMAZON}\n{WRONG}")
    visit.page.fill("input[name=source]", "desk")
    visit.page.click("button:has-text('Resolve')")
    visit.page.wait_for_selector("a:has-text('Decide 3…')")
    assert "Wrong" in visit.page.inner_text(".msm-tiles")
    visit.page.click(".msm-tiles a:has-text('Wrong')")
    visit.page.wait_for_selector("h2:has-text('Identifiers: wrong')")
    assert APPLE not in visit.page.inner_text(".msm-items table").split()

    visit.open(INBOX)
    press = visit.page.keyboard.press
    visit.page.wait_for_selector(f".msm-review-item h2:has-text('{APPLE}')")
    assert visit.page.locator("input[name=figi]:checked").count() == 0
    press("Enter")  # nothing is chosen yet, so nothing is accepted
    visit.page.wait_for_selector("text=Choose one of the candidates, or decline them all.")
    assert not Asset.objects.exists()

    candidates = rows_for("ID_ISIN", APPLE)
    composites = list(dict.fromkeys(row["compositeFIGI"] for row in candidates))
    press("j")
    press("ArrowDown")
    press("k")
    press("j")
    assert visit.page.input_value("input[name=figi]:checked") == composites[1]
    press("v")  # its venues unfold, and the next choice is the first of them
    press("j")
    venue = visit.page.input_value("input[name=figi]:checked")
    assert venue in [row["figi"] for row in candidates if row["compositeFIGI"] == composites[1]]
    assert venue != composites[1]
    press("v")  # folded again, the choice is the composite's: none is out of sight
    assert visit.page.input_value("input[name=figi]:checked") == composites[1]
    press("r")
    visit.page.keyboard.type("jxl is text here")
    press("Escape")
    press("Enter")
    visit.page.wait_for_selector(f".msm-review-item h2:has-text('{IBM}')")
    assert status_of(APPLE) == ("registered", composites[1])
    assert RememberedDecision.objects.get().reason == "jxl is text here"

    press("l")
    visit.page.wait_for_selector(f".msm-review-item h2:has-text('{AMAZON}')")
    assert ResolutionItem.objects.get(text=IBM).is_postponed
    press("n")
    visit.page.wait_for_selector(f".msm-review-item h2:has-text('{IBM}')")
    press("p")
    visit.page.wait_for_selector(f".msm-review-item h2:has-text('{AMAZON}')")
    press("x")
    visit.page.wait_for_selector(f".msm-review-item h2:has-text('{IBM}')")
    assert status_of(AMAZON) == ("declined", "")
    press("/")
    visit.page.keyboard.type("nothing")
    press("Enter")
    visit.page.wait_for_selector("h2:has-text('Nothing waits here')")
    assert Asset.objects.count() == 1
    assert visit.complaints == []


def test_the_forms_work_without_the_keys(visit: Visit) -> None:
    """The theme itself needs scripts; what is decided needs none of ours."""
    rows.administrator()
    item = factories.resolution_item(status="review")
    visit.page.route("**/markets/review.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    visit.log_in()
    visit.open(INBOX)
    assert not visit.page.is_visible("[data-keys]")
    visit.page.press("body", "x")
    visit.page.click("button[value=accept]")
    visit.page.wait_for_selector("text=Choose one of the candidates, or decline them all.")
    item.refresh_from_db()
    assert item.status == "review"
    visit.page.check(f"input[value={factories.CANDIDATE}]")
    visit.page.press("input[name=reason]", "Enter")
    visit.page.wait_for_selector("text=Nothing waits for a decision")
    item.refresh_from_db()
    assert (item.status, item.figi) == ("registered", factories.CANDIDATE)
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1440, 480])
def test_the_pages_fit_their_window(visit: Visit, width: int) -> None:
    rows.administrator()
    owner = factories.resolution(title=rows.LONG[:255], source="s" * 64)
    answer = factories.figi_answer()
    answer.rows[0] |= {"name": rows.LONG, "ticker": "T" * 60}
    answer.save()
    item = factories.resolution_item(owner, status="review", answer=answer, text="I" * 200, message=rows.LONG)
    visit.log_in()
    visit.page.set_viewport_size({"width": width, "height": 900})
    for path in (
        INBOX,
        reverse("admin:review_rule"),
        reverse("admin:markets_resolutionitem_change", args=(item.pk,)),
        reverse("admin:markets_resolution_change", args=(owner.pk,)),
        reverse("admin:markets_resolution_changelist"),
        reverse("admin:markets_resolution_add"),
    ):
        visit.open(path)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert Resolution.objects.count() == 1
    assert visit.complaints == []

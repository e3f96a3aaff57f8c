"""What a person does with a file: upload it, look at the preview, correct the mapping, apply it, undo it."""

from pathlib import Path

import pytest
from django.urls import reverse

from markets.models import Asset, ImportRun
from tests import factories
from tests.admin import rows
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def test_a_file_is_previewed_mapped_applied_and_undone(visit: Visit, worker: None, tmp_path: Path) -> None:
    rows.administrator()
    factories.details(factories.asset(unique_identifier="B"), figi=None, ticker="OLD")
    file = tmp_path / "listings.csv"
    file.write_text("unique_identifier,symbol,label,sector\nA,007,First,x\nB,NEW,Second,x\n9.19E+109,C,Third,x\n")

    visit.log_in()
    visit.open(reverse("admin:markets_importrun_changelist"))
    visit.page.click("text=Add >> nth=-1")
    visit.page.set_input_files("input[type=file]", file)
    visit.page.fill("input[name=asset_type]", "equity")
    visit.page.click("button:has-text('Preview')")
    visit.page.wait_for_selector("text=Apply to 2 assets…")
    preview = visit.page.inner_text(".msm-import-rows")
    assert "ticker OLD → NEW" in preview
    assert "scientific notation" in preview

    visit.page.select_option("select[aria-label='Field of label']", "name")
    visit.page.click("text=Preview again")
    visit.page.wait_for_selector("text=name Second")
    assert not Asset.objects.filter(unique_identifier="A").exists()

    visit.page.click("a:has-text('error')")
    visit.page.wait_for_selector("h2:has-text('Rows: error')")
    assert "007" not in visit.page.inner_text(".msm-import-rows")
    with visit.page.expect_download() as download:
        visit.page.click("text=Download the refused rows (CSV)")
    assert download.value.suggested_filename == "listings_errors.csv"

    visit.page.click("text=Apply to 2 assets…")
    visit.page.fill("#reason", "New listings")
    visit.page.click("button:has-text('Apply')")
    visit.page.wait_for_selector("a:has-text('Undo…')")
    assert "1 created, 1 updated" in visit.page.inner_text("body")
    stored = Asset.objects.values_list("unique_identifier", "asset_type", "openfigi_details__ticker")
    assert list(stored) == [("A", "equity", "007"), ("B", None, "NEW")]

    visit.page.click("a:has-text('Undo…')")
    visit.page.fill("#reason", "The wrong file")
    visit.page.click("button:has-text('Undo the import')")
    visit.page.wait_for_selector("text=1 deleted, 1 restored")
    assert list(stored.all()) == [("B", None, "OLD")]
    assert ImportRun.objects.get().undo_reason == "The wrong file"
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1440, 480])
def test_the_pages_fit_their_window(visit: Visit, worker: None, tmp_path: Path, width: int) -> None:
    rows.administrator()
    file = tmp_path / f"{'a-very-long-name-' * 10}.csv"
    file.write_text(f"unique_identifier,name\n{'LONG' * 50},{'word ' * 50}\nA,{rows.LONG}\n,x\n")
    visit.log_in()
    visit.page.set_viewport_size({"width": width, "height": 900})
    visit.open(reverse("admin:markets_importrun_add"))
    visit.page.set_input_files("input[type=file]", file)
    visit.page.click("button:has-text('Preview')")
    visit.page.wait_for_selector("text=Apply to 2 assets…")
    for path in (visit.page.url, reverse("admin:markets_importrun_changelist")):
        visit.page.goto(path if path.startswith("http") else f"{visit.url}{path}")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.complaints == []

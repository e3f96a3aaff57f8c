"""A person makes a DataNode from a form, runs it, and sees its rows and its chart."""

import threading
from pathlib import Path

import pytest
from django.urls import reverse

from markets.models import NodeUpdate
from tests.admin import rows
from tests.browser.conftest import Visit
from tests.browser.test_back_office import _worker_for_next_job, no_node_tables_left

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
__all__ = ["no_node_tables_left"]


def price_file(folder: Path, members: list[str]) -> Path:
    lines = ["time_index,asset_identifier,close,volume"]
    for day in range(1, 29):
        lines += [
            f"2026-02-{day:02d}T21:00:00Z,{name},{100 + day * (place + 1)},1000" for place, name in enumerate(members)
        ]
    path = folder / "bars.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_external_prices_are_made_run_and_looked_at(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.administrator()
    members = [asset.unique_identifier for asset in rows.assets()]
    path = price_file(tmp_path, members)
    page = visit.page

    visit.log_in()
    visit.open(reverse("admin:markets_nodeupdate_add"))
    page.fill("input[name=q]", "ExternalPrices")
    page.keyboard.press("Enter")
    page.click("h2 >> text=ExternalPrices")

    # what is wrong stands beside its field, and what was typed stays
    page.fill('[name="configuration.dataset"]', "no name!")
    page.fill('[name="configuration.path"]', str(path))
    page.keyboard.press("Enter")
    page.wait_for_selector(".msm-faulty >> text=This has to be of the form")
    assert page.input_value('[name="configuration.path"]') == str(path)

    page.fill('[name="configuration.dataset"]', "browser-bars")
    page.click("text=Preview")
    page.wait_for_selector("#preview >> text=It makes a new table, published as browser-bars.")
    assert not NodeUpdate.objects.exists()

    page.click("button:text-is('Register')")
    page.wait_for_selector("text=browser-bars is registered.")
    update = NodeUpdate.objects.get()
    assert page.url.endswith(reverse("admin:markets_nodeupdate_change", args=(update.pk,)))
    assert "No rows yet." in page.inner_text("#rows")

    worker: threading.Thread = _worker_for_next_job(monkeypatch)
    page.click("button:text-is('Run now')")
    page.wait_for_selector("[data-job-progress][data-state=succeeded]")
    worker.join()
    page.reload()
    visit.wait_for_charts(1)
    assert "2026-02-28 21:00" in page.inner_text("#rows")
    assert page.inner_text("#chart h2") == f"Chart of {members[0]}"

    # another column is drawn in place, another asset is found by typing its ticker
    with page.expect_response(lambda answer: "column=volume" in answer.url):
        page.select_option("[data-chart-choice]", label="Volume")
    visit.wait_for_charts(1)
    page.click("#rows .select2-selection")
    with page.expect_response(lambda answer: "tck2" in answer.url):  # the list of everything shows it, too
        page.locator(".select2-container--open .select2-search__field").press_sequentially("tck2")
    page.wait_for_selector(f".select2-results__option--highlighted >> text={members[2]} · TCK2")
    page.keyboard.press("Enter")
    page.click("#rows >> button:text-is('Show')")
    page.wait_for_selector(f"#chart h2 >> text=Chart of {members[2]}")
    visit.wait_for_charts(1)
    assert members[1] not in page.inner_text("#rows table")

    # the log of the run unfolds by keyboard
    page.focus("#runs summary")
    page.keyboard.press("Enter")
    page.wait_for_selector("#runs >> text=112 rows read from")
    assert visit.complaints == []


def test_the_page_fits_a_narrow_window(visit: Visit) -> None:
    rows.administrator()
    update = rows.priced_node(rows.assets())
    visit.page.set_viewport_size({"width": 480, "height": 900})
    visit.log_in()
    for address in (
        reverse("admin:markets_nodeupdate_change", args=(update.pk,)),
        f"{reverse('admin:markets_nodeupdate_add')}?node_class=portfolios.data_nodes.values.PortfolioValues",
        reverse("admin:markets_nodeupdate_add"),
    ):
        visit.open(address)
        visit.page.wait_for_load_state("load")
        wider = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, address
    assert visit.complaints == []

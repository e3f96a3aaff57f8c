"""What a person does: log in, look at a portfolio and an asset, run a DataNode and watch it."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.urls import reverse

from markets.models import Job
from markets.services import jobs
from tests.admin import rows
from tests.admin.nodes import Closes
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


@pytest.fixture(autouse=True)
def no_node_tables_left() -> Iterator[None]:
    """Tables that the engine made stay after a transactional test, whose clean-up knows Django's tables only."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'dn\\_%'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{name}" CASCADE')


def test_the_portfolio_page_draws_value_and_weights(visit: Visit) -> None:
    rows.administrator()
    members = rows.assets()
    portfolio = rows.portfolio(members)

    visit.log_in()
    visit.open(reverse("admin:portfolios_portfolio_change", args=(portfolio.pk,)))

    visit.wait_for_charts(2)
    assert "1.8 basis points" in visit.page.inner_text("body")
    assert visit.complaints == []


def test_the_charts_follow_the_theme(visit: Visit) -> None:
    rows.administrator()
    portfolio = rows.portfolio(rows.assets())
    visit.log_in()
    visit.open(reverse("admin:portfolios_portfolio_change", args=(portfolio.pk,)))
    visit.wait_for_charts(2)

    with visit.page.expect_response(lambda answer: "theme=dark" in answer.url):
        visit.page.keyboard.press("Control+e")
        visit.page.keyboard.press("Control+e")

    visit.wait_for_charts(2)
    assert visit.complaints == []


def test_the_asset_page_draws_its_prices(visit: Visit) -> None:
    rows.administrator()
    members = rows.assets()
    rows.priced_node(members)

    visit.log_in()
    visit.open(reverse("admin:markets_asset_change", args=(members[0].pk,)))

    visit.wait_for_charts(1)
    assert "test-closes" in visit.page.inner_text("body")
    assert visit.complaints == []


def test_a_chart_that_cannot_be_loaded_says_so_and_offers_to_try_again(visit: Visit) -> None:
    rows.administrator()
    members = rows.assets()
    rows.priced_node(members)
    visit.log_in()
    visit.page.route("**/prices/**", lambda route: route.fulfill(status=500, body="broken"))
    visit.open(reverse("admin:markets_asset_change", args=(members[0].pk,)))
    visit.page.wait_for_selector("[data-chart][data-state=error]")
    assert "The server answered 500." in visit.page.inner_text("[data-chart]")

    visit.page.unroute("**/prices/**")
    visit.page.click("[data-chart] button")

    visit.wait_for_charts(1)


def test_run_now_shows_progress_and_the_result(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.administrator()
    update = rows.priced_node(rows.assets(), run=False)
    go_on = threading.Event()
    monkeypatch.setattr(Closes, "go_on", go_on)
    worker = _worker_for_next_job(monkeypatch)

    visit.log_in()
    visit.open(reverse("admin:markets_nodeupdate_change", args=(update.pk,)))
    visit.page.click("text=Run now")
    visit.page.wait_for_selector("[data-job-progress][data-state=running] >> text=50 %")
    assert "half-way" in visit.page.inner_text("[data-job-progress]")

    visit.page.reload()
    visit.page.wait_for_selector("[data-job-progress][data-state=running] >> text=50 %")
    assert visit.page.is_disabled("text=Run now")

    go_on.set()
    visit.page.wait_for_selector("[data-job-progress][data-state=succeeded]")
    worker.join()
    assert "Done: 1 DataNode run, 1,200 rows written." in visit.page.inner_text("[data-job-progress]")
    visit.page.click("text=Open the run")
    visit.page.wait_for_selector("text=Rows written")
    assert visit.complaints == []


def test_a_run_that_fails_shows_its_error(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.administrator()
    update = rows.failing_node()
    worker = _worker_for_next_job(monkeypatch)

    visit.log_in()
    visit.open(reverse("admin:markets_nodeupdate_change", args=(update.pk,)))
    visit.page.click("text=Run now")
    visit.page.wait_for_selector("[data-job-progress][data-state=failed]")
    worker.join()

    assert "The vendor's file is empty. Ask for it again." in visit.page.inner_text("[data-error]")
    assert visit.page.is_enabled("text=Run now")
    assert visit.complaints == []


def test_a_job_that_no_worker_takes_says_how_to_start_one(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.administrator()
    update = rows.priced_node(rows.assets(), run=False)
    monkeypatch.setattr(jobs, "publish", lambda job: None)

    visit.log_in()
    visit.open(reverse("admin:markets_nodeupdate_change", args=(update.pk,)))
    visit.page.click("text=Run now")
    visit.page.wait_for_selector("[data-job-progress][data-state=queued]")
    Job.objects.update(queued_at=rows.long_ago(), updated_at=rows.long_ago())

    visit.page.wait_for_selector("text=celery -A msm_project worker")
    assert visit.complaints == []


def _worker_for_next_job(monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """A thread that does the next job as a worker would, on a connection of its own."""
    published: list[Job] = []
    asked = threading.Event()

    def publish(job: Job) -> None:
        published.append(job)
        asked.set()

    def work() -> None:
        try:
            if asked.wait(30):
                jobs.execute(str(published[0].uid))
        finally:
            connection.close()

    monkeypatch.setattr(jobs, "publish", publish)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_logging_in_with_a_wrong_password_stays_outside(visit: Visit) -> None:
    rows.administrator()
    visit.page.goto(f"{visit.url}/admin/")
    visit.page.fill("input[name=username]", "boss")
    visit.page.fill("input[name=password]", "wrong")
    visit.page.click("button[type=submit]")

    visit.page.wait_for_selector("text=correct username and password")
    assert "/admin/login/" in visit.page.url

"""What pages say: the figures and the messages, not only that they open."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from markets.data_nodes import sealing
from markets.models import Calendar, JobMessage, JobStatus, StorageNode
from markets.services import jobs
from markets.services.freshness import Freshness, freshness_of
from portfolios.admin.portfolio_page import conventions, statistics_facts
from portfolios.models import Portfolio
from portfolios.services.portfolios import portfolio_statistics
from tests import factories
from tests.admin import rows


# --- freshness -------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_freshness_of_a_node_does_not_depend_on_the_others_of_its_page() -> None:
    # given two nodes on one calendar, one at its last session of three days ago, one a session behind
    days = [dt.date(2026, 1, day) for day in (5, 6, 7)]
    calendar = factories.calendar(*days)
    configuration = {"node": "somewhere.Node", "arguments": {"calendar_identifier": calendar.unique_identifier}}
    current, late = (factories.node_update(build_configuration=configuration) for _ in range(2))
    closes = [dt.datetime.combine(day, dt.time(21), dt.UTC) for day in days]
    now = closes[-1] + dt.timedelta(days=3)
    # when
    together = freshness_of([current, late], {current.pk: closes[-1], late.pk: closes[-2]}, now)
    # then
    assert together == {
        current.pk: Freshness("up to date", "good"),
        late.pk: Freshness("1 session behind", "good"),
    }
    assert freshness_of([current], {current.pk: closes[-1]}, now) == {current.pk: together[current.pk]}
    assert freshness_of([late], {late.pk: closes[-2]}, now) == {late.pk: together[late.pk]}


@pytest.mark.django_db
def test_data_of_the_future_are_up_to_date_alone_too() -> None:
    calendar = factories.calendar(dt.date(2026, 1, 5))
    configuration = {"node": "somewhere.Node", "arguments": {"calendar_identifier": calendar.unique_identifier}}
    update = factories.node_update(build_configuration=configuration)
    now = dt.datetime(2026, 1, 6, tzinfo=dt.UTC)
    found = freshness_of([update], {update.pk: now + dt.timedelta(days=30)}, now)
    assert found == {update.pk: Freshness("up to date", "good")}


# --- jobs ------------------------------------------------------------------------------------------------------------
def test_the_page_of_a_job_shows_its_latest_messages(boss: Client) -> None:
    now = timezone.now()
    job = factories.job(status=JobStatus.SUCCEEDED, started_at=now, finished_at=now)
    JobMessage.objects.bulk_create(JobMessage(job=job, text=f"message {place:04d}") for place in range(502))
    assert [row.text for row in jobs.latest_messages(job)] == [f"message {place:04d}" for place in range(2, 502)]
    text = boss.get(reverse("admin:markets_job_change", args=(job.pk,))).content.decode()
    assert "message 0501" in text
    assert "message 0002" in text
    assert "message 0001" not in text


# --- storage ---------------------------------------------------------------------------------------------------------
def test_the_page_of_a_table_tells_what_of_it_is_sealed(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a small table
    update = rows.priced_node(rows.assets(2), days=20)
    url = reverse("admin:markets_storagenode_change", args=(update.storage_id,))
    assert "None; tables of 100,000 rows or more are sealed every night" in boss.get(url).content.decode()
    # when it is sealed all the same
    monkeypatch.setattr(sealing, "FEWEST_ROWS", 1)
    sealing.seal_history(StorageNode.objects.get(pk=update.storage_id))
    # then
    text = boss.get(url).content.decode()
    assert "40 rows, up to 2020-01-21 00:00 UTC" in text
    assert "sealed every night" not in text


# --- portfolios ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_page_of_a_portfolio_shows_the_figures_of_the_service() -> None:
    rows.calendar(days=300)
    portfolio = rows.portfolio(rows.assets(2), sessions=300)
    figures = portfolio_statistics(portfolio).figures
    shown = statistics_facts(portfolio)
    assert {fact.name: fact.value for fact in shown["statistics"]}["Return a year"] == (
        f"{figures.annualised_return * 100:,.2f} %"
    )
    assert shown["statistics_note"].startswith(f"A year has {figures.sessions_a_year:,.2f} sessions")


def test_without_a_calendar_nothing_is_annualised(boss: Client) -> None:
    assert not Calendar.objects.exists()
    portfolio = rows.portfolio(rows.assets(2), sessions=300)
    note = "test-portfolio has no calendar, so nothing can be annualised."
    assert statistics_facts(portfolio)["statistics"] == []
    assert statistics_facts(portfolio)["statistics_note"].startswith(note)
    url = reverse("admin:portfolios_portfolio_change", args=(portfolio.pk,))
    assert note in boss.get(url).content.decode()


@pytest.mark.django_db
def test_the_rules_of_a_portfolio_are_those_of_its_configuration() -> None:
    fields = {"portfolio_identifier": "p", "calendar_identifier": "c", "fill": "next_bar"}
    node = factories.node_update(
        build_configuration={"node": "n", "arguments": {"configuration": {"model": "m", "fields": fields}}}
    )
    facts = {fact.name: fact.value for fact in conventions(factories.portfolio(values_node=node))}
    assert facts["Rules"] == (
        "Filled at the bar after the signal. Starts when the first asset is priced. An expired signal is held, and "
        "marked. A missing price is held for at most 5 sessions; then the session is marked."
    )


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [None, {"other": 1}])
def test_rules_that_cannot_be_read_are_left_out(fields: dict | None) -> None:
    node = factories.node_update(build_configuration={"node": "n", "arguments": {"configuration": {"fields": fields}}})
    portfolio = factories.portfolio(values_node=node)
    assert "Rules" not in [fact.name for fact in conventions(Portfolio.objects.get(pk=portfolio.pk))]

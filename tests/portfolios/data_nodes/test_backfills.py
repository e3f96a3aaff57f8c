"""Backfilling a portfolio: values and weights come back together, and what follows from changed rows is stale."""

import datetime as dt

import pytest

from markets.exceptions import InvalidInput
from markets.models import NodeUpdate
from portfolios.data_nodes.values import PortfolioConfiguration, PortfolioValues
from portfolios.models import PortfolioValue, PortfolioWeight
from portfolios.services.construction import build_portfolio
from tests.portfolios.data_nodes.market import DAY, UTC, GivenPrices, GivenSignal, make_assets, make_calendar

pytestmark = pytest.mark.django_db
START = dt.datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def node() -> PortfolioValues:
    make_assets("AAA", "BBB")
    make_calendar(START, 8)
    GivenPrices.receive(
        START, {"AAA": [100, 102, 101, 105, 103, 108, 110, 111], "BBB": [50, 49, 51, 50, 52, 54, 55, 53]}
    )
    GivenSignal.arriving = {START: {"AAA": 0.5, "BBB": 0.5}, START + 4 * DAY: {"AAA": 1.0}}
    configuration = PortfolioConfiguration(portfolio_identifier="p", calendar_identifier="DAILY")
    _, made = build_portfolio(configuration, price_source=GivenPrices(), signal=GivenSignal())
    made.run()
    return made


def tables() -> tuple[list, list]:
    return (
        list(PortfolioValue.objects.order_by("pk").values()),
        list(PortfolioWeight.objects.order_by("pk").values()),
    )


def test_missing_values_and_weights_come_back_together(node):
    before = tables()
    gone = [START + 3 * DAY, START + 4 * DAY]
    PortfolioValue.objects.filter(time_index__in=gone).delete()
    PortfolioWeight.objects.filter(time_index__in=gone).delete()
    outcome = node.backfill(START, START + 7 * DAY, failed_only=True)
    assert (outcome.parts, outcome.rows_written) == (1, sum(map(len, before)) - sum(map(len, _without(before, gone))))
    assert tables() == before


def _without(before: tuple[list, list], gone: list[dt.datetime]) -> list[list]:
    return [[row for row in rows if row["time_index"] not in gone] for rows in before]


def test_a_window_that_differs_makes_the_rows_after_it_stale(node):
    GivenPrices.arriving["close"] *= [2.0] * 3 + [1.0] * (len(GivenPrices.arriving) - 3)
    before = tables()[0]
    node.price_source.backfill(START, START + 7 * DAY)
    node.backfill(START, START + 3 * DAY)
    after = tables()[0]
    assert [row["close"] for row in after][:4] != [row["close"] for row in before][:4]
    assert after[4:] == before[4:]
    update = node.get_node_update()
    assert update.stale_from <= START + 3 * DAY + dt.timedelta(microseconds=1)
    node.run(force_update=True)
    assert NodeUpdate.objects.get(pk=update.pk).stale_from is None


def test_assets_mean_nothing_to_a_portfolio(node):
    with pytest.raises(InvalidInput, match="has no rows by asset"):
        node.backfill(START, START + DAY, ["AAA"])

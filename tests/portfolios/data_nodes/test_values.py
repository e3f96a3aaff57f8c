"""PortfolioValues on the real database: the specification's numbers, stored; runs in slices give the same bytes."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from markets.data_nodes.access import APIDataNode
from markets.data_nodes.node import DataNode
from markets.exceptions import Conflict, InvalidInput, NotFound
from markets.models import NodeRun, NodeUpdate, RunStatus, StorageNode, UpdateStatistic
from portfolios.data_nodes.values import PortfolioConfiguration, PortfolioValues
from portfolios.models import Portfolio, PortfolioValue, PortfolioWeight
from portfolios.services import portfolios
from portfolios.services.construction import build_portfolio
from tests.portfolios.data_nodes.market import DAY, UTC, GivenPrices, GivenSignal, make_assets, make_calendar

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 1, 2, tzinfo=UTC)
AAA = [100, 102, 101, 105, 103, 108]
BBB = [50, 49.5, 51, 50, 52, 54]


def portfolio(**changes) -> PortfolioValues:
    """The node of a portfolio that is built, and so may be computed."""
    options = {
        "portfolio_identifier": "p",
        "calendar_identifier": "DAILY",
        "commission_fee": 0.0005,
        **changes,
    }
    _, node = build_portfolio(PortfolioConfiguration(**options), price_source=GivenPrices(), signal=GivenSignal())
    return node


def stored_values() -> list[tuple[str, float, float, float]]:
    rows = PortfolioValue.objects.order_by("time_index")
    return [(row.time_index.strftime("%d"), row.period_return, row.close, row.turnover) for row in rows]


def test_worked_example_a5_is_stored_to_the_last_digit():
    # given two assets at half weight each, priced on six days, a fee of 5 basis points
    make_assets("AAA", "BBB")
    make_calendar(START, 6)
    GivenPrices.receive(START, {"AAA": AAA, "BBB": BBB})
    GivenSignal.arriving = {START: {"AAA": 0.5, "BBB": 0.5}}
    # when the portfolio is run with its tree
    frame = portfolio().run()
    # then the stored rows are those of the specification, section 7.2, column A5
    assert [row.close for row in PortfolioValue.objects.order_by("time_index")] == [
        0.9995,
        1.0044975,
        1.014793151737968,
        1.0249391131657501,
        1.0356765705417723,
        1.0807312085059684,
    ]
    assert frame["close"].tolist() == [row[2] for row in stored_values()]
    assert stored_values()[0] == ("02", -0.0005, 0.9995, 1.0)
    assert [row[3] for row in stored_values()[1:]] == [0.0] * 5
    # and the weights were written in the same run, two a session, with the prices that valued them
    assert PortfolioWeight.objects.count() == 12
    last = PortfolioWeight.objects.get(asset_identifier="BBB", time_index=START + 5 * DAY)
    assert (last.weight, last.weight_before, last.price_current, last.price_before) == (0.5, 0.5, 54.0, 52.0)
    assert (last.volume_current, last.volume_before, last.price_is_stale) == (1000.0, 1000.0, False)
    first = PortfolioWeight.objects.get(asset_identifier="AAA", time_index=START)
    assert (first.weight_before, first.price_before, first.volume_before) == (0.0, None, None)
    # and nothing of it is incomplete or expired
    assert not PortfolioValue.objects.filter(is_incomplete=True).exists()
    assert not PortfolioValue.objects.filter(signal_expired=True).exists()


def test_an_exit_earns_until_it_is_sold_and_pays_for_both_legs():
    # given worked example D: X leaves for Y on the third day
    make_assets("X", "Y")
    start = dt.datetime(2026, 2, 2, tzinfo=UTC)
    make_calendar(start, 5)
    GivenPrices.receive(start, {"X": [10, 11, 12, 13, 14], "Y": [20, 20, 22, 22, 22]})
    GivenSignal.arriving = {start: {"X": 1.0}, start + 2 * DAY: {"Y": 1.0}}
    # when
    portfolio(commission_fee=0.001).run()
    # then
    rows = stored_values()
    assert [row[3] for row in rows] == [1.0, 0.0, 2.0, 0.0, 0.0]
    assert [round(row[2], 10) for row in rows] == [0.999, 1.0989, 1.1966022, 1.1966022, 1.1966022]
    # and the sale is a row of weight 0, after which X has no rows
    sold = PortfolioWeight.objects.get(asset_identifier="X", time_index=start + 2 * DAY)
    assert (sold.weight, sold.weight_before) == (0.0, 1.0)
    assert not PortfolioWeight.objects.filter(asset_identifier="X", time_index__gt=start + 2 * DAY).exists()


def test_a_second_run_writes_nothing_and_charges_nothing():
    make_assets("AAA", "BBB")
    make_calendar(START, 6)
    GivenPrices.receive(START, {"AAA": AAA, "BBB": BBB})
    GivenSignal.arriving = {START: {"AAA": 0.5, "BBB": 0.5}}
    portfolio().run()
    before = stored_values()
    node = portfolio()
    nothing = node.run()
    assert nothing.empty
    assert nothing.index.names == ["time_index", "portfolio_identifier"]
    assert nothing["close"].tolist() == []
    assert node.last_run.status == RunStatus.UP_TO_DATE
    assert stored_values() == before


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.data(),
    convention=st.sampled_from(["constant", "drift"]),
    fill=st.sampled_from(["same_bar", "next_bar"]),
)
def test_any_slicing_of_the_runs_stores_the_same_bytes(transactional_slate, data, convention, fill):
    # given three assets with gaps (one longer than the age limit), and a signal that changes twice
    days = 16
    price = st.one_of(st.none(), st.floats(60, 100, allow_nan=False))
    prices = {name: data.draw(st.lists(price, min_size=days, max_size=days), label=name) for name in "ABC"}
    for values in prices.values():
        values[0] = 80.0
        values[-1] = values[-1] or 90.0
    signal = {
        START: {"A": 0.6, "B": 0.4},
        START + 5 * DAY: {"B": 0.3, "C": 0.7},
        START + 9 * DAY: {"A": -0.1, "C": 0.9},
    }
    cuts = sorted(data.draw(st.sets(st.integers(1, days - 1), max_size=4), label="cuts"))
    for cut in cuts:  # whatever a run has valued had its last price by then: late prices are another matter
        for values in prices.values():
            values[cut - 1] = values[cut - 1] or 85.0

    def run_in(slices: list[int]) -> tuple[list, list]:
        transactional_slate()
        make_assets("A", "B", "C")
        make_calendar(START, days)
        GivenSignal.arriving = signal
        for end in [*slices, days]:
            GivenPrices.receive(START, {name: values[:end] for name, values in prices.items()})
            portfolio(
                weights_between_rebalances=convention, fill=fill, maximum_price_age_sessions=2, portfolio_identifier="p"
            ).run()
        values = list(PortfolioValue.objects.order_by("time_index").values_list(*_columns(PortfolioValue)))
        weights = list(
            PortfolioWeight.objects.order_by("time_index", "asset_identifier").values_list(*_columns(PortfolioWeight))
        )
        return values, weights

    # when it is computed at once, and in slices
    whole, sliced = run_in([]), run_in(cuts)
    # then every stored cell is the same
    assert sliced == whole
    assert len(whole[0]) == (days if fill == "same_bar" else days - 1)
    # and the closes are the product of the returns
    closes = np.array([row[_columns(PortfolioValue).index("close")] for row in whole[0]])
    returns = np.array([row[_columns(PortfolioValue).index("period_return")] for row in whole[0]])
    assert np.array_equal(np.multiply.accumulate(1 + returns), closes)


def _columns(model) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if field.name != "pk"]


@pytest.fixture
def transactional_slate(db):
    """Empties what a run writes, so that hypothesis can run an example twice in one test."""
    from django.db import connection

    from markets.models import Asset, Calendar, NodeUpdate

    def clean() -> None:
        for storage in StorageNode.objects.filter(is_engine_table=True):
            with connection.cursor() as cursor:
                cursor.execute(f'DROP TABLE IF EXISTS "{storage.table_name}" CASCADE')
        PortfolioValue.objects.all().delete()
        PortfolioWeight.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM portfolios_signalweight")
        Portfolio.objects.all().delete()
        NodeRun.objects.all().delete()
        NodeUpdate.objects.all().delete()
        UpdateStatistic.objects.all().delete()
        StorageNode.objects.all().delete()
        Asset.objects.all().delete()
        Calendar.objects.all().delete()

    return clean


def test_a_price_is_held_and_flagged_never_zero_and_never_from_the_future():
    # given B without a price on the third and fourth day
    make_assets("A", "B")
    make_calendar(START, 5)
    GivenPrices.receive(START, {"A": [10, 10, 10, 10, 10], "B": [10, 20, None, None, 40]})
    GivenSignal.arriving = {START: {"A": 0.5, "B": 0.5}}
    # when
    portfolio(commission_fee=0.0, maximum_price_age_sessions=1).run()
    # then the gap earns nothing, the next price catches up
    assert [row[1] for row in stored_values()] == [0.0, 0.5, 0.0, 0.0, 0.5]
    held = PortfolioWeight.objects.filter(asset_identifier="B").order_by("time_index")
    assert [(row.price_current, row.price_is_stale) for row in held] == [
        (10.0, False),
        (20.0, False),
        (20.0, True),
        (20.0, True),
        (40.0, False),
    ]
    # and only the day beyond the age limit is incomplete
    assert [row.is_incomplete for row in PortfolioValue.objects.order_by("time_index")] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_a_bar_that_interpolation_filled_is_no_observation():
    # given a source that fills B's gap itself, as InterpolatedPrices does
    make_assets("A", "B")
    make_calendar(START, 5)
    GivenPrices.receive(START, {"A": [10, 10, 10, 10, 10], "B": [10, 20, 20, 20, 40]})
    filled = GivenPrices.arriving.index.get_level_values(0).isin([START + 2 * DAY, START + 3 * DAY])
    is_b = GivenPrices.arriving.index.get_level_values(1) == "B"
    GivenPrices.arriving["interpolated"] = filled & is_b
    GivenSignal.arriving = {START: {"A": 0.5, "B": 0.5}}
    # when
    portfolio(commission_fee=0.0, maximum_price_age_sessions=1).run()
    # then the held price is told as stale, and as too old beyond the limit; the value is the same
    held = PortfolioWeight.objects.filter(asset_identifier="B").order_by("time_index")
    assert [row.price_is_stale for row in held] == [False, False, True, True, False]
    incomplete = PortfolioValue.objects.order_by("time_index").values_list("is_incomplete", flat=True)
    assert list(incomplete) == [False, False, False, True, False]
    assert [row[1] for row in stored_values()] == [0.0, 0.5, 0.0, 0.0, 0.5]


def test_missing_prices_can_be_refused_and_then_nothing_is_written():
    make_assets("A", "B")
    make_calendar(START, 4)
    GivenPrices.receive(START, {"A": [10, 10, 10, 10], "B": [10, None, None, 10]})
    GivenSignal.arriving = {START: {"A": 0.5, "B": 0.5}}
    node = portfolio(missing_price="fail", maximum_price_age_sessions=1)
    with pytest.raises(InvalidInput, match=r"^p: B has weight but no price within 1 sessions of 2026-01-04"):
        node.run()
    assert PortfolioValue.objects.count() == 0
    assert PortfolioWeight.objects.count() == 0
    failed = NodeRun.objects.get(node_update__update_hash=node.update_hash)
    assert failed.status == RunStatus.FAILED
    assert failed.error_message.startswith("p: B has weight but no price")


def test_it_starts_when_all_are_priced_and_charges_the_entry_there():
    make_assets("A", "B")
    make_calendar(START, 4)
    GivenPrices.receive(START, {"A": [10, 20, 20, 20], "B": [None, None, 5, 10]})
    GivenSignal.arriving = {START - 10 * DAY: {"A": 0.5, "B": 0.5}}
    portfolio(commission_fee=0.01, start_when="all_priced").run()
    assert stored_values() == [("04", -0.01, 0.99, 1.0), ("05", 0.5, 0.99 * 1.5, 0.0)]


@pytest.mark.parametrize(
    ("sessions", "error", "message"),
    [
        (None, NotFound, "There is no calendar 'DAILY'. Create it first."),
        (0, InvalidInput, "The calendar DAILY has no sessions. Materialise them"),
    ],
)
def test_a_calendar_without_sessions_is_an_error_that_names_the_remedy(sessions, error, message):
    make_assets("A")
    if sessions is not None:
        make_calendar(START, sessions)
    GivenPrices.receive(START, {"A": [10]})
    GivenSignal.arriving = {START: {"A": 1.0}}
    with pytest.raises(error, match=message.replace(".", r"\.")):
        portfolio().run()
    assert PortfolioValue.objects.count() == 0


def test_an_unknown_valuation_column_lists_those_there_are():
    make_assets("A")
    make_calendar(START, 1)
    GivenPrices.receive(START, {"A": [10]})
    GivenSignal.arriving = {START: {"A": 1.0}}
    with pytest.raises(InvalidInput, match=r"has no column 'settlement' to value with\. It has close, volume\."):
        portfolio(valuation_column="settlement").run()
    assert PortfolioValue.objects.count() == 0


def test_two_portfolios_share_the_tables_and_not_a_row():
    make_assets("AAA", "BBB")
    make_calendar(START, 6)
    GivenPrices.receive(START, {"AAA": AAA, "BBB": BBB})
    GivenSignal.arriving = {START: {"AAA": 0.5, "BBB": 0.5}}
    portfolio().run()
    other = portfolio(portfolio_identifier="q", commission_fee=0.0)
    other.run()
    assert PortfolioValue.objects.filter(portfolio_identifier="p").count() == 6
    closes = other.get_df_between_dates()["close"].tolist()
    assert closes[-1] == 1.0812718444281821
    assert len(closes) == 6


def prepared() -> None:
    make_assets("AAA", "BBB")
    make_calendar(START, 6)
    GivenPrices.receive(START, {"AAA": AAA, "BBB": BBB})
    GivenSignal.arriving = {START: {"AAA": 0.5, "BBB": 0.5}}


def test_a_node_that_the_portfolio_does_not_name_computes_nothing():
    # given a portfolio that was built anew with another fee before it was computed
    prepared()
    first = portfolio()
    second = portfolio(commission_fee=0.5)
    # when the first node is run, then its portfolio's own
    with pytest.raises(Conflict, match=r"^The portfolio p is computed by portfoliovalues_\w+, not by portfoliovalues_"):
        first.run()
    assert PortfolioValue.objects.count() == 0
    second.run()
    assert PortfolioValue.objects.order_by("time_index").first().period_return == -0.5


def test_a_deleted_portfolio_is_not_computed_again():
    prepared()
    node = portfolio()
    node.run()
    portfolios.delete_portfolio(Portfolio.objects.get())
    with pytest.raises(NotFound, match=r"There is no portfolio 'p'\. Build it first"):
        node.run()
    assert PortfolioValue.objects.count() == PortfolioWeight.objects.count() == 0


class Closes(DataNode):
    """A copy of what is stored of all portfolios."""

    index_names = ("time_index", "portfolio_identifier")

    def dependencies(self):
        return {"values": APIDataNode("PortfolioValues")}

    def update(self):
        return self.dependencies()["values"].get_df_between_dates(columns=["close"])


class OfOne(Closes):
    """Reads one portfolio by its node."""

    def __init__(self, values, *, hash_namespace=""):
        self.values = values
        super().__init__(hash_namespace=hash_namespace)

    def dependencies(self):
        return {"values": self.values}


def test_a_deleted_portfolio_makes_those_stale_that_have_read_its_values():
    # given a reader of all portfolios, one of each of two
    prepared()
    first, second = portfolio(), portfolio(portfolio_identifier="q", commission_fee=0.0)
    readers = (Closes(), OfOne(first), OfOne(second))
    for node in (second, *readers[1:], readers[0]):
        node.run()
    # when
    portfolios.delete_portfolio(Portfolio.objects.get(unique_identifier="p"))
    # then only the reader of the other portfolio has lost nothing
    marks = [NodeUpdate.objects.get(update_hash=node.update_hash) for node in readers]
    assert [mark.stale_from for mark in marks] == [START, START, None]
    assert marks[0].stale_reason == "PortfolioValues has lost the rows of p, which was deleted."
    assert PortfolioValue.objects.filter(portfolio_identifier="q").count() == 6


def test_the_same_configuration_spelt_out_is_the_same_portfolio():
    prepared()
    portfolio().run()
    portfolio(fill="same_bar", missing_price="hold", maximum_price_age_sessions=5)
    with pytest.raises(Conflict, match="has values computed with another configuration"):
        portfolio(fill="next_bar")
    assert Portfolio.objects.count() == 1


def test_who_has_left_does_not_carry_the_values_on():
    # given X sold for Y on the third day, and X priced two days longer than Y
    make_assets("X", "Y")
    make_calendar(START, 8)
    GivenPrices.receive(START, {"X": [10] * 8, "Y": [20] * 6})
    GivenSignal.arriving = {START: {"X": 1.0}, START + 2 * DAY: {"Y": 1.0}}
    portfolio().run()
    assert PortfolioValue.objects.count() == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_between_rebalances": "drift", "turnover_basis": "target"}, 'turnover_basis="target" would count'),
        ({"weights_between_rebalances": "never"}, "weights_between_rebalances='never'; use constant or drift."),
        ({"turnover_basis": "x"}, 'turnover_basis must be "target" or "drifted", not \'x\'.'),
        ({"valuation_column": " "}, "valuation_column must not be blank."),
    ],
)
def test_wrong_conventions_of_a_row_are_refused(change, message):
    row = portfolios.create_portfolio(unique_identifier="row")
    with pytest.raises(InvalidInput) as caught:
        portfolios.update_portfolio(row, **change)
    assert str(caught.value).startswith(message)
    row.refresh_from_db()
    assert (row.weights_between_rebalances, row.turnover_basis, row.valuation_column) == ("constant", "target", "close")


def test_the_turnover_basis_follows_the_weights_and_conventions_are_fixed_once_computed():
    row = portfolios.create_portfolio(unique_identifier="row")
    assert portfolios.update_portfolio(row, weights_between_rebalances="drift").turnover_basis == "drifted"
    prepared()
    portfolio()
    other = make_calendar(START, 3, identifier="OTHER")
    with pytest.raises(Conflict, match=r"^calendar of p cannot be changed"):
        portfolios.update_portfolio(Portfolio.objects.get(unique_identifier="p"), calendar=other.uid)

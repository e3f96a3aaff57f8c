"""Portfolio values: worked numbers, gaps, exits, refusals."""

from fractions import Fraction

import numpy as np
import pytest

from portfolios.engine.alignment import AlignedPrices, align_prices, align_signal
from portfolios.engine.rebalance import ImmediateSignal
from portfolios.engine.valuation import (
    MissingPricesError,
    PortfolioState,
    PortfolioWipedOutError,
    Valuation,
    final_state,
    value_portfolio,
)
from tests.portfolios.engine.builders import DAY, NAN, at, days, priced, same_bits

AAA = [100, 102, 101, 105, 103, 108]
BBB = [50, 49.5, 51, 50, 52, 54]
A_INDEX = days("2026-01-02", 6)
HALVES = np.full((6, 2), 0.5)

D_INDEX = days("2026-02-02", 5)
D_X = [10, 11, 12, 13, 14]
D_Y = [20, 20, 22, 22, 22]
D_TARGETS = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]], dtype=np.float64)


def test_example_a0_without_fee() -> None:
    # given two assets, half each, over six days (spec 7.2), when valued without a fee
    valuation = value_portfolio(HALVES, priced(A_INDEX, AAA, BBB), fee=0)
    # then
    assert valuation.returns.tolist() == [
        0,
        0.0050000000000000044,
        0.01024955436720143,
        0.009998058629392348,
        0.010476190476190472,
        0.04350261389096344,
    ]
    assert valuation.close.tolist() == [
        1.0,
        1.005,
        1.0153008021390373,
        1.0254518390852925,
        1.03619466787571,
        1.0812718444281821,
    ]
    assert valuation.close[-1] == pytest.approx(float(Fraction(208259771290929, 192606301888000)), rel=5e-16)
    assert valuation.turnover.tolist() == [1, 0, 0, 0, 0, 0]
    assert valuation.first_row == 0
    assert not valuation.is_incomplete.any()
    assert not valuation.price_is_stale.any()


def test_example_a5_with_fee() -> None:
    valuation = value_portfolio(HALVES, priced(A_INDEX, AAA, BBB), fee=0.0005)
    assert valuation.returns.tolist() == [
        -0.0005,
        0.0050000000000000044,
        0.01024955436720143,
        0.009998058629392348,
        0.010476190476190472,
        0.04350261389096344,
    ]
    assert valuation.close.tolist() == [
        0.9995,
        1.0044975,
        1.014793151737968,
        1.0249391131657501,
        1.0356765705417723,
        1.0807312085059684,
    ]
    assert valuation.weights_before.tolist() == [[0, 0], *[[0.5, 0.5]] * 5]
    assert np.isnan(valuation.price_before[0]).all()
    assert valuation.price_before[1:].tolist() == valuation.price[:-1].tolist()


def test_example_a5_with_drifted_turnover() -> None:
    valuation = value_portfolio(HALVES, priced(A_INDEX, AAA, BBB), fee=0.0005, turnover_basis="drifted")
    assert valuation.close.tolist() == [
        0.9995,
        1.0044900410447761,
        1.0147756467570423,
        1.0249065601958003,
        1.035628703824702,
        1.0806787579429786,
    ]
    assert valuation.turnover.tolist() == [
        1,
        0.014925373134328346,
        0.019850022055580008,
        0.02931283037001442,
        0.02921771913289356,
        0.004830917874396046,
    ]
    # the trade of the second row starts from weights moved by 2 % and -1 %, and still ends at the targets
    assert valuation.weights_before[1].tolist() == [0.5 * 1.02 / 1.005, 0.5 * (1 + (49.5 / 50 - 1)) / 1.005]
    assert valuation.weights.tolist() == HALVES.tolist()


def test_example_d_an_exit_earns_until_it_is_sold_and_pays_for_the_sale() -> None:
    valuation = value_portfolio(D_TARGETS, priced(D_INDEX, D_X, D_Y), fee=0.001)
    assert valuation.returns.tolist() == pytest.approx([-0.001, 0.1, 0.08890909090909083, 0, 0], abs=1e-16)
    assert valuation.close.tolist() == pytest.approx([0.999, 1.0989, 1.1966022, 1.1966022, 1.1966022], rel=3e-16)
    assert valuation.turnover.tolist() == [1, 0, 2, 0, 0]
    assert valuation.weights_before.tolist() == [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1]]


def test_the_example_of_the_seed_charges_the_entry_at_the_first_priced_row() -> None:
    # given a stamp of 2018, sessions from two days before the first bar, and bars of 23 to 26 May (spec 7.1 [MSM])
    index = days("2026-05-21", 6)
    bars = days("2026-05-23", 4)
    stamp = np.array([at("2018-01-02")])
    prices = align_prices(
        np.repeat([0, 1], 4),
        np.tile(bars, 2),
        np.array([100, 102, 105, 104, 200, 204, 210, 208.0]),
        index,
        number_of_assets=2,
    )
    signal = align_signal(stamp, np.array([[0.5, 0.5]]), index, validity=200 * 365 * DAY)
    # when valued with the default fee
    valuation = value_portfolio(ImmediateSignal().target(signal).weights, prices, fee=0.00018)
    # then the rows without prices are cut and each close lands on its own day
    assert valuation.first_row == 2
    assert valuation.returns.tolist() == pytest.approx(
        [-0.00018, 0.02, 0.02941176470588225, -0.00952380952380949], abs=1e-16
    )
    assert valuation.close.tolist() == pytest.approx([0.99982, 1.0198164, 1.049811, 1.0398128], rel=3e-16)


def resumed(targets: np.ndarray, index: np.ndarray, series: list[list[float]], cuts: list[int], **options) -> Valuation:
    """Run slice by slice; return the concatenated returns, closes and weights as a Valuation of the last slice."""
    prices = priced(index, *series)
    state, parts = None, []
    for start, stop in zip([0, *cuts], [*cuts, index.size], strict=True):
        part = AlignedPrices(*(getattr(prices, name)[start:stop] for name in AlignedPrices.__dataclass_fields__))
        parts.append(value_portfolio(targets[start:stop], part, state=state, **options))
        state = final_state(parts[-1], index[start:stop], state=state)
    fields = [name for name in Valuation.__dataclass_fields__ if name != "first_row"]
    return Valuation(first_row=0, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


def test_three_runs_do_not_charge_the_entry_again() -> None:
    # given New York closes, 5 bp, and three runs (spec 6.5: upstream ends at 1.023914430287)
    index = A_INDEX[:4] + 21 * DAY // 24
    valuation = resumed(HALVES[:4], index, [AAA[:4], BBB[:4]], [1, 3], fee=0.0005)
    assert valuation.close[-1] == 1.0249391131657501
    # and example A5 in three slices
    valuation = resumed(HALVES, A_INDEX, [AAA, BBB], [2, 4], fee=0.0005)
    assert valuation.close[-1] == 1.0807312085059684


def test_an_exit_between_two_runs_keeps_its_last_return_and_its_sale() -> None:
    # spec 6.5: upstream loses both and ends at 1.0978011
    valuation = resumed(D_TARGETS, D_INDEX, [D_X, D_Y], [2], fee=0.001)
    assert valuation.turnover.tolist() == [1, 0, 2, 0, 0]
    assert valuation.close[-1] == pytest.approx(1.1966022, rel=3e-16)


def test_drift_trades_only_on_the_rows_of_a_new_stamp() -> None:
    # given half each, a doubling of the first asset, and a new stamp on the fourth row
    series = [[1, 2, 2, 2], [1, 1, 3, 3]]
    targets = np.full((4, 2), 0.5)
    rebalanced = np.array([True, False, False, True])
    # when the weights drift
    valuation = value_portfolio(
        targets,
        priced(days("2026-01-01", 4), *series),
        fee=0.25,
        weights_between_rebalances="drift",
        rebalanced=rebalanced,
    )
    # then they follow the prices, nothing is paid in between, and the last row trades from what it had become
    assert valuation.returns.tolist() == pytest.approx([-0.25, 0.5, 2 / 3, -0.05], rel=1e-15)
    assert valuation.weights[1].tolist() == [1 / 1.5, 0.5 / 1.5]
    assert valuation.weights[2].tolist() == pytest.approx([0.4, 0.6], rel=1e-15)
    assert valuation.weights[3].tolist() == [0.5, 0.5]
    assert valuation.weights_before[3].tolist() == valuation.weights[2].tolist()
    assert valuation.turnover.tolist() == pytest.approx([1, 0, 0, 0.2], abs=1e-15)
    assert valuation.turnover[1:3].tolist() == [0, 0]


def test_drift_of_fully_invested_weights_is_buy_and_hold() -> None:
    valuation = value_portfolio(
        HALVES,
        priced(A_INDEX, AAA, BBB),
        fee=0,
        weights_between_rebalances="drift",
        rebalanced=np.zeros(6, dtype=bool),  # the first row ever is traded all the same
    )
    held = 0.5 * np.array(AAA) / 100 + 0.5 * np.array(BBB) / 50
    assert valuation.close == pytest.approx(held, rel=1e-14)


def test_a_gap_earns_nothing_then_catches_up() -> None:
    # given one price missing inside, with an age limit of one session, then two
    series = [10, 20, NAN, NAN, 40]
    index = days("2026-01-01", 5)
    valuation = value_portfolio(np.ones((5, 1)), priced(index, series, maximum_age_sessions=1), fee=0)
    # then the held price is stored, flagged stale, and flagged incomplete beyond the limit only
    assert valuation.returns.tolist() == [0, 1, 0, 0, 1]
    assert valuation.price[:, 0].tolist() == [10, 20, 20, 20, 40]
    assert valuation.price_is_stale[:, 0].tolist() == [False, False, True, True, False]
    assert valuation.is_incomplete.tolist() == [False, False, False, True, False]


def test_an_asset_without_weight_never_makes_a_row_incomplete() -> None:
    index = days("2026-01-01", 3)
    valuation = value_portfolio(np.array([[1.0, 0.0]] * 3), priced(index, [1, 1, 1], [NAN] * 3), fee=0)
    assert not valuation.is_incomplete.any()


def test_the_row_that_sells_an_unpriced_asset_is_incomplete() -> None:
    index = days("2026-01-01", 3)
    targets = np.array([[0.5, 0.5], [0.5, 0.0], [0.5, 0.0]])
    valuation = value_portfolio(targets, priced(index, [1, 1, 1], [NAN] * 3), fee=0)
    assert valuation.is_incomplete.tolist() == [True, True, False]


def test_missing_prices_can_be_refused() -> None:
    # given 50/50 with the second asset unpriced at first and again later (spec 6.2.7: upstream earns 0 silently)
    index = days("2026-01-01", 5)
    prices = priced(index, [1, 1, 1, 1, 1], [NAN, 1, NAN, NAN, 1], maximum_age_sessions=1)
    with pytest.raises(
        MissingPricesError, match="1 assets with a weight have no price on 2 rows, the first is asset 1 on"
    ) as error:
        value_portfolio(np.full((5, 2), 0.5), prices, fee=0, missing_price="fail")
    assert error.value.asset_codes.tolist() == [1, 1]
    assert error.value.rows.tolist() == [0, 3]
    # while rows cut before the start are nobody's concern
    valuation = value_portfolio(
        np.full((3, 2), 0.5),
        priced(index[:3], [1, 1, 1], [NAN, 1, 1]),
        fee=0,
        missing_price="fail",
        start_when="all_priced",
    )
    assert valuation.first_row == 1


def test_a_price_of_zero_gives_no_return_and_an_incomplete_row() -> None:
    valuation = value_portfolio(np.full((3, 1), 0.5), priced(days("2026-01-01", 3), [1, 0, 2]), fee=0)
    assert valuation.returns.tolist() == [0, -0.5, 0]
    assert valuation.is_incomplete.tolist() == [False, False, True]


@pytest.mark.parametrize(("start_when", "first_row"), [("any_priced", 1), ("all_priced", 3)])
def test_the_first_row_waits_for_prices_of_assets_with_a_target(start_when: str, first_row: int) -> None:
    index = days("2026-01-01", 5)
    prices = priced(index, [NAN, 1, 1, 1, 2], [NAN, NAN, NAN, 1, 1], [1, 1, 1, 1, 1])
    targets = np.array([[0.5, 0.5, 0.0]] * 5)
    valuation = value_portfolio(targets, prices, fee=0.01, start_when=start_when)
    assert valuation.first_row == first_row
    assert valuation.returns[0] == -0.01
    assert valuation.close.size == 5 - first_row
    assert np.isnan(valuation.price_before[0]).all()
    assert valuation.returns[-1] == 0.5


def test_a_portfolio_that_never_starts_has_no_rows_and_no_state() -> None:
    index = days("2026-01-01", 3)
    for targets, series in ((np.ones((3, 1)), [NAN] * 3), (np.zeros((3, 1)), [1, 1, 1])):
        valuation = value_portfolio(targets, priced(index, series), fee=0.01)
        assert valuation.first_row == 3
        assert valuation.close.size == 0
        assert final_state(valuation, index) is None


def test_no_new_rows_leave_the_state_as_it_was() -> None:
    state = PortfolioState(close=1.5, weights=np.array([1.0]), prices=np.array([2.0]), time=at("2026-01-01"))
    empty = days("2026-01-02", 0)
    valuation = value_portfolio(np.zeros((0, 1)), priced(empty, []), fee=0, state=state)
    assert valuation.close.size == 0
    assert final_state(valuation, empty, state=state) is state


def test_the_state_of_the_last_row() -> None:
    state = final_state(value_portfolio(D_TARGETS, priced(D_INDEX, D_X, D_Y), fee=0.001), D_INDEX)
    assert state.close == pytest.approx(1.1966022, rel=3e-16)
    assert state.weights.tolist() == [0, 1]
    assert state.prices.tolist() == [14, 22]
    assert state.time == at("2026-02-06")


def test_a_state_moves_to_other_assets_but_never_forgets_a_holding() -> None:
    state = PortfolioState(close=1.0, weights=np.array([0.5, 0.0, 0.5]), prices=np.array([1.0, 2.0, 3.0]), time=0)
    moved = state.reindexed(np.array([-1, 0, 2, -1]))
    assert moved.weights.tolist() == [0, 0.5, 0.5, 0]
    assert same_bits(moved.prices, np.array([NAN, 1, 3, NAN]))
    assert state.reindexed(np.array([0, 2, -1]), prices=np.array([1.0, 3.0, 9.0])).prices.tolist() == [1, 3, 9]
    for positions in ([0, 1], [2, 0], [0, 2, 2]):
        with pytest.raises(ValueError, match=r"The assets \[0, 2\] have a weight: each must be kept once"):
            state.reindexed(np.array(positions))
    with pytest.raises(ValueError, match=r"positions must be in \[-1, 3\)"):
        state.reindexed(np.array([0, 2, 3]))
    with pytest.raises(ValueError, match=r"prices must have shape \(2,\)"):
        state.reindexed(np.array([0, 2]), prices=np.ones(3))


@pytest.mark.parametrize("options", [{}, {"weights_between_rebalances": "drift", "rebalanced": np.ones(3, dtype=bool)}])
def test_a_portfolio_that_loses_everything_is_refused(options: dict) -> None:
    # given a short of the whole value and a price that triples
    with pytest.raises(PortfolioWipedOutError, match=r"loses its whole value on row 1 \(return -2.0\)") as error:
        value_portfolio(-np.ones((3, 1)), priced(days("2026-01-01", 3), [1, 3, 3]), fee=0, **options)
    assert (error.value.row, error.value.period_return) == (1, -2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fee": -0.1}, "fee must be finite and 0 or more, a fraction of the traded value, not -0.1"),
        ({"fee": NAN}, "fee must be finite"),
        ({"targets": np.array([[1.0, NAN]] * 5)}, "target of asset 1 on row 0 is nan"),
        ({"targets": np.array([[np.inf, 0]] * 5)}, "target of asset 0 on row 0 is inf"),
        ({"targets": D_TARGETS[:4]}, r"targets must have the \(rows, assets\) shape of the prices, not \(4, 2\)"),
        ({"weights_between_rebalances": "float"}, "weights_between_rebalances must be"),
        ({"weights_between_rebalances": "drift"}, "needs `rebalanced`"),
        (
            {"weights_between_rebalances": "drift", "rebalanced": np.ones(4, dtype=bool)},
            r"rebalanced must have shape \(5,\)",
        ),
        (
            {"weights_between_rebalances": "drift", "turnover_basis": "target", "rebalanced": np.ones(5, dtype=bool)},
            'choose "drifted"',
        ),
        ({"turnover_basis": "gross"}, "turnover_basis must be"),
        ({"missing_price": "zero"}, "missing_price must be"),
        ({"start_when": "now"}, "start_when must be"),
        ({"state": PortfolioState(1.0, np.zeros(1), np.zeros(1), 0)}, "state must be over the 2 assets"),
        ({"state": PortfolioState(0.0, np.zeros(2), np.zeros(2), 0)}, "state must have a positive close"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    options = {"targets": D_TARGETS, "prices": priced(D_INDEX, D_X, D_Y), "fee": 0.001} | change
    with pytest.raises(ValueError, match=message):
        value_portfolio(options.pop("targets"), options.pop("prices"), **options)


def test_a_price_beyond_the_age_limit_does_not_start_a_portfolio() -> None:
    # given a price of the first session, usable for one more, and a target from the third
    index = days("2026-01-01", 5)
    targets = np.array([[0.0], [0.0], [1.0], [1.0], [1.0]])
    prices = priced(index, [10, NAN, NAN, 11, 22], maximum_age_sessions=1)
    # then the entry waits for the next price
    valuation = value_portfolio(targets, prices, fee=0)
    assert valuation.first_row == 3
    assert valuation.returns.tolist() == [0, 1]


@pytest.mark.parametrize(
    "options",
    [{"turnover_basis": "drifted"}, {"weights_between_rebalances": "drift", "rebalanced": np.array([True, False])}],
)
def test_no_weight_is_a_negative_zero(options: dict) -> None:
    # given a target of -0.0, and an asset without weight whose price turns negative
    prices = priced(days("2026-01-01", 2), [1, 1], [1, 1], [1, -1])
    valuation = value_portfolio(np.array([[1.0, -0.0, 0.0]] * 2), prices, fee=0.001, **options)
    # then zeros are stored with one bit pattern, as an asset that joins a later run has
    assert not np.signbit(valuation.weights).any()
    assert not np.signbit(valuation.weights_before).any()

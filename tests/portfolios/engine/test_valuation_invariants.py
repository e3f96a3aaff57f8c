"""What holds for every portfolio: slices equal the whole to the last bit, and nothing looks ahead."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from portfolios.engine.alignment import AlignedPrices, align_prices, align_signal
from portfolios.engine.rebalance import ImmediateSignal
from portfolios.engine.valuation import PortfolioWipedOutError, Valuation, final_state, value_portfolio
from tests.portfolios.engine.builders import DAY, NAN, days, same_bits

ROWS = 10
INDEX = days("2026-01-01", ROWS)
PER_ASSET = ("weights", "weights_before", "price", "price_before")
PER_ROW = ("returns", "close", "turnover")

asset_prices = st.lists(st.one_of(st.just(NAN), st.floats(50, 150)), min_size=ROWS, max_size=ROWS)
weight = st.one_of(st.just(0.0), st.just(0.0), st.just(-0.0), st.floats(-0.2, 0.5))


@dataclass(frozen=True)
class Case:
    """A portfolio over a universe of assets, and its conventions."""

    prices: np.ndarray  # (assets, ROWS), NaN for no observation
    stamps: np.ndarray
    weights: np.ndarray
    fill: str
    validity: int
    options: dict[str, Any]

    @property
    def number_of_assets(self) -> int:
        return self.prices.shape[0]

    def aligned(self, rows: slice, assets: np.ndarray) -> AlignedPrices:
        prices = self.prices[assets]
        return align_prices(
            np.repeat(np.arange(assets.size), ROWS),
            np.tile(INDEX, assets.size),
            prices.ravel(),
            INDEX[rows],
            number_of_assets=assets.size,
            maximum_age_sessions=2,
            sessions=INDEX,
        )

    def run(self, start: int, stop: int, assets: np.ndarray, state: Any = None) -> Valuation:
        """Value rows [start, stop) over some of the assets, as a service would: from stored inputs and a state."""
        strategy = ImmediateSignal(fill=self.fill)
        lead = min(start, strategy.rows_before)
        signal = align_signal(
            self.stamps,
            self.weights[:, assets],
            INDEX[start - lead : stop],
            validity=self.validity,
            expiry="liquidate",
        )
        targets = strategy.target(signal, skip=lead)
        return value_portfolio(
            targets.weights,
            self.aligned(slice(start, stop), assets),
            rebalanced=targets.rebalanced,
            state=state,
            **self.options,
        )

    def whole(self) -> Valuation:
        try:
            return self.run(0, ROWS, np.arange(self.number_of_assets))
        except PortfolioWipedOutError:
            assume(False)
            raise


@st.composite
def cases(draw: st.DrawFn) -> Case:
    number_of_assets = draw(st.integers(1, 5))
    stamped = np.flatnonzero(draw(st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)))
    row = st.lists(weight, min_size=number_of_assets, max_size=number_of_assets)
    weights = draw(st.lists(row, min_size=stamped.size, max_size=stamped.size))
    between, basis = draw(
        st.sampled_from([("constant", None), ("constant", "target"), ("constant", "drifted"), ("drift", None)])
    )
    return Case(
        prices=np.array(draw(st.lists(asset_prices, min_size=number_of_assets, max_size=number_of_assets))),
        stamps=INDEX[stamped],
        weights=np.array(weights, dtype=np.float64).reshape(stamped.size, number_of_assets),
        fill=draw(st.sampled_from(["same_bar", "next_bar"])),
        validity=DAY * draw(st.integers(1, ROWS)),
        options={
            "fee": draw(st.sampled_from([0.0, 0.00018, 0.01])),
            "weights_between_rebalances": between,
            "turnover_basis": basis,
            "start_when": draw(st.sampled_from(["any_priced", "all_priced"])),
        },
    )


def slices(draw: Any) -> list[tuple[int, int]]:
    cuts = sorted(draw(st.lists(st.integers(0, ROWS), max_size=4)))
    return list(zip([0, *cuts], [*cuts, ROWS], strict=True))


@settings(max_examples=400)
@given(cases(), st.data())
def test_any_slicing_gives_the_bits_of_one_run_whatever_assets_come_and_go(case: Case, data: st.DataObject) -> None:
    # given one run over the whole universe
    whole = case.whole()
    everyone = np.arange(case.number_of_assets)
    all_prices = case.aligned(slice(0, ROWS), everyone).price
    # when the same rows are run in slices, each over the assets that it needs and some that it does not
    state, state_assets, row = None, np.zeros(0, dtype=np.int64), 0
    for start, stop in slices(data.draw):
        needed = {int(code) for code in np.flatnonzero((case.weights != 0).any(axis=0))}
        if state is not None:
            needed |= {int(code) for code in state_assets[state.weights != 0]}
        optional = sorted(set(everyone.tolist()) - needed)
        extra = data.draw(st.sets(st.sampled_from(optional))) if optional else set()
        assets = np.array(sorted(needed | extra), dtype=np.int64)
        if state is not None:
            positions = np.array([np.flatnonzero(state_assets == code).max(initial=-1) for code in assets], dtype=int)
            state = state.reindexed(positions, prices=all_prices[start - 1, assets])
        part = case.run(start, stop, assets, state)
        # then every stored number has the same bits, and assets that were left out have no weight in the one run
        expected = slice(row, row + part.close.size)
        for name in PER_ROW:
            assert same_bits(getattr(part, name), getattr(whole, name)[expected]), name
        for name in PER_ASSET:
            assert same_bits(getattr(part, name), getattr(whole, name)[expected][:, assets]), name
        absent = np.setdiff1d(everyone, assets)
        assert not whole.weights[expected][:, absent].any()
        assert np.array_equal(part.is_incomplete, whole.is_incomplete[expected])
        assert np.array_equal(part.price_is_stale, whole.price_is_stale[expected][:, assets])
        row += part.close.size
        state, state_assets = final_state(part, INDEX[start:stop], state=state), assets
    assert row == whole.close.size


@settings(max_examples=200)
@given(cases(), st.data())
def test_assets_that_sold_everything_may_be_left_out_of_the_next_run(case: Case, data: st.DataObject) -> None:
    # given a first run over everyone, and a second over only the assets that its targets or its holdings need
    whole = case.whole()
    everyone = np.arange(case.number_of_assets)
    cut = data.draw(st.integers(0, ROWS))
    first = case.run(0, cut, everyone)
    state = final_state(first, INDEX[:cut])
    expected = slice(first.close.size, None)
    held = np.zeros(everyone.size, dtype=bool) if state is None else state.weights != 0
    assets = np.flatnonzero(held | whole.weights[expected].any(axis=0))
    assume(state is not None and assets.size < everyone.size)
    # when it resumes without knowing the prices of anybody else
    second = case.run(cut, ROWS, assets, state.reindexed(assets))
    # then the values are the same
    for name in PER_ROW:
        assert same_bits(getattr(second, name), getattr(whole, name)[expected]), name
    for name in ("weights", "weights_before"):
        assert same_bits(getattr(second, name), getattr(whole, name)[expected][:, assets]), name


@given(cases(), st.integers(0, ROWS - 1), st.floats(50, 150))
def test_a_later_price_never_changes_an_earlier_row(case: Case, row: int, other: float) -> None:
    before = case.whole()
    case.prices[:, row + 1 :] = other
    after = case.whole()
    assume(before.first_row <= row)
    assert after.first_row == before.first_row
    rows = slice(0, row + 1 - before.first_row)
    for name in PER_ROW + PER_ASSET:
        assert same_bits(getattr(before, name)[rows], getattr(after, name)[rows]), name


@given(cases())
def test_close_is_the_product_of_the_returns_and_turnover_is_what_was_traded(case: Case) -> None:
    whole = case.whole()
    value = 1.0
    for period_return, close in zip(whole.returns.tolist(), whole.close.tolist(), strict=True):
        value *= 1.0 + period_return
        assert value == close
    traded = np.abs(whole.weights - whole.weights_before).sum(axis=1)
    assert np.allclose(whole.turnover, traded, rtol=1e-14, atol=0)
    assert all(np.isfinite(getattr(whole, name)).all() for name in (*PER_ROW, "weights", "weights_before"))


def test_the_sum_does_not_depend_on_how_many_zeros_there_are() -> None:
    # given 300 assets whose pairwise sum differs from the sequential one, when 1 to 40 assets without weight join
    generator = np.random.default_rng(7)
    prices = 100 * np.exp(np.cumsum(generator.normal(0, 0.02, (300, ROWS)), axis=1))
    targets = np.tile(generator.random(300) / 300, (ROWS, 1))

    def run(place: int, number: int) -> Valuation:
        joined = np.insert(prices, [place] * number, 5.0, axis=0)
        case = Case(joined, INDEX, np.zeros((0, 0)), "same_bar", DAY, {})
        aligned = case.aligned(slice(0, ROWS), np.arange(joined.shape[0]))
        return value_portfolio(np.insert(targets, [place] * number, 0.0, axis=1), aligned, fee=0.001)

    alone = run(0, 0)
    for place, number in ((0, 1), (150, 7), (300, 40)):
        joined = run(place, number)
        # then no bit changes
        assert same_bits(joined.returns, alone.returns)
        assert same_bits(joined.close, alone.close)

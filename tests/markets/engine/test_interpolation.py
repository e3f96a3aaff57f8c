"""Bars on sessions: the daily table of spec 3.4 with its right answers, gaps, refusals, slices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.engine.interpolation import NO_TIME, BarNotAtSessionCloseError, InterpolatedBars, interpolate_to_sessions

DAY = 86_400_000_000_000
HOUR = DAY // 24
NAN = float("nan")


def at(*texts: str) -> npt.NDArray[np.int64]:
    return np.array(texts, dtype="datetime64[ns]").astype(np.int64)


# New York, 2 to 8 January 2026: Friday, Monday, Tuesday, Wednesday, Thursday
NYSE_CLOSES = at(*(f"2026-01-0{day}T21:00" for day in (2, 5, 6, 7, 8)))
NYSE_OPENS = NYSE_CLOSES - 6 * HOUR - HOUR // 2
# Always open: midnight to midnight
MAY_OPENS = at("2026-05-22") + DAY * np.arange(6, dtype=np.int64)
MAY_CLOSES = MAY_OPENS + DAY


def nyse(sessions: Sequence[int], columns: dict[str, Sequence[float]], **options: Any) -> InterpolatedBars:
    """One asset with bars at the given New York sessions."""
    chosen = np.array(sessions, dtype=np.int64)
    return interpolate_to_sessions(
        np.zeros(chosen.size, dtype=np.int64),
        NYSE_CLOSES[chosen],
        {name: np.array(values, dtype=np.float64) for name, values in columns.items()},
        options.pop("open_times", NYSE_OPENS[chosen]),
        NYSE_OPENS,
        NYSE_CLOSES,
        number_of_assets=1,
        **options,
    )


def same(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    """Equal to the last bit, NaN included."""
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


def test_bars_of_a_24_7_session_stay_what_and_where_they_are() -> None:
    # given bars stamped 00:00Z on 23 to 26 May 2026 (spec 3.4, first row)
    columns = {
        "open": [100.0, 101, 104, 103],
        "high": [101.0, 103, 106, 105],
        "low": [99.0, 100, 103, 102],
        "close": [100.0, 102, 105, 104],
        "volume": [10.0] * 4,
        "trade_count": [100.0, 101, 102, 103],
    }
    bars = interpolate_to_sessions(
        np.zeros(4, dtype=np.int64),
        MAY_CLOSES[:4],
        {name: np.array(values) for name, values in columns.items()},
        MAY_OPENS[:4],
        MAY_OPENS,
        MAY_CLOSES,
        number_of_assets=1,
    )
    # then nothing is synthetic or late, and nothing follows the last bar
    assert {name: values.tolist() for name, values in bars.columns.items()} == columns
    assert bars.session.tolist() == [0, 1, 2, 3]
    assert bars.open_time.tolist() == MAY_OPENS[:4].tolist()
    assert not bars.interpolated.any()
    assert bars.source_row.tolist() == [0, 1, 2, 3]
    assert bars.sessions_without_price.tolist() == [0]


def test_a_missing_session_is_filled_from_the_past_with_its_own_open_time() -> None:
    # given New York closes of 2, 6 and 7 January, the 5th missing (second and third row)
    bars = nyse(
        [0, 2, 3],
        {
            "open": [99, 101, 104],
            "high": [101, 103, 106],
            "low": [98, 100, 103],
            "close": [100, 102, 105],
            "adjusted_close": [50, 51, 52.5],
            "vwap": [99.5, 101.5, 104.5],
            "volume": [10, 20, 30],
            "trade_count": [1, 2, 3],
        },
    )
    # then the 5th carries the 2nd
    assert bars.session.tolist() == [0, 1, 2, 3]
    assert {name: values[1] for name, values in bars.columns.items()} == {
        "open": 100,
        "high": 100,
        "low": 100,
        "close": 100,
        "adjusted_close": 50,
        "vwap": 99.5,
        "volume": 0,
        "trade_count": 0,
    }
    assert bars.open_time[1] == at("2026-01-05T14:30")[0]
    assert bars.interpolated.tolist() == [False, True, False, False]
    assert bars.source_row.tolist() == [0, 0, 1, 2]
    # and the others are untouched
    assert bars.columns["open"].tolist() == [99, 100, 101, 104]
    assert bars.columns["volume"].tolist() == [10, 0, 20, 30]


def test_the_same_when_resumed_from_the_last_own_row() -> None:
    full = nyse([0, 2, 3], {"close": [100, 102, 105], "volume": [1, 2, 3]})
    bars = nyse([0, 2, 3], {"close": [100, 102, 105], "volume": [1, 2, 3]}, after=NYSE_CLOSES[:1])
    assert bars.session.tolist() == [1, 2, 3]
    assert same(bars.columns["close"], full.columns["close"][1:])
    assert bars.open_time[0] == at("2026-01-05T14:30")[0]


@pytest.mark.parametrize("carried", ["vwap", "adjusted_close"])
def test_a_real_bar_with_only_one_carried_column_null_keeps_the_rest(carried: str) -> None:
    bars = nyse(
        [0, 1],
        {"open": [1, 2], "high": [3, 4], "low": [0.5, 1.5], "close": [2, 3], "volume": [7, 8], carried: [9, NAN]},
    )
    assert bars.columns[carried].tolist() == [9, 9]
    assert [bars.columns[name][1] for name in ("open", "high", "low", "close", "volume")] == [2, 4, 1.5, 3, 8]
    assert bars.interpolated.tolist() == [False, False]


def test_a_leading_null_is_never_filled_from_the_future() -> None:
    bars = nyse([1, 2, 3], {"close": [NAN, 2, 3], "vwap": [5, NAN, 6]})
    assert bars.session.tolist() == [2, 3]
    assert same(bars.columns["vwap"], np.array([NAN, 6]))


def test_bars_stamped_at_midnight_are_refused_by_a_new_york_calendar() -> None:
    # given stamps of 5 and 6 January 00:00Z between two good ones (fifth row)
    times = np.array([NYSE_CLOSES[0], *at("2026-01-05", "2026-01-06"), NYSE_CLOSES[2]])
    arguments = (np.zeros(4, dtype=np.int64), times, {"close": np.ones(4)}, None, NYSE_OPENS, NYSE_CLOSES)
    with pytest.raises(BarNotAtSessionCloseError) as error:
        interpolate_to_sessions(*arguments, number_of_assets=1)
    assert error.value.rows.tolist() == [1, 2]
    assert error.value.nearest_closes.tolist() == NYSE_CLOSES[[1, 1]].tolist()
    assert str(error.value) == (
        "2 bars are not stamped at a session close: row 1, asset 0, 2026-01-05T00:00:00.000000000Z (nearest close "
        "2026-01-05T21:00:00.000000000Z); row 2, asset 0, 2026-01-06T00:00:00.000000000Z (nearest close "
        "2026-01-05T21:00:00.000000000Z). Stamp bars at the close of their session, or use the calendar that they "
        "trade on."
    )
    # and a tolerance that puts two of them in one session is refused as well
    with pytest.raises(ValueError, match=r"Bars 1 and 2 of asset 0 .* fall in one session"):
        interpolate_to_sessions(*arguments, number_of_assets=1, tolerance_ns=DAY)


def test_a_tolerance_accepts_stamps_on_both_sides_up_to_itself() -> None:
    codes, shifts = np.zeros(2, dtype=np.int64), np.array([-5, 5])
    arguments = (codes, NYSE_CLOSES[1:3] + shifts, {"close": np.array([1.0, 2.0])}, None, NYSE_OPENS, NYSE_CLOSES)
    assert interpolate_to_sessions(*arguments, number_of_assets=1, tolerance_ns=5).session.tolist() == [1, 2]
    with pytest.raises(BarNotAtSessionCloseError, match="2 bars"):
        interpolate_to_sessions(*arguments, number_of_assets=1, tolerance_ns=4)


def test_one_row_is_never_skipped() -> None:
    bars = nyse([3], {"close": [7]})
    assert bars.session.tolist() == [3]
    assert bars.columns["close"].tolist() == [7]


@pytest.mark.parametrize(
    ("limit", "sessions", "without"), [(5, [0, 1, 2, 3, 4], 0), (2, [0, 1, 2, 4], 1), (0, [0, 4], 3)]
)
def test_beyond_the_limit_there_is_no_row_but_a_count(limit: int, sessions: list[int], without: int) -> None:
    bars = nyse([0, 4], {"close": [1, 2]}, maximum_fill_sessions=limit)
    assert bars.session.tolist() == sessions
    assert bars.sessions_without_price.tolist() == [without]


def test_rule_none_fills_nothing() -> None:
    bars = nyse([0, 2, 4], {"close": [1, 2, NAN], "vwap": [1, NAN, 3]}, rule="none")
    assert bars.session.tolist() == [0, 2]
    assert same(bars.columns["vwap"], np.array([1, NAN]))
    assert bars.sessions_without_price.tolist() == [1]
    assert not bars.interpolated.any()


def test_a_bar_without_close_is_no_bar() -> None:
    # given a bar with everything but its close
    bars = nyse([0, 1, 2], {"open": [1, 5, 2], "close": [1, NAN, 2], "volume": [10, 99, 20], "vwap": [1, 6, 2]})
    # then its session is filled as if it were not there
    assert bars.columns["open"].tolist() == [1, 1, 2]
    assert bars.columns["close"].tolist() == [1, 1, 2]
    assert bars.columns["volume"].tolist() == [10, 0, 20]
    assert bars.columns["vwap"].tolist() == [1, 1, 2]
    assert bars.interpolated.tolist() == [False, True, False]
    assert bars.source_row.tolist() == [0, 0, 2]
    # and at either end it adds no session
    assert nyse([0, 1, 2], {"close": [NAN, 3, NAN]}).session.tolist() == [1]
    assert nyse([0, 1], {"close": [NAN, NAN]}).session.tolist() == []


def test_other_nulls_of_a_real_bar_stay_null() -> None:
    bars = nyse([0, 1], {"open": [1, NAN], "close": [1, 2], "volume": [10, NAN]})
    assert same(bars.columns["open"], np.array([1, NAN]))
    assert same(bars.columns["volume"], np.array([10, NAN]))
    assert not bars.interpolated.any()


def test_an_unknown_open_time_is_the_open_of_the_session() -> None:
    given_open = NYSE_OPENS[0] + HOUR
    bars = nyse([0, 1, 3], {"close": [1, 2, 3]}, open_times=np.array([given_open, NO_TIME, NO_TIME]))
    assert bars.open_time.tolist() == [given_open, *NYSE_OPENS[1:4]]
    assert nyse([0, 2], {"close": [1, 2]}, open_times=None).open_time.tolist() == NYSE_OPENS[:3].tolist()


def test_a_carried_column_is_carried_no_longer_than_a_price() -> None:
    bars = nyse([0, 1, 2, 3], {"close": [1, 2, 3, 4], "vwap": [9, NAN, NAN, NAN]}, maximum_fill_sessions=2)
    assert same(bars.columns["vwap"], np.array([9, 9, 9, NAN]))


def test_assets_never_mix() -> None:
    # given three assets, the second without bars, the third starting where the first has ended
    codes = np.array([0, 0, 2, 2])
    bars = interpolate_to_sessions(
        codes,
        NYSE_CLOSES[[0, 2, 1, 3]],
        {"close": np.array([1.0, 2, 3, 4]), "vwap": np.array([1.0, 2, NAN, 4])},
        None,
        NYSE_OPENS,
        NYSE_CLOSES,
        number_of_assets=3,
        after=np.array([NYSE_CLOSES[0], NO_TIME, NO_TIME]),
    )
    assert bars.asset_codes.tolist() == [0, 0, 2, 2, 2]
    assert bars.session.tolist() == [1, 2, 1, 2, 3]
    assert same(bars.columns["vwap"], np.array([1, 2, NAN, NAN, 4]))


def test_no_bars_no_rows() -> None:
    empty = np.zeros(0, dtype=np.int64)
    bars = interpolate_to_sessions(empty, empty, {"close": np.zeros(0)}, None, empty, empty, number_of_assets=2)
    assert bars.session.size == 0
    assert bars.sessions_without_price.tolist() == [0, 0]


GOOD = {
    "asset_codes": np.array([0, 0]),
    "times": NYSE_CLOSES[:2],
    "columns": {"close": np.array([1.0, 2.0])},
    "open_times": NYSE_OPENS[:2],
    "session_opens": NYSE_OPENS,
    "session_closes": NYSE_CLOSES,
    "number_of_assets": 1,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": NYSE_CLOSES[[0, 0]]}, "Bar 1 .asset 0, 2026-01-02T21:00.* remove duplicates"),
        ({"times": NYSE_CLOSES[[1, 0]]}, "Bar 1 .* sort by .asset, time."),
        ({"asset_codes": np.array([0, 1])}, r"asset_codes must be in \[0, 1\), not \[0, 1\]"),
        ({"columns": {"open": np.ones(2)}}, 'columns must include "close"'),
        ({"columns": {"close": np.ones(2), "bid": np.ones(2)}}, r"be among .* not \['bid', 'close'\]"),
        ({"columns": {"close": np.ones(3)}}, "of one length"),
        ({"columns": {"close": np.array([1, np.inf])}}, "close of bar 1 .* is infinite"),
        ({"open_times": NYSE_OPENS[:1]}, r"open_times must have shape \(2,\)"),
        ({"session_closes": NYSE_CLOSES[:4]}, "session_opens and session_closes must have one shape"),
        ({"session_opens": NYSE_CLOSES}, "each must open before it closes"),
        ({"session_opens": NYSE_OPENS[:0], "session_closes": NYSE_CLOSES[:0]}, "materialise the calendar"),
        ({"after": NYSE_CLOSES}, r"after must have shape \(1,\), one time an asset, not \(5,\)"),
        ({"rule": "None"}, 'rule must be "ffill" or "none", not \'None\''),
        ({"maximum_fill_sessions": -1}, "maximum_fill_sessions must be 0 or more"),
        ({"tolerance_ns": -1}, "tolerance_ns must be 0 or more"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpolate_to_sessions(**(GOOD | change))


def test_large_inputs_are_worked_in_blocks_that_do_not_show() -> None:
    # given more bars than a block holds, with a gap in each asset, and one bad stamp far behind the first block
    sessions, assets = 1_000, 150
    closes = DAY * np.arange(1, sessions + 1, dtype=np.int64)
    kept = np.ones((assets, sessions), dtype=bool)
    kept[np.arange(assets), 10 + np.arange(assets)] = False
    codes, session = np.nonzero(kept)
    arguments = ({"close": session + 1.0}, None, closes - DAY, closes)
    # when interpolated
    bars = interpolate_to_sessions(codes, closes[session], *arguments, number_of_assets=assets)
    # then every session is there, once, in order
    assert np.array_equal(bars.asset_codes, np.repeat(np.arange(assets), sessions))
    assert np.array_equal(bars.session, np.tile(np.arange(sessions), assets))
    assert bars.interpolated.sum() == assets
    assert np.array_equal(bars.columns["close"], bars.session + 1.0 - bars.interpolated)
    assert np.array_equal(codes[bars.source_row], bars.asset_codes)
    # and errors name rows of the whole
    times = closes[session].copy()
    times[[5, -1]] += 1
    with pytest.raises(BarNotAtSessionCloseError) as error:
        interpolate_to_sessions(codes, times, *arguments, number_of_assets=assets)
    assert error.value.rows.tolist() == [5, codes.size - 1]


SESSIONS = 14
OPENS = DAY * np.arange(SESSIONS, dtype=np.int64)
CLOSES = OPENS + DAY
value = st.one_of(st.just(NAN), st.floats(1, 100))
bar = st.one_of(st.none(), st.tuples(value, value, value, value, st.booleans()))
histories = st.lists(st.lists(bar, min_size=SESSIONS, max_size=SESSIONS), min_size=1, max_size=4)
History = list[list[tuple[float, float, float, float, bool] | None]]


def run(history: History, *, first: npt.NDArray[np.int64] | None = None, **options: Any) -> InterpolatedBars:
    """Interpolate the bars of `history`, of each asset only those from session `first` on."""
    rows = [
        (code, session, *one)
        for code, asset in enumerate(history)
        for session, one in enumerate(asset)
        if one is not None and (first is None or session >= first[code])
    ]
    codes = np.array([row[0] for row in rows], dtype=np.int64)
    sessions = np.array([row[1] for row in rows], dtype=np.int64)
    columns = {
        name: np.array([row[place] for row in rows], dtype=np.float64)
        for place, name in ((2, "open"), (3, "close"), (4, "vwap"), (5, "volume"))
    }
    opened = np.array([row[6] for row in rows], dtype=bool)
    return interpolate_to_sessions(
        codes,
        CLOSES[sessions],
        columns,
        np.where(opened, OPENS[sessions] + 1, NO_TIME),
        OPENS,
        CLOSES,
        number_of_assets=len(history),
        **options,
    )


@settings(max_examples=200)
@given(histories, st.integers(0, 4), st.sampled_from(["ffill", "none"]), st.data())
def test_a_resumed_run_gives_the_rows_of_the_full_run(
    history: History, limit: int, rule: str, data: st.DataObject
) -> None:
    # given for each asset a last own session, and bars from `limit` sessions before the next on
    assets = len(history)
    last = np.array(data.draw(st.lists(st.integers(-1, SESSIONS - 1), min_size=assets, max_size=assets)))
    after = np.where(last >= 0, CLOSES[last], NO_TIME)
    full = run(history, maximum_fill_sessions=limit, rule=rule)
    # when resumed
    resumed = run(history, first=last + 1 - limit, after=after, maximum_fill_sessions=limit, rule=rule)
    # then its rows are the later rows of the full run
    later = full.session > last[full.asset_codes]
    for name in ("asset_codes", "session", "open_time", "interpolated"):
        assert same(getattr(resumed, name), getattr(full, name)[later]), name
    for name, column in resumed.columns.items():
        assert same(column, full.columns[name][later]), name
    # and with all bars the count of what is missing is that of the sessions emitted
    whole = run(history, after=after, maximum_fill_sessions=limit, rule=rule)
    assert (whole.sessions_without_price <= full.sessions_without_price).all()


@given(histories, st.integers(0, 4), st.integers(0, SESSIONS - 1))
def test_a_later_bar_never_changes_an_earlier_row(history: History, limit: int, session: int) -> None:
    # given the history, and the same with everything after a session replaced
    other: History = [
        [*asset[: session + 1], *[(7.0, 7.0, 7.0, 7.0, True)] * (SESSIONS - session - 1)] for asset in history
    ]
    before, after = run(history, maximum_fill_sessions=limit), run(other, maximum_fill_sessions=limit)
    # then the rows of both up to the session agree; only whether a gap has ended, and so is filled, may be news
    keys = [
        {
            (code, row): tuple(column[place].tobytes() for column in (*bars.columns.values(), bars.open_time))
            for place, (code, row) in enumerate(zip(bars.asset_codes.tolist(), bars.session.tolist(), strict=True))
            if row <= session
        }
        for bars in (before, after)
    ]
    assert all(keys[1][key] == values for key, values in keys[0].items() if key in keys[1])
    last_bar = {
        code: max(
            (row for row in range(session + 1) if asset[row] is not None and asset[row][1] == asset[row][1]), default=-1
        )
        for code, asset in enumerate(history)
    }
    assert all(row > last_bar[code] for code, row in keys[0].keys() ^ keys[1].keys())


@given(histories, st.integers(0, 4))
def test_interpolation_agrees_with_its_definition(history: History, limit: int) -> None:
    bars = run(history, maximum_fill_sessions=limit)
    expected = []
    without = []
    for code, asset in enumerate(history):
        observed = [row for row, one in enumerate(asset) if one is not None and one[1] == one[1]]
        missing = 0
        for row in range(observed[0], observed[-1] + 1) if observed else ():
            source = max(past for past in observed if past <= row)
            if row - source > limit:
                missing += 1
                continue
            vwaps = [asset[past][2] for past in observed if row - limit <= past <= row]
            known = [vwap for vwap in vwaps if vwap == vwap]
            one = asset[source]
            real = source == row
            expected.append(
                (
                    (code, row, real, OPENS[row] + (real and one[4])),
                    np.array(
                        [one[0] if real else one[1], one[1], known[-1] if known else NAN, one[3] if real else 0.0]
                    ),
                )
            )
        without.append(missing)
    found = zip(
        bars.asset_codes.tolist(), bars.session.tolist(), (~bars.interpolated).tolist(), bars.open_time, strict=True
    )
    assert list(found) == [key for key, _ in expected]
    for place, (_, values) in enumerate(expected):
        assert same(np.array([column[place] for column in bars.columns.values()]), values)
    assert bars.sessions_without_price.tolist() == without

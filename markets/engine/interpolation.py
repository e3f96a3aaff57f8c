"""Puts observed bars on the sessions of a calendar and fills the gaps between them, never from the future."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NO_TIME = np.iinfo(np.int64).min
"""The int64 that stands for "no time": the bit pattern of numpy's NaT."""

CLOSE = "close"
BAR_PRICES = frozenset({"open", "high", "low", CLOSE})
CARRIED_PRICES = frozenset({"adjusted_close", "vwap"})
FLOWS = frozenset({"volume", "trade_count"})

_NAMED_IN_AN_ERROR = 5
_BLOCK = 1 << 16  # bars in a block: 0.5 MB a temporary array, within a core's cache


class BarNotAtSessionCloseError(ValueError):
    """Bars stamped at a time that is no session close.

    rows: (M,) int64, the offending input rows. nearest_closes: (M,) int64 UTC ns, the session close nearest to each.
    """

    def __init__(self, asset_codes: IntArray, times: IntArray, rows: IntArray, nearest_closes: IntArray) -> None:
        self.rows = rows
        self.nearest_closes = nearest_closes
        named = "; ".join(
            f"row {row}, asset {asset_codes[row]}, {_text(times[row])} (nearest close {_text(close)})"
            for row, close in zip(rows[:_NAMED_IN_AN_ERROR], nearest_closes[:_NAMED_IN_AN_ERROR], strict=True)
        )
        super().__init__(
            f"{rows.size} bars are not stamped at a session close: {named}. Stamp bars at the close of their session, "
            "or use the calendar that they trade on."
        )


@dataclass(frozen=True, eq=False)
class InterpolatedBars:
    """M bars at session closes, sorted by (asset, session).

    asset_codes: (M,) int64. session: (M,) int64, position in the given sessions. columns: name -> (M,) float64, the
    names of the input. open_time: (M,) int64 UTC ns. interpolated: (M,) bool, no observed close in this session.
    source_row: (M,) int64, the input row that the close comes from.
    sessions_without_price: (A,) int64, per asset the sessions between its first and last observed close, and after
        `after`, that got no row: beyond the fill limit, or any gap under rule "none".
    """

    asset_codes: IntArray
    session: IntArray
    columns: dict[str, FloatArray]
    open_time: IntArray
    interpolated: BoolArray
    source_row: IntArray
    sessions_without_price: IntArray


def interpolate_to_sessions(
    asset_codes: IntArray,
    times: IntArray,
    columns: Mapping[str, FloatArray],
    open_times: IntArray | None,
    session_opens: IntArray,
    session_closes: IntArray,
    *,
    number_of_assets: int,
    after: IntArray | None = None,
    maximum_fill_sessions: int = 5,
    rule: Literal["ffill", "none"] = "ffill",
    tolerance_ns: int = 0,
) -> InterpolatedBars:
    """One row a session from each asset's first to its last bar (spec 3.4, daily algorithm, [MSM] column).

    asset_codes: (N,) int64 in [0, number_of_assets). times: (N,) int64 UTC ns, session closes. Both sorted by (code,
    time) without duplicates. columns: name -> (N,) float64, NaN for null: "close" and any of open, high, low,
    adjusted_close, vwap, volume, trade_count.
    open_times: (N,) int64 UTC ns, the smallest int64 (NaT) where unknown; None when all are.
    session_opens, session_closes: (K,) int64 UTC ns, both strictly increasing, each open before its close.
    after: (A,) int64 UTC ns, emit only sessions that close strictly later; the smallest int64 emits all.
    maximum_fill_sessions: how many sessions after a bar it may still fill. rule: "ffill", or "none" to fill nothing.
    tolerance_ns: how far from its session's close a bar may be stamped.

    - A bar without a close is no bar: its session is filled as if the bar were absent, its flows included.
    - A session without a bar: open, high, low and close are the last close; volume and trade_count are 0; open_time
      is the session's own; interpolated. Nothing before an asset's first bar or after its last.
    - A bar keeps what it observed, nulls included, but adjusted_close and vwap, there and in filled sessions, are the
      last known, at most maximum_fill_sessions old; an unknown open_time becomes the session's open.

    A run with `after` on bars from maximum_fill_sessions sessions before the first emitted one gives the rows of the
    full run; only `sessions_without_price` cannot count a gap that began before those bars.
    Raises BarNotAtSessionCloseError; ValueError on unsorted or duplicate keys, two bars of one asset in one session,
    unknown columns, infinite values, wrong shapes or options.
    """
    codes, times, values = _checked_bars(asset_codes, times, columns, number_of_assets)
    opens, closes = _checked_sessions(session_opens, session_closes)
    if open_times is not None:
        open_times = np.asarray(open_times, dtype=np.int64)
        if open_times.shape != times.shape:
            raise ValueError(f"open_times must have shape {times.shape}, as times, not {open_times.shape}.")
    _check_options(rule, maximum_fill_sessions, tolerance_ns)
    reach = maximum_fill_sessions if rule == "ffill" else 0
    first_emitted = _first_emitted(after, closes, number_of_assets)

    # Blocks of whole assets: their temporaries stay in the cache, and only the result is written to fresh memory.
    blocks = _blocks_of_assets(codes)
    result = _allocated(values, _most_rows(codes, times, closes, reach), number_of_assets)
    end = 0
    for block in blocks:
        try:
            session = _sessions_of_bars(codes[block], times[block], closes, tolerance_ns)
        except ValueError:
            _sessions_of_bars(codes, times, closes, tolerance_ns)  # the same error, over all rows
            raise
        observed = np.flatnonzero(~np.isnan(values[CLOSE][block]))
        fill = _Fill.of(codes[block][observed], session[observed], first_emitted, reach)
        rows = slice(end, end + fill.source.size)
        end = rows.stop
        source_row = observed[fill.source] + block.start
        result.asset_codes[rows] = fill.code[fill.source]
        result.session[rows] = fill.row_session
        result.interpolated[rows] = fill.interpolated
        result.source_row[rows] = source_row
        result.open_time[rows] = _open_times(open_times, opens, source_row, fill)
        lost = np.flatnonzero(fill.without_price)
        np.add.at(result.sessions_without_price, fill.code[lost], fill.without_price[lost])
        for name, column in values.items():
            if name in CARRIED_PRICES:
                result.columns[name][rows] = fill.carried(column[block][observed], reach)
            else:
                result.columns[name][rows] = _column(name, column, values[CLOSE], source_row, fill.filled)
    return _cut(result, end)


@dataclass(frozen=True, eq=False)
class _Fill:
    """Which observed bar each emitted row comes from, for a block of N observed bars and its M rows.

    code, session: (N,) of the bars. without_price: (N,) sessions after each bar, before the next, that get no row.
    source: (M,) the row's bar. row_session: (M,). interpolated: (M,). filled: the rows that are interpolated.
    """

    code: IntArray
    session: IntArray
    without_price: IntArray
    source: IntArray
    row_session: IntArray
    interpolated: BoolArray
    filled: IntArray

    @classmethod
    def of(cls, code: IntArray, session: IntArray, first_emitted: IntArray, reach: int) -> "_Fill":
        """A bar fills the sessions [session, end): up to the next bar of its asset, or only its own."""
        end = session + 1
        followed = np.flatnonzero(code[1:] == code[:-1])
        end[followed] = session[followed + 1]
        first = first_emitted[code]
        start = np.maximum(session, first)
        filled_end = np.minimum(end, session + reach + 1)
        rows_of_bar = np.maximum(filled_end - start, 0)
        # Runs of consecutive sessions, one run a bar, laid end to end.
        source = np.repeat(np.arange(code.size), rows_of_bar)
        run_start = np.cumsum(rows_of_bar) - rows_of_bar
        row_session = np.arange(source.size) + (start - run_start)[source]
        interpolated = row_session != session[source]
        return cls(
            code=code,
            session=session,
            without_price=np.maximum(end - np.maximum(filled_end, first), 0),
            source=source,
            row_session=row_session,
            interpolated=interpolated,
            filled=np.flatnonzero(interpolated),
        )

    def carried(self, column: FloatArray, reach: int) -> FloatArray:
        """(M,) the last known value of the asset in an (N,) column, at most `reach` sessions old; NaN without one."""
        known = ~np.isnan(column)
        if known.all():
            return column[self.source]
        last_known = np.maximum.accumulate(np.where(known, np.arange(column.size), -1))[self.source]
        usable = (
            (last_known >= 0)
            & (self.code[last_known] == self.code[self.source])
            & (self.row_session - self.session[last_known] <= reach)
        )
        return np.where(usable, column[last_known], np.nan)


def _blocks_of_assets(codes: IntArray) -> list[slice]:
    """Cut the bars, sorted by asset, into slices of whole assets of about _BLOCK bars; none when there are no bars."""
    targets = np.arange(_BLOCK, codes.size, _BLOCK)
    # Each cut moves back to the first bar of the asset it falls on.
    cuts = np.unique(np.concatenate([[0], np.searchsorted(codes, codes[targets]), [codes.size]]))
    return [slice(int(start), int(stop)) for start, stop in pairwise(cuts)]


def _most_rows(codes: IntArray, times: IntArray, closes: IntArray, reach: int) -> int:
    """No run emits more rows: neither all sessions of each asset's range, nor `reach` fills after each bar."""
    if codes.size == 0:
        return 0
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    last = np.append(starts[1:] - 1, codes.size - 1)
    spans = np.searchsorted(closes, times[last], side="right") - np.searchsorted(closes, times[starts]) + 1
    return min(int(spans.sum()) + starts.size, codes.size * (reach + 1))


def _allocated(values: dict[str, FloatArray], rows: int, number_of_assets: int) -> InterpolatedBars:
    """Room for the result; memory that no row reaches is never touched."""
    return InterpolatedBars(
        asset_codes=np.empty(rows, dtype=np.int64),
        session=np.empty(rows, dtype=np.int64),
        columns={name: np.empty(rows) for name in values},
        open_time=np.empty(rows, dtype=np.int64),
        interpolated=np.empty(rows, dtype=np.bool_),
        source_row=np.empty(rows, dtype=np.int64),
        sessions_without_price=np.zeros(number_of_assets, dtype=np.int64),
    )


def _cut(bars: InterpolatedBars, rows: int) -> InterpolatedBars:
    """The first rows."""
    return InterpolatedBars(
        asset_codes=bars.asset_codes[:rows],
        session=bars.session[:rows],
        columns={name: column[:rows] for name, column in bars.columns.items()},
        open_time=bars.open_time[:rows],
        interpolated=bars.interpolated[:rows],
        source_row=bars.source_row[:rows],
        sessions_without_price=bars.sessions_without_price,
    )


def _column(name: str, column: FloatArray, close: FloatArray, source_row: IntArray, filled: IntArray) -> FloatArray:
    """A bar price (the last close where filled) or a flow (0 where filled)."""
    rows = column[source_row]
    rows[filled] = 0.0 if name in FLOWS else close[source_row[filled]]
    return rows


def _open_times(open_times: IntArray | None, opens: IntArray, source_row: IntArray, fill: _Fill) -> IntArray:
    """The bars' own open times; the session's open where filled or unknown."""
    if open_times is None:
        return opens[fill.row_session]
    rows = open_times[source_row]
    rows[fill.filled] = NO_TIME
    unknown = np.flatnonzero(rows == NO_TIME)
    rows[unknown] = opens[fill.row_session[unknown]]
    return rows


def _sessions_of_bars(codes: IntArray, times: IntArray, closes: IntArray, tolerance_ns: int) -> IntArray:
    """The session whose close is nearest to each stamp, within the tolerance."""
    if closes.size == 0:
        raise ValueError("There are bars but no sessions: materialise the calendar for the range of the bars.")
    later = np.minimum(np.searchsorted(closes, times), closes.size - 1)
    nearest = later
    if not np.array_equal(closes[later], times):
        earlier = np.maximum(later - 1, 0)
        nearest = np.where(np.abs(times - closes[earlier]) <= np.abs(closes[later] - times), earlier, later)
        distant = np.flatnonzero(np.abs(closes[nearest] - times) > tolerance_ns)
        if distant.size:
            raise BarNotAtSessionCloseError(codes, times, distant, closes[nearest[distant]])
    repeated = np.flatnonzero((codes[1:] == codes[:-1]) & (nearest[1:] == nearest[:-1]))
    if repeated.size:
        row = int(repeated[0]) + 1
        raise ValueError(
            f"Bars {row - 1} and {row} of asset {codes[row]} ({_text(times[row - 1])}, {_text(times[row])}) fall in "
            "one session: keep one."
        )
    return nearest.astype(np.int64, copy=False)


def _first_emitted(after: IntArray | None, closes: IntArray, number_of_assets: int) -> IntArray:
    """(A,) the first session that closes strictly after each asset's `after`."""
    if after is None:
        return np.zeros(number_of_assets, dtype=np.int64)
    after = np.asarray(after, dtype=np.int64)
    if after.shape != (number_of_assets,):
        raise ValueError(f"after must have shape ({number_of_assets},), one time an asset, not {after.shape}.")
    return np.searchsorted(closes, after, side="right").astype(np.int64)


def _checked_bars(
    asset_codes: IntArray, times: IntArray, columns: Mapping[str, FloatArray], number_of_assets: int
) -> tuple[IntArray, IntArray, dict[str, FloatArray]]:
    """The bars as arrays of one length: known columns, codes in range, sorted by (code, time), no infinity."""
    codes = np.asarray(asset_codes, dtype=np.int64)
    times = np.asarray(times, dtype=np.int64)
    values = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    allowed = BAR_PRICES | CARRIED_PRICES | FLOWS
    if CLOSE not in values or not allowed.issuperset(values):
        raise ValueError(f'columns must include "close" and be among {sorted(allowed)}, not {sorted(values)}.')
    if codes.ndim != 1 or any(array.shape != codes.shape for array in (times, *values.values())):
        raise ValueError("asset_codes, times and every column must be 1-dimensional of one length.")
    if codes.size and (codes.min() < 0 or codes.max() >= number_of_assets):
        raise ValueError(f"asset_codes must be in [0, {number_of_assets}), not [{codes.min()}, {codes.max()}].")
    unordered = np.flatnonzero((codes[1:] < codes[:-1]) | ((codes[1:] == codes[:-1]) & (times[1:] <= times[:-1])))
    if unordered.size:
        row = int(unordered[0]) + 1
        raise ValueError(
            f"Bar {row} (asset {codes[row]}, {_text(times[row])}) does not come after the one before it: sort by "
            "(asset, time) and remove duplicates."
        )
    for name, column in values.items():
        infinite = np.isinf(column)
        if infinite.any():
            row = int(np.flatnonzero(infinite)[0])
            raise ValueError(f"{name} of bar {row} (asset {codes[row]}, {_text(times[row])}) is infinite: correct it.")
    return codes, times, values


def _checked_sessions(session_opens: IntArray, session_closes: IntArray) -> tuple[IntArray, IntArray]:
    opens = np.asarray(session_opens, dtype=np.int64)
    closes = np.asarray(session_closes, dtype=np.int64)
    if opens.ndim != 1 or opens.shape != closes.shape:
        raise ValueError(f"session_opens and session_closes must have one shape, not {opens.shape}, {closes.shape}.")
    if (opens[1:] <= opens[:-1]).any() or (closes[1:] <= closes[:-1]).any() or (opens >= closes).any():
        raise ValueError("Sessions must increase strictly, and each must open before it closes.")
    return opens, closes


def _check_options(rule: str, maximum_fill_sessions: int, tolerance_ns: int) -> None:
    if rule not in ("ffill", "none"):
        raise ValueError(f'rule must be "ffill" or "none", not {rule!r}.')
    if maximum_fill_sessions < 0:
        raise ValueError(f"maximum_fill_sessions must be 0 or more, not {maximum_fill_sessions}.")
    if tolerance_ns < 0:
        raise ValueError(f"tolerance_ns must be 0 or more, not {tolerance_ns}.")


def _text(time: np.int64) -> str:
    """An int64 UTC ns as ISO 8601 with Z."""
    return f"{np.datetime64(int(time), 'ns')}Z"

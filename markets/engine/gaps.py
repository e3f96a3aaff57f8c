"""Which of the instants that a calendar expects are stored, which are missing, and which are stored but not expected.

Instants are int64 microseconds since 1970 in UTC, the resolution of the tables. Only keys are looked at, no values.
"""

import datetime as dt
import re
from dataclasses import dataclass

import numpy as np

NOTHING = np.iinfo(np.int64).min
MICROSECONDS = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
CELLS_AT_ONCE = 20_000_000  # (asset, instant) pairs: 20 MB for the table of what is stored, whatever the assets


@dataclass(frozen=True)
class Gaps:
    """What find_gaps counts, by asset, and the spells of missing instants in the order of (asset, time).

    `expected`, `stored` (those that are expected), `off_session` (stored, but not expected) and `longest` (the
    instants of the longest spell) are (A,) int64; `first` and `last` (A,) int64 the first and last stored instants,
    NOTHING where there is none. A spell is `spell_assets[i]`, from `spell_from[i]` to `spell_to[i]`, both missing, with
    `spell_counts[i]` missing instants: (S,) int64.
    """

    expected: np.ndarray
    stored: np.ndarray
    off_session: np.ndarray
    longest: np.ndarray
    first: np.ndarray
    last: np.ndarray
    spell_assets: np.ndarray
    spell_from: np.ndarray
    spell_to: np.ndarray
    spell_counts: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        return self.expected - self.stored


def step_of(frequency: str) -> dt.timedelta | None:
    """The length of a bar of a frequency such as 1m, 5m, 1h or 1d; None where it is no number of those."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})(m|h|d)", frequency)
    return None if found is None else dt.timedelta(microseconds=int(found[1]) * MICROSECONDS[found[2]])


def bar_edges(
    opens: np.ndarray, closes: np.ndarray, break_starts: np.ndarray, break_ends: np.ndarray, step: int
) -> np.ndarray:
    """The right edges of the bars of `step` microseconds in sessions, ascending and none twice.

    The four arrays are (n,) int64 in the order of the closes; NOTHING in the last two stands for no break. Bars are
    counted from the open, and anew from the end of a break. The last one before a break or the close may be shorter.
    """
    has_break = break_starts != NOTHING
    begin = np.concatenate([opens, break_ends[has_break]])
    end = np.concatenate([np.where(has_break, break_starts, closes), closes[has_break]])
    bars = -(-(end - begin) // step)
    number = np.arange(int(bars.sum())) - np.repeat(np.cumsum(bars) - bars, bars) + 1
    return np.unique(np.minimum(np.repeat(begin, bars) + number * step, np.repeat(end, bars)))


def find_gaps(asset_codes: np.ndarray, times: np.ndarray, *, expected: np.ndarray, starts: np.ndarray) -> Gaps:
    """Compare what is stored with what is expected.

    `asset_codes` and `times` (n,) int64 are the stored keys in any order, none twice; `expected` (m,) int64 the
    ascending instants at which each asset should have a row; `starts` (A,) int64 from when on each asset is expected.
    """
    number_of_assets = len(starts)
    codes = asset_codes
    if (codes[1:] < codes[:-1]).any():
        order = np.argsort(codes, kind="stable")
        codes, times = codes[order], times[order]
    bounds = np.searchsorted(codes, np.arange(number_of_assets + 1))
    rows = np.diff(bounds)
    first = np.full(number_of_assets, NOTHING, dtype=np.int64)
    last = first.copy()
    has_rows = rows > 0
    if len(times):
        first[has_rows] = np.minimum.reduceat(times, bounds[:-1][has_rows])
        last[has_rows] = np.maximum.reduceat(times, bounds[:-1][has_rows])
    begins = np.searchsorted(expected, starts)
    wanted = len(expected) - begins
    stored = np.zeros(number_of_assets, dtype=np.int64)
    spells: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    width = len(expected)
    at_once = max(1, CELLS_AT_ONCE // max(width, 1))
    for low in range(0, number_of_assets if width else 0, at_once):
        high = min(low + at_once, number_of_assets)
        part = slice(bounds[low], bounds[high])
        place = np.minimum(np.searchsorted(expected, times[part]), width - 1)
        is_expected = expected[place] == times[part]
        # One column more than there are instants: it is never missing, so no spell runs into the next asset.
        is_missing = np.ones((high - low, width + 1), dtype=np.bool_)
        is_missing[codes[part][is_expected] - low, place[is_expected]] = False
        is_missing[:, width] = False
        late = np.flatnonzero(begins[low:high])
        for row in late.tolist():
            is_missing[row, : begins[low + row]] = False
        stored[low:high] = wanted[low:high] - is_missing.sum(axis=1)
        flat = np.concatenate([[False], is_missing.ravel()])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        starts_at, ends_before = edges[0::2], edges[1::2]
        spells.append((low + starts_at // (width + 1), starts_at % (width + 1), ends_before % (width + 1)))
    spell_assets, spell_start, spell_stop = (
        np.concatenate([part[place] for part in spells]) if spells else np.empty(0, dtype=np.int64)
        for place in range(3)
    )
    counts = spell_stop - spell_start
    longest = np.zeros(number_of_assets, dtype=np.int64)
    np.maximum.at(longest, spell_assets, counts)
    return Gaps(
        expected=wanted,
        stored=stored,
        off_session=rows - stored,
        longest=longest,
        first=first,
        last=last,
        spell_assets=spell_assets,
        spell_from=expected[spell_start],
        spell_to=expected[spell_stop - 1] if len(spell_stop) else np.empty(0, dtype=np.int64),
        spell_counts=counts,
    )

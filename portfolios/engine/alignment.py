"""Puts signal weights and prices on the rows of a portfolio index, never looking ahead."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NO_TIME = np.iinfo(np.int64).min
"""The int64 that stands for "no time": the bit pattern of numpy's NaT."""


@dataclass(frozen=True, eq=False)
class AlignedSignal:
    """A signal on the T rows of an index, for A assets.

    weights: (T, A) float64, the targets in force; 0 before the first stamp.
    stamp_row: (T,) int64, position of the stamp in force among the given stamps; -1 before the first stamp.
    expired: (T,) bool, the stamp in force is at least `validity` old.
    """

    weights: FloatArray
    stamp_row: IntArray
    expired: BoolArray


@dataclass(frozen=True, eq=False)
class AlignedPrices:
    """The last known price of A assets on the T rows of an index.

    price: (T, A) float64, the last observation at or before the row; NaN where there is none yet.
    source_time: (T, A) int64 UTC ns, when that price was observed; the smallest int64 where there is none.
    is_stale: (T, A) bool, the price was observed before the row's own session; False where there is no price.
    is_missing: (T, A) bool, there is no price, or it is older than the age limit (`price` still holds it).
    """

    price: FloatArray
    source_time: IntArray
    is_stale: BoolArray
    is_missing: BoolArray


def align_signal(
    stamps: IntArray,
    weights: FloatArray,
    index: IntArray,
    *,
    validity: int | None = None,
    expiry: Literal["hold", "liquidate"] = "hold",
) -> AlignedSignal:
    """Give each index row the last stamp at or before it (spec 4.1, 4.2 [MSM]).

    stamps: (S,) int64 UTC ns, strictly increasing. weights: (S, A) float64, each row a complete cross-section: an
    absent asset is 0, NaN is refused. index: (T,) int64 UTC ns, strictly increasing.
    validity: ns for which a stamp is valid, on the half-open interval [stamp, stamp + validity); None is for ever.
    expiry: what an expired row holds: "hold" keeps the weights, "liquidate" targets 0. Both flag the row.

    No index row is ever dropped. Raises ValueError on unsorted times, wrong shapes, weights that are not finite, or
    a validity that is not positive.
    """
    stamps = _increasing_times(stamps, "stamps")
    index = _increasing_times(index, "index")
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[0] != stamps.size:
        raise ValueError(f"weights must have shape ({stamps.size}, assets), one row a stamp, not {weights.shape}.")
    if not np.isfinite(weights).all():
        row, column = np.argwhere(~np.isfinite(weights))[0]
        raise ValueError(
            f"Weight of asset {column} at stamp {row} is {weights[row, column]}: a stamp is a complete cross-section, "
            "give 0 for an asset that is absent."
        )
    if validity is not None and validity <= 0:
        raise ValueError(f"validity must be a positive number of nanoseconds or None, not {validity}.")
    if expiry not in ("hold", "liquidate"):
        raise ValueError(f'expiry must be "hold" or "liquidate", not {expiry!r}.')

    stamp_row = np.searchsorted(stamps, index, side="right").astype(np.int64) - 1
    in_force = stamp_row >= 0
    aligned = np.zeros((index.size, weights.shape[1]))
    aligned[in_force] = weights[stamp_row[in_force]]
    expired = np.zeros(index.size, dtype=np.bool_)
    if validity is not None:
        expired[in_force] = index[in_force] - stamps[stamp_row[in_force]] >= validity
        if expiry == "liquidate":
            aligned[expired] = 0.0
    return AlignedSignal(weights=aligned, stamp_row=stamp_row, expired=expired)


def align_prices(
    asset_codes: IntArray,
    times: IntArray,
    values: FloatArray,
    index: IntArray,
    *,
    number_of_assets: int,
    maximum_age_sessions: int = 5,
    sessions: IntArray | None = None,
) -> AlignedPrices:
    """Give each (index row, asset) its last price at or before the row (spec 6.3 [MSM]).

    asset_codes: (N,) int64 in [0, number_of_assets). times: (N,) int64 UTC ns. values: (N,) float64. The three are
    sorted by (code, time) without duplicates; a NaN value is no observation, an infinite one is refused.
    index: (T,) int64 UTC ns, strictly increasing.
    sessions: (K,) int64 UTC ns, strictly increasing session closes that contain every index row; None means `index`.

    Session k is the interval (sessions[k - 1], sessions[k]]; what was observed before sessions[0] counts as observed
    in session 0. The age of a price is the number of sessions between the one it was observed in and the row's own.
    - `is_stale`: age above 0. On a row at sessions[0], where nothing says when the session began, a price observed
      before the close itself is stale.
    - `is_missing`: no price yet, or age above `maximum_age_sessions`. A price missing by age stays in `price`.

    Ages of a slice of an index equal those of the whole only if `sessions` reaches back at least
    maximum_age_sessions + 1 sessions before the slice, and `times` as far back as the prices that are held.
    Raises ValueError on unsorted or duplicate keys, codes out of range, infinite values, index rows that are not
    sessions.
    """
    index = _increasing_times(index, "index")
    codes, times, values = _observations(asset_codes, times, values, number_of_assets)
    if maximum_age_sessions < 0:
        raise ValueError(f"maximum_age_sessions must be 0 or more, not {maximum_age_sessions}.")
    sessions = index if sessions is None else _increasing_times(sessions, "sessions")
    session_of_row = np.searchsorted(sessions, index)
    known = session_of_row < sessions.size
    if not known.all() or not np.array_equal(sessions[session_of_row], index):
        unknown = index[~known] if not known.all() else index[sessions[session_of_row] != index]
        raise ValueError(f"{unknown.size} index rows are not among the sessions, the first is {_text(unknown[0])}.")

    row = np.searchsorted(index, times)
    observed_in = row if sessions is index else np.searchsorted(sessions, times)
    usable = ~np.isnan(values) & (row < index.size)
    if not usable.all():
        codes, times, values = codes[usable], times[usable], values[usable]
        row, observed_in = row[usable], observed_in[usable]

    # Each row's last observation is scattered to its cell, then carried down the rows. Position -1 reads the sentinel.
    last_of_cell = np.ones(codes.size, dtype=np.bool_)
    last_of_cell[:-1] = (codes[1:] != codes[:-1]) | (row[1:] != row[:-1])
    position = np.full((index.size, number_of_assets), -1, dtype=np.int64)
    position[row[last_of_cell], codes[last_of_cell]] = np.flatnonzero(last_of_cell)
    np.maximum.accumulate(position, axis=0, out=position)

    price = np.append(values, np.nan)[position]
    source_time = np.append(times, NO_TIME)[position]
    age = session_of_row[:, None] - np.append(observed_in, 0)[position]
    none_yet = position < 0
    is_stale = (age > 0) & ~none_yet
    at_first_session = session_of_row == 0
    is_stale[at_first_session] = (source_time < index[:, None])[at_first_session] & ~none_yet[at_first_session]
    return AlignedPrices(
        price=price,
        source_time=source_time,
        is_stale=is_stale,
        is_missing=none_yet | (age > maximum_age_sessions),
    )


def _observations(
    asset_codes: IntArray, times: IntArray, values: FloatArray, number_of_assets: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """The three long arrays, checked: one length, codes in range, sorted by (code, time), no infinity."""
    codes = np.asarray(asset_codes, dtype=np.int64)
    times = np.asarray(times, dtype=np.int64)
    values = np.asarray(values, dtype=np.float64)
    if codes.ndim != 1 or codes.shape != times.shape or codes.shape != values.shape:
        raise ValueError(
            f"asset_codes, times and values must be 1-dimensional of one length, not {codes.shape}, {times.shape}, "
            f"{values.shape}."
        )
    if codes.size and (codes.min() < 0 or codes.max() >= number_of_assets):
        raise ValueError(f"asset_codes must be in [0, {number_of_assets}), not [{codes.min()}, {codes.max()}].")
    ordered = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (times[1:] > times[:-1]))
    if not ordered.all():
        first = int(np.flatnonzero(~ordered)[0]) + 1
        raise ValueError(
            f"Observation {first} (asset {codes[first]}, {_text(times[first])}) does not come after the one before it: "
            "sort by (asset, time) and remove duplicates."
        )
    infinite = np.isinf(values)
    if infinite.any():
        first = int(np.flatnonzero(infinite)[0])
        raise ValueError(
            f"The value of asset {codes[first]} at {_text(times[first])} is infinite: correct it, or give NaN for "
            "no observation."
        )
    return codes, times, values


def _increasing_times(times: IntArray, name: str) -> IntArray:
    """The times as a 1-dimensional int64 array, checked to increase strictly."""
    array = np.asarray(times, dtype=np.int64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-dimensional, not {array.ndim}-dimensional.")
    wrong = np.flatnonzero(array[1:] <= array[:-1])
    if wrong.size:
        first = int(wrong[0]) + 1
        raise ValueError(f"{name} must increase strictly: {_text(array[first])} follows {_text(array[first - 1])}.")
    return array


def _text(time: np.int64) -> str:
    """An int64 UTC ns as ISO 8601 with Z."""
    return f"{np.datetime64(int(time), 'ns')}Z"

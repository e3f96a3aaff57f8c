"""Signals that are computed from membership alone."""

import numpy as np

from portfolios.engine.alignment import BoolArray, FloatArray, IntArray


def membership_at(
    stamps: IntArray, asset_codes: IntArray, starts: IntArray, ends: IntArray, *, number_of_assets: int
) -> BoolArray:
    """Who belongs at each stamp: the assets with a spell [start, end) that holds it.

    stamps: (S,) int64, ascending. asset_codes, starts, ends: (n,) int64, one spell each, those of one asset disjoint.
    Returns (S, A) bool.
    """
    steps = np.zeros((len(stamps) + 1, number_of_assets), dtype=np.int32)
    np.add.at(steps, (np.searchsorted(stamps, starts), asset_codes), 1)
    np.add.at(steps, (np.searchsorted(stamps, ends), asset_codes), -1)
    return steps.cumsum(axis=0)[:-1] > 0


def equal_weights(membership: BoolArray) -> FloatArray:
    """1/n for each of the n members of a row, 0 for everyone else (spec 4.3, EqualWeights [MSM]).

    membership: (S, A) bool. Returns (S, A) float64; a row without members is all 0 (cash).
    Raises ValueError when membership is not a 2-dimensional array of booleans.
    """
    membership = _checked(membership)
    members = membership.sum(axis=1, keepdims=True)
    return np.where(membership, 1.0 / np.maximum(members, 1), 0.0)


def changed_rows(membership: BoolArray) -> BoolArray:
    """The rows to stamp again: the first, and each that differs from the row before it (spec 4.3 [MSM]).

    membership: (S, A) bool. Returns (S,) bool. Raises ValueError as `equal_weights` does.
    """
    membership = _checked(membership)
    changed = np.ones(membership.shape[0], dtype=np.bool_)
    changed[1:] = (membership[1:] != membership[:-1]).any(axis=1)
    return changed


def _checked(membership: BoolArray) -> BoolArray:
    array = np.asarray(membership)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise ValueError(
            f"membership must be a (rows, assets) array of bool, not {array.dtype} of shape {array.shape}."
        )
    return array

"""Signals that are computed from membership alone."""

import numpy as np

from portfolios.engine.alignment import BoolArray, FloatArray


def equal_weights(membership: BoolArray) -> FloatArray:
    """1/n for each of the n members of a row, 0 for everyone else (spec 4.3, EqualWeights [MSM]).

    membership: (S, A) bool. Returns (S, A) float64; a row without members is all 0 (cash).
    Raises ValueError when membership is not a 2-dimensional array of booleans.
    """
    membership = _checked(membership)
    members = membership.sum(axis=1, keepdims=True)
    return np.where(membership, 1.0 / np.maximum(members, 1), 0.0)


def _checked(membership: BoolArray) -> BoolArray:
    array = np.asarray(membership)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise ValueError(
            f"membership must be a (rows, assets) array of bool, not {array.dtype} of shape {array.shape}."
        )
    return array

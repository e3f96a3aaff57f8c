"""Turns an aligned signal into the targets that a portfolio executes, row by row."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from portfolios.engine.alignment import AlignedSignal, BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class RebalanceTargets:
    """What to hold after each of T rows, for A assets.

    weights: (T, A) float64, the targets. rebalanced: (T,) bool, a new stamp (or its expiry into cash) takes effect on
    the row: the `rebalanced` of `value_portfolio`. expired: (T,) bool, the stamp behind the targets had expired.
    """

    weights: FloatArray
    rebalanced: BoolArray
    expired: BoolArray


@dataclass(frozen=True)
class ImmediateSignal:
    """Executes the whole target at once (spec 5, ImmediateSignal).

    fill: "same_bar" trades at the price of the row that the signal is aligned to; "next_bar" one row later, for a
    signal computed from the very price it would otherwise trade at.
    """

    fill: Literal["same_bar", "next_bar"] = "same_bar"

    def __post_init__(self) -> None:
        if self.fill not in ("same_bar", "next_bar"):
            raise ValueError(f'fill must be "same_bar" or "next_bar", not {self.fill!r}.')

    @property
    def rows_before(self) -> int:
        """How many index rows before its first one a resumed run must align, to see what a full run sees."""
        return 1 if self.fill == "same_bar" else 2

    def target(self, signal: AlignedSignal, *, skip: int = 0) -> RebalanceTargets:
        """The targets of the rows of `signal` from row `skip` on.

        A first run gives skip=0: what precedes its first row is "no signal". A run that resumes aligns its index with
        the `rows_before` rows before it in front, and skips them; then any slicing gives the rows of the full run.
        Raises ValueError when `skip` is not in [0, T].
        """
        rows, number_of_assets = signal.weights.shape
        if not 0 <= skip <= rows:
            raise ValueError(f"skip must be in [0, {rows}], the rows of the signal, not {skip}.")
        delay = 0 if self.fill == "same_bar" else 1
        # One or two rows of "no signal" in front: the delay of the fill, and something to compare the first row with.
        weights = np.concatenate([np.zeros((delay + 1, number_of_assets)), signal.weights])[: rows + 1]
        stamp_row = np.concatenate([np.full(delay + 1, -1, dtype=np.int64), signal.stamp_row])[: rows + 1]
        expired = np.concatenate([np.zeros(delay, dtype=np.bool_), signal.expired])[:rows]
        rebalanced = (stamp_row[1:] != stamp_row[:-1]) | (weights[1:] != weights[:-1]).any(axis=1)
        return RebalanceTargets(weights=weights[1 + skip :], rebalanced=rebalanced[skip:], expired=expired[skip:])

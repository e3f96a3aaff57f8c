"""Between pandas' MultiIndex of (time_index, …, identifier) and integer codes, without a Python string a row."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def codes_and_times(frame: pd.DataFrame, identifiers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of each row, its last level's position in `identifiers` (n,) int64 and its time (n,) int64 UTC ns.

    The frame is indexed by time_index (datetime64[ns, UTC]) first. Raises KeyError for an identifier not listed.
    """
    index = frame.index
    position = {name: place for place, name in enumerate(identifiers)}
    place_of_label = np.array([position[name] for name in index.levels[-1]], dtype=np.int64)
    return place_of_label[index.codes[-1]], index.levels[0].asi8[index.codes[0]]


def sorted_by_identifier(frame: pd.DataFrame, identifiers: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes and times (n,) sorted by (code, time), and the order (n,) that sorts the frame's columns alike.

    The frame is ordered by time, as every read gives it.
    """
    codes, times = codes_and_times(frame, identifiers)
    order = np.argsort(codes, kind="stable")
    return codes[order], times[order], order


def index_of_codes(names: Sequence[str], levels: Sequence[object], codes: Sequence[np.ndarray]) -> pd.MultiIndex:
    """A MultiIndex from its levels and each row's codes into them."""
    return pd.MultiIndex(levels=levels, codes=codes, names=list(names), verify_integrity=False)

"""Small builders that the tests of the portfolio engine share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from portfolios.engine.alignment import AlignedPrices, align_prices

DAY = 86_400_000_000_000
NAN = float("nan")


def at(text: str) -> int:
    """UTC ns of an ISO 8601 time without zone."""
    return int(np.datetime64(text, "ns").astype(np.int64))


def days(first: str, number: int) -> npt.NDArray[np.int64]:
    """Midnights, one a day."""
    return at(first) + DAY * np.arange(number, dtype=np.int64)


def priced(index: npt.NDArray[np.int64], *series: Sequence[float], **options: Any) -> AlignedPrices:
    """Prices observed exactly on the index, one series an asset, NaN for no observation."""
    return align_prices(
        np.repeat(np.arange(len(series)), index.size),
        np.tile(index, len(series)),
        np.array(series, dtype=np.float64).ravel(),
        index,
        number_of_assets=len(series),
        **options,
    )


def same_bits(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> bool:
    """Equal to the last bit, the signs of zeros and NaN included."""
    return left.shape == right.shape and np.array_equal(
        np.ascontiguousarray(left).view(np.uint64), np.ascontiguousarray(right).view(np.uint64)
    )

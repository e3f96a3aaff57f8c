"""Thins out long series for drawing, so that what is seen stays the same."""

import numpy as np

MOST_POINTS = 4_000  # two for each pixel of a very wide window; ten times as many draw slowly and look the same


def visible_rows(times: np.ndarray, values: np.ndarray, most_points: int = MOST_POINTS) -> np.ndarray:
    """Rows (int64, increasing) of a line that looks like the whole one: the ends, and each pixel's least and greatest.

    times: (N,) integers, increasing. values: (N,) floats, NaN where there is a gap; a pixel that has a gap keeps one.
    At most `most_points` rows come back where there is no gap, all of them when there are no more than that.
    """
    times = np.asarray(times, dtype=np.int64)
    values = np.asarray(values, dtype=np.float64)
    if times.shape != values.shape or times.ndim != 1:
        raise ValueError(f"times and values must be 1-dimensional of one length, not {times.shape} and {values.shape}.")
    if most_points < 4:
        raise ValueError(f"most_points must be at least 4, not {most_points}.")
    if len(times) <= most_points:
        return np.arange(len(times))
    pixels = (most_points - 2) // 2
    share = (times - times[0]).astype(np.float64) / float(times[-1] - times[0] or 1)
    pixel = np.minimum((share * pixels).astype(np.int64), pixels - 1)
    order = np.lexsort((values, pixel))  # NaN sorts last within its pixel
    order = order[~np.isnan(values[order])]
    gaps = np.flatnonzero(np.isnan(values))
    _, first_gaps = np.unique(pixel[gaps], return_index=True)
    sorted_pixel = pixel[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = sorted_pixel[1:] != sorted_pixel[:-1]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = is_first[1:]
    return np.unique(np.concatenate([[0, len(times) - 1], order[is_first], order[is_last], gaps[first_gaps]]))


def evenly_spaced_rows(number_of_rows: int, most_rows: int) -> np.ndarray:
    """At most `most_rows` rows of a table, evenly spaced, the first and the last among them."""
    if number_of_rows <= most_rows:
        return np.arange(number_of_rows)
    return np.unique(np.linspace(0, number_of_rows - 1, most_rows).round().astype(np.int64))

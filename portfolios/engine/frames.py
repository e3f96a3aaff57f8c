"""Moves values between long form, one row a (time, asset), and wide form, a (time, asset) matrix."""

from typing import Any

import numpy as np
import numpy.typing as npt

from portfolios.engine.alignment import FloatArray, IntArray


def long_to_wide(
    row_codes: IntArray,
    column_codes: IntArray,
    values: FloatArray,
    shape: tuple[int, int],
    *,
    fill: float = np.nan,
) -> FloatArray:
    """Scatter N long values into a (rows, columns) float64 matrix; cells without a value hold `fill`.

    row_codes, column_codes: (N,) int64 positions, in any order. values: (N,) float64.
    Raises ValueError on different lengths, codes outside `shape`, or two values for one cell.
    """
    rows = np.asarray(row_codes, dtype=np.int64)
    columns = np.asarray(column_codes, dtype=np.int64)
    values = np.asarray(values, dtype=np.float64)
    if rows.ndim != 1 or rows.shape != columns.shape or rows.shape != values.shape:
        raise ValueError(
            f"row_codes, column_codes and values must be 1-dimensional of one length, not {rows.shape}, "
            f"{columns.shape}, {values.shape}."
        )
    for name, codes, size in (("row_codes", rows, shape[0]), ("column_codes", columns, shape[1])):
        if codes.size and (codes.min() < 0 or codes.max() >= size):
            raise ValueError(f"{name} must be in [0, {size}), not [{codes.min()}, {codes.max()}].")
    cells = rows * shape[1] + columns
    taken = np.zeros(shape[0] * shape[1], dtype=np.bool_)
    taken[cells] = True
    if int(taken.sum()) != cells.size:
        repeated = int(np.flatnonzero(np.bincount(cells) > 1)[0])
        row, column = divmod(repeated, shape[1])
        raise ValueError(f"Two values for row {row}, column {column}: remove the duplicates first.")
    wide = np.full(shape[0] * shape[1], fill, dtype=np.float64)
    wide[cells] = values
    return wide.reshape(shape)


def wide_to_long(
    row_labels: npt.NDArray[Any], column_labels: npt.NDArray[Any], *values: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], ...]:
    """Unroll (T, A) matrices, row by row, to (T * A,) arrays under one pair of labels.

    row_labels: (T,) any dtype. column_labels: (A,) any dtype. values: matrices (T, A) of any dtypes.
    Returns (row label, column label, *values), each (T * A,). Raises ValueError when a matrix has another shape.
    """
    shape = (row_labels.size, column_labels.size)
    for position, matrix in enumerate(values):
        if matrix.shape != shape:
            raise ValueError(f"Matrix {position} must have the shape of the labels, {shape}, not {matrix.shape}.")
    return (
        np.repeat(row_labels, shape[1]),
        np.tile(column_labels, shape[0]),
        *(np.ravel(matrix, order="C") for matrix in values),
    )

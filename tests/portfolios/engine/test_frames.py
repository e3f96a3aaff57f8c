"""Long to wide and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from portfolios.engine.frames import long_to_wide, wide_to_long
from tests.portfolios.engine.builders import same_bits


def test_scatter_in_any_order_leaves_gaps_filled() -> None:
    wide = long_to_wide(np.array([1, 0]), np.array([0, 2]), np.array([5.0, 7.0]), (2, 3), fill=0.0)
    assert wide.tolist() == [[0, 0, 7], [5, 0, 0]]
    assert np.isnan(long_to_wide(np.array([1]), np.array([0]), np.array([5.0]), (2, 1))[0, 0])


def test_unrolls_row_by_row_under_the_labels() -> None:
    rows, columns, values, flags = wide_to_long(
        np.array([10, 20]), np.array(["a", "b"]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.eye(2, dtype=bool)
    )
    assert rows.tolist() == [10, 10, 20, 20]
    assert columns.tolist() == ["a", "b", "a", "b"]
    assert values.tolist() == [1, 2, 3, 4]
    assert flags.tolist() == [True, False, False, True]


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0), elements=st.floats(-9, 9)))
def test_there_and_back(wide: np.ndarray) -> None:
    rows, columns, values = wide_to_long(np.arange(wide.shape[0]), np.arange(wide.shape[1]), wide)
    assert same_bits(long_to_wide(rows, columns, values, wide.shape), wide)


@pytest.mark.parametrize(
    ("rows", "columns", "values", "message"),
    [
        ([0, 0], [1, 1], [1.0, 2.0], "Two values for row 0, column 1"),
        ([2], [0], [1.0], r"row_codes must be in \[0, 2\)"),
        ([0], [-1], [1.0], r"column_codes must be in \[0, 2\)"),
        ([0, 1], [0], [1.0], "of one length"),
    ],
)
def test_refusals(rows: list[int], columns: list[int], values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        long_to_wide(np.array(rows), np.array(columns), np.array(values), (2, 2))


def test_a_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Matrix 1 must have the shape of the labels, \(1, 2\), not \(2, 1\)"):
        wide_to_long(np.arange(1), np.arange(2), np.ones((1, 2)), np.ones((2, 1)))

"""Equal weights."""

import numpy as np
import pytest

from portfolios.engine.signals import equal_weights

MEMBERSHIP = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1]], dtype=bool)


def test_each_member_has_one_nth_and_nobody_means_cash() -> None:
    assert equal_weights(MEMBERSHIP).tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [1 / 3] * 3, [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("wrong", [np.ones((2, 2)), np.ones(2, dtype=bool)])
def test_only_a_matrix_of_booleans_is_membership(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="membership must be a"):
        equal_weights(wrong)

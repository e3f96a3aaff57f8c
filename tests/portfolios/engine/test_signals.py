"""Equal weights."""

import numpy as np
import pytest

from portfolios.engine.signals import changed_rows, equal_weights, membership_at

MEMBERSHIP = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1]], dtype=bool)


def test_each_member_has_one_nth_and_nobody_means_cash() -> None:
    assert equal_weights(MEMBERSHIP).tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [1 / 3] * 3, [0, 0, 0], [0, 0, 1]]


def test_stamps_are_the_first_row_and_each_change() -> None:
    assert changed_rows(MEMBERSHIP).tolist() == [True, False, True, True, True]
    assert changed_rows(MEMBERSHIP[:0]).tolist() == []


def test_a_spell_holds_from_its_start_to_before_its_end() -> None:
    members = membership_at(
        np.array([10, 20, 30, 40]),
        np.array([0, 0, 1, 2, 2]),
        np.array([5, 30, 11, 20, 40]),
        np.array([20, 2**62, 19, 40, 50]),
        number_of_assets=4,
    )
    assert members.astype(int).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]]
    nothing = np.array([], dtype=np.int64)
    assert membership_at(np.array([1]), nothing, nothing, nothing, number_of_assets=0).shape == (1, 0)


@pytest.mark.parametrize("wrong", [np.ones((2, 2)), np.ones(2, dtype=bool)])
def test_only_a_matrix_of_booleans_is_membership(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="membership must be a"):
        equal_weights(wrong)

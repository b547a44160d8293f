"""Macro-F1 by hand, its interval, and the matrix that both come from."""

import numpy as np
import pytest

from modules.metrics.classification import accuracy, confusion_matrix, macro_f1, macro_f1_interval


def test_the_matrix_has_true_classes_in_its_rows():
    confusion = confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert accuracy(confusion) == 0.5
    # F1 of 2/3, of 2/4 and of 0
    assert macro_f1(confusion) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_a_class_that_is_neither_there_nor_said_counts_nothing():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert macro_f1(confusion) == pytest.approx(macro_f1(confusion[:2, :2]))


def test_the_interval_narrows_with_more_items():
    confusion = np.array([[40, 10], [20, 30]])
    few, many = macro_f1_interval(confusion), macro_f1_interval(100 * confusion)
    assert few[0] < many[0] < macro_f1(confusion) < many[1] < few[1]
    assert (few[1] - few[0]) == pytest.approx(10 * (many[1] - many[0]), rel=0.1)

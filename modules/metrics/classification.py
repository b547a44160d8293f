"""How well classes were told apart: the confusion matrix, macro-F1, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Num


def confusion_matrix(true: Sequence[int], said: Sequence[int], classes: int) -> Int[np.ndarray, "K K"]:
    """Returns how often each class (row) was taken for each (column).

    Args:
        true: Number of the class of each item.
        said: What a system took each for.
        classes: How many there are, K.
    """
    cells = np.asarray(true, np.int64) * classes + np.asarray(said, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def macro_f1(confusion: Num[np.ndarray, "*N K K"]) -> Float[np.ndarray, "*N"]:
    """Returns the mean over the classes of F1 = 2 TP / (2 TP + FP + FN).

    Every class counts alike, however rare; one that is neither there nor said is left out.

    Args:
        confusion: Rows are true classes, columns what was said.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(-1) + confusion.sum(-2)  # 2 TP + FP + FN
    is_there = both > 0
    f1 = np.divide(2 * right, both, out=np.zeros(both.shape), where=is_there)
    return np.asarray(f1.sum(-1) / np.maximum(is_there.sum(-1), 1))


def accuracy(confusion: Num[np.ndarray, "K K"]) -> float:
    """Returns the share of the items whose class was found."""
    return float(np.trace(confusion) / max(1, confusion.sum()))


def macro_f1_interval(
    confusion: Int[np.ndarray, "K K"], samples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Returns the 95 % percentile interval of macro-F1 when the items are drawn again with replacement.

    Args:
        confusion: Of at least one item.
        samples: How often they are drawn.
        seed: Of the draws.
    """
    items = int(confusion.sum())
    # of items drawn with replacement the cells are multinomial
    drawn = np.random.default_rng(seed).multinomial(items, confusion.ravel() / items, size=samples)
    low, high = np.percentile(macro_f1(drawn.reshape(samples, *confusion.shape)), [2.5, 97.5])
    return float(low), float(high)

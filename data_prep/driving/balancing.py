"""How often each clip is drawn in training, so that straight driving does not drown the curves."""

from __future__ import annotations

import numpy as np

# Quantiles of the clips' mean angle, without its sign, that part them: the straighter half, and ever smaller
# parts of ever sharper curves. Quantiles know no unit: radians and shares of full lock do alike.
QUANTILES = (0.5, 0.75, 0.9, 0.97)


def clip_weights(mean_angles: np.ndarray, strength: float) -> np.ndarray:
    """Returns the weight of each clip (N,), with mean 1.

    weight = (1 / share of the clip's part)^strength: 0 leaves all alike, 1 draws every part equally often.

    Args:
        mean_angles: mean of |angle| over each clip (N,); NaN where unknown, which counts as the straightest.
        strength: between 0 and 1.
    """
    size = np.nan_to_num(np.abs(mean_angles))
    # where many clips share an angle, as 0 on a keyboard, some parts are empty
    edges = np.unique(np.quantile(size, QUANTILES))
    part = np.searchsorted(edges, size, side="left")
    share = np.bincount(part, minlength=len(edges) + 1)[part] / len(size)
    weights = share**-strength
    return weights / weights.mean()

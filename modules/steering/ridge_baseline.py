"""The trivial model worth beating: ridge regression on how far the picture moved sideways of late.

A car that turns pans its camera: the sideways shift of a strip around the horizon from frame to frame is
close to the rate of turning. The last few of them give the angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from modules.errors import check_ranges


@dataclass(frozen=True)
class RidgeBaseline:
    """Angles from the last image shifts: `angle = w . [shift_t, ..., shift_{t-9}] + b`.

    Args:
        shifts: How many shifts are looked at.
        penalty: Weight lambda of |w|^2, with standardised shifts.
    """

    shifts: int = 10
    penalty: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, "ridge", positive=("shifts",), not_negative=("penalty",))

    def last_shifts(self, shifts: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N K"]:
        """Returns the last K shifts at every frame of one unbroken stretch, zeros before its first.

        Args:
            shifts: Of each frame from the one before it, 0 at the first.
        """
        result = np.zeros((len(shifts), self.shifts))
        for back in range(min(self.shifts, len(shifts))):
            result[back:, back] = shifts[: len(shifts) - back]
        return result

    def fit(self, features: Float[np.ndarray, "N K"], angles_rad: Float[np.ndarray, " N"]) -> RidgeWeights:
        """Returns the weights of least squared error plus penalty; frames without an angle are left out."""
        known = np.isfinite(angles_rad)
        x, y = features[known], angles_rad[known]
        mean, std = x.mean(0), x.std(0)
        std = np.where(std > 0, std, 1.0)
        scaled = (x - mean) / std
        gram = scaled.T @ scaled + self.penalty * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, scaled.T @ (y - y.mean())) / std
        return RidgeWeights(weights.tolist(), float(y.mean() - weights @ mean))


@dataclass(frozen=True)
class RidgeWeights:
    """A fitted ridge regression.

    Attributes:
        weights: One a feature.
        bias_rad: Angle where nothing moves.
    """

    weights: Sequence[float]
    bias_rad: float

    def predict(self, features: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " N"]:
        """Returns angles in radians."""
        return features @ np.asarray(self.weights) + self.bias_rad

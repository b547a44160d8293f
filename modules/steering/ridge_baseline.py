"""The trivial model worth beating: ridge regression on how far the picture moved sideways of late.

A car that turns pans its camera: the sideways shift of a strip around the horizon from frame to frame is
close to the rate of turning. The last few of them give the angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from modules.encoders.motion import ImageShifts
from modules.errors import check_ranges
from modules.steering.free_running import pieces, stretches


@dataclass(frozen=True)
class RidgeBaseline:
    """Angles from the last image shifts: `angle = w . [shift_t, ..., shift_{t-9}] + b`.

    Args:
        shifts: How many shifts are looked at.
        penalty: Weight lambda of |w|^2, with standardised shifts.
        strip: First and last row of the strip, as shares of the frame's height.
        most_shift: Largest shift from one frame to the next, as a share of the frame's width.
    """

    shifts: int = 10
    penalty: float = 1.0
    strip: tuple[float, float] = (0.2, 0.6)
    most_shift: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, "ridge", positive=("shifts", "most_shift"), not_negative=("penalty",))

    def features(self, frames: UInt8[np.ndarray, "N 3 H W"], starts: np.ndarray) -> Float[np.ndarray, "N K"]:
        """Returns the last shifts at every frame in shares of the width, zeros before the first of a drive.

        Args:
            frames: RGB bytes in time order; a memory map too.
            starts: True at the first frame of a drive and after each gap (N,).
        """
        motion = ImageShifts([self.strip], self.most_shift)
        result = np.zeros((len(frames), self.shifts))
        for first, end in stretches(starts):
            # the first frame is its own predecessor: no shift
            parts = [motion(piece.unsqueeze(0)) for piece in pieces(frames, first, end, 1, 64)]
            result[first:end] = self.last_shifts(torch.cat(parts, dim=1)[0, :, 0].numpy())
        return result

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
        weights: One a shift.
        bias_rad: Angle where nothing moves.
    """

    weights: Sequence[float]
    bias_rad: float

    def predict(self, features: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " N"]:
        """Returns angles in radians."""
        return features @ np.asarray(self.weights) + self.bias_rad

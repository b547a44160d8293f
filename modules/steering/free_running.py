"""What a model predicted of whole drives, free-running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class DrivesPredicted:
    """What one free-running pass over a split gives.

    Attributes:
        rows: Rows of the drive table (N,).
        outputs: angle_rad (torque, speed_mps; or throttle) predicted (N, O).
        targets: True angle_rad, torque, speed_mps and throttle (N, 4), NaN where unknown.
    """

    rows: np.ndarray
    outputs: np.ndarray
    targets: np.ndarray

    @classmethod
    def merge(cls, parts: Sequence[DrivesPredicted]) -> DrivesPredicted:
        """Returns all parts in the order of the table, each row once."""
        rows, order = np.unique(np.concatenate([part.rows for part in parts]), return_index=True)
        outputs = np.concatenate([part.outputs for part in parts])[order]
        targets = np.concatenate([part.targets for part in parts])[order]
        return cls(rows, outputs, targets)

    def scores(self) -> dict[str, float]:
        """Returns rmse_rad and mae_rad of the angles where the truth is known; NaN if it is nowhere."""
        error = self.outputs[:, 0].astype(np.float64) - self.targets[:, 0]
        error = error[np.isfinite(self.targets[:, 0])]
        if not len(error):
            return {"rmse_rad": float("nan"), "mae_rad": float("nan")}
        return {"rmse_rad": float(np.sqrt(np.mean(error**2))), "mae_rad": float(np.mean(np.abs(error)))}

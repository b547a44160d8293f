"""Whole drives in time order: cut at gaps and taken in pieces, and what a model predicted of them.

Every frame is read once, and once more where it is context of the next piece, however long windows are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FrameArray = np.ndarray | Tensor  # RGB bytes (N, 3, H, W), a memory map too, or features (N, D)


@dataclass
class DrivesPredicted:
    """What one free-running pass over a split gives.

    Attributes:
        rows: Rows of the drive table (N,).
        outputs: angle_rad (torque, speed_mps) predicted (N, O).
        targets: The true ones (N, 3), NaN where unknown.
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


def stretches(starts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields first frame and end of each unbroken stretch.

    Args:
        starts: True at the first frame of a drive and after each gap (N,); the first frame of all is one.
    """
    begins = np.flatnonzero(starts)
    if len(starts) and (len(begins) == 0 or begins[0] != 0):
        begins = np.concatenate([[0], begins])
    yield from zip(begins.tolist(), [*begins[1:].tolist(), len(starts)], strict=True)


def pieces(frames: FrameArray, first: int, end: int, context: int, chunk: int) -> Iterator[Tensor]:
    """Yields a stretch in pieces of at most `chunk` frames (context + n, ...), each after its context.

    Args:
        frames: All frames, or their features.
        first: The stretch's first frame, which stands in for those before it.
        end: Behind its last frame.
        context: Frames before each piece.
        chunk: Frames of a piece.
    """
    for begin in range(first, end, chunk):
        index = np.arange(begin - context, min(begin + chunk, end)).clip(min=first)
        piece = frames[index]
        yield piece if isinstance(piece, Tensor) else torch.from_numpy(np.ascontiguousarray(piece))

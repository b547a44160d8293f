"""Clips as batches: frames or features, targets, and what of them counts."""

from __future__ import annotations

import numpy as np
import torch

from data_prep.driving.augmentation import AugmentationOptions, ClipAugmentation, side_camera_targets
from data_prep.driving.features import DriveFeatures
from data_prep.driving.frames import FrameCache
from data_prep.driving.table import DriveTable
from data_prep.driving.windows import ClipPlan
from modules.steering.batch import ClipBatch


class StoredFrames:
    """Frames of a table from the cache, by their rows.

    Args:
        cache: holds the frames.
        stored: row of each frame in it (N,).
    """

    def __init__(self, cache: FrameCache, stored: np.ndarray) -> None:
        self.cache, self.stored = cache, stored

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns RGB bytes (S, 3, H, W) of rows (S,)."""
        return self.cache.read(self.stored[rows])


class ClipDataset:
    """Takes the plan of a batch and returns the batch.

    Args:
        table: the drives.
        inputs: frames or features of its rows.
        length: frames to predict in a clip.
        options: where side cameras stand.
        augmentation: what varies a training clip; none for evaluation and for features.
    """

    def __init__(
        self,
        table: DriveTable,
        inputs: StoredFrames | DriveFeatures,
        length: int,
        options: AugmentationOptions,
        augmentation: ClipAugmentation | None = None,
    ) -> None:
        self.targets, self.cameras = table.targets(), table.camera
        self.inputs, self.length = inputs, length
        self.options, self.augmentation = options, augmentation

    def __getitem__(self, plan: ClipPlan) -> ClipBatch:
        frames, targets = [], []
        for rows, is_padding, seed in zip(plan.rows, plan.is_padding, plan.draws, strict=True):
            clip = self.inputs.read(rows)  # (S, ...)
            truth = self.targets[rows[-self.length :]].copy()  # (T, 3)
            truth = side_camera_targets(truth, self.cameras[rows[0]], self.options)
            if self.augmentation is not None:
                clip, truth = self.augmentation(clip, truth, int(seed))
            truth[is_padding[-self.length :]] = np.nan
            frames.append(clip)
            targets.append(truth)
        valid = ~plan.is_padding[:, -self.length :]
        return ClipBatch(
            frames=torch.from_numpy(np.stack(frames)),
            targets=torch.from_numpy(np.stack(targets).astype(np.float32)),
            valid=torch.from_numpy(valid),
            resets=torch.from_numpy(plan.resets),
            rows=torch.from_numpy(np.where(valid, plan.rows[:, -self.length :], -1)),
        )

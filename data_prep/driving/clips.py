"""Clips as batches: frames or features, targets, and what of them counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from data_prep.driving.augmentation import AugmentationOptions, ClipAugmentation, side_camera_targets
from data_prep.driving.features import DriveFeatures
from data_prep.driving.frames import FrameCache
from data_prep.driving.table import DriveTable
from data_prep.driving.windows import ClipPlan
from modules.steering.batch import ClipBatch


@dataclass
class Prepared:
    """What one model's data come to.

    Args:
        table: the drives, cut, with labels as the model learns them: all angles on the scale of one car, and
            of the frame that it looks for. Rows of batches count in it.
        frames: the cache that holds their frames.
        stored: row of each frame in it (N,).
        split: train, val, test or guard, for every row (N,).
        recorded: the same drives with their labels as they were recorded.
        cars: factor by which each car's angles were multiplied.
    """

    table: DriveTable
    frames: FrameCache
    stored: np.ndarray
    split: np.ndarray
    recorded: DriveTable
    cars: dict[str, float]

    def own_unit(self) -> tuple[DriveTable, float]:
        """Returns the table that scores are of, and by what the model's angles are divided for it.

        Drives of one car are scored in its own unit, those of several on the scale of the first.
        """
        cars = set(self.table.car.tolist())
        factor = self.cars.get(cars.pop(), 1.0) if len(cars) == 1 else 1.0
        return replace(self.table, angle_rad=self.table.angle_rad / factor), factor


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
        scored: the camera whose angles stay as they were driven.
    """

    def __init__(
        self,
        table: DriveTable,
        inputs: StoredFrames | DriveFeatures,
        length: int,
        options: AugmentationOptions,
        augmentation: ClipAugmentation | None = None,
        scored: str = "center",
    ) -> None:
        self.targets, self.cameras = table.targets(), table.camera
        self.inputs, self.length = inputs, length
        self.options, self.augmentation, self.scored = options, augmentation, scored

    def __getitem__(self, plan: ClipPlan) -> ClipBatch:
        frames, targets = [], []
        for rows, is_padding, seed, between, rate in zip(
            plan.rows, plan.is_padding, plan.draws, plan.between, plan.rates, strict=True
        ):
            truth = self._truth(rows[-self.length :], between[-self.length :], rate)  # (T, 4)
            truth = side_camera_targets(truth, self.cameras[rows[0]], self.options, self.scored)
            if isinstance(self.inputs, DriveFeatures):
                draw = np.random.default_rng(int(seed)).random()
                is_mirrored = bool(self.inputs.mirrored and draw < 0.5)
                if rate == 1:
                    clip = self.inputs.read(rows, is_mirrored)
                else:
                    clip = self.inputs.read_between(rows, between, rate, is_mirrored)
                truth[:, :2] *= -1 if is_mirrored else 1
            else:
                clip = self.inputs.read(rows)  # (S, ...)
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

    def _truth(self, rows: np.ndarray, between: np.ndarray, rate: float) -> np.ndarray:
        """Returns the targets (T, 4) of places near rows (T,): of pictures those of the picture shown."""
        truth = self.targets[rows].copy()
        if rate != 1 and isinstance(self.inputs, DriveFeatures):
            share = np.abs(between)[:, None]
            other = self.targets[rows + np.sign(between).astype(np.int64)]
            truth = (1 - share) * truth + share * other
        truth[:, 2] *= rate  # the speed
        return truth

"""What the trivial model worth beating says of a split: ridge regression on image shifts."""

from __future__ import annotations

import numpy as np
import torch

from data_prep.driving.datamodule import SteerDataModule
from data_prep.progress import images_bar
from modules.encoders.motion import ImageShifts
from modules.metrics.steering import rms
from modules.ridge_baseline import RidgeBaseline

# where to look depends on camera and crop: of these strips the one that explains the training frames best
STRIPS = ((0.0, 0.25), (0.0, 0.5), (0.2, 0.6), (0.4, 0.8))
_CHUNK = 256  # frames read at once


def ridge_on_image_shifts(data: SteerDataModule, split: str) -> np.ndarray:
    """Returns the angle [rad] that ridge regression says at every row of a split, NaN at all others.

    It is fitted on the training frames of the first camera alone, strip of the picture included, and sees
    frames as the model does, but from one to the next: the last ten shifts, none across a cut.

    Args:
        data: that has been set up, so that its frames are decoded.
        split: val or test.
    """
    assert data.data is not None
    table, ridge = data.data.table, RidgeBaseline()
    training = [rows for rows in data.segments("train") if table.camera[rows[0]] == data.cameras[0]]
    asked = data.segments(split)
    shifts = _shifts(data, [*training, *asked], ridge.most_shift)
    rows = np.concatenate(training)
    said, least = np.full(len(table), np.nan), np.inf
    for strip in range(len(STRIPS)):
        features = np.concatenate([ridge.last_shifts(shifts[part, strip]) for part in training])
        weights = ridge.fit(features, table.angle_rad[rows])
        error = weights.predict(features) - table.angle_rad[rows]
        if (residual := rms(error[np.isfinite(error)])) < least:
            least = residual
            for part in asked:
                said[part] = weights.predict(ridge.last_shifts(shifts[part, strip]))
    return said


def _shifts(data: SteerDataModule, segments: list[np.ndarray], most_shift: float) -> np.ndarray:
    """Returns the shift of each strip at every row of the segments (N, strips), from the frame before."""
    assert data.data is not None
    motion = ImageShifts(STRIPS, most_shift)
    found = np.full((len(data.data.table), len(STRIPS)), np.nan)
    with images_bar() as bar:
        task = bar.add_task("image shifts for the ridge baseline", total=sum(map(len, segments)))
        for rows in segments:
            for begin in range(0, len(rows), _CHUNK):
                # the first frame is its own predecessor: no shift
                place = np.arange(begin - 1, min(begin + _CHUNK, len(rows))).clip(min=0)
                frames = torch.from_numpy(np.array(data.data.frames.read(data.data.stored[rows[place]])))
                found[rows[place[1:]]] = motion(frames.unsqueeze(0))[0].numpy()
                bar.advance(task, len(place) - 1)
    return found

"""What the simple models worth beating say of a split: ridge regression on how the picture moved of late.

On the sideways shift of one strip of the picture it is all but trivial; on the optical flow in the cells of a
grid it sees the motion that the recurrent models see. It shows what their networks add to that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from data_prep.driving.datamodule import SteerDataModule
from data_prep.progress import counting_bar
from modules.encoders.flow import ImageFlow
from modules.encoders.motion import ImageShifts
from modules.metrics.steering import rms
from modules.steering.ridge_baseline import RidgeBaseline

# where to look depends on camera and crop: of these strips the one that explains the training frames best
STRIPS = ((0.0, 0.25), (0.0, 0.5), (0.2, 0.6), (0.4, 0.8))
FLOW_GRID = (6, 8)  # the recurrent models' own
FLOW_PENALTY = 1000.0  # of its 960 weights: the best of 10, 100, ... 10,000 on left-out parts of a real drive
MOST_FLOW_ROWS = 20_000  # training frames that the weights are fitted on; more would take much memory
_CHUNK = 256  # frames read at once


def ridge_on_image_shifts(data: SteerDataModule, split: str) -> np.ndarray:
    """Returns the angle [rad] that ridge regression says at every row of a split, NaN at all others.

    It is fitted on the training frames of the first camera alone, strip of the picture included. It sees
    frames as the model does, but from one to the next: the last ten shifts, none across a cut.

    Args:
        data: that has been set up, so that its frames are decoded.
        split: val or test.
    """
    assert data.data is not None
    table, ridge = data.data.table, RidgeBaseline()
    training, asked = _training(data), data.segments(split)
    motion = ImageShifts(STRIPS)
    shifts = _motions(data, [*training, *asked], motion, len(STRIPS), "image shifts")
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


def ridge_on_optical_flow(data: SteerDataModule, split: str) -> np.ndarray:
    """Returns the angle [rad] that ridge regression on the last ten flows says, NaN outside of a split.

    Fitted as `ridge_on_image_shifts` is, on at most 20,000 frames, which are as the model sees them.

    Args:
        data: that has been set up, so that its frames are decoded.
        split: val or test.
    """
    assert data.data is not None
    table, ridge = data.data.table, RidgeBaseline(penalty=FLOW_PENALTY)
    training, asked = _training(data), data.segments(split)
    motion = ImageFlow(FLOW_GRID, refinements=0)
    flows = _motions(data, [*training, *asked], motion, motion.feature_size, "optical flow")

    def last(part: np.ndarray) -> Float[np.ndarray, "N K"]:
        return np.hstack([ridge.last_shifts(cell) for cell in flows[part].T])

    every = -(-sum(map(len, training)) // MOST_FLOW_ROWS)
    angles = np.concatenate([table.angle_rad[part[::every]] for part in training])
    weights = ridge.fit(np.concatenate([last(part)[::every] for part in training]), angles)
    said = np.full(len(table), np.nan)
    for part in asked:
        said[part] = weights.predict(last(part))
    return said


def _training(data: SteerDataModule) -> list[np.ndarray]:
    """Returns the rows of the first camera's unbroken training segments."""
    assert data.data is not None
    camera = data.data.table.camera
    return [rows for rows in data.segments("train") if camera[rows[0]] == data.cameras[0]]


def _motions(
    data: SteerDataModule, segments: Sequence[np.ndarray], motion: nn.Module, width: int, what: str
) -> Float[np.ndarray, "N K"]:
    """Returns how the picture moved from the frame before at every row of the segments, NaN at others."""
    assert data.data is not None
    found = np.full((len(data.data.table), width), np.nan)
    with counting_bar("frames") as bar:
        task = bar.add_task(f"{what} for the ridge baseline", total=sum(map(len, segments)))
        for rows in segments:
            for begin in range(0, len(rows), _CHUNK):
                # the first frame is its own predecessor: no motion
                place = np.arange(begin - 1, min(begin + _CHUNK, len(rows))).clip(min=0)
                frames = torch.from_numpy(np.array(data.data.frames.read(data.data.stored[rows[place]])))
                found[rows[place[1:]]] = motion(frames.unsqueeze(0))[0].numpy()
                bar.advance(task, len(place) - 1)
    return found

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
from modules.steering.ridge_baseline import RidgeBaseline, RidgeWeights

SHIFTS, FLOW = "ridge_on_image_shifts", "ridge_on_optical_flow"
# where to look depends on camera and crop: of these strips the one that explains the training frames best
STRIPS = ((0.0, 0.25), (0.0, 0.5), (0.2, 0.6), (0.4, 0.8))
FLOW_GRID = (6, 8)  # the recurrent models' own
FLOW_PENALTY = 1000.0  # of its 960 weights: the best of 10, 100, ... 10,000 on left-out parts of a real drive
MOST_FLOW_ROWS = 20_000  # training frames that the weights are fitted on; more would take much memory
_CHUNK = 256  # frames read at once


def fit_ridges(data: SteerDataModule) -> dict[str, RidgeWeights]:
    """Returns both ridge regressions by their names, fitted on training frames of the first camera alone.

    They see frames as the model does, but from one to the next: the last ten motions, none across a cut.

    Args:
        data: that has been set up, so that its frames are decoded.
    """
    assert data.data is not None
    training, angles = _training(data), data.data.table.angle_rad
    shifts = _motions(data, training, SHIFTS)
    rows, least = np.concatenate(training), np.inf
    for strip in range(len(STRIPS)):
        features = np.concatenate([_last(shifts[part][:, [strip]]) for part in training])
        weights = RidgeBaseline().fit(features, angles[rows])
        error = weights.predict(features) - angles[rows]
        if (residual := rms(error[np.isfinite(error)])) < least:
            least = residual
            # one of all strips, blind to the others
            beside = np.zeros((len(STRIPS), features.shape[1]))
            beside[strip] = weights.weights
            best = RidgeWeights(beside.ravel().tolist(), weights.bias_rad)

    flows = _motions(data, training, FLOW)
    every = -(-len(rows) // MOST_FLOW_ROWS)
    features = np.concatenate([_last(flows[part])[::every] for part in training])
    some = np.concatenate([part[::every] for part in training])
    flow = RidgeBaseline(penalty=FLOW_PENALTY).fit(features, angles[some])
    return {SHIFTS: best, FLOW: flow}


def ridge_angles(data: SteerDataModule, split: str, name: str, ridge: RidgeWeights) -> np.ndarray:
    """Returns the angle [rad] that a ridge regression says at every row of a split, NaN at all others.

    Args:
        data: that has been set up, so that its frames are decoded.
        split: val or test.
        name: of the regression, which tells the motion that it looks at.
        ridge: as fitted.
    """
    assert data.data is not None
    asked, said = data.segments(split), np.full(len(data.data.table), np.nan)
    motions = _motions(data, asked, name)
    for part in asked:
        said[part] = ridge.predict(_last(motions[part]))
    return said


def _last(motions: Float[np.ndarray, "N M"]) -> Float[np.ndarray, "N K"]:
    """Returns the last ten motions at every frame of one unbroken stretch."""
    return np.hstack([RidgeBaseline().last_shifts(motion) for motion in motions.T])


def _training(data: SteerDataModule) -> list[np.ndarray]:
    """Returns the rows of the first camera's unbroken training segments."""
    assert data.data is not None
    camera = data.data.table.camera
    return [rows for rows in data.segments("train") if camera[rows[0]] == data.cameras[0]]


def _motions(data: SteerDataModule, segments: Sequence[np.ndarray], name: str) -> Float[np.ndarray, "N M"]:
    """Returns how the picture moved from the frame before at every row of the segments, NaN at others."""
    assert data.data is not None
    flow = ImageFlow(FLOW_GRID, refinements=0)
    motion: nn.Module = ImageShifts(STRIPS) if name == SHIFTS else flow
    width = len(STRIPS) if name == SHIFTS else flow.feature_size
    found = np.full((len(data.data.table), width), np.nan)
    with counting_bar("frames") as bar:
        what = name.removeprefix("ridge_on_").replace("_", " ")
        task = bar.add_task(f"{what} for the ridge baseline", total=sum(map(len, segments)))
        for rows in segments:
            for begin in range(0, len(rows), _CHUNK):
                # the first frame is its own predecessor: no motion
                place = np.arange(begin - 1, min(begin + _CHUNK, len(rows))).clip(min=0)
                frames = torch.from_numpy(np.array(data.data.frames.read(data.data.stored[rows[place]])))
                found[rows[place[1:]]] = motion(frames.unsqueeze(0))[0].numpy()
                bar.advance(task, len(place) - 1)
    return found

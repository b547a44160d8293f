"""The mean of several steering models, and how far they are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream


class Steered(NamedTuple):
    """What models say at T frames of N streams.

    Attributes:
        angle_rad: Mean of the models' steering-wheel angles, left positive (N, T).
        spread_rad: Their standard deviation (N, T); NaN of one model.
        throttle: Mean of the models that say one, from -1 to 1 (N, T); NaN where none does.
    """

    angle_rad: np.ndarray
    spread_rad: np.ndarray
    throttle: np.ndarray


class SteeringEnsemble:
    """Steers parallel streams of frames by the mean of several models; each sees the frames as it has learnt.

    The spread is the standard deviation of the models' angles, with one less than their number as divisor. It
    says where models disagree; what all of them get wrong it does not say. Of one model it is NaN.

    Args:
        models: Trained models, one or more; they may differ in frame size and context.
        streams: How many cameras there are.
    """

    def __init__(self, models: Sequence[Steerer], streams: int = 1) -> None:
        self.parts = [SteeringStream(model, streams) for model in models]
        self.preprocessings = list(dict.fromkeys(model.preprocessing for model in models))

    def reset(self, streams: Bool[np.ndarray, " N"] | None = None) -> None:
        """Forgets all frames: at the start of a drive, and where frames are missing.

        Args:
            streams: True for those that start afresh; by default all.
        """
        for part in self.parts:
            part.reset(streams)

    def steer(self, views: Mapping[FramePreprocessing, UInt8[Tensor, "N T 3 _ _"]]) -> Steered:
        """Returns what the models say at the next frames.

        Args:
            views: The frames as each of `preprocessings` gives them.
        """
        outputs = [part.outputs(views[part.model.preprocessing]) for part in self.parts]  # (N, T, O) each
        angles = np.stack([each[..., 0] for each in outputs])
        unknown = np.full_like(angles[0], np.nan)
        throttles = [
            each[..., 1] for part, each in zip(self.parts, outputs, strict=True) if part.model.says_throttle
        ]
        throttle = np.mean(throttles, axis=0) if throttles else unknown
        if len(angles) == 1:
            return Steered(angles[0], unknown, throttle)
        return Steered(angles.mean(0), angles.std(0, ddof=1), throttle)

    def step(
        self, frames: UInt8[np.ndarray, "N Hh Ww 3"]
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """Returns mean and spread of the angles at one frame of each stream.

        Args:
            frames: RGB bytes as the cameras give them, of any size.
        """
        views = {view: torch.stack([view(frame) for frame in frames]) for view in self.preprocessings}
        said = self.steer({view: pixels.unsqueeze(1) for view, pixels in views.items()})
        return said.angle_rad[:, 0], said.spread_rad[:, 0]

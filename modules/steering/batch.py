"""What a steering model is fed: parallel stretches of drives, frame by frame in time order."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ClipBatch(NamedTuple):
    """B stretches of T frames to predict, each with the frames that stand before it.

    Attributes:
        frames: RGB bytes (B, S, 3, H, W), or features (B, S, D) of a frozen encoder. The first S - T time
            steps are context; at the beginning of a drive they repeat its first frame.
        targets: angle_rad, torque, speed_mps and throttle of the last T frames (B, T, 4), NaN where unknown.
        valid: Frames that count (B, T) bool; the others are padding behind the end of a stretch.
        resets: Stretches that do not continue those of the batch before (B,) bool.
        rows: Which row of the drive table each frame is (B, T), -1 at padding.
    """

    frames: Tensor
    targets: Tensor
    valid: Tensor
    resets: Tensor
    rows: Tensor

"""Steering frame by frame, as a car would: the same numbers as the prediction of whole drives."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from modules.steerer import Steerer


class SteeringPredictor:
    """Angles of a stream of camera frames, one call a frame.

    Args:
        model: A trained model; it is put into evaluation mode.
    """

    def __init__(self, model: Steerer) -> None:
        self.model = model.eval()
        self.recent: deque[torch.Tensor] = deque(maxlen=model.left_context + 1)
        self.reset()

    @classmethod
    def load(cls, path: Path | str) -> SteeringPredictor:
        """Returns the predictor of a checkpoint, on the CPU.

        Raises:
            InputError: the file is absent, no checkpoint, damaged, or of another task.
        """
        return cls(Steerer.load(path))

    def reset(self) -> None:
        """Forgets all frames: at the start of a drive, and where frames are missing."""
        self.recent.clear()
        with torch.no_grad():
            self.state = self.model.decoder.init_state(1)

    def step(self, frame: UInt8[np.ndarray, "Hh Ww 3"]) -> float:
        """Returns the steering-wheel angle in radians, left positive.

        Args:
            frame: RGB bytes as the camera gives them, of any size.
        """
        pixels = self.model.preprocessing(frame)
        # the first frame stands in for those before it
        self.recent.extend([pixels] * (1 if self.recent else self.model.left_context + 1))
        clip = torch.stack(list(self.recent)).unsqueeze(0).to(self.model.device)  # (1, context + 1, 3, H, W)
        outputs, self.state = self.model.drive(clip, self.state)
        return float(outputs[0, 0, 0])

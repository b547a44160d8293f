"""Steering frame by frame, as a car would: the same numbers as the prediction of whole drives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from modules.recurrent import State
from modules.steering.steerer import Steerer


class SteeringPredictor:
    """Angles of a stream of camera frames, one call a frame; or of several streams in lockstep.

    Args:
        model: A trained model; it is put into evaluation mode.
        streams: How many cameras there are.
    """

    def __init__(self, model: Steerer, streams: int = 1) -> None:
        self.model, self.streams = model.eval(), streams
        self.recent: torch.Tensor | None = None  # the last frames of each stream (N, context + 1, 3, H, W)
        self.state: State | None = None
        self.begins = np.ones(streams, bool)

    @classmethod
    def load(cls, path: Path | str) -> SteeringPredictor:
        """Returns the predictor of a checkpoint, on the CPU.

        Raises:
            InputError: the file is absent, no checkpoint, damaged, or of another task.
        """
        return cls(Steerer.load(path))

    def reset(self, streams: Bool[np.ndarray, " N"] | None = None) -> None:
        """Forgets all frames: at the start of a drive, and where frames are missing.

        Args:
            streams: True for those that start afresh; by default all.
        """
        self.begins |= True if streams is None else streams

    def step(self, frame: UInt8[np.ndarray, "Hh Ww 3"]) -> float:
        """Returns the steering-wheel angle in radians, left positive.

        Args:
            frame: RGB bytes as the camera gives them, of any size.
        """
        return float(self.step_all(frame[np.newaxis])[0])

    def step_all(self, frames: UInt8[np.ndarray, "N Hh Ww 3"]) -> Float[np.ndarray, " N"]:
        """Returns the steering-wheel angles of all streams, from one frame of each.

        Args:
            frames: RGB bytes as the cameras give them, of any size.
        """
        if len(frames) != self.streams:
            raise ValueError(f"{len(frames)} frames for {self.streams} streams")
        pixels = torch.stack([self.model.preprocessing(frame) for frame in frames]).unsqueeze(1)
        pixels = pixels.to(self.model.device)  # (N, 1, 3, H, W)
        if self.begins.any():
            begins = torch.from_numpy(self.begins).to(pixels.device)
            # the first frame stands in for those before it
            first = pixels.expand(-1, self.model.left_context + 1, -1, -1, -1)
            kept = first if self.recent is None else self.recent
            self.recent = torch.where(begins.view(-1, 1, 1, 1, 1), first, kept)
            with torch.no_grad():
                self.state = self.model.start(begins, self.state)
            self.begins[:] = False
        assert self.recent is not None and self.state is not None
        self.recent = torch.cat([self.recent[:, 1:], pixels], dim=1)
        outputs, self.state = self.model.drive(self.recent, self.state)
        return outputs[:, 0, 0].cpu().numpy()

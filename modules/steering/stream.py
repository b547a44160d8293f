"""Frames pushed through a steering model in the order of time, as a car sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from modules.errors import InputError
from modules.steering.pretrained import pretrained_path
from modules.steering.steerer import Steerer


class SteeringStream:
    """Steers parallel streams of frames, in pieces of any length; the angles are those of whole drives.

    It remembers the frames that the next piece has to be seen with, and the decoder's state: memory is that
    of one piece.

    Args:
        model: A trained model; it is put into evaluation mode.
        streams: How many cameras there are.
    """

    def __init__(self, model: Steerer, streams: int = 1) -> None:
        self.model, self.streams = model.eval(), streams
        self.reset()

    def reset(self, streams: Bool[np.ndarray, " N"] | None = None) -> None:
        """Forgets all frames: at the start of a drive, and where frames are missing.

        Args:
            streams: True for those that start afresh; by default all.
        """
        if streams is None:
            self._seen: Tensor | None = None  # the last frames of the piece before (N, left_context, 3, H, W)
            self._begins = np.ones(self.streams, bool)  # whose first frame is still to come
            with torch.no_grad():
                self.state = self.model.decoder.init_state(self.streams)
        else:
            self._begins |= streams
            with torch.no_grad():
                self.state = self.model.start(torch.from_numpy(streams).to(self.model.device), self.state)

    def clip(self, frames: UInt8[Tensor, "N T 3 H W"]) -> UInt8[Tensor, "N S 3 H W"]:
        """Returns the next frames after those before them that the model has to see with them.

        The first frame of a drive stands in for those before it.
        """
        if len(frames) != self.streams:
            raise ValueError(f"{len(frames)} frames for {self.streams} streams")
        frames = frames.to(self.model.device)
        seen = self._seen
        if seen is None or self._begins.any():
            first = frames[:, :1].expand(-1, self.model.left_context, -1, -1, -1)
            begins = torch.from_numpy(self._begins).to(frames.device).view(-1, 1, 1, 1, 1)
            seen = first if seen is None else torch.where(begins, first, seen)
        return torch.cat([seen, frames], dim=1)

    def encode(self, frames: UInt8[Tensor, "N T 3 H W"]) -> Float[Tensor, "N T D"]:
        """Returns the features of the next frames, which are steered at elsewhere: the state stays.

        Args:
            frames: As the model's `preprocessing` gives them.
        """
        with torch.no_grad():
            return self.model.encode(self._advance(frames))

    def steer(self, frames: UInt8[Tensor, "N T 3 H W"]) -> Float[np.ndarray, "N T"]:
        """Returns the steering-wheel angles at the next frames, in radians, left positive.

        Args:
            frames: As the model's `preprocessing` gives them.
        """
        return self.outputs(frames)[..., 0]

    def outputs(self, frames: UInt8[Tensor, "N T 3 H W"]) -> Float[np.ndarray, "N T O"]:
        """Returns all that the model says at the next frames: the angle, then throttle, or torque and speed.

        Args:
            frames: As the model's `preprocessing` gives them.
        """
        outputs, self.state = self.model.drive(self._advance(frames), self.state)
        return outputs.cpu().numpy()

    def step(self, frames: UInt8[np.ndarray, "N Hh Ww 3"]) -> Float[np.ndarray, " N"]:
        """Returns the steering-wheel angles, in radians, left positive, at one frame of each stream.

        Args:
            frames: RGB bytes as the cameras give them, of any size.
        """
        pixels = torch.stack([self.model.preprocessing(frame) for frame in frames])
        return self.steer(pixels.unsqueeze(1))[:, 0]

    def _advance(self, frames: Tensor) -> Tensor:
        clip = self.clip(frames)
        self._seen = clip[:, clip.shape[1] - self.model.left_context :]
        self._begins[:] = False
        return clip


class SteeringPredictor:
    """Steers by one camera, one call a frame, as a car would.

    >>> import numpy as np
    >>> from modules import SteeringPredictor
    >>> predictor = SteeringPredictor.load("steerer.ckpt")
    >>> frame = np.zeros((480, 640, 3), np.uint8)
    >>> predictor.step(frame)
    0.25

    Args:
        model: A trained model; it is put into evaluation mode.

    Attributes:
        rate_hz: Frames a second of the drives that the model has learnt, None in old checkpoints. Give it as
            many: a model counts frames, not seconds.
    """

    def __init__(self, model: Steerer) -> None:
        self.stream, self.rate_hz = SteeringStream(model), model.rate_hz

    @classmethod
    def load(cls, path: Path | str) -> SteeringPredictor:
        """Returns the predictor of a checkpoint, on the CPU.

        Raises:
            InputError: The file is absent, no checkpoint, damaged, or of another task.
        """
        return cls(Steerer.load(path))

    @classmethod
    def pretrained(cls, name: str = "road") -> SteeringPredictor:
        """Returns the predictor of a model that comes with the package; its model card says how well it does.

        Raises:
            InputError: There is none of this name.
        """
        return cls.load(pretrained_path(name))

    def reset(self) -> None:
        """Forgets all frames: at the start of a drive, and where frames are missing."""
        self.stream.reset()

    def step(self, frame: Any) -> float:
        """Returns the steering-wheel angle in radians, left positive, as the recorder of the drives has it.

        A model of DonkeyCars says shares of full lock, one of the simulator radians of the road wheels.

        Args:
            frame: RGB bytes (Hh, Ww, 3) as the camera gives them, of any size.

        Raises:
            InputError: The frame is none; what was seen before it still counts for the next one.
        """
        _check_frame(frame)
        return float(self.stream.step(frame[np.newaxis])[0])


def _check_frame(frame: object) -> None:
    if not isinstance(frame, np.ndarray):
        raise InputError(f"a frame is a {type(frame).__name__}; it has to be a NumPy array of RGB bytes")
    if frame.ndim == 3 and frame.shape[2] == 3 and frame.size and frame.dtype == np.uint8:
        return
    remedy = "it has to be RGB bytes, uint8 of shape (rows, columns, 3)"
    if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
        remedy += "; a grey one becomes that with np.dstack([frame] * 3)"
    elif frame.ndim == 3 and frame.shape[2] == 4:
        remedy += "; frame[..., :3] leaves the fourth channel away"
    elif frame.dtype != np.uint8:
        remedy += "; numbers from 0 to 1 become that with (frame * 255).round().astype(np.uint8)"
    raise InputError(f"a frame is {frame.dtype} of shape {frame.shape}; {remedy}")

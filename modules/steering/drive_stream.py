"""A drive that is too long to hold: taken in pieces, with the angles of the whole."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from modules.recurrent import State
from modules.steering.steerer import Steerer


class DriveStream:
    """Steers one drive in pieces of any length, in the order of time; memory is that of one piece.

    Args:
        model: A trained model; it is put into evaluation mode.
    """

    def __init__(self, model: Steerer) -> None:
        self.model = model.eval()
        self.reset()

    def reset(self) -> None:
        """Forgets all frames: at the start of a drive, and where frames are missing."""
        self.seen: Tensor | None = None  # the last frames of the piece before (left_context, 3, H, W)
        with torch.no_grad():
            self.state: State = self.model.decoder.init_state(1)

    def clip(self, frames: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "S 3 H W"]:
        """Returns the next frames after those before them that the model has to see with them.

        The first frame of a drive stands in for those before it.
        """
        seen = frames[:1].expand(self.model.left_context, -1, -1, -1) if self.seen is None else self.seen
        return torch.cat([seen, frames])

    def steer(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[np.ndarray, " T"]:
        """Returns the steering-wheel angles at the next frames, in radians, left positive.

        Args:
            frames: As the model's `preprocessing` gives them.
        """
        clip = self.clip(frames)
        outputs, self.state = self.model.drive(clip.unsqueeze(0).to(self.model.device), self.state)
        self.seen = clip[len(clip) - self.model.left_context :]
        return outputs[0, :, 0].cpu().numpy()

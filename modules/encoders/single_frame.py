"""What encoders that look at one frame at a time share."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float, Real
from torch import Tensor, nn

from modules.errors import InputError


class SingleFrameEncoder(nn.Module):
    """Features of every frame by itself; a subclass defines `encode` and `feature_size`.

    Frames are RGB bytes, or the same numbers as floats where gradients with respect to them are wanted.
    """

    left_context: ClassVar[int] = 0  # frames before the first one it gives features of
    feature_size: int

    def encode(self, frames: Real[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        """Returns the features of N frames."""
        raise TypeError(f"{type(self).__name__} defines no encode")

    def forward(self, frames: Real[Tensor, "B T 3 H W"]) -> Float[Tensor, "B T D"]:
        return self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def output_size(size: int, kernel: int, stride: int, what: str) -> int:
    """Returns the pixels an unpadded convolution leaves of `size`.

    Raises:
        InputError: nothing is left.
    """
    left = (size - kernel) // stride + 1
    if left < 1:
        raise InputError(
            f"frames of this size leave nothing for {what}; give a larger model.frames.height/width"
        )
    return left

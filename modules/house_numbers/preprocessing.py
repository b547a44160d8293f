"""From a picture of any size to the square that a model of house numbers sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from modules.errors import InputError


@dataclass(frozen=True)
class NumberPictures:
    """What a model sees of a picture.

    Args:
        size: Side of the square in pixels.
        resize: pad keeps the picture's proportions and fills the rest with its mean colour; squash does not.
    """

    size: int = 64
    resize: Literal["pad", "squash"] = "pad"

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 1024:
            raise InputError(f"model.pictures.size is {self.size}; it has to be from 32 to 1024")

    def __call__(self, image: UInt8[np.ndarray, "Hh Ww 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Returns the square of an RGB picture; areas are averaged where it shrinks."""
        top, left, height, width = self.inner(*image.shape[:2])
        # OpenCV takes area means only where no side grows, so what shrinks does so first
        smaller = min(height, image.shape[0]), min(width, image.shape[1])
        inner = cv2.resize(image, smaller[::-1], interpolation=cv2.INTER_AREA)
        if smaller != (height, width):
            inner = cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR)
        square = np.empty((self.size, self.size, 3), np.uint8)
        square[:] = inner.mean((0, 1)).round()
        square[top : top + height, left : left + width] = inner
        return square

    def inner(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns where a picture lies in the square: top, left, height and width in pixels."""
        if self.resize == "squash":
            return 0, 0, self.size, self.size
        scale = self.size / max(height, width)
        height, width = (max(1, round(side * scale)) for side in (height, width))
        return (self.size - height) // 2, (self.size - width) // 2, height, width


def luma(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
    """Returns how bright pixels look, from 0 to 255 (ITU-R BT.601)."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True)


def grey(images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1 S S"]:
    """Returns grey pictures, each of mean 0 and deviation 1: paint and light count nothing."""
    bright = luma(images)
    deviation, mean = torch.std_mean(bright, dim=(2, 3), keepdim=True)
    return (bright - mean) / (deviation + 1.0)  # a picture of one colour stays flat

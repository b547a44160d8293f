"""From a camera frame to the pixels a steering model sees: one object, for training and prediction alike.

It works in two halves, because augmentation stands between them: the geometry (crop and resize) of a decoded
frame, whose result a data set caches; and the colours of a batch, which the model sets just before it looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from modules.errors import InputError, check_ranges


@dataclass(frozen=True)
class FramePreprocessing:
    """What a model sees of a camera frame.

    Args:
        height: Pixel rows after resizing.
        width: Pixel columns after resizing.
        crop_top: Share of the frame's rows cut off at the top (sky).
        crop_bottom: Share of the frame's rows cut off at the bottom (bonnet).
        colours: rgb, or yuv (luma and two differences of colour, in bytes).
        equalise: Spread the histogram of luma over all bytes; needs yuv.
    """

    height: int = 66
    width: int = 200
    crop_top: float = 0.0
    crop_bottom: float = 0.0
    colours: Literal["rgb", "yuv"] = "rgb"
    equalise: bool = False

    def __post_init__(self) -> None:
        check_ranges(
            self, "model.frames", positive=("height", "width"), below_one=("crop_top", "crop_bottom")
        )
        if self.crop_top + self.crop_bottom >= 1:
            raise InputError(
                f"model.frames.crop_top {self.crop_top} and crop_bottom {self.crop_bottom} leave no row; "
                "their sum has to be below 1"
            )
        if self.equalise and self.colours != "yuv":
            raise InputError("model.frames.equalise needs model.frames.colours yuv: it works on luma alone")

    def __call__(self, frame: UInt8[np.ndarray, "Hh Ww 3"]) -> UInt8[Tensor, "3 H W"]:
        """Returns the geometry's half: an RGB frame of any size, cropped and resized."""
        first, last = self.rows_seen(len(frame))
        view = frame[first:last]
        # OpenCV takes area means only where no side grows, so what shrinks does so first
        smaller = min(self.height, view.shape[0]), min(self.width, view.shape[1])
        if smaller != view.shape[:2]:
            view = cv2.resize(view, smaller[::-1], interpolation=cv2.INTER_AREA)
        if smaller != (self.height, self.width):
            view = cv2.resize(view, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        # a copy: the frame itself may be read-only or a view of something larger
        return torch.from_numpy(view.transpose(2, 0, 1).copy())

    def rows_seen(self, rows: int) -> tuple[int, int]:
        """Returns the first row that is left of a frame of that many, and the one behind the last."""
        first = min(int(rows * self.crop_top), rows - 1)
        return first, max(first + 1, rows - int(rows * self.crop_bottom))

    def recolour(self, frames: UInt8[Tensor, "*N 3 H W"]) -> UInt8[Tensor, "*N 3 H W"]:
        """Returns the colours' half: RGB bytes as the network is to see them."""
        if self.colours == "rgb":
            return frames
        yuv = to_yuv(frames)
        if self.equalise:
            luma, chroma = yuv.split([1, 2], dim=-3)
            yuv = torch.cat([equalise_histogram(luma), chroma], dim=-3)
        return yuv


def to_yuv(rgb: UInt8[Tensor, "*N 3 H W"]) -> UInt8[Tensor, "*N 3 H W"]:
    """Returns Y = 0.299 R + 0.587 G + 0.114 B; U = 0.492 (B - Y) + 128; V = 0.877 (R - Y) + 128, in bytes."""
    red, green, blue = rgb.float().unbind(-3)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [luma, 0.492 * (blue - luma) + 128, 0.877 * (red - luma) + 128]
    return torch.stack(planes, dim=-3).round().clamp(0, 255).to(torch.uint8)


def equalise_histogram(planes: UInt8[Tensor, "*N H W"]) -> UInt8[Tensor, "*N H W"]:
    """Returns each plane with its grey values spread so that their cumulative histogram is a straight line.

    `255 (cdf(v) - cdf_min) / (pixels - cdf_min)`, as OpenCV has it; a plane of one value stays as it is.
    """
    values = planes.flatten(0, -3).flatten(1).long()  # (N, H W)
    count, pixels = values.shape
    offsets = 256 * torch.arange(count, device=values.device).unsqueeze(1)
    histogram = torch.bincount((values + offsets).flatten(), minlength=256 * count).view(count, 256)
    darkest = histogram.gather(1, values.amin(1, keepdim=True))  # pixels that have the smallest value (N, 1)
    scaled = 255.0 * (histogram.cumsum(1) - darkest) / (pixels - darkest).clamp(min=1)
    table = scaled.round().clamp(0, 255).to(torch.uint8)  # (N, 256)
    spread = table.gather(1, values)
    return torch.where(darkest == pixels, planes.flatten(0, -3).flatten(1), spread).view(planes.shape)

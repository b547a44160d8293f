"""From a decoded image to the encoder's square: the same pixels in training, evaluation and prediction.

Both transforms take an (Hh, Ww, 3) uint8 RGB array of any size and return a (3, size, size) uint8 tensor;
mean and standard deviation belong to the encoder, which normalises inside. They treat each image by itself,
so that no result depends on a batch.
"""

import math
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from modules.errors import InputError
from modules.images import read_as_shown

Resize = Literal["squash", "crop", "pad"]

# one image at a time gains nothing from OpenCV's threads, and forked workers may hang on them
cv2.setNumThreads(0)

_PAD_VALUE = 127  # the middle of the range: about zero after normalisation


class EvalTransform:
    """Returns an image resized to (3, size, size) uint8, averaging areas where it shrinks.

    Args:
        size: pixels per side of the result, as the encoder wants.
        resize: squash ignores the aspect ratio and keeps all of the image; crop takes the central square;
            pad keeps aspect and all of the image and fills the rest with grey.
    """

    cache_name = "data_prep.transforms.EvalTransform"  # in the keys of caches, wherever the class lies

    def __init__(self, size: int, resize: str = "squash") -> None:
        if size < 1:
            raise InputError(f"size {size}: must be at least 1 pixel")
        if resize not in get_args(Resize):
            raise InputError(f"resize {resize!r}: there are {', '.join(get_args(Resize))}")
        self.size = size
        self.resize = resize

    @property
    def minimum_size(self) -> int:
        """What `read_image` may shrink the short side to while decoding without a loss here."""
        return self.size

    def read(self, path: Path | str) -> tuple[Tensor, str]:
        """Returns the square of what viewers show of an image file, and what is wrong with it, if anything.

        UnreadableImage where it is no image.
        """
        image, wrong = read_as_shown(path, self.minimum_size)
        return self(image), wrong

    def __call__(self, image: np.ndarray) -> Tensor:
        size = self.size
        height, width = image.shape[:2]
        if self.resize == "squash":
            square = resize_area(image, size, size)
        elif self.resize == "crop":
            # cropped first: the short side of a long strip at full size would make it enormous
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            square = resize_area(image[top : top + side, left : left + side], size, size)
        else:
            scale = size / max(height, width)
            inner_height, inner_width = (max(1, round(side * scale)) for side in (height, width))
            square = np.full((size, size, 3), _PAD_VALUE, np.uint8)
            top, left = (size - inner_height) // 2, (size - inner_width) // 2
            inner = resize_area(image, inner_height, inner_width)
            square[top : top + inner_height, left : left + inner_width] = inner
        # a copy: the image itself may be read-only or a view of something larger
        return torch.from_numpy(square.transpose(2, 0, 1).copy())  # (3, size, size)


class MirrorTransform(EvalTransform):
    """Returns the mirror image of what EvalTransform returns."""

    cache_name = "data_prep.transforms.MirrorTransform"  # in the keys of caches, wherever the class lies

    def __call__(self, image: np.ndarray) -> Tensor:
        return super().__call__(image).flip(-1)


class TrainTransform:
    """Returns a varied view of an image as (3, size, size) uint8: a random part, brightness, mirroring.

    Draws from torch's global generator, so that a resumed run sees the views of the uninterrupted one.

    Args:
        size: pixels per side of the result, as the encoder wants.
        resize: how the random part becomes a square; as the EvalTransform that judges the model.
        minimum_area: smallest share of the image's area that is kept; 1 keeps all of it.
        aspect: largest change of the aspect ratio of the part, as a factor; 1 for none.
        brightness: largest relative change of brightness; 0 for none.
        flip: mirror every second image. Off by default, because captions say left and right.
    """

    def __init__(
        self,
        size: int,
        resize: str = "squash",
        minimum_area: float = 0.7,
        aspect: float = 1.15,
        brightness: float = 0.2,
        flip: bool = False,
    ) -> None:
        if not 0 < minimum_area <= 1:
            raise InputError(f"minimum_area {minimum_area}: must be above 0 and at most 1")
        if aspect < 1:
            raise InputError(f"aspect {aspect}: must be at least 1")
        if not 0 <= brightness < 1:
            raise InputError(f"brightness {brightness}: must be at least 0 and below 1")
        self.to_square = EvalTransform(size, resize)
        self.minimum_area = minimum_area
        self.aspect = aspect
        self.brightness = brightness
        self.flip = flip

    @property
    def minimum_size(self) -> int:
        """What `read_image` may shrink the short side to so that the smallest part still fills the square."""
        return math.ceil(self.to_square.size * math.sqrt(self.aspect / self.minimum_area))

    def __call__(self, image: np.ndarray) -> Tensor:
        # six draws for every image, whatever the options: switching one off leaves the others as they were
        area, shape, top, left, light, mirror = torch.rand(6).tolist()
        square = self.to_square(self._part(image, area, shape, top, left))
        if self.brightness:
            square = functional.adjust_brightness(square, 1 + self.brightness * (2 * light - 1))
        if self.flip and mirror < 0.5:
            square = functional.horizontal_flip(square)
        return square

    def _part(self, image: np.ndarray, area: float, shape: float, top: float, left: float) -> np.ndarray:
        """Returns the part of the image that four numbers in [0, 1) choose."""
        height, width = image.shape[:2]
        share = self.minimum_area + (1 - self.minimum_area) * area
        stretch = self.aspect ** (shape - 0.5)  # height over width changes by stretch squared
        part_height = max(1, round(height * min(1.0, math.sqrt(share) * stretch)))
        part_width = max(1, round(width * min(1.0, math.sqrt(share) / stretch)))
        y = int(top * (height - part_height + 1))
        x = int(left * (width - part_width + 1))
        return image[y : y + part_height, x : x + part_width]


def resize_area(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the image at (height, width, 3): area means along sides that shrink, else linear.

    OpenCV averages areas only where no side grows, so the shrinking comes first, by itself.
    """
    smaller_height, smaller_width = min(height, image.shape[0]), min(width, image.shape[1])
    if (smaller_height, smaller_width) != image.shape[:2]:
        image = cv2.resize(image, (smaller_width, smaller_height), interpolation=cv2.INTER_AREA)
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image

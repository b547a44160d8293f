"""What the captioner is fed: images with captions to learn from, or files to caption."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CaptionBatch(NamedTuple):
    """N images and R captions of them.

    Attributes:
        inputs: Annotations (N, L, D) of a frozen encoder, (N, 2, L, D) where each image is evaluated together
            with its mirror image, or pixels (N, 3, S, S) as uint8.
        image_index: Which image each caption belongs to (R,).
        tokens: `<bos> words <eos>`, padded (R, T + 1).
        names: Names of the N images.
        references: Their captions as written.
        weights: How much each caption counts in training (R,), or None where all count alike.
    """

    inputs: Tensor
    image_index: Tensor
    tokens: Tensor
    names: list[str]
    references: list[list[str]]
    weights: Tensor | None = None


class ImageBatch(NamedTuple):
    """Pixels (N, 3, S, S) of files to caption, their names, and what is wrong with these or others."""

    images: Tensor
    names: list[str]
    errors: list[tuple[str, str]]

"""What the captioner is fed: images with captions to learn from, or files to caption."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from modules.vocabulary import Vocabulary


def padded_captions(tokens: Int[Tensor, "R T"], multiple: int) -> Int[Tensor, "R U"]:
    """Returns captions of which a multiple of so many words is read."""
    return F.pad(tokens, (0, -(tokens.shape[1] - 1) % multiple), value=Vocabulary.PAD)


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

    def padded(self, multiple: int) -> CaptionBatch:
        """Returns the batch with as many images as captions, and captions of a multiple of so many words.

        What is added has no caption, or is no word: neither counts in training. Few shapes are left, so that
        a step can be recorded for each.
        """
        rows = (0, 0) * (self.inputs.dim() - 1)  # of padding: the last dimension comes first
        inputs = F.pad(self.inputs, (*rows, 0, len(self.tokens) - len(self.inputs)))  # (R, ...)
        return self._replace(inputs=inputs, tokens=padded_captions(self.tokens, multiple))


class ImageBatch(NamedTuple):
    """Pixels (N, 3, S, S) of files to caption, their names, and what is wrong with these or others."""

    images: Tensor
    names: list[str]
    errors: list[tuple[str, str]]

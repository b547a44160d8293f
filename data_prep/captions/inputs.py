"""What a captioner gets of images, by their numbers: pixels, or a frozen encoder's cached annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_prep.captions.features import FeatureCache
from modules.captioning.preprocessing import EvalTransform, TrainTransform
from modules.images import read_image


class Pixels:
    """Decoded images, as (N, 3, S, S) uint8; in training views of them, which follow from the batch alone."""

    def __init__(self, paths: Sequence[Path], transform: EvalTransform | TrainTransform) -> None:
        self.paths, self.transform = list(paths), transform

    def __call__(self, images: Sequence[int], captions: Sequence[int] = ()) -> Tensor:
        read = (read_image(self.paths[image], self.transform.minimum_size) for image in images)
        with torch.random.fork_rng(devices=[]):  # of the CPU alone: worker processes must not wake a GPU
            torch.default_generator.manual_seed(int(_of_batch(images, captions).integers(2**63)))
            return torch.stack([self.transform(image) for image in read])


class Annotations:
    """Cached annotations of a frozen encoder, as (N, L, D) float32."""

    def __init__(self, cache: FeatureCache, rows: np.ndarray) -> None:
        self.cache, self.rows = cache, rows

    def __call__(self, images: Sequence[int], captions: Sequence[int] = ()) -> Tensor:
        return self.cache.read(self.rows[list(images)])


class MirroredAnnotations:
    """Cached annotations of images and of their mirror images, float32.

    Args:
        plain: Of the images.
        mirrored: Of their mirror images.
        is_training: Give one of both at random, (N, L, D), instead of both, (N, 2, L, D).
    """

    def __init__(self, plain: Annotations, mirrored: Annotations, is_training: bool) -> None:
        self.plain, self.mirrored, self.is_training = plain, mirrored, is_training

    def __call__(self, images: Sequence[int], captions: Sequence[int] = ()) -> Tensor:
        """Returns the images, which of both views by their captions in the order of the batch, if given."""
        if not self.is_training:
            return torch.stack([self.plain(images), self.mirrored(images)], dim=1)
        numbers = np.asarray(images)
        is_mirrored = _of_batch(images, captions).random(len(numbers)) < 0.5
        annotations = self.plain(images)
        annotations[torch.from_numpy(is_mirrored)] = self.mirrored(numbers[is_mirrored].tolist())
        return annotations


def _of_batch(images: Sequence[int], captions: Sequence[int]) -> np.random.Generator:
    """Returns what draws for a batch: in a resumed fit, and in any process, as in an uninterrupted one."""
    # captions come in another order in each epoch, also where all images are in one batch
    return np.random.default_rng(np.asarray(captions if len(captions) else images))


Inputs = Pixels | Annotations | MirroredAnnotations


def plain_inputs(inputs: Inputs, transform: EvalTransform) -> Pixels | Annotations:
    """Returns what gives the same images, neither varied nor mirrored.

    Args:
        inputs: Of training or of evaluation.
        transform: From an image to the encoder's square.
    """
    if isinstance(inputs, Pixels):
        return Pixels(inputs.paths, transform)
    return inputs.plain if isinstance(inputs, MirroredAnnotations) else inputs

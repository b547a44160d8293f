"""A small encoder, images and a filled cache for the tests of the feature cache."""

import time
from pathlib import Path

import cv2
import numpy as np
import torch

from data_prep.captions.features import FeatureCache
from modules.captioning.preprocessing import EvalTransform
from modules.encoders.image import ImageEncoder

SIZE = 32


class SmallEncoder(ImageEncoder):
    """A small random backbone, the same in every process, that counts the images it encodes."""

    def __init__(self, delay_s: float = 0.0, scale: float = 1.0):
        torch.manual_seed(0)
        super().__init__("mobilenetv3_small_050", image_size=SIZE, weights="none")
        self.encoded = 0
        self.delay_s = delay_s
        self.scale = scale

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.delay_s)
        self.encoded += len(images)
        return self.scale * super().encode(images)


TRANSFORM = EvalTransform(SIZE)


def write_images(folder: Path, count: int, start: int = 0, side: int = 40, suffix: str = "png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(start, start + count):
        image = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
        path = folder / f"{i:05d}.{suffix}"
        cv2.imwrite(str(path), image)
        paths.append(path)
    return paths


def fill(cache: FeatureCache, paths: list[Path], encoder: ImageEncoder):
    return cache.fill(paths, encoder, TRANSFORM, progress=False)

"""Frames of a camera that pans by known amounts."""

import cv2
import numpy as np
import torch


def panned(shifts: np.ndarray, width: int = 80, seed: int = 0) -> torch.Tensor:
    """Returns frames (N, 3, 24, W) of one smooth wide picture, each so many pixels left of the one before."""
    random = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(random.uniform(0, 255, (24, 400)).astype(np.float32), (0, 0), 3)
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(24, dtype=np.float32))
    places = (150 + np.cumsum(shifts)).astype(np.float32)
    views = [cv2.remap(picture, x + place, y, cv2.INTER_LINEAR) for place in places]
    return torch.from_numpy(np.repeat(np.stack(views)[:, None], 3, axis=1).astype(np.uint8))

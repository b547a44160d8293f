"""Noise with structure: what makes asphalt, grass, clouds and worn paint look like themselves."""

import cv2
import numpy as np


def grain(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Returns white noise (height, width) of mean 0 and deviation 1, repeated every 512 pixels."""
    tile = rng.standard_normal((min(512, height), min(512, width)), dtype=np.float32)
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]))
    return np.tile(tile, repeats)[:height, :width]


def clouds(
    height: int, width: int, cells: tuple[float, float], rng: np.random.Generator, octaves: int = 3
) -> np.ndarray:
    """Returns smooth noise (height, width) from 0 to 1 that repeats seamlessly at its borders.

    Args:
        height: in pixels.
        width: in pixels.
        cells: how many hills of the noise there are down and across, in its coarsest octave.
        rng: what the noise follows from.
        octaves: how many times finer noise of half the strength is added.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows, columns = (max(1, min(round(count * 2**octave), side)) for count, side in
                         zip(cells, (height, width), strict=True))  # fmt: skip
        cells_around = np.pad(rng.random((rows, columns), np.float32), 2, mode="wrap")
        # two cells of margin on either side make the interpolation wrap as well
        down, across = height / rows, width / columns
        into = np.array([[1 / across, 0, 1.5 + 0.5 / across], [0, 1 / down, 1.5 + 0.5 / down]])
        flags = (cv2.INTER_LINEAR if octave else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP
        total += cv2.warpAffine(cells_around, into, (width, height), flags=flags) * np.float32(0.5**octave)
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def mix(palette: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Returns colours (..., 3) from a palette (n, 3), blended along it by an amount from 0 to 1."""
    place = np.clip(amount, 0, 1) * (len(palette) - 1)
    levels = np.linspace(0, len(palette) - 1, 256)
    table = np.stack([np.interp(levels, np.arange(len(palette)), palette[:, c]) for c in range(3)], 1)
    return table.astype(np.float32)[(place * (255 / (len(palette) - 1))).astype(np.uint8)]


def shrink(picture: np.ndarray, down: float, across: float) -> np.ndarray:
    """Returns a picture averaged over `down` rows and `across` columns to a pixel, neither below 1."""
    height, width = picture.shape[:2]
    size = (max(1, round(width / max(across, 1))), max(1, round(height / max(down, 1))))
    return picture if size == (width, height) else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

"""The worst moments of a drive: where the error was largest each way, with what the camera saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from data_prep.driving.frame_sources import decode_frames
from modules.errors import InputError
from pipelines.reports.page import fit_within, jpeg_uri

APART_S = 2.0
WIDTH, HEIGHT = 240, 180  # pixels that a picture fits into


def worst_moments(
    error: Float[np.ndarray, " N"],
    stretch: Int[np.ndarray, " N"],
    time_s: Float[np.ndarray, " N"],
    least: float = 0.0,
    most: int = 20,
    apart_s: float = APART_S,
) -> list[int]:
    """Rows of the largest errors, the worst first, each the worst of its moment.

    Of two rows of a stretch that lie less than `apart_s` seconds apart only the worse one is taken.

    Args:
        error: Prediction minus truth; give its negative for the other way.
        stretch: Number of the unbroken stretch of each row.
        time_s: Time of each row.
        least: Smaller errors are not bad.
        most: How many rows at most.
        apart_s: How long a moment is.
    """
    chosen: list[int] = []
    free = error > least
    for row in np.argsort(-error, kind="stable").tolist():
        if len(chosen) < most and free[row]:
            chosen.append(row)
            free &= (stretch != stretch[row]) | (np.abs(time_s - time_s[row]) >= apart_s)
    return chosen


def frame_pictures(files: Sequence[str]) -> list[str | None]:
    """The frames as `data:` addresses of small JPEGs; None for one that is gone or cannot be read.

    Args:
        files: Image files, and frames in containers as `CONTAINER#NUMBER`.
    """
    pictures: list[str | None] = [None] * len(files)

    def draw(image: np.ndarray) -> str:
        return jpeg_uri(fit_within(image, WIDTH, HEIGHT), quality=70)

    try:
        for place, picture in decode_frames(Path("/"), files, lambda image: (draw(image),)):
            pictures[place] = picture[0] if isinstance(picture, tuple) else None
    except (InputError, ImportError):
        pass  # a container that moved away, or whose reader is not installed
    return pictures

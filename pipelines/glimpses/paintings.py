"""Paintings side by side, as a picture and as an animation of how they came about."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from modules.house_numbers.draw import Stroke

SCALE, GAP = 4, 4  # pixels of the sheet for one of a painting, and between two
MANY = 64  # paintings, from where on they are drawn at half the scale
RED = (228, 40, 40)
FRAME_MS, LAST_MS = 200, 2500  # how long a frame stays


def as_bytes(pictures: Float[np.ndarray, "B C Hh Ww"]) -> UInt8[np.ndarray, "B Hh Ww 3"]:
    """Returns paintings, each value from 0 to 1, as RGB bytes."""
    rgb = np.broadcast_to(pictures, (len(pictures), 3, *pictures.shape[2:]))
    return (255 * rgb).round().astype(np.uint8).transpose(0, 2, 3, 1)


def sheet(
    pictures: UInt8[np.ndarray, "B Hh Ww 3"],
    boxes: Float[np.ndarray, "B 4"] | None = None,
    widths: Float[np.ndarray, " B"] | None = None,
) -> np.ndarray:
    """Returns paintings enlarged, as many below as beside one another, RGB bytes.

    Args:
        pictures: The paintings.
        boxes: Left, top, right and bottom of a window on each, in pixels from 1; drawn red.
        widths: Of their lines, in pixels of a painting: broad where the window blurs.
    """
    scale = SCALE if len(pictures) <= MANY else SCALE // 2
    height, width = (side * scale for side in pictures.shape[1:3])
    columns = max(1, round(math.sqrt(len(pictures) * height / width)))
    rows = -(-len(pictures) // columns)
    board = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        tile = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
        if boxes is not None and widths is not None:
            limit = 4 * max(height, width)  # a window can be anywhere
            left, top, right, bottom = (
                int(np.clip((value - 0.5) * scale, -limit, limit)) for value in boxes[place]
            )
            line = int(np.clip(round(widths[place] * scale / 2), 1, scale))
            cv2.rectangle(tile, (left, top), (right, bottom), RED, line)
        row, column = divmod(place, columns)
        y, x = GAP + row * (height + GAP), GAP + column * (width + GAP)
        board[y : y + height, x : x + width] = tile
    return board


def png(board: UInt8[np.ndarray, "Hh Ww 3"]) -> bytes:
    """Returns an RGB picture as the content of a PNG."""
    return cv2.imencode(".png", board[..., ::-1])[1].tobytes()


def animation(strokes: Sequence[Stroke]) -> bytes:
    """Returns the content of a GIF: stroke after stroke with the window it was written in, then all without.

    Args:
        strokes: Of all steps.
    """
    frames = []
    for stroke in strokes:
        boxes, widths = stroke.boxes.cpu().numpy(), stroke.precision.cpu().numpy()
        frames.append(sheet(as_bytes(stroke.picture.cpu().numpy()), boxes, widths))
    frames.append(sheet(as_bytes(strokes[-1].picture.cpu().numpy())))
    first, *others = [Image.fromarray(frame) for frame in frames]
    times = [FRAME_MS] * len(others) + [LAST_MS]
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=times, loop=0)
    return content.getvalue()

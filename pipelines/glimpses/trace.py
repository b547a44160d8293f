"""Draws how a number was read: window after window on the picture, as a picture and as an animation."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modules.whole_files import write_whole

SIDE = 320  # pixels of the picture on the sheet
PATCH = 96  # of what one window shows
MARGIN, LINE = 12, 26
COLOURS = ((228, 87, 46), (240, 177, 39), (63, 163, 77), (46, 134, 222), (142, 68, 173))
FRAME_MS, LAST_MS = 700, 2000  # how long a frame of the animation stays


@dataclass(frozen=True)
class Trace:
    """What is drawn of one picture.

    Attributes:
        picture: The square that the model saw, RGB bytes (S, S, 3).
        places: Of the glimpses in their order, x and y from -1 to 1.
        sides: Of the windows of a glimpse as shares of the picture, the smallest first.
        labels: What each glimpse led to, such as "4 98 %"; empty where no digit was said after it.
        headline: Stands above.
    """

    picture: np.ndarray
    places: Sequence[tuple[float, float]]
    sides: Sequence[float]
    labels: Sequence[str]
    headline: str


def labels_of(number: str, digits: Sequence[float], glimpses: int, backward: bool) -> list[str]:
    """Returns what each glimpse led to: after every so many of them a digit with its probability.

    Args:
        number: That was read.
        digits: Probability of each digit.
        glimpses: For each digit.
        backward: Whether a second reader from right to left follows.
    """
    labels = []
    orders = [range(len(number))] + ([range(len(number) - 1, -1, -1)] if backward else [])
    for order in orders:
        for place in order:
            labels += [""] * (glimpses - 1) + [f"{number[place]}  {100 * digits[place]:.0f} %"]
    return labels


def draw_trace(trace: Trace, shown: int | None = None) -> np.ndarray:
    """Returns a sheet, RGB bytes: the picture with its windows, and below it what the windows show.

    Args:
        trace: What to draw.
        shown: Glimpses that were taken so far; by default all.
    """
    count = len(trace.places) if shown is None else shown
    columns = max(len(trace.places), 1)
    width = max(SIDE, columns * (PATCH + MARGIN) - MARGIN) + 2 * MARGIN
    height = 3 * MARGIN + 2 * LINE + SIDE + PATCH
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), trace.headline, (28, 28, 30), font=_font(16))
    top, left = MARGIN + LINE, (width - SIDE) // 2
    picture = Image.fromarray(trace.picture)
    board = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    on_board = ImageDraw.Draw(board)
    for place, (x, y) in enumerate(trace.places[:count]):
        is_last = place == count - 1
        colour = COLOURS[place % len(COLOURS)]
        for number, side in enumerate(trace.sides if is_last else trace.sides[:1]):
            half = side * SIDE / 2
            cx, cy = (x + 1) * SIDE / 2, (y + 1) * SIDE / 2
            on_board.rectangle(
                (cx - half, cy - half, cx + half, cy + half), outline=colour, width=3 - min(number, 2)
            )
    sheet.paste(board, (left, top))
    for place, (x, y) in enumerate(trace.places[:count]):
        at = MARGIN + place * (PATCH + MARGIN), top + SIDE + MARGIN
        sheet.paste(_patch(picture, x, y, trace.sides[0]), at)
        draw.rectangle(
            (*at, at[0] + PATCH - 1, at[1] + PATCH - 1), outline=COLOURS[place % len(COLOURS)], width=2
        )
        text = (at[0] + PATCH / 2, at[1] + PATCH + LINE / 2)
        draw.text(text, trace.labels[place], (28, 28, 30), font=_font(14), anchor="mm")
    return np.asarray(sheet)


def write_trace(path: Path, trace: Trace) -> None:
    """Writes NAME.png, the whole sheet, and NAME.gif, which grows window after window.

    Args:
        path: Without a suffix of its own: .png and .gif are added.
        trace: What to draw.
    """
    frames = [Image.fromarray(draw_trace(trace, shown)) for shown in range(len(trace.places) + 1)]
    png, gif = io.BytesIO(), io.BytesIO()
    frames[-1].save(png, "PNG")
    times = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    # one palette for all: finding one for each frame takes seven times as long, and the file gets larger
    last = frames[-1].quantize(dither=Image.Dither.NONE)
    grown = [frame.quantize(palette=last, dither=Image.Dither.NONE) for frame in frames[:-1]] + [last]
    grown[0].save(gif, "GIF", save_all=True, append_images=grown[1:], duration=times, loop=0)
    write_whole(path.with_name(f"{path.name}.png"), png.getvalue())
    write_whole(path.with_name(f"{path.name}.gif"), gif.getvalue())


def _patch(picture: Image.Image, x: float, y: float, side: float) -> Image.Image:
    """Returns what the smallest window shows, black outside of the picture."""
    size = picture.width
    half = side * size / 2
    cx, cy = (x + 1) * size / 2, (y + 1) * size / 2
    scale = 2 * half / PATCH
    matrix = (scale, 0, cx - half, 0, scale, cy - half)
    return picture.transform((PATCH, PATCH), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), size)

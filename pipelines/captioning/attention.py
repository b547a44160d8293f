"""Draws what the decoder looked at: the photograph and, word by word, its attention weights laid over it.

The weights alpha (T, L) of Xu et al. 2015 (eq. 5) belong to an h by w grid over the picture the encoder saw.
They are shown in multiples of an even share 1/L, all words of a caption on one colour scale: a word that
looks everywhere gives a flat dark panel, a word that looks at one spot a bright one.

Axis letters: T words, L locations, Hh and Ww the height and width of a picture in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from modules.whole_files import write_whole
from pipelines.captioning.fonts import font_for
from pipelines.reports.page import fit_within

PANEL_WIDTH = 216  # pixels
INK, FAINT = (28, 28, 30), (110, 110, 115)


@dataclass(frozen=True)
class AttentionPanels:
    """The pictures of one caption: the photograph, one overlay per word, and the top of the colour scale."""

    photograph: UInt8[np.ndarray, "Hh Ww 3"]
    overlays: list[UInt8[np.ndarray, "Hh Ww 3"]]
    peak: float  # multiples of an even share 1/L


def encoder_view(image: UInt8[np.ndarray, "Hh Ww 3"], resize: str) -> UInt8[np.ndarray, "Hh2 Ww2 3"]:
    """The part of the picture that the grid covers, in the picture's own proportions.

    Args:
        image: The whole photograph.
        resize: How the preprocessing brought it to the encoder's square: squash, crop or pad.
    """
    height, width = image.shape[:2]
    if resize == "squash":
        return image
    if resize == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return image[top : top + side, left : left + side]
    if resize == "pad":
        # the square around a long strip at full size would be enormous
        image = fit_within(image, min(width, 800), min(height, 800))
        height, width = image.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = np.full((side, side, 3), 127, np.uint8)
        square[top : top + height, left : left + width] = image
        return square
    raise ValueError(f"resize {resize!r}: there are squash, crop and pad")


def upsample_attention(
    alpha: Float[np.ndarray, "T L"], grid: tuple[int, int], size: tuple[int, int]
) -> Float[np.ndarray, "T Hh Ww"]:
    """Smooth maps in multiples of an even share 1/L, for `size` = (height, width) in pixels.

    The mean of a map is the sum of its word's weights: smoothing moves attention, but adds and removes none.
    """
    rows, columns = grid
    words = len(alpha)
    if alpha.shape != (words, rows * columns):
        raise ValueError(f"attention of shape {alpha.shape} does not fit a grid of {rows} x {columns}")
    cells = np.ascontiguousarray(alpha, dtype=np.float32).reshape(words, rows, columns) * (rows * columns)
    maps = np.empty((words, *size), dtype=np.float32)
    # a third of a cell: enough to hide the grid, too little to move a peak into the next cell
    sigma_y, sigma_x = size[0] / rows / 3, size[1] / columns / 3
    for cell, smooth in zip(cells, maps, strict=True):
        fine = cv2.resize(cell, size[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.GaussianBlur(fine, (0, 0), sigma_x, smooth, sigma_y, borderType=cv2.BORDER_REPLICATE)
        np.maximum(smooth, 0, out=smooth)  # the cubic kernel undershoots
        smooth *= cell.mean() / max(float(smooth.mean()), 1e-12)
    return maps


def attention_panels(
    image: UInt8[np.ndarray, "Hh Ww 3"],
    alpha: Float[np.ndarray, "T L"],
    grid: tuple[int, int],
    width: int = PANEL_WIDTH,
) -> AttentionPanels:
    """The photograph and one overlay per word, at most `width` pixels wide and 1.4 times as high."""
    photograph = fit_within(image, width, round(width * 1.4))
    maps = upsample_attention(alpha, grid, photograph.shape[:2])
    # one scale for the caption; the floor keeps even attention dark
    peak = float(maps.max(initial=4.0))
    grey = cv2.cvtColor(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    overlays = []
    for attention in maps:
        heat = (attention / peak) ** 0.7  # lifted, or one sharp word would darken all others
        colour = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        overlays.append(cv2.addWeighted(grey, 0.4, np.ascontiguousarray(colour), 0.6, 0))
    return AttentionPanels(photograph, overlays, peak)


def draw_attention(
    image: UInt8[np.ndarray, "Hh Ww 3"],
    words: Sequence[str],
    alpha: Float[np.ndarray, "T L"],
    grid: tuple[int, int],
    caption: str,
    sentinel: Sequence[float] | None = None,
) -> UInt8[np.ndarray, "Hh2 Ww2 3"]:
    """One RGB picture: the caption, the photograph, then one panel per word with its attention laid over it.

    Args:
        image: What the grid covers: the photograph, or its `encoder_view` where that was cropped or padded.
        words: The caption's words, one for each row of alpha.
        alpha: Attention weights, non-negative.
        grid: Rows and columns of the locations, row-major.
        caption: The headline.
        sentinel: The weight of each word that did not go to the picture, to be written beside the word.
    """
    if len(words) != len(alpha):
        raise ValueError(f"{len(words)} words but {len(alpha)} rows of attention")
    labels = words if sentinel is None else with_sentinel(words, sentinel)
    panels = attention_panels(image, alpha, grid)
    pictures = [panels.photograph, *panels.overlays]
    columns = min(len(pictures), max(3, round((1.4 * len(pictures)) ** 0.5)))
    panel_height, panel_width = panels.photograph.shape[:2]
    gap, margin, label_height, line_height, footer = 10, 16, 26, 26, 30
    cell_width = max(panel_width, PANEL_WIDTH // 2)  # a narrow picture still leaves room for its word
    width = max(2 * margin + columns * (cell_width + gap) - gap, 480)
    title = _wrap(caption, 18, width - 2 * margin)
    top = margin + line_height * len(title) + 6
    rows = -(-len(pictures) // columns)
    height = top + rows * (panel_height + label_height + gap) + footer

    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(title):
        draw.text((margin, margin + line * line_height), text, INK, font=font_for(caption, 18))
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        left = margin + column * (cell_width + gap)
        y = top + row * (panel_height + label_height + gap)
        sheet.paste(Image.fromarray(picture), (left + (cell_width - panel_width) // 2, y))
        if index:
            text, font = _fit_text(labels[index - 1], cell_width)
            draw.text(
                (left + cell_width / 2, y + panel_height + label_height / 2), text, INK, font, anchor="mm"
            )
    note = "" if sentinel is None else "; percent: weight not on the picture"
    _draw_scale(sheet, draw, margin, height - footer, panels.peak, note)
    return np.asarray(sheet)


def write_attention(
    path: Path,
    image: UInt8[np.ndarray, "Hh Ww 3"],
    words: Sequence[str],
    alpha: Float[np.ndarray, "T L"],
    grid: tuple[int, int],
    caption: str,
    sentinel: Sequence[float] | None = None,
) -> Path:
    """Path of the picture of `draw_attention`, written whole or not at all, as .png or .jpg by its suffix.

    A sheet of ten words takes about 200 kB as .jpg and five times that as .png.
    """
    sheet = draw_attention(image, words, alpha, grid, caption, sentinel)
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    if path.suffix.lower() in (".jpg", ".jpeg"):
        # full colour resolution: small coloured text and edges smear otherwise
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    data = cv2.imencode(path.suffix, sheet[..., ::-1], options)[1]
    return write_whole(path, data.tobytes())


def with_sentinel(words: Sequence[str], sentinel: Sequence[float]) -> list[str]:
    """Returns each word with the weight of its sentinel, such as "of 83 %"."""
    return [f"{word} {weight:.0%}".replace("%", " %") for word, weight in zip(words, sentinel, strict=True)]


def _draw_scale(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, left: int, top: int, peak: float, note: str
) -> None:
    ramp = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (10, 1))
    sheet.paste(Image.fromarray(cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[..., ::-1]), (left, top + 4))
    text = f"attention per word, 0 to {peak:.1f} times an even share{note}"
    draw.text((left + 104, top + 9), text, FAINT, font=font_for(text, 12), anchor="lm")


def _printable(text: str) -> str:
    # lone surrogates and line breaks cannot be drawn on one line
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _fit_text(text: str, width: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """The text and the largest font that fit into width pixels; cut with an ellipsis at the smallest size."""
    text = _printable(text)
    for size in range(16, 10, -1):
        font = font_for(text, size)
        if font.getlength(text) <= width:
            return text, font
    while len(text) > 1 and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…", font


def _wrap(text: str, size: int, width: int) -> list[str]:
    """Lines no wider than width pixels; a word that is wider than that is broken."""
    font = font_for(text, size)
    lines = [""]
    for word in _printable(text).split():
        candidate = f"{lines[-1]} {word}".strip()
        if font.getlength(candidate) <= width:
            lines[-1] = candidate
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines

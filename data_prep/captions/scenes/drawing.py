"""From a scene's description to its picture, and contact sheets of captioned pictures."""

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np

from data_prep.captions.scenes.layout import Box, Scene
from data_prep.captions.scenes.objects import draw_object
from data_prep.captions.scenes.settings import paint_setting

# everything is drawn twice as large and averaged down: smooth edges at any size
_SUPERSAMPLING = 2


def draw_picture(scene: Scene, size: int, rng: np.random.Generator) -> np.ndarray:
    """The scene as an RGB picture (size, size, 3), uint8; `rng` gives what the description leaves open."""
    side = size * _SUPERSAMPLING
    canvas = paint_setting(scene.setting, side, rng)
    things = [(box, group) for group in scene.groups for box in group.boxes]
    for box, group in sorted(things, key=lambda thing: thing[0].bottom):  # the nearer hides the farther
        if group.zone != "air":
            _cast_shadow(canvas, box)
        height = max(8, round(box.height * side))
        rgb, alpha = draw_object(group.kind, group.colour, group.texture, height, rng)
        _lay_over(canvas, rgb, alpha, round(box.x * side), round(box.bottom * side) - height)
    picture = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    grain = rng.integers(0, 7, (size, size, 3), dtype=np.uint8)
    return cv2.subtract(picture, grain)


def _cast_shadow(canvas: np.ndarray, box: Box) -> None:
    """Darkens a soft flat ellipse under a thing's feet."""
    side = len(canvas)
    across, down = max(2, round(0.46 * box.width * side)), max(2, round(0.016 * side))
    x, y = round(box.centre * side), round((box.bottom - 0.006) * side)
    left, right = max(0, x - across - down), min(side, x + across + down)
    top, bottom = max(0, y - 2 * down), min(side, y + 2 * down)
    spot = np.zeros((bottom - top, right - left), np.uint8)
    cv2.ellipse(spot, (x - left, y - top), (across, down), 0, 0, 360, 96, -1)
    shade = 1 - cv2.blur(spot, (down, down))[..., None] / np.float32(255)
    region = canvas[top:bottom, left:right]
    np.multiply(region, shade, out=region, casting="unsafe")


def _lay_over(canvas: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, left: int, top: int) -> None:
    """Blends a patch into the canvas with its upper left corner at (left, top), cut at the border."""
    x, y = max(0, left), max(0, top)
    region = canvas[y : top + rgb.shape[0], x : left + rgb.shape[1]]
    rgb = rgb[y - top :, x - left :][: region.shape[0], : region.shape[1]]
    alpha = alpha[y - top :, x - left :][: region.shape[0], : region.shape[1]]
    weight = cv2.merge([alpha, alpha, alpha])
    behind = cv2.multiply(region, cv2.bitwise_not(weight), scale=1 / 255)
    region[:] = cv2.add(behind, cv2.multiply(np.ascontiguousarray(rgb), weight, scale=1 / 255))


def contact_sheet(pictures: Sequence[np.ndarray], texts: Sequence[Sequence[str]], columns: int) -> np.ndarray:
    """RGB pictures of one size in a grid, each with its lines of text below it, wrapped."""
    side, line, gap = len(pictures[0]), 16, 10
    wrapped = [[part for text in each for part in textwrap.wrap(f"- {text}", side // 7)] for each in texts]
    foot = line * max(map(len, wrapped)) + gap
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (side + foot), columns * (side + gap) - gap, 3), 255, np.uint8)
    for place, (picture, lines) in enumerate(zip(pictures, wrapped, strict=True)):
        top, left = place // columns * (side + foot), place % columns * (side + gap)
        sheet[top : top + side, left : left + side] = picture
        for number, text in enumerate(lines):
            at = (left, top + side + line * (number + 1) - 2)
            cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 30, 40), 1, cv2.LINE_AA)
    return sheet

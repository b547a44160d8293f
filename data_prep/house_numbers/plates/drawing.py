"""One drawn house number: digits on a plate, the plate on a wall, seen aslant in some light."""

from __future__ import annotations

import cv2
import numpy as np

from data_prep.house_numbers.plates.fonts import HEIGHT, digit_masks
from data_prep.house_numbers.plates.materials import MATERIALS, WALLS, choose_colours, texture

NAMES = tuple(MATERIALS)
ROOM = 1.5  # pixels of the drawing for a pixel of the picture


def draw_number(rng: np.random.Generator, number: str, font: str, size: int) -> np.ndarray:
    """Returns a picture of a house number, uint8 RGB (size, size, 3).

    Args:
        rng: Draws everything but number and font.
        number: Digits.
        font: As in `fonts.FONTS`.
        size: Side of the picture in pixels, from 32.
    """
    canvas = _wall(rng, size)
    _clutter(rng, canvas, font, size)
    plate, alpha = draw_plate(rng, number, font, size)
    _hang(rng, canvas, plate, alpha)
    return _photograph(rng, canvas)


def draw_front(rng: np.random.Generator, number: str, font: str, size: int) -> np.ndarray:
    """Returns a plate from the front that fills the middle half of a picture, uint8 RGB (size, size, 3).

    Args:
        rng: Draws everything but number and font.
        number: Digits.
        font: As in `fonts.FONTS`.
        size: Side of the picture in pixels, from 32.
    """
    plate, alpha = draw_plate(rng, number, font, 2 * size)
    scale = min(size / alpha.shape[1], size / 2 / alpha.shape[0]) * float(rng.uniform(0.9, 1.0))
    h, w = (max(2, round(side * scale)) for side in alpha.shape)
    plate, alpha = (cv2.resize(each, (w, h), interpolation=cv2.INTER_AREA) for each in (plate, alpha))
    canvas = _wall(rng, size)
    canvas += 0.85 * (canvas.mean((0, 1)) - canvas)  # a wall out of focus
    y = round((size - h) * float(rng.uniform(0.45, 0.55)))
    x = round((size - w) * float(rng.uniform(0.3, 0.7)))
    part = canvas[y : y + h, x : x + w]
    part += (plate - part) * alpha[:, :, None]
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = (1 + float(rng.normal(0, 0.1)) * ramp) * float(rng.uniform(0.75, 1.1))
    noise = rng.standard_normal((size, size), np.float32)
    return np.clip(canvas * light[None, :, None] + noise[:, :, None], 0, 255).astype(np.uint8)


def _strip(number: str, font: str, height: int, gap: int, condensed: float) -> np.ndarray:
    """Returns the mask of a number, digit beside digit, float32 (height, width)."""
    masks = digit_masks(font)
    parts: list[np.ndarray] = []
    for digit in number:
        mask = masks[int(digit)]
        width = max(2, round(mask.shape[1] * height / mask.shape[0] * condensed))
        parts += [
            cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA),
            np.zeros((height, gap), np.uint8),
        ]
    return np.hstack(parts[:-1]).astype(np.float32) / 255


def draw_plate(rng: np.random.Generator, number: str, font: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a plate, float32 RGB (h, w, 3), and how much of it covers what is behind (h, w)."""
    share = float(rng.uniform(0.68, 0.96))  # of the picture's width, or of its height where that is less
    condensed, gap = float(rng.uniform(0.85, 1.1)), float(rng.uniform(0.06, 0.24))
    widths = sum(digit_masks(font)[int(digit)].shape[1] for digit in number) / HEIGHT
    wide = condensed * widths + gap * (len(number) - 1)  # in heights
    room_x, room_y = rng.uniform(0.15, 0.45), rng.uniform(0.12, 0.45)
    height = share * size * ROOM / max(wide + 2 * room_x, (1 + 2 * room_y) / 0.85)
    height = max(8, round(height * float(rng.uniform(0.82, 1.0))))
    strip = _strip(number, font, height, max(1, round(gap * height)), condensed)
    x, y = round(room_x * height), round(room_y * height)
    mask = np.pad(strip, ((y, y), (x, x)))
    h, w = mask.shape
    name = NAMES[rng.integers(len(NAMES))]
    material = MATERIALS[name]
    ground, ink = choose_colours(rng, name)
    plate = ground.astype(np.float32) + texture(rng, material.grain, h, w)[:, :, None]
    depth = max(1, round(height * 0.05))
    if rng.random() < 0.35:  # digits that stand off throw a shadow
        shadow = cv2.GaussianBlur(np.roll(mask, (depth, depth), (0, 1)), (0, 0), depth)
        plate *= 1 - 0.45 * shadow[:, :, None]
    plate += (ink.astype(np.float32) - plate) * mask[:, :, None]
    alpha = np.zeros((h, w), np.float32)
    kind = rng.random()
    if kind < 0.2:  # no plate: digits alone
        grown = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=depth)
        return plate, cv2.GaussianBlur(grown, (0, 0), 1.0) if rng.random() < 0.5 else np.ones_like(alpha)
    if kind < 0.4:
        radius = round(min(h, w) * float(rng.uniform(0.1, 0.3)))
        cv2.rectangle(alpha, (radius, 0), (w - 1 - radius, h - 1), 1.0, -1)
        cv2.rectangle(alpha, (0, radius), (w - 1, h - 1 - radius), 1.0, -1)
        for cx in (radius, w - 1 - radius):
            for cy in (radius, h - 1 - radius):
                cv2.circle(alpha, (cx, cy), radius, 1.0, -1)
    else:
        alpha[:] = 1.0
    if material.is_framed or rng.random() < 0.2:
        inset = max(1, round(height * 0.05))
        cv2.rectangle(plate, (inset, inset), (w - 1 - inset, h - 1 - inset), ink.tolist(), max(1, inset // 2))
    if rng.random() < 0.35:
        radius = max(1, round(height * 0.045))
        for cx in (2 * radius + 1, w - 2 - 2 * radius):
            for cy in (2 * radius + 1, h - 2 - 2 * radius) if rng.random() < 0.5 else (h // 2,):
                cv2.circle(plate, (cx, cy), radius, (150.0, 150.0, 145.0), -1, cv2.LINE_AA)
                cv2.line(plate, (cx - radius, cy), (cx + radius, cy), (60.0, 60.0, 60.0), 1)
    return plate, alpha


def _wall(rng: np.random.Generator, size: int) -> np.ndarray:
    colour, grain = WALLS[rng.integers(len(WALLS))]
    ground = np.array(colour, np.float32) + rng.normal(0, 15, 3).astype(np.float32)
    wall: np.ndarray = ground + texture(rng, grain, size, size)[:, :, None]
    return np.ascontiguousarray(wall, np.float32)


def _clutter(rng: np.random.Generator, canvas: np.ndarray, font: str, size: int) -> None:
    """Draws what hangs near house numbers: bells, boards, pipes, a bit of another number at the edge."""
    for _ in range(int(rng.integers(0, 4))):
        colour = rng.uniform(20, 235, 3).tolist()
        x, y = (int(v) for v in rng.integers(0, size, 2))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(canvas, (x, y), int(rng.integers(2, max(3, size // 9))), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            far = (x + int(rng.integers(3, size // 2)), y + int(rng.integers(3, size // 4)))
            cv2.rectangle(canvas, (x, y), far, colour, -1)
        elif kind == 2:
            ends = rng.integers(0, size, 2)
            begin, end = ((int(ends[0]), 0), (int(ends[1]), size))
            if rng.random() < 0.5:
                begin, end = begin[::-1], end[::-1]
            cv2.line(canvas, begin, end, colour, int(rng.integers(1, max(2, size // 16))), cv2.LINE_AA)
        else:  # cut by the edge, so that nobody would read it
            mask = digit_masks(font)[int(rng.integers(10))]
            high = int(rng.integers(size // 6, size // 3))
            wide = max(3, mask.shape[1] * high // mask.shape[0])
            part = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA)[: high // 2, :, None] / 255
            place = slice(size - len(part), None), slice(x, x + part.shape[1])
            part = part[:, : canvas[place].shape[1]]
            canvas[place] += (np.array(colour) - canvas[place]) * part


def _hang(rng: np.random.Generator, canvas: np.ndarray, plate: np.ndarray, alpha: np.ndarray) -> None:
    """Puts a plate on the wall as a camera sees it from aside, with its shadow."""
    size = len(canvas)
    h, w = alpha.shape
    half = np.array([w, h]) / ROOM / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    turn = np.radians(rng.normal(0, 5))
    turned = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    turned *= 1 + rng.uniform(-0.1, 0.1, (4, 1)) * np.array([[0.4, 1.0]])
    reach = np.maximum(size / 2 - np.abs(turned).max(0) - 1, 0)
    middle = size / 2 + rng.uniform(-1, 1, 2) * reach
    warp = cv2.getPerspectiveTransform(
        np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), (turned + middle).astype(np.float32)
    )
    seen = cv2.warpPerspective(plate, warp, (size, size), borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(alpha, warp, (size, size))
    if rng.random() < 0.6:
        away = max(1, size // 40)
        shadow = cv2.GaussianBlur(
            np.roll(cover, (away, int(rng.choice([-away, away]))), (0, 1)), (0, 0), away
        )
        canvas *= 1 - 0.5 * shadow[:, :, None]
    canvas += (seen - canvas) * cover[:, :, None]


def _photograph(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Returns what a camera makes of it: light from one side, a shadow across, blur, noise, exposure."""
    size = len(canvas)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 + float(rng.normal(0, 0.15)) * ramp[:, None] + float(rng.normal(0, 0.15)) * ramp[None]
    if rng.random() < 0.3:
        slope, place = np.tan(rng.uniform(-1.2, 1.2)), rng.uniform(-0.6, 0.6)
        edge = (ramp[None] - place + slope * ramp[:, None]) * size / 6
        light *= 1 - float(rng.uniform(0.2, 0.5)) / (1 + np.exp(-np.clip(edge, -20, 20)))
    picture = canvas * np.clip(light, 0.3, 1.7)[:, :, None] * float(rng.uniform(0.7, 1.15))
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 0.8)) * max(1.0, size / 96))
    noise = rng.standard_normal((size, size), np.float32) * float(rng.uniform(1, 7))
    return np.clip(picture + noise[:, :, None], 0, 255).astype(np.uint8)

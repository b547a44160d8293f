"""A gallery of pictures as people have them, and the rows that `predict` writes of it."""

import json

import numpy as np
from PIL import Image

GOOD = {
    "COCO_val2014_000000000042.jpg",
    "DOG.JPEG",
    "cmyk.jpg",
    "deep/animated.gif",
    "deep/er/000000000007.png",
    "deep/rotated.jpg",
    "deep/sixteen.png",
    "deep/upright.png",
    "grey.png",
    "new\nline.png",
    "palette.png",
    "rgba.png",
    "two words 'and' \"quotes\", 犬 é.png",
}
BAD = {"cut.jpg", "deep/empty.png", "notes.txt", "x.jpg"}


def picture(seed, mode="RGB"):
    """A smooth coloured picture, so that JPEG keeps it and every seed looks different."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((72, 56), Image.Resampling.BICUBIC).convert(mode)


def rows_of(path):
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else text


def by_name(rows):
    return {row["image"]: row for row in rows}

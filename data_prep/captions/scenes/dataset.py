"""Drawn scenes with captions: a data set made in seconds, for `fit` without data, tests and demonstrations.

Fourteen kinds of things in eight colours, three sizes and four textures stand in eight settings. They stand
alone, in twos and threes, beside, above, under, in front of and between one another; five captions each. Of
2,400 images 2,000 train, 150 validate and 250 test.

Every test picture shows a combination never seen in training: a kind with a colour, a kind in a setting or a
kind in a relation (the rule is in `layout`). Every word of its captions, though, occurs in training
captions. Captions say left and right: do not mirror the pictures in training.

    DIR/images/00000.jpg ...   224 x 224, what the default encoder reads, so that nothing is resampled
    DIR/captions.jsonl         {"image", "captions", "split", "scene": what the picture shows, what is unseen}
    DIR/scenes.json            the settings and the name of the drawing; written last
"""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_prep.captions.records import CaptionTable, read_table
from data_prep.captions.scenes.drawing import contact_sheet, draw_picture
from data_prep.captions.scenes.language import write_captions
from data_prep.captions.scenes.layout import Scene, draw_scene, unseen
from data_prep.drawn_sets import DrawnSet, write_whole_sheet
from data_prep.progress import tracked
from modules.errors import InputError
from modules.images import read_image

IMAGES, SEED, SIZE = 2400, 0, 224
MARKER, TABLE, PICTURES = "scenes.json", "captions.jsonl", "images"
_SMALLEST = 50  # fewer training captions do not hold the words that others need
_TRIES = 1000
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]
_SET = DrawnSet("drawn scenes", "0be3b55378360c2c", MARKER, TABLE, PICTURES, "*.jpg")


def recognises(root: Path) -> bool:
    """Whether the folder holds drawn scenes."""
    return _SET.recognises(root)


def read(root: Path) -> CaptionTable:
    """Returns the table of the drawn scenes in a folder, which are drawn first where there are none.

    What a former version of the generator drew, or what is incomplete, is drawn anew with its own settings.
    """
    defaults = {"images": IMAGES, "seed": SEED, "size": SIZE}
    settings = _SET.recorded(root)
    generate(root, **{name: settings.get(name, default) for name, default in defaults.items()})
    return read_table(root / TABLE, root / PICTURES)


def read_scenes(root: Path) -> list[dict[str, Any]]:
    """Returns the rows of captions.jsonl: "scene" holds setting, relation, groups, unseen combinations."""
    return [json.loads(line) for line in (root / TABLE).read_text(encoding="utf-8").splitlines()]


def generate(root: Path, images: int = IMAGES, seed: int = SEED, size: int = SIZE, workers: int = 2) -> None:
    """Draws the data set into a folder, unless it is there already; equal settings give equal files.

    A set of other settings is replaced; a folder that holds anything else is an InputError.

    Args:
        root: folder of the data set.
        images: how many pictures, all splits together.
        seed: any whole number.
        size: side of the pictures in pixels.
        workers: threads that draw.
    """
    if images < _SMALLEST:
        raise InputError(
            f"{images} images are too few to hold all words in training; draw at least {_SMALLEST}"
        )
    if not 32 <= size <= 1024:
        raise InputError(f"a picture of {size} pixels is not possible; choose a size from 32 to 1024")
    settings = {"images": images, "seed": seed, "size": size}
    _SET.provide(root, settings, images, lambda folder: _make(folder, settings, max(1, workers)))


def _make(folder: Path, settings: dict[str, Any], workers: int) -> None:
    """Writes pictures and captions into an empty folder."""
    images, seed, size = settings["images"], settings["seed"], settings["size"]
    rows = _describe_all(images, seed)
    (folder / PICTURES).mkdir()

    def draw(number: int) -> None:
        picture = draw_picture(rows[number][1], size, np.random.default_rng([abs(seed), seed < 0, number]))
        _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)
        (folder / PICTURES / _file_name(number)).write_bytes(data.tobytes())

    with ThreadPoolExecutor(workers) as pool:
        drawn = pool.map(draw, range(images))
        for _ in tracked(drawn, "drawing scenes", images, visible=images >= 500):
            pass
    with (folder / TABLE).open("w", encoding="utf-8", newline="\n") as table:
        for number, (split, scene, captions) in enumerate(rows):
            shown = {**scene.as_dict(), "unseen": unseen(scene, split)}
            row = {"image": _file_name(number), "captions": captions, "split": split, "scene": shown}
            table.write(json.dumps(row) + "\n")


def _file_name(number: int) -> str:
    return f"{number:05d}.jpg"


def _describe_all(images: int, seed: int) -> list[tuple[str, Scene, list[str]]]:
    """Split, scene and captions of every picture; val and test only use words of the training captions."""
    counts = {"val": max(1, images // 16), "test": max(1, images * 5 // 48)}
    counts = {"train": images - sum(counts.values()), **counts}
    rows: list[tuple[str, Scene, list[str]]] = []
    known: set[str] | None = None
    for split, count in counts.items():
        for place in range(count):
            rng = random.Random(f"{seed} {split} {place}")
            for _ in range(_TRIES):
                scene = draw_scene(split, place, rng)
                captions = write_captions(scene, rng, known)
                if captions:
                    rows.append((split, scene, captions))
                    break
            else:
                raise InputError(f"{images} images do not hold all words in training; draw more")
        if split == "train":
            known = {word for _, _, captions in rows for caption in captions for word in caption.split()}
    return rows


def write_sheet(root: Path, path: Path, pictures: int = 24) -> None:
    """Writes a contact sheet of the first test pictures with three of their captions as a PNG."""
    records = read(root).split("test")[:pictures]
    shown = [read_image(record.path) for record in records]
    sheet = contact_sheet(shown, [record.captions[:3] for record in records], columns=6)
    write_whole_sheet(path, sheet)

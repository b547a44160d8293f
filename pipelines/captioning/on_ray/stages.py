"""The two stages of `predict --engine ray`: tasks that read and decode, and a pool of captioners."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import ray
import torch

from data_prep.captions.onnx_encoders import hasten
from data_prep.captions.sources import ReadPicture, read_share
from modules.captioning.captioner import Captioner
from modules.captioning.ensemble import CaptionerEnsemble
from modules.captioning.preprocessing import EvalTransform
from modules.encoders.image import ImageEncoder
from modules.whole_files import ESCAPED
from pipelines.captioning.prediction_rows import caption_row

AT_ONCE = 64  # pictures that a reading task hands on together
HALF = "surrogateescape"  # a file's name need not be UTF-8, and travels as bytes

Columns = dict[str, np.ndarray]


class ReadPictures:
    """Takes shares of the pictures (column `share`) and yields columns of pictures.

    They are `name` and `error` (bytes), `pixels` (N, 3, S, S) uint8, and `is_shown`, where there is a picture
    to caption. `is_archive` is the row of an archive that could not be read to its end.

    Args:
        transform: To the captioner's square.
    """

    def __init__(self, transform: EvalTransform) -> None:
        self.transform = transform

    def __call__(self, shares: Columns) -> Iterator[Columns]:
        torch.set_num_threads(1)  # as many of these run as there are cores
        for share in shares["share"]:
            found = iter(read_share(json.loads(share), self.transform.minimum_size))
            while pictures := list(islice(found, AT_ONCE)):
                yield self._columns(pictures)

    def _columns(self, pictures: Iterable[ReadPicture]) -> Columns:
        pictures = list(pictures)
        size = self.transform.size
        blank = torch.zeros(3, size, size, dtype=torch.uint8)
        squares = [blank if p.image is None else self.transform(p.image) for p in pictures]
        return {
            "name": _bytes(p.name.encode(errors=HALF) for p in pictures),
            "error": _bytes(p.wrong.encode(errors=ESCAPED) for p in pictures),
            "pixels": torch.stack(squares).numpy(),  # (N, 3, S, S)
            "is_shown": np.array([p.image is not None for p in pictures]),
            "is_archive": np.array([p.is_archive for p in pictures]),
        }


class CaptionPictures:
    """A captioner of the pool: takes columns of `ReadPictures`, returns rows as JSON, one a picture.

    Args:
        model: Reference to it, as it is to write captions; it is fetched once.
        device: cpu or cuda.
        images: About how many it will caption.
    """

    def __init__(self, model: Any, device: str, images: int) -> None:
        self.model: Captioner | CaptionerEnsemble = ray.get(model).to(device).eval()
        for encoder in self.model.modules():
            if isinstance(encoder, ImageEncoder):
                hasten(encoder, images, device, eight_bits=self.model.reduced_precision)

    def __call__(self, columns: Columns) -> Columns:
        names = [name.decode(errors=HALF) for name in columns["name"]]
        errors = [error.decode() for error in columns["error"]]
        shown = np.flatnonzero(columns["is_shown"])
        rows: list[dict[str, Any]] = [
            {"image": name, "error": error} for name, error in zip(names, errors, strict=True)
        ]
        if len(shown):
            pixels = torch.from_numpy(np.ascontiguousarray(columns["pixels"][shown])).to(self.model.device)
            with torch.inference_mode():
                captions = self.model.caption(
                    self.model.views(pixels),
                    [names[number] for number in shown],
                    keep_alpha=self.model.has_sentinel,
                    captions=self.model.captions,
                )
            for number, caption in zip(shown, captions, strict=True):
                wrong = errors[number]
                reasons = [f"{wrong}; captioned as far as it goes"] if wrong else []
                rows[number] = caption_row(self.model, names[number], caption, reasons)
        lines = (json.dumps(row, ensure_ascii=False).encode(errors=ESCAPED) for row in rows)
        return {"row": _bytes(lines), "is_archive": columns["is_archive"]}


def _bytes(values: Iterable[bytes]) -> np.ndarray:
    """Returns a column of bytes: NumPy's own type of them would cut zeros off their ends."""
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    column[:] = listed
    return column

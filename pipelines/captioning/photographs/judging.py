"""Photographs and sentences set beside one another by a captioner, as `score --images` and `match` do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from data_prep.captions.features import FeatureCache
from data_prep.input_files import list_files
from data_prep.left_out import warn_of
from modules.captioning.agreement import Judge
from modules.captioning.captioner import Captioner
from modules.captioning.preprocessing import EvalTransform
from modules.captioning.pretrained import PRETRAINED
from modules.errors import InputError, first_five
from pipelines.captioning.predictions import References, coco_image_id, resolver
from pipelines.devices import chosen_device

BATCH = 64  # photographs at a time
ASKED = 10  # photographs that show whether the judge wrote the captions


class Photographs:
    """Annotations of photographs by a captioner that judges sentences; what was annotated is in the cache.

    Args:
        ckpt_path: Checkpoint of the captioner; None for the ready-made one.
        device: As `--device` names it.
    """

    def __init__(self, ckpt_path: Path | None, device: str) -> None:
        self.device = chosen_device(device)
        name = ckpt_path or PRETRAINED
        self.model = Captioner.load(name).to(self.device)
        self.judge: Judge = self.model.judge(name)
        self.transform = EvalTransform(self.model.encoder.image_size, self.model.resize)
        self.cache = FeatureCache.open(self.model.encoder, self.transform, self.device)

    def read(self, paths: Sequence[Path]) -> list[Path]:
        """Annotates photographs; returns those that can be read, and names the others on stderr."""
        report = self.cache.fill(paths, self.model.encoder, self.transform, self.device)
        warn_of([f"{path}: {reason}" for path, reason in report.unreadable], "more cannot be read")
        unreadable = {path for path, _ in report.unreadable}
        readable = [path for path in paths if path not in unreadable]
        if not readable:
            raise InputError(f"{paths[0]}: none of the {len(paths)} files is an image that can be read")
        self._rows = self.cache.rows(readable)
        return readable

    def batches(self) -> Iterator[tuple[slice, Tensor]]:
        """Yields annotations (N, L, D) of what was read, and which they are."""
        for first in range(0, len(self._rows), BATCH):
            of_batch = slice(first, first + BATCH)
            yield of_batch, self.cache.read(self._rows[of_batch])

    def agreement(self, captions: Sequence[str]) -> list[float]:
        """Returns g of each photograph that was read and its own caption."""
        g: list[float] = []
        for of_batch, photographs in self.batches():
            g += self.judge.of_pairs(photographs, captions[of_batch])
        return g

    def wrote(self, captions: Mapping[Path, str]) -> bool:
        """Returns whether the judge itself would say most of these captions, of the first photographs."""
        asked = list(captions)[:ASKED]
        said = [caption.text for caption in self.model.caption_images(asked)]
        return sum(text == captions[path] for path, text in zip(asked, said, strict=True)) > len(asked) / 2


def photographs_of(names: Sequence[str], folder: Path, source: Path) -> dict[str, Path]:
    """Returns the file of each captioned image, by its name, its file's name or COCO's number.

    Args:
        names: As captions name their images.
        folder: Of the photographs.
        source: The captions' file, for a complaint.
    """
    files = {path.relative_to(folder).as_posix(): path for path in list_files(folder)}
    numbers = {str(number): name for name in files if (number := coco_image_id(name)) is not None}
    resolve = resolver(References(folder, {name: [] for name in files}, numbers))
    found = {name: resolve(name) for name in names}
    absent = [name for name, file in found.items() if file is None]
    if absent:
        raise InputError(
            f"{source}: {len(absent)} of {len(found)} captioned images are not in {folder}: "
            f"{first_five(absent)}; name their folder with --images"
        )
    return {name: files[file] for name, file in found.items() if file is not None}

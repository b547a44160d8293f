"""Pictures of house numbers as batches: from a folder in any known format to `NumberBatch`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytorch_lightning as pl
import torch

from data_prep.batching import BatchLoader, evaluation_batches
from data_prep.cache import cache_root
from data_prep.house_numbers import read_numbers
from data_prep.house_numbers.pictures import NumberArray
from data_prep.house_numbers.records import NumberRecord, NumberTable, leave_out_long
from data_prep.house_numbers.short_first import ShortFirstSampler
from data_prep.image_names import hold_out
from data_prep.left_out import listing_of, naming
from data_prep.resumable import place_in
from data_prep.saying import say, say_drawn, say_few
from modules.errors import InputError, check_at_least
from modules.house_numbers.batch import MOST_DIGITS, NumberBatch, encode
from modules.house_numbers.preprocessing import NumberPictures

FormatName = Literal["auto", "plates", "fronts", "folder", "svhn", "svhn_cropped", "voc", "meters"]


class Numbers:
    """Takes numbers of records and returns their `NumberBatch`.

    Args:
        pictures: Of the records.
        jitter: How far a picture is moved, grown or shrunk at random, as a share of its side; 0 for not.
    """

    def __init__(self, pictures: NumberArray, jitter: float = 0.0) -> None:
        self.pictures, self.jitter = pictures, jitter

    def __getitem__(self, rows: list[int]) -> NumberBatch:
        images = self.pictures[rows]
        if self.jitter:
            # what is drawn depends on the batch alone: a resumed run sees what the uninterrupted one did
            images = jittered(images, self.jitter, np.random.default_rng(rows))
        records = [self.pictures.records[row] for row in rows]
        return NumberBatch(
            torch.from_numpy(images).permute(0, 3, 1, 2),
            encode([record.number for record in records]),
            [record.image for record in records],
        )

    def __len__(self) -> int:
        return len(self.pictures)


def jittered(images: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Returns pictures (B, S, S, 3), each moved, grown or shrunk, and made darker or lighter at random."""
    size = images.shape[1]
    scales = 1 + rng.uniform(-jitter, jitter, (len(images), 2))
    moves = rng.uniform(-jitter, jitter, (len(images), 2)) * size + (1 - scales) * size / 2
    light = rng.uniform(0.8, 1.2, len(images))
    result = np.empty_like(images)
    for image, (sx, sy), (x, y), factor, target in zip(images, scales, moves, light, result, strict=True):
        matrix = np.array([[sx, 0, x], [0, sy, y]])
        moved = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        target[:] = cv2.convertScaleAbs(moved, alpha=factor)
    return result


class NumberDataModule(pl.LightningDataModule):
    """Pictures of house numbers, drawn, or of one folder in any format that `data_prep/house_numbers` reads.

    The squares that the model sees are made once and cached.

    Args:
        root: Folder of the data set; by default plates are drawn (format plates or fronts).
        format: How it is laid out; auto recognises it by its files.
        numbers: Training numbers, where they are drawn or put together; a tenth as many validate and as many
            are tested.
        batch_size: Pictures in a training step, over all processes together.
        min_steps: Fewest training steps of an epoch: a small set is read several times in each.
        short_first: Epochs, also a part of one, in which numbers grow from one digit to all lengths.
        eval_batch_size: Pictures in an evaluation step of one process.
        jitter: How far a training picture is moved, grown or shrunk at random, as a share of its side.
        cache: Folder of all caches; by default $SEQSIGHT_CACHE, else ~/.cache/seqsight.
        seed: Of what is drawn or put together, and of the order of training batches.
    """

    def __init__(
        self,
        root: Path | None = None,
        format: FormatName = "auto",
        numbers: int = 20_000,
        batch_size: int = 128,
        min_steps: int = 1,
        short_first: float = 0.0,
        eval_batch_size: int = 256,
        jitter: float = 0.05,
        cache: Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in [
            ("numbers", numbers, 1),
            ("batch_size", batch_size, 1),
            ("min_steps", min_steps, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("seed", seed, 0),
        ]:
            check_at_least(least, **{f"data.{name}": value})
        if not 0 <= short_first < math.inf:
            raise InputError(f"data.short_first is {short_first}; it has to be at least 0")
        if not 0 <= jitter < 0.5:
            raise InputError(f"data.jitter is {jitter}; it has to be from 0 to below 0.5")
        self.root, self.format, self.numbers = root, format, numbers
        self.batch_size, self.min_steps, self.eval_batch_size = batch_size, min_steps, eval_batch_size
        self.short_first, self.jitter, self.cache, self.seed = short_first, jitter, cache, seed
        self.table: NumberTable | None = None
        self.splits: dict[str, list[NumberRecord]] = {}
        self.arrays: dict[str, NumberArray] = {}

    @property
    def test_split(self) -> str:
        """The split that is scored at the end: test, or val where the data have no test split."""
        return "test" if self.splits["test"] else "val"

    def read(self) -> None:
        """Reads the table; needs no model."""
        if self.splits:
            return
        self.table = read_numbers(self.root, self.format, self.numbers, self.seed)
        if self.root is None:
            say_drawn("plates", "pictures")
        records, long = leave_out_long(self.table.records)
        if long:
            said = f"warning: {len(long)} number(s) of more than {MOST_DIGITS} digits left out"
            say(naming(said, long, listing_of(self.table.root, "long", self.cache)))
        self.splits = {
            name: [record for record in records if record.split == name] for name in ("train", "val", "test")
        }
        if self.splits["train"] and not self.splits["val"]:
            hold_out(self.splits)
            say(f"{self.table.root}: no validation split, every 20th training picture validates")
        if self.root is not None:
            remedy = "take more, or name them by a column split in numbers.csv"
            say_few(self.root, self.splits, "pictures", remedy)

    def setup(self, stage: str) -> None:
        """Reads the table, and makes the pictures that are missing."""
        self.read()
        needed = {"fit": ("train", "val"), "validate": ("val",)}.get(stage, (self.test_split,))
        assert self.trainer is not None
        model: Any = self.trainer.lightning_module
        for split in needed:
            self.prepare(split, model.pictures)

    def prepare(self, split: str, pictures: NumberPictures) -> NumberArray:
        """Returns the pictures of a split as a model sees them; InputError where there are none."""
        self.read()
        known = self.arrays.get(split)
        if known is not None and known.pictures == pictures:
            return known
        assert self.table is not None
        if not self.splits[split]:
            raise InputError(f"{self.table.root}: no pictures in the {split} split")
        array = NumberArray(self.table, self.splits[split], pictures, self.cache)
        if wrong := array.fill(split):
            said = f"warning: {split}: {len(wrong)} unreadable picture(s) left out"
            listing = listing_of(self.root or cache_root(), split, self.cache)
            say(naming(said, [f"{name}: {reason}" for name, reason in wrong], listing))
        if not len(array):
            name, reason = wrong[0]
            raise InputError(
                f"{self.table.root}: no picture of the {split} split can be read ({name}: {reason})"
            )
        self.arrays[split], self.splits[split] = array, array.records
        return array

    def training_numbers(self) -> list[str]:
        """Returns the numbers of the training split."""
        self.read()
        return [record.number for record in self.splits["train"]]

    def train_dataloader(self) -> BatchLoader:
        assert self.trainer is not None
        dataset = Numbers(self.arrays["train"], self.jitter)
        sampler = ShortFirstSampler(
            [len(record.number) for record in dataset.pictures.records],
            self.batch_size,
            self.short_first,
            min_batches=self.min_steps,
            seed=self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return BatchLoader(dataset, sampler, place=place_in(self.trainer))

    def _evaluation(self, split: str) -> BatchLoader:
        assert self.trainer is not None
        return evaluation_batches(
            Numbers(self.arrays[split]),
            self.eval_batch_size,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def val_dataloader(self) -> BatchLoader:
        return self._evaluation("val")

    def test_dataloader(self) -> BatchLoader:
        return self._evaluation(self.test_split)

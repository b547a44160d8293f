"""Texts with labels, from a csv or from the lines of Python's standard library, as `LabelledBatch`es."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from data_prep.batching import BatchLoader, BucketSampler, evaluation_batches
from data_prep.csv_tables import read_csv
from data_prep.input_files import SPLITS, split_name
from data_prep.resumable import place_in
from data_prep.saying import say
from data_prep.text.datamodule import MAX_VOCABULARY, MIN_COUNT
from data_prep.text.python_lines import python_lines
from data_prep.text.splits import place
from modules.errors import InputError, check_ranges, first_five
from modules.language.batch import LabelledBatch
from modules.language.classifier import padded, text_ids
from modules.text_codec import Level, TextCodec, normalised
from modules.vocabulary import Vocabulary

HELD_OUT = 0.1  # of the texts of each label, for validation and for testing


@dataclass(frozen=True)
class LabelledText:
    """A text and its label; `split` is train, val or test, empty where the data do not say."""

    text: str
    label: str
    split: str = ""


def read_labelled(path: Path, text: str = "text", label: str = "label") -> list[LabelledText]:
    """Returns the rows of a csv; a column split says which are trained on, if there is one.

    Args:
        path: Csv with a header; commas, semicolons or tabs between the cells.
        text: Column of the texts.
        label: Column of the labels.

    Raises:
        InputError: With the line: a column, a text or a label is missing.
    """
    text, label = text.strip().lower(), label.strip().lower()
    rows = []
    for where, row in read_csv(path, (text, label)):
        if not row[label].strip():
            raise InputError(f"{where}: has no {label}; name one or remove the row")
        if not row[text].strip():
            raise InputError(f"{where}: has no {text}; write one or remove the row")
        split = split_name(row["split"], where) if "split" in row and "split" not in (text, label) else ""
        rows.append(LabelledText(normalised(row[text]), row[label].strip(), split))
    if not rows:
        raise InputError(f"{path}: holds no rows; a header ({text},{label}) and a row a text are needed")
    return rows


def split_texts(rows: Sequence[LabelledText]) -> list[LabelledText]:
    """Returns the rows with a split each: 80, 10 and 10 % of the texts of every label, by a hash of the text.

    Where the data say what is tested, only validation is held out of what they train on. Equal texts are in
    one split, that of the first of them.
    """
    own = {row.split for row in rows}
    if "" not in own and ("val" in own or own == {"test"}):
        return list(rows)
    parts = ("val",) if "" not in own else ("test", "val")
    splits: dict[str, str] = {row.text: row.split for row in rows if row.split not in ("", "train")}
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.text not in splits:
            splits[row.text] = "train"
            by_label[row.label].append(row.text)
    for texts in by_label.values():
        texts.sort(key=place)
        held = max(1, round(HELD_OUT * len(texts))) if len(texts) > len(parts) else 0
        for number, part in enumerate(parts):
            splits |= dict.fromkeys(texts[number * held : (number + 1) * held], part)
    return [replace(row, split=splits[row.text]) for row in rows]


class Encoded:
    """Takes numbers of texts and returns their `LabelledBatch`."""

    def __init__(self, texts: Sequence[Sequence[int]], labels: Sequence[int]) -> None:
        self.texts, self.labels = texts, labels

    def __getitem__(self, rows: list[int]) -> LabelledBatch:
        return padded([self.texts[row] for row in rows], [self.labels[row] for row in rows])

    def __len__(self) -> int:
        return len(self.texts)


class LabelledDataModule(pl.LightningDataModule):
    """Labelled texts as batches. Units and classes come from the training split alone.

    Args:
        file: Csv with a row a text; by default lines of Python's standard library, which are code, comment or
            docstring. A column split (train, val, test) says which are held out; else every tenth is, twice.
        text: Column of the texts.
        label: Column of the labels.
        level: What a unit is: character, word or byte.
        max_length: Units of a text that are read, from its beginning.
        batch_size: Texts in a training step, over all processes together.
        eval_batch_size: Texts in an evaluation step of one process.
        min_steps: Fewest training steps of an epoch: few texts are read several times in each.
        min_count: Rarer units of the training texts become <unk>; by default 2 for words, else 1.
        max_vocabulary: Most units, the most frequent first; by default 10,000 for words, else no limit.
        seed: Of the order of training batches.
    """

    def __init__(
        self,
        file: Path | None = None,
        text: str = "text",
        label: str = "label",
        level: Level = "word",
        max_length: int = 400,
        batch_size: int = 32,
        eval_batch_size: int = 256,
        min_steps: int = 1,
        min_count: int | None = None,
        max_vocabulary: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.file, self.text, self.label, self.level = file, text, label, level
        self.max_length, self.batch_size, self.eval_batch_size = max_length, batch_size, eval_batch_size
        self.min_steps, self.seed = min_steps, seed
        self.min_count = MIN_COUNT[level] if min_count is None else min_count
        self.max_vocabulary = MAX_VOCABULARY[level] if max_vocabulary is None else max_vocabulary
        check_ranges(
            self,
            "data",
            positive=("max_length", "batch_size", "eval_batch_size", "min_steps", "min_count"),
            not_negative=("seed",),
        )
        markers = len(Vocabulary.MARKERS)
        if self.max_vocabulary is not None and self.max_vocabulary <= markers:
            raise InputError(f"data.max_vocabulary is {self.max_vocabulary}; it has to be above {markers}")
        self.rows: list[LabelledText] = []
        self.classes: list[str] = []
        self.codec: TextCodec | None = None

    # ---- reading

    def read(self, codec: TextCodec | None = None, classes: Sequence[str] = ()) -> None:
        """Reads the texts where that has not happened yet.

        Args:
            codec: Of a checkpoint, in place of one from the training texts.
            classes: Of the same.
        """
        if not self.rows:
            found = self._found()
            self.rows = split_texts(found)
            self.classes = sorted({row.label for row in self.of("train")} or {row.label for row in found})
            say(self.describe())
        if codec is not None:
            self.codec, self.classes = codec, list(classes)
        unknown = dict.fromkeys(row.label for row in self.rows if row.label not in self.classes)
        if unknown:
            raise InputError(
                f"{self.source}: labels that are not trained on: {first_five(unknown)}; "
                f"known are {first_five(self.classes)}"
            )

    @property
    def source(self) -> str:
        """What messages call the data."""
        return str(self.file or "Python standard library")

    def _found(self) -> list[LabelledText]:
        if self.file is None:
            return [LabelledText(*line) for line in python_lines()]
        return read_labelled(self.file, self.text, self.label)

    def of(self, split: str) -> list[LabelledText]:
        """Returns the rows of a split."""
        return [row for row in self.rows if row.split == split]

    def describe(self) -> str:
        """Returns one line on the classes and the splits."""
        sizes = ", ".join(f"{split} {len(self.of(split)):,}" for split in SPLITS)
        return f"{self.source}: {len(self.classes):,} classes ({first_five(self.classes)}); texts: {sizes}"

    @property
    def test_split(self) -> str:
        """The split that is scored at the end: test, or val where there is none."""
        return "test" if self.of("test") else "val"

    def training_codec(self) -> TextCodec:
        """Returns the units to train with; InputError where there is nothing to learn."""
        self.read()
        if len(self.classes) < 2:
            labels = first_five(self.classes) or "none"
            raise InputError(f"{self.source}: one label alone to train on ({labels}); two are needed")
        if not self.of("val"):
            raise InputError(
                f"{self.source}: {len(self.rows):,} texts are too few to hold some out; give three of a label"
            )
        if self.codec is None:
            texts = (row.text for row in self.of("train"))
            self.codec = TextCodec.build(self.level, texts, self.min_count, self.max_vocabulary)
            if len(self.codec.vocabulary) == len(Vocabulary.MARKERS):
                raise InputError(
                    f"{self.source}: no {self.level} of the training texts occurs {self.min_count:,} times; "
                    "give a smaller --data.min_count, or more texts"
                )
        return self.codec

    def encoded(self, rows: Iterable[LabelledText]) -> Encoded:
        """Returns ids and classes of texts."""
        rows, codec = list(rows), self.codec
        assert codec is not None
        ids = [text_ids(codec, row.text, self.max_length) for row in rows]
        return Encoded(ids, [self.classes.index(row.label) for row in rows])

    # ---- batches

    def _shares(self) -> dict[str, Any]:
        assert self.trainer is not None
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def train_dataloader(self) -> BatchLoader:
        data = self.encoded(self.of("train"))
        sampler = BucketSampler(
            [len(text) for text in data.texts],
            self.batch_size,
            min_batches=self.min_steps,
            seed=self.seed,
            **self._shares(),
        )
        return BatchLoader(data, sampler, place=place_in(self.trainer))

    def _evaluation(self, split: str) -> BatchLoader:
        rows = self.of(split)
        if not rows:
            raise InputError(f"{self.source}: there are no texts in the {split} split")
        # texts of a length side by side, so that little is padded
        data = self.encoded(sorted(rows, key=lambda row: len(row.text)))
        return evaluation_batches(data, self.eval_batch_size, **self._shares())

    def val_dataloader(self) -> BatchLoader:
        return self._evaluation("val")

    def test_dataloader(self) -> BatchLoader:
        return self._evaluation(self.test_split)

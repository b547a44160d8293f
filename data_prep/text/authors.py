"""Texts of several authors: a folder with a folder for each, as training streams and held-out passages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from data_prep.batching import BatchLoader, evaluation_batches
from data_prep.input_files import SPLITS
from data_prep.resumable import NumberedBatches, Place, place_in
from data_prep.saying import say
from data_prep.text.files import bytes_bar, check_encoding, find_text, read_pieces
from data_prep.text.labelled import Encoded
from data_prep.text.splits import place
from data_prep.text.streams import TrainingStreams
from modules.errors import InputError, check_ranges, first_five
from modules.language.batch import AuthorBatch
from modules.language.surprise import opening
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

HELD_OUT = 0.1  # of an author's files, or of the text of few files, for validation and for testing
MOST_PASSAGES = 200  # of an author that a split is scored on


@dataclass
class Author:
    """What one author wrote, by splits: texts of whole files or of stretches of them."""

    name: str
    texts: dict[str, list[str]] = field(default_factory=lambda: {split: [] for split in SPLITS})

    def passages(self, split: str, length: int) -> list[str]:
        """Returns stretches of a split's texts, evenly spaced where there are many; no two overlap."""
        found = []
        for text in self.texts[split]:
            pieces = [text[at : at + length] for at in range(0, len(text), length)]
            found += [piece for piece in pieces if len(piece) > length // 2 and piece.strip()]
        chosen = np.linspace(0, len(found) - 1, min(len(found), MOST_PASSAGES)).round().astype(int)
        return [found[at] for at in chosen]


def author_folders(root: Path) -> list[Path]:
    """Returns the folders of the authors, by their names; InputError where there are not two."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name one that has a folder of texts for each author")
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
    except OSError as error:
        raise InputError(f"{root}: cannot be read ({error.strerror or error})") from None
    if len(folders) < 2:
        found = f"one folder alone ({folders[0].name})" if folders else "no folder"
        raise InputError(f"{root}: has {found}; two authors are needed, a folder of texts for each")
    return folders


def fingerprint(root: Path, encoding: str | None = None) -> str:
    """Returns a name for what the authors' folders hold: another one where any text in them changes."""
    whole = hashlib.sha256((encoding or "").encode())
    for folder in author_folders(root):
        for file in find_text(folder, encoding=encoding).files:
            content = hashlib.sha256(file.path.read_bytes()).hexdigest()
            whole.update(f"{folder.name}/{file.name}\0{content}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()[:16]


def read_author(folder: Path, encoding: str | None = None) -> Author:
    """Returns the texts of an author's folder and its sub-folders.

    Of three files or more a tenth each, at least one, validate and test, by a hash of their names. Of fewer
    every file is cut at line ends: its first 80 % train.
    """
    found = find_text(folder, encoding=encoding)
    author = Author(folder.name)
    if found.left_out:
        first = found.left_out[0]
        say(f"{folder}: left out {len(found.left_out)} file(s) that are no text, the first {first}")
    ordered = sorted(found.files, key=lambda file: (place(file.name), file.name))
    held = max(1, round(HELD_OUT * len(ordered)))
    with bytes_bar(f"reading {folder.name}", found.size) as bar:
        for number, file in enumerate(ordered):
            text = "".join(read_pieces(file.path, encoding, bar))
            if len(ordered) > 2:
                split = "test" if number < held else "val" if number < 2 * held else "train"
                author.texts[split].append(text)
                continue
            cuts = [_line_end(text, share) for share in (1 - 2 * HELD_OUT, 1 - HELD_OUT)]
            for split, start, stop in zip(SPLITS, [0, *cuts], [*cuts, len(text)], strict=True):
                author.texts[split].append(text[start:stop])
    return author


def _line_end(text: str, share: float) -> int:
    """Returns the place behind the first line end from a share of the text on, if one is near."""
    wanted = int(len(text) * share)
    found = text.find("\n", wanted, wanted + len(text) // 40)
    return wanted if found < 0 else found + 1


class AuthorStreams(NumberedBatches):
    """Batches in which every author has the same number of streams, each a `TrainingStreams` of their text.

    An epoch is as long as reading all texts once. Who wrote less is read more often.

    Args:
        texts: Ids of each author's training text, every document after a <bos>.
        streams: Of each author, of all processes together.
        sequence_length: Units of a window, T.
        seed: Of the places where the epochs begin.
        rank: Number of this process.
        world_size: Number of processes.
        place: Where training stands, as `place_in` returns it.
    """

    def __init__(
        self,
        texts: Sequence[np.ndarray],
        streams: int,
        sequence_length: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        place: Place | None = None,
    ) -> None:
        super().__init__(place)
        shares: dict[str, Any] = {"seed": seed, "rank": rank, "world_size": world_size}
        self.parts = [TrainingStreams(text, streams, sequence_length, **shares) for text in texts]
        self.authors = torch.arange(len(texts)).repeat_interleave(streams // world_size)  # (B,)
        self.windows = sum(map(len, texts)) // (len(texts) * streams) // sequence_length

    def __len__(self) -> int:
        """Returns the batches of an epoch."""
        return max(1, self.windows)

    def batch(self, epoch: int, number: int) -> AuthorBatch:
        """Returns a batch of an epoch."""
        batches = [part.batch(epoch, number) for part in self.parts]
        tokens, targets, resets = (torch.cat(part) for part in zip(*batches, strict=True))
        return AuthorBatch(tokens, targets, resets, self.authors)


class AuthorDataModule(pl.LightningDataModule):
    """Texts of several authors: characters to train on, and passages to be told apart.

    Args:
        root: Folder that has a folder of texts for each author, of any number and size.
        passage: Characters of a held-out passage, whose author is told.
        sequence_length: Characters of a window, through which gradients flow back.
        batch_size: Parallel streams in a training step, over all processes together, at least one an author.
        eval_batch_size: Passages in an evaluation step of one process.
        min_count: Rarer characters of the training texts become <unk>, which is not scored.
        encoding: Encoding of the files; by default UTF-8, or what a byte order mark says.
        seed: Of the places in the texts where epochs begin.
    """

    def __init__(
        self,
        root: Path | None = None,
        passage: int = 500,
        sequence_length: int = 64,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        min_count: int = 1,
        encoding: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.root, self.passage, self.sequence_length = root, passage, sequence_length
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.min_count, self.encoding, self.seed = min_count, encoding, seed
        positive = ("passage", "sequence_length", "batch_size", "eval_batch_size", "min_count")
        check_ranges(self, "data", positive=positive, not_negative=("seed",))
        check_encoding(encoding)
        self.authors: list[Author] = []
        self.codec: TextCodec | None = None

    # ---- reading

    @property
    def names(self) -> list[str]:
        """Those of the authors."""
        return [author.name for author in self.authors]

    def read(self, codec: TextCodec | None = None, names: Sequence[str] = ()) -> None:
        """Reads the texts where that has not happened yet.

        Args:
            codec: Of a checkpoint, in place of one from the training texts.
            names: Of the authors that the checkpoint knows.
        """
        if not self.authors:
            if self.root is None:
                raise InputError("needs --data.root DIR, a folder that has a folder of texts for each author")
            self.authors = [read_author(folder, self.encoding) for folder in author_folders(self.root)]
            for author in self.authors:
                for split in ("train", "val", "test"):
                    characters = sum(map(len, author.texts[split]))
                    if not author.passages(split, self.passage) or characters <= self.sequence_length:
                        raise InputError(
                            f"{self.root / author.name}: its {split} part has {characters:,} characters; give"
                            f" more text (ten times {self.passage} at least), or a smaller --data.passage"
                        )
            say(self.describe())
        if codec is not None:
            self.codec = codec
            if self.names != list(names):
                raise InputError(
                    f"{self.root}: its authors ({first_five(self.names)}) are not those of the checkpoint "
                    f"({first_five(names)})"
                )

    test_split = "test"

    def training_codec(self) -> TextCodec:
        """Returns the characters of all training texts."""
        self.read()
        if self.codec is None:
            texts = (text for author in self.authors for text in author.texts["train"])
            self.codec = TextCodec.build("character", texts, self.min_count)
            if len(self.codec.vocabulary) == len(Vocabulary.MARKERS):
                raise InputError(f"data.min_count is {self.min_count}; no character occurs as often")
        return self.codec

    def describe(self) -> str:
        """Returns one line on the authors and how much each wrote."""
        sizes = ", ".join(f"{a.name} {sum(map(len, a.texts['train'])):,}" for a in self.authors[:5])
        more = f" and {len(self.authors) - 5} more" if len(self.authors) > 5 else ""
        held = sum(len(author.passages("test", self.passage)) for author in self.authors)
        return (
            f"{self.root}: {len(self.authors)} authors; characters to train on: {sizes}{more}; "
            f"test passages of {self.passage} characters: {held:,}"
        )

    def tokens(self, author: Author) -> np.ndarray:
        """Returns the ids of an author's training texts, each after a <bos>."""
        codec = self.training_codec()
        ids = [[Vocabulary.BOS, *codec.encode(text)] for text in author.texts["train"]]
        return np.concatenate([np.array(part, np.int32) for part in ids])

    def passages(self, split: str) -> Encoded:
        """Returns ids of all passages of a split, each after what a text is read after, and their authors."""
        codec, begin = self.training_codec(), opening(self.training_codec())
        rows = [
            ([begin, *codec.encode(text)], number)
            for number, author in enumerate(self.authors)
            for text in author.passages(split, self.passage)
        ]
        return Encoded([ids for ids, _ in rows], [number for _, number in rows])

    # ---- batches

    def _shares(self) -> dict[str, Any]:
        assert self.trainer is not None
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def train_dataloader(self) -> AuthorStreams:
        texts, shares = [self.tokens(author) for author in self.authors], self._shares()
        each = max(1, self.batch_size // len(texts) // shares["world_size"]) * shares["world_size"]
        return AuthorStreams(
            texts, each, self.sequence_length, seed=self.seed, place=place_in(self.trainer), **shares
        )

    def _evaluation(self, split: str) -> BatchLoader:
        return evaluation_batches(self.passages(split), self.eval_batch_size, **self._shares())

    def val_dataloader(self) -> BatchLoader:
        return self._evaluation("val")

    def test_dataloader(self) -> BatchLoader:
        return self._evaluation("test")

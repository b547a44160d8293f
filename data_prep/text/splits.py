"""Which text is trained on and which is held out: documents that never overlap."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from data_prep.input_files import SPLITS, split_name
from data_prep.text.files import TextFiles, read_pieces
from modules.errors import InputError

# shares of training and validation; the rest is for testing
TRAIN, VAL = 0.9, 0.05


@dataclass(frozen=True)
class Document:
    """A stretch of text that begins without anything before it.

    Args:
        name: Of its file.
        path: Where the file lies.
        split: train, val or test.
        start: Character of the file with which it begins.
        stop: Character before which it ends; None for the end of the file.
    """

    name: str
    path: Path
    split: str
    start: int = 0
    stop: int | None = None

    def pieces(self, encoding: str | None, bar: Progress | None = None) -> Iterator[str]:
        """Yields the text in pieces that end after a blank (the last may not)."""
        at = 0
        for piece in read_pieces(self.path, encoding, bar):
            first, at = at, at + len(piece)
            if self.stop is not None and first >= self.stop:
                return
            stop = None if self.stop is None else self.stop - first
            if text := piece[max(0, self.start - first) : stop]:
                yield text


def split_documents(text: TextFiles, bar: Progress | None = None) -> tuple[list[Document], str]:
    """Returns the documents of all splits, and one line that says how they were split.

    A single file gives its first 90 % to training, the next 5 % to validation and the last 5 % to testing. It
    is cut at line ends. Of several files each belongs to one split as a whole: to that which its name or
    folder says (train, valid, test), if they all say one; otherwise by a hash of its name (90, 5 and 5 %), so
    that adding files moves none.
    """
    if len(text.files) == 1:
        return _blocks(text, bar), "the last 10 % of the file are held out, half val, half test"
    names = [file.name for file in text.files]
    named = {name: split for name in names if (split := _named_split(name))}
    if len(named) == len(names) and {"train", "val"} <= set(named.values()):
        splits, how = named, "as the files' names say"
    else:
        splits, how = assign_by_hash(names), "by a hash of the files' names"
    return [Document(file.name, file.path, splits[file.name]) for file in text.files], how


def _named_split(name: str) -> str | None:
    """Returns the one split that a file's folder or the parts of its name say; None for none or several."""
    *folders, own = name.split("/")
    found = set()
    for word in [*folders[:1], *re.split(r"[._\W]+", own)]:
        try:
            found.add(split_name(word, name))
        except InputError:
            continue
    return found.pop() if len(found) == 1 else None


def place(name: str) -> float:
    """Returns a number from 0 to below 1 that follows from the name alone."""
    return (
        int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()) / 2**64
    )


def split_of(name: str) -> str:
    """Returns the split that follows from the name alone."""
    at = place(name)
    return "train" if at < TRAIN else "val" if at < TRAIN + VAL else "test"


def assign_by_hash(names: Iterable[str]) -> dict[str, str]:
    """Returns the split of each of two or more files.

    Where none would be trained on, that with the lowest hash is; where none would validate, the highest of
    those to train on does, or the lowest of those to test on if there is but one.
    """
    ordered = sorted(names, key=lambda name: (place(name), name))
    split = {name: split_of(name) for name in ordered}
    if "train" not in split.values():
        split[ordered[0]] = "train"
    if "val" not in split.values():
        train = [name for name in ordered if split[name] == "train"]
        split[train[-1] if len(train) > 1 else ordered[1]] = "val"
    return split


def _blocks(text: TextFiles, bar: Progress | None) -> list[Document]:
    file = text.files[0]
    total = sum(len(piece) for piece in read_pieces(file.path, text.encoding, bar))
    # a cut moves on to the next line end, if one is near
    cuts = [_line_end(text, int(total * share), total // 40) for share in (TRAIN, TRAIN + VAL)]
    bounds = [0, *cuts, None]
    return [
        Document(file.name, file.path, split, bounds[number] or 0, bounds[number + 1])
        for number, split in enumerate(SPLITS)
        if bounds[number] != bounds[number + 1]
    ]


def _line_end(text: TextFiles, wanted: int, near: int) -> int:
    """Returns the first place from `wanted` on, at most `near` characters away, with a line end before it."""
    at = 0
    for piece in read_pieces(text.files[0].path, text.encoding):
        found = piece.find("\n", max(0, wanted - 1 - at), max(0, wanted + near - at))
        if found >= 0:
            return at + found + 1
        at += len(piece)
        if at >= wanted + near:
            break
    return wanted

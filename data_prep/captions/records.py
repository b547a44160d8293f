"""The one table every caption reader makes: images, their captions, their split.

On disk it is `captions.jsonl`, one image a line, printable and diffable:
`{"image": "dogs/1.jpg", "captions": ["a dog runs", "a brown dog"], "split": "train"}`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from data_prep.captions.files import caption_text
from data_prep.image_names import image_name, resolve_images
from data_prep.input_files import SPLITS, read_jsonl, split_name
from data_prep.progress import tracked
from modules.caption_tokens import tokenize
from modules.errors import InputError
from modules.vocabulary import Vocabulary
from modules.whole_files import write_whole


@dataclass(frozen=True)
class CaptionRecord:
    """One image and what people said of it.

    `image` is the posix path relative to the images folder and the image's name everywhere else (predictions,
    references, reports); `path` is the file to open.
    """

    image: str
    path: Path
    captions: tuple[str, ...]
    split: str


@dataclass
class CaptionTable:
    """The records of a data set, in reading order; `root` is the folder their image names start from."""

    root: Path
    records: list[CaptionRecord]

    def split(self, name: str) -> list[CaptionRecord]:
        """Returns the records of one split; an empty list where the data has no such split."""
        if name not in SPLITS:
            raise InputError(f"split {name!r}: there are {', '.join(SPLITS)}")
        return [record for record in self.records if record.split == name]


def write_table(table: CaptionTable, path: Path) -> None:
    """Writes the table as captions.jsonl, whole or not at all."""
    rows = (
        json.dumps({"image": r.image, "captions": list(r.captions), "split": r.split}, ensure_ascii=False)
        for r in table.records
    )
    try:
        write_whole(path, "".join(row + "\n" for row in rows).encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def read_table(path: Path, images: Path) -> CaptionTable:
    """Returns the table that `write_table` wrote.

    Args:
        path: the captions.jsonl; every line must have image, captions and split.
        images: the folder the image names start from.
    """
    mentions: dict[str, str] = {}
    rows: list[tuple[str, tuple[str, ...], str]] = []
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        name, captions, split = (row.get(key) for key in ("image", "captions", "split"))
        if not isinstance(name, str) or not isinstance(captions, list) or not isinstance(split, str):
            raise InputError(f'{where}: needs "image", a list "captions" and "split"')
        image = image_name(name, where)
        if image in mentions:
            raise InputError(f"{where}: image {image} was already in {mentions[image]}")
        if not captions:
            raise InputError(f"{where}: image {image} has no captions")
        mentions[image] = where
        rows.append((image, tuple(caption_text(c, where) for c in captions), split_name(split, where)))
    if not rows:
        raise InputError(f"{path}: holds no captions")
    paths = resolve_images(images, mentions)
    return CaptionTable(images, [CaptionRecord(i, paths[i], captions, s) for i, captions, s in rows])


def describe(table: CaptionTable) -> Table:
    """Returns images, captions, words, vocabulary and its coverage for every split, as a table to print.

    The vocabulary is every different word, then every word seen five times; coverage is the share of a
    split's words that these two vocabularies of the training split know.
    """
    tokens: dict[str, list[list[str]]] = {}
    for split in SPLITS:
        captions = [caption for record in table.split(split) for caption in record.captions]
        # the bar is for the half million captions of COCO; Flickr8k's take two seconds
        words = tracked(captions, f"words of {split}", visible=len(captions) >= 20_000)
        tokens[split] = [tokenize(caption) for caption in words]
    train = [Vocabulary.build(tokens["train"], min_count=count) for count in (1, 5)]

    result = Table(
        title=escape(str(table.root)), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left"
    )
    result.add_column("split")
    for column in ("images", "captions", "words", "vocabulary", "seen 5x", "covered", "by 5x"):
        result.add_column(column, justify="right")
    for split in SPLITS:
        if not tokens[split]:
            continue
        own = [len(Vocabulary.build(tokens[split], min_count=count).words) - 4 for count in (1, 5)]
        counts = [len(table.split(split)), len(tokens[split]), sum(map(len, tokens[split])), *own]
        covered = [f"{100 * vocabulary.coverage(tokens[split]):.2f} %" for vocabulary in train]
        result.add_row(
            split, *(f"{count:,}" for count in counts), *(covered if tokens["train"] else ["-", "-"])
        )
    return result

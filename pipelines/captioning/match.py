"""The `match` command: the photographs of a folder that fit a sentence best; they need no captions."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.captions.pictures import ATTENTION_SUFFIX
from data_prep.input_files import list_undrawn
from modules.caption_tokens import tokenize
from modules.errors import InputError, check_at_least, printable, tell
from modules.vocabulary import Vocabulary
from pipelines.captioning.find import console_of_lines
from pipelines.captioning.photographs.judging import Photographs
from pipelines.captioning.photographs.photo_page import Photo, show, write_photo_page
from pipelines.captioning.photographs.recall import measure_recall, recall_table


def match(
    images: Path,
    text: str | None = None,
    references: Path | None = None,
    ckpt_path: Path | None = None,
    limit: int = 20,
    open: bool = False,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Rank the photographs of a folder by how well a sentence fits them, best first.

    A captioner says how much more probable a photograph makes the sentence, in nats a word; 0 is no more than
    the mean photograph. What it read in the photographs is kept in the cache. With --references, how often it
    finds a photograph's own sentence among all, and a sentence's own photograph: recall at 1, 5 and 10.

    Args:
        images: Folder, walked recursively.
        text: The sentence, such as "a dog runs in the snow".
        references: File of the photographs' own sentences, in any form that `score` reads; the first of each
            is looked for.
        ckpt_path: Checkpoint of the captioner; by default the ready-made one.
        limit: Most photographs.
        open: Write a page of thumbnails, print its path, and show it where there is a browser.
        device: auto, cpu, cuda, cuda:N or mps.
        json: Print one JSON object in place of the table.
    """
    check_at_least(1, limit=limit)
    if text is None:
        if references is None:
            raise InputError("needs --text SENTENCE to rank by, or --references FILE to measure recall")
        if open:
            raise InputError("open: shows the photographs of --text; --references measures, and shows none")
        _print_recall(measure_recall(images, references, ckpt_path, device), json)
        return
    if references is not None:
        raise InputError("has both --text and --references; --text ranks photographs, --references measures")
    words = tokenize(text)
    if not words:
        raise InputError(f"text is {text!r}; it has no word")
    files = list_undrawn(images, ATTENTION_SUFFIX)
    photographs = Photographs(ckpt_path, device)
    unknown = unknown_words(photographs.judge.vocabulary, words)
    if len(unknown) == len(words):
        raise InputError(f"text: the captioner knows no word of {text!r}; write what its captions could say")
    if unknown:
        tell(f"note: the captioner does not know {', '.join(unknown)}")
    readable = photographs.read(files)
    g = torch.cat([photographs.judge.of_all(each, [text])[:, 0] for _, each in photographs.batches()])
    values, order = g.sort(descending=True, stable=True)
    best = list(zip(values[:limit].tolist(), [readable[n] for n in order[:limit].tolist()], strict=True))
    names = [path.relative_to(images).as_posix() for _, path in best]
    page = None
    if open:
        pairs = zip(names, best, strict=True)
        photos = [Photo(name, path, note=f"{value:+.2f}") for name, (value, path) in pairs]
        page = write_photo_page(text, f"the best {len(best):,} of {len(readable):,} photographs", photos)
        show(page)
    if json:
        rows = [{"image": name, "agreement": value} for name, (value, _) in zip(names, best, strict=True)]
        result = {"text": text, "images": str(images), "page": str(page) if page else None}
        print(jsonlib.dumps(result | {"photographs": rows}))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for name, (value, _) in zip(names, best, strict=True):
        table.add_row(f"{value:+.2f}", Text(printable(name)))  # as Text: a name is no markup
    console_of_lines().print(table)
    print(f"the best {len(best):,} of {len(readable):,} photographs; +1.00 is a word e times as probable")
    if page:
        print(f"page  {page}")


def _print_recall(found: dict[str, Any], json: bool) -> None:
    if json:
        print(jsonlib.dumps(found))
    else:
        Console().print(recall_table(found))


def unknown_words(vocabulary: Vocabulary, words: list[str]) -> list[str]:
    """Returns the words that a captioner does not know, each once."""
    numbers = vocabulary.encode(words)
    unknown = [word for word, number in zip(words, numbers, strict=True) if number == Vocabulary.UNK]
    return list(dict.fromkeys(unknown))

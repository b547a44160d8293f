"""What is in a text, printed: `python -m data_prep.text [FILE_OR_DIR]`; `recall` prints a made-up task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.commands import run_commands
from data_prep.input_files import SPLITS
from data_prep.text.datamodule import TextDataModule
from data_prep.text.encoded import EncodedText
from data_prep.text.recall import CHANCE, FILLERS, KEYWORDS, WORDS, as_text, recall_batch
from modules.errors import check_seed
from modules.text_codec import Level
from modules.vocabulary import Vocabulary


def read(
    file: Path | None = None,
    level: Level = "character",
    min_count: int | None = None,
    max_vocabulary: int | None = None,
    encoding: str | None = None,
    pattern: str | None = None,
) -> None:
    """Read a text as fit does, and print its files, characters, vocabulary, coverage and splits.

    The file may come first without --file. `recall` prints examples of a made-up task.

    Args:
        file: text file or folder of text files; by default the Python standard library's source.
        level: what a token is: character, word or byte.
        min_count: rarer units of the training text become <unk>.
        max_vocabulary: most units, the most frequent first, four markers included.
        encoding: encoding of the files; by default UTF-8, or what a byte order mark says.
        pattern: only files of a folder whose name matches, such as *.txt.
    """
    data = TextDataModule(
        file,
        level,
        min_count=min_count,
        max_vocabulary=max_vocabulary,
        encoding=encoding,
        pattern=pattern,
    )
    text = data.read()
    Console().print(describe(text))
    units = text.codec.vocabulary.words[len(Vocabulary.MARKERS) :]
    if text.codec.level != "byte":
        shown = " ".join(map(ascii if text.codec.level == "word" else _visible, units[:40]))
        Console().print(Text(f"most frequent: {shown}"), soft_wrap=True)
    for document in [d for d in text.documents if d.split != "train"][:10]:
        stop = "" if document.stop is None else f"{document.stop:,}"
        part = f" characters {document.start:,} to {stop or 'the end'}" if document.start else ""
        Console().print(Text(f"{document.split:<6} {document.name}{part}"), soft_wrap=True)


def describe(text: EncodedText) -> Table:
    """Returns files, characters, tokens and coverage of every split, as a table to print.

    Coverage is the share of a split's tokens that the vocabulary of the training split knows.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("split")
    for column in ("documents", "characters", "tokens", "unknown", "covered"):
        table.add_column(column, justify="right")
    for name in SPLITS:
        split = text.splits[name]
        covered = f"{100 * (1 - split.unknown / split.units):.2f} %" if split.units else "-"
        counts = (split.documents, split.characters, split.units, split.unknown)
        table.add_row(name, *(f"{count:,}" for count in counts), covered)
    return table


def _visible(character: str) -> str:
    return character if character.isprintable() and not character.isspace() else ascii(character)


def recall(distance: int = 10, sentences: int = 8, seed: int = 0) -> None:
    """Print examples of the recall task: the word at the start of a sentence is the word at its end.

    Args:
        distance: time steps from the first word to the last one.
        sentences: how many.
        seed: any whole number that is not negative.
    """
    check_seed(seed, "seed")
    batch = recall_batch(sentences, distance, torch.Generator().manual_seed(seed))
    for words, target in zip(batch.words.tolist(), batch.targets.tolist(), strict=True):
        print(f"{as_text(words)} -> {WORDS[target]}")
    print(f"{len(KEYWORDS)} keywords, {len(FILLERS)} fillers; guessing is right in {CHANCE:.1%}")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of `python -m data_prep.text [recall | FILE_OR_DIR] [options]`."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] != "recall" and not given[0].startswith("-"):
        given.insert(0, "--file")
    return run_commands("python -m data_prep.text", read, {"recall": recall}, given)


if __name__ == "__main__":
    sys.exit(main())

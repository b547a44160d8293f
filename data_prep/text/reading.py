"""What the text pipeline makes of a text: python -m data_prep.text.reading [FILE_OR_DIR]"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.input_files import SPLITS
from data_prep.reader_command import run_command
from data_prep.text.datamodule import TextDataModule
from data_prep.text.encoded import EncodedText
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


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status of `python -m data_prep.text.reading [FILE_OR_DIR]`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and not argv[0].startswith("-"):
        argv.insert(0, "--file")
    return run_command(read, argv)


if __name__ == "__main__":
    sys.exit(main())

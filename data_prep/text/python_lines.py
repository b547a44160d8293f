"""Labelled texts that are there without any data: lines of Python's standard library and what they are."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from data_prep.text.files import read_pieces
from data_prep.text.splits import split_of
from data_prep.text.standard_library import find_standard_library
from modules.errors import InputError

# bytes of each split of the library's files
BUDGET = {"train": 900_000, "val": 120_000, "test": 120_000}
SHORTEST = 20  # characters of a line: shorter ones say little


def python_lines(folder: Path | None = None, budget: dict[str, int] = BUDGET) -> list[tuple[str, str, str]]:
    """Returns (text, label, split) of lines: code, comment or docstring.

    Files are split by a hash of their names. A line stands without the marks that would give it away, and
    once: in the first split that has it.

    Args:
        folder: The library; by default that of the running Python.
        budget: Most bytes of each split.
    """
    files = find_standard_library(folder, budget).files
    found: dict[str, tuple[str, str]] = {}
    for split in budget:
        for file in files:
            if split_of(file.name) == split:
                for text, label in _lines_of(file.path):
                    found.setdefault(text, (label, split))
    return [(text, *of) for text, of in found.items()]


def _lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yields the lines of a source with what each is; nothing where it cannot be parsed."""
    try:
        source = "".join(read_pieces(path))
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (InputError, SyntaxError, ValueError, tokenize.TokenError):
        return
    labels: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            labels |= dict.fromkeys(range(node.lineno, (node.end_lineno or 0) + 1), "docstring")
    for token in tokens:
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            labels[token.start[0]] = "comment"
    for number, line in enumerate(source.split("\n"), start=1):
        label = labels.get(number, "code")
        text = _bare(line.strip(), label)
        if len(text) >= SHORTEST:
            yield text, label


def _bare(line: str, label: str) -> str:
    """Returns a line without the # of a comment, or the quotes that begin or end a docstring."""
    if label == "comment":
        return line.lstrip("#").strip()
    if label == "docstring":
        line = re.sub(r"^[rR]?(\"\"\"|''')", "", line)
        return line.removesuffix('"""').removesuffix("'''").strip()
    return line

"""Docstrings are short: a sentence has at most 25 words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("modules", "data_prep", "pipelines")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
LONGEST = 25


def prose(docstring: str) -> Iterator[str]:
    """Yields a docstring's paragraphs and arguments, each as one line; tables and commands are left out."""
    for paragraph in re.split(r"\n\s*\n", docstring):
        parts = re.split(r"\n(?=    \w+: )", f"\n{paragraph}")
        for part in parts:
            lines = part.strip("\n").splitlines()
            # what is set in by four blanks below its paragraph is a command, an equation or a table
            if (lines and not all(line.startswith("    ") for line in lines)) or "Args:" in paragraph:
                yield " ".join(part.split())


def long_sentences(docstring: str) -> list[str]:
    """Returns the sentences with more words than a reader holds at once."""
    found = [sentence for line in prose(docstring) for sentence in re.split(r"(?<=[.:;!?])\s+", line)]
    return [sentence for sentence in found if len(sentence.split()) > LONGEST]


def test_a_long_sentence_is_found():
    short, long = "word " * 25, "word " * 26
    assert long_sentences(f"{short.strip()}. {long.strip()}.") == [f"{long.strip()}."]
    assert long_sentences(f"Does it.\n\nArgs:\n    one: {long.strip()}.\n    two: {short.strip()}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sentences_are_short(path):
    nodes = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    long = [sentence for node in nodes for sentence in long_sentences(ast.get_docstring(node) or "")]
    assert not long

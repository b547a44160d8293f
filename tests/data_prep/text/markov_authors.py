"""Texts of two authors who put the same five letters and line breaks in an order of their own."""

from pathlib import Path

import numpy as np

LETTERS = "abcde\n"


def markov_text(author: int, length: int, seed: int = 0) -> str:
    """Text of a Markov chain; each author has another one."""
    following = np.random.default_rng(author).dirichlet(np.full(len(LETTERS), 0.5), len(LETTERS)).cumsum(1)
    draws = np.random.default_rng([author, seed]).random(length)
    state, text = 0, []
    for draw in draws:
        state = min(int(np.searchsorted(following[state], draw)), len(LETTERS) - 1)
        text.append(LETTERS[state])
    return "".join(text)


def write_authors(root: Path, length: int = 4000) -> Path:
    """The folder of two authors, of one file and of four."""
    for name in ("ann", "bob"):
        (root / name).mkdir(parents=True)
    (root / "ann" / "all.txt").write_text(markov_text(0, length))
    for number in range(4):
        (root / "bob" / f"{number}.txt").write_text(markov_text(1, length // 4, number))
    return root

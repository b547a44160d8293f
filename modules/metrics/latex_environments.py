"""Environments of LaTeX that are closed: what a model has to remember over hundreds of characters."""

from __future__ import annotations

import re
from collections.abc import Iterable

MARK = re.compile(r"\\(begin|end)\{([a-zA-Z]+\*?)\}")


def environment_scores(texts: Iterable[str], counted: int | None = None) -> dict[str, float]:
    r"""Returns what becomes of the environments of texts, each of which may begin and end anywhere.

    An environment is closed where its \end follows, and all those begun within it are closed before. An
    \end that closes none is stray, but for those of environments that may have begun before the text: an
    \end while none is open counts nothing.

    >>> environment_scores([r"\begin{proof} \begin{enumerate} \end{proof}"])
    {'begun': 2.0, 'closed': 0.5, 'stray': 0.0}

    Args:
        texts: In LaTeX, whole or cut.
        counted: What begins or is stray in the first so many characters of a text counts; all by default. An
            environment has the rest of the text to be closed in: where a text is cut says nothing of it.

    Returns:
        begun, how many began; closed, the share of them that was closed; stray, how many \end closed none.
    """
    begun = closed = stray = 0
    for text in texts:
        opened: list[tuple[str, bool]] = []  # name, and whether it counts
        for mark in MARK.finditer(text):
            kind, name = mark.groups()
            counts = counted is None or mark.start() < counted
            if kind == "begin":
                opened.append((name, counts))
                begun += counts
            elif any(name == other for other, _ in opened):
                while (ended := opened.pop())[0] != name:
                    pass
                closed += ended[1]
            else:
                stray += counts and bool(opened)
    return {"begun": float(begun), "closed": closed / max(1, begun), "stray": float(stray)}

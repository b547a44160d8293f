"""A classifier that knows which words a text has and not their order: the control of a recurrent one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_WORD = re.compile(r"\w+|[^\w\s]")
STEPS = 100  # of the optimiser, which needs fewer
PENALTIES = (1e-5, 1e-4, 1e-3)  # of which validation chooses


class BagOfWords:
    """Multinomial logistic regression, `p = softmax(W x + b)`, on the words and marks of a text.

    x is `(1 + log count) log(texts / texts with the word)` of every word, scaled to length 1. Words are in
    lower case and come in at least two training texts.

    Args:
        classes: Number of classes K.
        penalty: Of the mean loss, times the squares of W.
    """

    def __init__(self, classes: int, penalty: float) -> None:
        self.classes, self.penalty = classes, penalty
        self.words: dict[str, int] = {}  # column of each
        self.rarity = torch.empty(0)
        self.weight, self.bias = torch.empty(0), torch.zeros(classes)

    def fit(self, texts: Sequence[str], labels: Sequence[int]) -> BagOfWords:
        """Finds the weights, by L-BFGS from zero; returns the classifier itself."""
        counts = Counter(word for text in texts for word in set(_words(text)))
        self.words = {word: at for at, word in enumerate(w for w, count in counts.items() if count > 1)}
        found = torch.tensor([counts[word] for word in self.words] or [1.0], dtype=torch.float32)
        self.rarity = (len(texts) / found).log()
        self.weight = torch.zeros(max(1, len(self.words)), self.classes, requires_grad=True)
        self.bias = torch.zeros(self.classes, requires_grad=True)
        rows, targets = self._rows(texts), torch.tensor(labels)
        optimiser = torch.optim.LBFGS([self.weight, self.bias], max_iter=STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = F.cross_entropy(self._scores(rows), targets) + self.penalty * self.weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call]
        return self

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Returns the most probable class of each text."""
        return self._scores(self._rows(texts)).argmax(1).tolist() if texts else []

    def _rows(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns columns and values of all texts one after the other, and where each begins."""
        columns: list[int] = []
        values: list[Tensor] = []
        begins = []
        for text in texts:
            begins.append(len(columns))
            counts = Counter(self.words[word] for word in _words(text) if word in self.words)
            own = list(counts)
            value = (1 + torch.tensor(list(counts.values()), dtype=torch.float32).log()) * self.rarity[own]
            columns += own
            values.append(F.normalize(value, dim=0))
        return torch.tensor(columns, dtype=torch.long), torch.cat(values), torch.tensor(begins)

    def _scores(self, rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        columns, values, begins = rows
        summed = F.embedding_bag(
            columns, self.weight, begins, mode="sum", per_sample_weights=values
        )  # of a text without known words: 0
        return summed + self.bias


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())

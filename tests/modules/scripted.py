"""A decoder that is a table of probabilities, for tests of decoding."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from modules.decoding import DecoderState, DecodingOptions, Hypothesis, beam_search, decode

PAD, BOS, EOS, UNK = range(4)
A, B, C = 4, 5, 6  # words
METHODS = ["beam", "greedy", "sample"]


class Table:
    """A decoder that knows the logits after every prefix, and writes down how it was asked.

    Attention says where it comes from: (image, step, word before).

    Args:
        logits_of: From image and prefix to V logits.
        images: Numbers of the images.
    """

    def __init__(self, logits_of: Callable[[int, tuple[int, ...]], Sequence[float]], images: Sequence[int]):
        self.logits_of, self.images = logits_of, images
        self.asked: list[tuple[int, int]] = []  # rows and images of each call
        self.first: list[int] = []

    def init_state(self) -> DecoderState:
        numbers = torch.tensor(self.images).view(-1, 1)
        return DecoderState((numbers,), (torch.zeros(len(self.images), 0, dtype=torch.long),))

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor]:
        (numbers,), (prefixes,) = state
        self.asked.append((len(tokens), len(numbers)))
        t = prefixes.shape[1]
        if t == 0:
            self.first = tokens.tolist()
        prefixes = torch.cat([prefixes, tokens.unsqueeze(1)], dim=1)
        owners = numbers.flatten().repeat_interleave(len(tokens) // len(numbers)).tolist()
        logits = [self.logits_of(i, tuple(row[1:])) for i, row in zip(owners, prefixes.tolist(), strict=True)]
        alpha = [[i, t, word] for i, word in zip(owners, tokens.tolist(), strict=True)]
        state = DecoderState((numbers,), (prefixes,))
        return (
            torch.tensor(np.array(logits), dtype=torch.float32),
            state,
            torch.tensor(alpha, dtype=torch.float32),
        )

    def decode(self, options: DecodingOptions, **others) -> list[Hypothesis]:
        return decode(self.step, self.init_state(), options, images=len(self.images), **others)

    def beams(self, options: DecodingOptions, **others) -> list[list[Hypothesis]]:
        return beam_search(self.step, self.init_state(), options, images=len(self.images), **others)


def random_table(words: int = 3, seed: int = 0, spread: float = 1.5):
    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        return spread * np.random.default_rng([seed, image, len(prefix), *prefix]).normal(size=4 + words)

    return logits_of


def scripted(*tables: dict[tuple[int, ...], tuple[float, float, float]]):
    """Returns logits of each image's probabilities of (EOS, A, B); prefixes that are not listed end."""

    def logits_of(image: int, prefix: tuple[int, ...]) -> Sequence[float]:
        end, a, b = tables[image].get(prefix, (0.98, 0.01, 0.01))
        return [math.log(p) if p else -math.inf for p in (0.0, 0.0, end, 0.0, a, b)]

    return logits_of


def repeats(words: Sequence[int], n: int) -> bool:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return n > 0 and len(set(grams)) < len(grams)


def enumerate_all(logits_of, image: int, words: Sequence[int], options: DecodingOptions):
    """Returns every caption that ends in time, with its score, best first."""
    found = []
    for length in range(options.min_length, options.max_length):
        for caption in itertools.product(words, repeat=length):
            if repeats(caption, options.no_repeat_ngram):
                continue
            total = 0.0
            for t, word in enumerate([*caption, EOS]):
                logits = np.asarray(logits_of(image, caption[:t]), dtype=np.float64)
                total += logits[word] - np.log(np.exp(logits).sum())
            found.append((total / (length + 1) ** options.length_penalty, list(caption)))
    return sorted(found, reverse=True)

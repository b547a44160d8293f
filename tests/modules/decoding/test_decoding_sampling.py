"""Sampling: frequencies against the analytic distribution, seeds, scores."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from modules.decoding import DecodingOptions
from modules.decoding.word_by_word import _draw
from tests.modules.scripted import BOS, EOS, PAD, UNK, Table, random_table

pytestmark = pytest.mark.usefixtures("one_thread")


def analytic(logits: np.ndarray, options: DecodingOptions) -> np.ndarray:
    """Returns the probabilities that sampling should have, by the words of the options."""
    probabilities = np.exp(logits / options.temperature)
    probabilities[[PAD, BOS, UNK]] = 0
    order = np.argsort(-probabilities)
    if options.top_k:
        probabilities[order[options.top_k :]] = 0
    probabilities /= probabilities.sum()
    held = 0.0
    for word in order:
        if held >= options.top_p:
            probabilities[word] = 0
        held += probabilities[word]
    return probabilities / probabilities.sum()


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"top_k": 3},
        {"top_p": 0.7},
        {"temperature": 1.5, "top_k": 4, "top_p": 0.8},
        {"top_k": 1},
        {"top_p": 1e-6},
    ],
)
def test_sampled_words_have_the_analytic_frequencies(choice):
    options = DecodingOptions("sample", min_length=0, max_length=2, **choice)
    logits = np.array([5.0, 4.0, 0.5, 3.0, 2.0, 1.1, 1.0, 0.2, -0.5, -2.0])  # <pad> and <bos> first
    draws = 4000
    table = Table(lambda image, prefix: logits, [0] * draws)
    first: Counter[int] = Counter()
    second: Counter[tuple[int, int]] = Counter()
    for hypothesis in table.decode(options):
        words = [*hypothesis.tokens, EOS][:2]
        first[words[0]] += 1
        if words[0] != EOS:
            second[words[0], words[1]] += 1
    wanted = analytic(logits, options)

    def check(seen: int, probability: float) -> None:
        # two more than 4.5 standard deviations: a rare pair may well be seen once
        assert abs(seen - draws * probability) <= 4.5 * math.sqrt(draws * probability * (1 - probability)) + 2

    for word, probability in enumerate(wanted):
        check(first[word], probability)
        for after, then in enumerate(wanted):
            if word != EOS:  # the second word is drawn by itself
                check(second[word, after], probability * then)


@pytest.mark.parametrize("narrowed", [{}, {"top_k": 3}, {"top_p": 0.9}])
@pytest.mark.parametrize("temperature", [1e-45, 1e-300, 1e-9])
def test_the_smallest_temperatures_take_the_most_probable_word(temperature, narrowed):
    logits = 50 * torch.randn(100, 40, generator=torch.Generator().manual_seed(0))
    logits[:, 7] = -torch.inf
    options = DecodingOptions("sample", temperature=temperature, **narrowed)
    for uniform in (0.0, 0.5, 1 - 2**-24):
        assert _draw(logits, torch.full((100,), uniform), options).equal(logits.argmax(1))


@pytest.mark.parametrize("temperature", [1e300, math.inf])
def test_the_largest_temperatures_take_every_allowed_word_alike(temperature):
    logits = torch.tensor([[5.0, -torch.inf, 0.0, -40.0]])
    options = DecodingOptions("sample", temperature=temperature)
    drawn = [int(_draw(logits, torch.tensor([u]), options)) for u in (0.0, 0.34, 0.67)]
    assert drawn == [0, 2, 3]


@pytest.mark.parametrize("choice", [{"top_p": 0.6}, {"top_k": 5}, {"top_k": 7, "top_p": 0.3}])
def test_the_largest_and_the_smallest_random_number_stay_among_the_chosen_words(choice):
    options = DecodingOptions("sample", **choice)
    logits = 3 * torch.randn(500, 40, generator=torch.Generator().manual_seed(0))
    for uniform in (0.0, 1 - 2**-24):
        drawn = _draw(logits, torch.full((500,), uniform), options)
        before = logits > logits.gather(1, drawn.unsqueeze(1))  # words more probable than the drawn one
        assert before.sum(1).max() < options.top_k or not options.top_k
        mass = (logits.softmax(1) * before).sum(1) / logits.softmax(1).topk(options.top_k or 40)[0].sum(1)
        assert (mass < options.top_p + 1e-5).all()
        assert bool(before.any()) == (uniform > 0)


def test_a_seed_repeats_its_samples_and_another_does_not():
    def captions(seed: int, seeds: Sequence[int] | None = None) -> list[list[int]]:
        options = DecodingOptions("sample", max_length=8, seed=seed)
        return [h.tokens for h in Table(random_table(words=6), [0] * 20).decode(options, seeds=seeds)]

    assert captions(1) == captions(1)
    assert captions(1) != captions(2)
    assert captions(1) == captions(1, seeds=range(20))
    assert len({tuple(caption) for caption in captions(1)}) > 10  # the same image, other numbers


def test_a_sampled_caption_is_scored_by_the_models_own_probability():
    logits_of = random_table(words=4)
    options = DecodingOptions("sample", max_length=6, temperature=0.7, top_k=3, length_penalty=0.5)
    for image, hypothesis in enumerate(Table(logits_of, range(10)).decode(options)):
        words = hypothesis.tokens + [EOS] * hypothesis.finished
        total = sum(
            torch.tensor(logits_of(image, tuple(words[:t]))).log_softmax(0)[word].item()
            for t, word in enumerate(words)
        )
        assert hypothesis.score == pytest.approx(total / len(words) ** 0.5, rel=1e-4)

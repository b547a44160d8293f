"""Completions against exhaustive enumeration on a table of probabilities."""

import math
from itertools import product

import pytest
import torch

from modules.language.completion import Boundary, complete
from tests.modules.scripted import BOS, EOS, Table, random_table

pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS, SPACES = (4, 5), (6, 7)  # after the four markers
VOCABULARY = 8


def kinds(*tokens: int) -> torch.Tensor:
    chosen = torch.zeros(VOCABULARY, dtype=torch.bool)
    chosen[list(tokens)] = True
    return chosen


MARKERS, NONE = kinds(0, 1, 2, 3), kinds()
WORD = Boundary(kinds(*LETTERS), kinds(*SPACES), NONE, MARKERS)
LINE = Boundary(NONE, kinds(7), NONE, MARKERS, begun=True)
WHOLE_WORD = Boundary(NONE, NONE, kinds(*LETTERS), MARKERS)


def log_probs(table, prefix):
    return torch.tensor(table(0, prefix), dtype=torch.float64).log_softmax(0)


def probability(table, tokens) -> float:
    return sum(float(log_probs(table, tokens[:t])[token]) for t, token in enumerate(tokens))


def enumerate_all(table, boundary: Boundary, length: int) -> dict[tuple[int, ...], tuple[float, bool]]:
    """Log-probability of every continuation of up to so many tokens, by the words of `Boundary`."""
    found: dict[tuple[int, ...], tuple[float, bool]] = {}
    for size in range(length + 1):
        for tokens in product(range(4, VOCABULARY), repeat=size):
            begun = [boundary.begun or any(boundary.begins[list(tokens[:t])]) for t in range(size + 1)]
            if any(begun[t] and boundary.ends_before[tokens[t]] for t in range(size)):
                continue  # it ended earlier
            if any(boundary.ends_after[token] for token in tokens[:-1]):
                continue
            score = probability(table, tokens)
            if size and boundary.ends_after[tokens[-1]]:
                found[tokens] = score, True
            elif size == length:
                found[tokens] = score, False
            elif begun[-1] and boundary.ends_before.any():
                ends = log_probs(table, tokens)[boundary.ends_before]
                found[tokens] = score + float(ends.logsumexp(0)), True
    return found


def run(table, boundary, *, n=10, beam_size=500, max_length=4):
    decoder = Table(table, [0])
    logits, state, _ = decoder.step(torch.tensor([BOS]), decoder.init_state())
    return complete(decoder.step, logits, state, boundary, n=n, beam_size=beam_size, max_length=max_length)


@pytest.mark.parametrize("boundary", [WORD, LINE, WHOLE_WORD], ids=["word", "line", "whole word"])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_and_their_probabilities_are_those_of_exhaustive_enumeration(boundary, seed):
    table = random_table(words=4, seed=seed)
    wanted = enumerate_all(table, boundary, 4)
    ranked = sorted(wanted, key=lambda tokens: -wanted[tokens][0])[:10]
    result = run(table, boundary)
    assert result.is_exact
    assert [tuple(c.tokens) for c in result.best] == ranked
    for completion in result.best:
        score, finished = wanted[tuple(completion.tokens)]
        assert completion.log_prob == pytest.approx(score, abs=1e-5)
        assert completion.finished == finished


@pytest.mark.parametrize("boundary", [WORD, LINE, WHOLE_WORD], ids=["word", "line", "whole word"])
def test_all_continuations_together_have_probability_one(boundary):
    def without_markers(image, prefix):
        return [-math.inf] * 4 + list(random_table(words=4)(image, prefix))[4:]

    result = run(without_markers, boundary, n=2000)
    assert sum(math.exp(c.log_prob) for c in result.best) == pytest.approx(1, abs=1e-5)


def test_a_full_beam_says_what_it_may_have_missed():
    table = random_table(words=4, seed=1)
    wanted = enumerate_all(table, WORD, 4)
    narrow = run(table, WORD, beam_size=1)
    assert not narrow.is_exact and len(narrow.best) < 10
    best = max(score for score, _ in wanted.values())
    assert narrow.best[0].log_prob == pytest.approx(best, abs=1e-5) or narrow.missed >= best - 1e-5
    # what was left out is no more probable than what the account says
    listed = {tuple(c.tokens) for c in narrow.best}
    assert max(score for tokens, (score, _) in wanted.items() if tokens not in listed) <= narrow.missed + 1e-5


def test_markers_are_never_shown():
    table = random_table(words=4, spread=0.1)

    def eager(image, prefix):
        logits = list(table(image, prefix))
        logits[EOS], logits[3] = 5.0, 6.0
        return logits

    result = run(eager, LINE)
    assert result.best and all(token >= 4 for c in result.best for token in c.tokens)
    assert sum(math.exp(c.log_prob) for c in result.best) < 0.1  # the markers' share is given to none


def test_fewer_than_asked_for_are_all_there_are():
    result = run(random_table(words=4), WHOLE_WORD, max_length=1, n=50)
    assert {tuple(c.tokens) for c in result.best} == {(4,), (5,), (6,), (7,)}
    assert [c.finished for c in sorted(result.best, key=lambda c: c.tokens)] == [True, True, False, False]

"""The recall task: the first word decides the last one, and nothing between says anything about it."""

from collections import Counter

import pytest
import torch

from data_prep.text.recall import (
    CHANCE,
    CUE,
    FILLERS,
    KEYWORDS,
    WORDS,
    recall_batch,
    recall_batches,
)
from modules.errors import InputError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("distance", [1, 2, 10, 200])
def test_a_sentence_is_keyword_fillers_and_cue_and_its_target_is_the_keyword(distance):
    batch = recall_batch(50, distance, generator())
    assert batch.words.shape == (50, distance + 1) and batch.targets.shape == (50,)
    for words, target in zip(batch.words.tolist(), batch.targets.tolist(), strict=True):
        first, *between, last = (WORDS[word] for word in words)
        assert first in KEYWORDS and WORDS[target] == first
        assert last == CUE
        assert set(between) <= set(FILLERS)


def test_no_word_has_two_meanings():
    assert len(set(WORDS)) == len(WORDS) == len(KEYWORDS) + len(FILLERS) + 1
    assert pytest.approx(1 / len(KEYWORDS)) == CHANCE


def test_keywords_and_fillers_are_evenly_drawn():
    batch = recall_batch(8000, 5, generator())
    keywords = Counter(batch.targets.tolist())
    fillers = Counter(batch.words[:, 1:-1].flatten().tolist())
    assert len(keywords) == len(KEYWORDS) and len(fillers) == len(FILLERS)
    for counts in (keywords, fillers):
        expected = counts.total() / len(counts)
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_fillers_say_nothing_about_the_keyword():
    """Chi-squared of keyword against filler, at every place, stays what independence gives."""
    distance, rows = 6, 20_000
    batch = recall_batch(rows, distance, generator())
    for place in range(1, distance):
        table = torch.zeros(len(KEYWORDS), len(FILLERS))
        cells = (batch.targets, batch.words[:, place] - len(KEYWORDS))
        table.index_put_(cells, torch.ones(rows), accumulate=True)
        expected = table.sum(1, keepdim=True) * table.sum(0) / rows
        freedom = (len(KEYWORDS) - 1) * (len(FILLERS) - 1)
        statistic = ((table - expected).square() / expected).sum().item()
        assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5


def test_whoever_looks_at_the_first_word_is_always_right():
    batch = recall_batch(100, 30, generator())
    assert (batch.words[:, 0] == batch.targets).all()


def test_equal_seeds_give_equal_batches_and_others_differ():
    first, again, other = (list(recall_batches(5, 4, 10, 200, seed)) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.words, b.words) and torch.equal(a.targets, b.targets)
    assert any(a.words.shape != b.words.shape for a, b in zip(first, other, strict=True))
    assert len({batch.words.shape[1] for batch in first}) > 1


def test_distances_fill_the_range_log_uniformly():
    distances = torch.tensor([b.words.shape[1] - 1 for b in recall_batches(4000, 1, 10, 160, 0)])
    assert distances.min() >= 10 and distances.max() <= 160
    shares = [((distances >= low) & (distances < 2 * low)).float().mean() for low in (10, 20, 40, 80)]
    torch.testing.assert_close(torch.stack(shares), torch.full((4,), 0.25), rtol=0, atol=0.04)


def test_one_distance_is_a_range_too():
    assert {batch.words.shape for batch in recall_batches(3, 2, 7, 7, 0)} == {(2, 8)}


@pytest.mark.parametrize("sentences, distance", [(0, 10), (5, 0), (-1, 3)])
def test_a_batch_without_sentences_or_distance_is_refused(sentences, distance):
    with pytest.raises(InputError, match="both have to be 1 or more"):
        recall_batch(sentences, distance, generator())


@pytest.mark.parametrize("nearest, farthest", [(0, 10), (20, 10)])
def test_a_range_that_does_not_grow_is_refused(nearest, farthest):
    with pytest.raises(InputError, match=f"distances from {nearest} to {farthest}"):
        next(recall_batches(1, 1, nearest, farthest, 0))

"""Weights by consensus: against pycocoevalcap's CIDEr-D, their mean, and captions without company."""

import pytest
import torch
from pycocoevalcap.cider.cider_scorer import CiderScorer

from modules.captioning.consensus import consensus_weights
from modules.losses import cross_entropy_sum
from modules.metrics.bleu import count_ngrams
from modules.metrics.cider import CiderD
from modules.vocabulary import Vocabulary

CAPTIONS = [
    [[4, 5, 6, 7], [4, 5, 6, 8, 9], [10, 11, 12, 13]],
    [[14, 15, 16, 17], [14, 15, 16, 17]],
    [[18, 19, 20, 21]],
]


def test_a_caption_is_scored_against_the_others_of_its_image():
    cider = CiderD([[count_ngrams(list(map(str, ids))) for ids in image] for image in CAPTIONS])
    # the script knows no such thing: with k references, itself among them, the mean holds its likeness to
    # itself, which is 10 for a caption of four words
    scorer = CiderScorer(n=4, sigma=6.0)
    for image in CAPTIONS:
        scorer += (" ".join(map(str, image[0])), [" ".join(map(str, ids)) for ids in image])
    _, scores = scorer.compute_score()
    for number in (0, 1):
        others = len(CAPTIONS[number]) - 1
        expected = (scores[number] * (others + 1) - 10) / others
        assert cider.score_among_others(number, 0) == pytest.approx(expected, abs=1e-6)


def test_what_others_say_too_weighs_more_and_the_mean_is_one():
    weights = consensus_weights(CAPTIONS, 1.0)
    assert weights[0][2] == 0 < weights[0][0] < weights[1][0] == pytest.approx(weights[1][1])
    assert weights[2] == [1.0]
    everyone = [weight for image in weights for weight in image]
    assert sum(everyone) / len(everyone) == pytest.approx(1)
    half = consensus_weights(CAPTIONS, 0.5)
    assert half[0][2] == 0.5 and half[1][0] == pytest.approx((1 + weights[1][0]) / 2)


@pytest.mark.parametrize("captions", [[[[4, 5]], [[6]]], [[[4, 5], [6, 7]], [[8], [9]]]])
def test_without_company_or_agreement_all_weigh_alike(captions):
    assert {weight for image in consensus_weights(captions, 1.0) for weight in image} == {1.0}


@pytest.mark.parametrize("time_first", [False, True])
def test_a_weight_multiplies_the_loss_of_its_row(time_first):
    torch.manual_seed(0)
    logits = torch.randn(5, 3, 7).transpose(0, 1) if time_first else torch.randn(3, 5, 7)
    targets = torch.randint(1, 7, (3, 5))
    targets[1, 3:] = Vocabulary.PAD
    weights = torch.tensor([0.5, 2.0, 0.0])
    rows = [cross_entropy_sum(logits[i : i + 1], targets[i : i + 1], 0.1) for i in range(3)]
    expected = 0.5 * rows[0] + 2 * rows[1]
    torch.testing.assert_close(cross_entropy_sum(logits, targets, 0.1, weights), expected)

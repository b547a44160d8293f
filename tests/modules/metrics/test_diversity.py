"""Scores of several captions an image, against a plain reading of each definition."""

import math
from collections import Counter

import numpy as np
import pytest

from modules.metrics.captions import CaptionScorer
from modules.metrics.diversity import n_best_scores, self_cider

REFERENCES = {
    "a": ["a dog runs on the grass", "a brown dog is running", "the dog plays on a lawn"],
    "b": ["two men ride a bike", "a man on a bike with another man"],
    "c": ["a red ball lies on the grass", "a ball on the lawn"],
}
CAPTIONS = {
    "a": ["a dog runs on a lawn", "a dog runs on the grass", "the brown dog plays a ball"],
    "b": ["two men on a bike", "a man rides a red bike"],
    "c": ["a ball"],
}


def grams(caption: str, n: int) -> Counter:
    words = caption.split()
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def plain_bleu4(caption: str, references: list[str]) -> float:
    precision = 1.0
    for n in range(1, 5):
        own = grams(caption, n)
        most = {gram: max(grams(text, n)[gram] for text in references) for gram in own}
        matches = sum(min(count, most[gram]) for gram, count in own.items())
        precision *= (matches + 1e-15) / (sum(own.values()) + 1e-9)
    length = len(caption.split())
    closest = min(sorted(len(text.split()) for text in references), key=lambda words: abs(words - length))
    return precision**0.25 * min(1.0, math.exp(1 - closest / length))


def plain_cider(one: str, other: str) -> float:
    """The mean over n of the cosine of TF-IDF vectors, all written out."""
    total = 0.0
    for n in range(1, 5):
        vectors = []
        for caption in (one, other):
            vector = {}
            for gram, count in grams(caption, n).items():
                images = sum(any(grams(text, n)[gram] for text in texts) for texts in REFERENCES.values())
                vector[gram] = count * math.log(len(REFERENCES) / max(1, images))
            vectors.append(vector)
        lengths = [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]
        if all(lengths):
            dot = sum(value * vectors[1].get(gram, 0) for gram, value in vectors[0].items())
            total += dot / (lengths[0] * lengths[1]) / 4
    return total


def test_every_figure_is_its_definition():
    scorer = CaptionScorer(REFERENCES, str.split)
    found = n_best_scores(scorer, CAPTIONS)
    by_place = [
        scorer.per_image({image: texts[min(place, len(texts) - 1)] for image, texts in CAPTIONS.items()})
        for place in range(3)
    ]
    oracle = [max(scores[image]["cider_d"] for scores in by_place) for image in REFERENCES]
    assert found["oracle_cider_d"] == pytest.approx(np.mean(oracle))
    assert found["oracle_cider_d"] > np.mean([scores["cider_d"] for scores in by_place[0].values()])

    several = [texts for texts in CAPTIONS.values() if len(texts) > 1]
    bleus = [
        np.mean([plain_bleu4(text, [other for other in texts if other != text]) for text in texts])
        for texts in several
    ]
    assert found["self_bleu4"] == pytest.approx(np.mean(bleus), rel=1e-6)
    for n in (1, 2):
        counts = [sum((grams(text, n) for text in texts), Counter()) for texts in several]
        shares = [len(count) / count.total() for count in counts]
        assert found[f"distinct_{n}"] == pytest.approx(np.mean(shares))
    values = []
    for texts in several:
        kernel = np.array([[plain_cider(one, other) for other in texts] for one in texts])
        roots = np.sqrt(np.clip(np.linalg.eigvals(kernel).real, 0, None))
        values.append(-math.log(max(roots) / sum(roots), len(texts)))
    assert found["self_cider"] == pytest.approx(np.mean(values), rel=1e-6)


def test_the_same_differs_by_0_and_what_has_nothing_in_common_by_1():
    assert self_cider(np.ones((4, 4))) == pytest.approx(0, abs=1e-6)
    assert self_cider(np.eye(4)) == pytest.approx(1)
    scorer = CaptionScorer(REFERENCES, str.split)
    same = n_best_scores(scorer, {image: ["a dog runs home"] * 3 for image in REFERENCES})
    assert same["self_bleu4"] == pytest.approx(1, abs=1e-6) and same["distinct_1"] == pytest.approx(1 / 3)


def test_one_caption_each_has_an_oracle_and_no_diversity():
    scorer = CaptionScorer(REFERENCES, str.split)
    lone = {image: texts[:1] for image, texts in CAPTIONS.items()}
    found = n_best_scores(scorer, lone)
    plain = scorer.score({image: texts[0] for image, texts in lone.items()}).cider_d
    assert found == {
        "oracle_cider_d": pytest.approx(plain),
        **dict.fromkeys(("self_bleu4", "distinct_1", "distinct_2", "self_cider"), 0.0),
    }

"""Several captions of each image: how good the best of them is, and how much they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from modules.metrics.bleu import BleuReferences, bleu, count_ngrams
from modules.metrics.captions import CaptionScorer

N_BEST = ("oracle_cider_d", "self_bleu4", "distinct_1", "distinct_2", "self_cider")


def n_best_scores(scorer: CaptionScorer, captions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Returns the means over the images, by the names of `N_BEST`.

    `oracle_cider_d` is CIDEr-D of each image's best caption. The others are of images with two captions or
    more, 0 where there are none: BLEU-4 of each caption against the others (Zhu et al. 2018), different
    n-grams by all n-grams (Li et al. 2016), and self-CIDEr.

    Args:
        scorer: Of the images.
        captions: Of each image, at least one.
    """
    most = max(map(len, captions.values()))
    oracle = np.zeros(len(scorer.images))
    for place in range(most):
        given = {image: texts[min(place, len(texts) - 1)] for image, texts in captions.items()}
        scores = scorer.per_image(given)
        oracle = np.maximum(oracle, [scores[image]["cider_d"] for image in scorer.images])
    rows = []
    for texts in captions.values():
        if len(texts) > 1:
            words = [scorer.tokenizer(text) for text in texts]
            distinct = [_distinct(words, n) for n in (1, 2)]
            rows.append([_self_bleu4(words), *distinct, self_cider(scorer.kernel(texts))])
    means = np.mean(rows, axis=0) if rows else np.zeros(len(N_BEST) - 1)
    return dict(zip(N_BEST, [float(oracle.mean()), *means.tolist()], strict=True))


def self_cider(kernel: Float[np.ndarray, "m m"]) -> float:
    """Returns `-log_m(s_1 / sum_i s_i)`, s the roots of the eigenvalues (Wang and Chan 2019, eq. 9).

    0 says that all captions are the same, 1 that they have no n-gram in common.

    Args:
        kernel: CIDEr of each caption with each.
    """
    roots = np.sqrt(np.linalg.eigvalsh(kernel).clip(0))
    total = roots.sum()
    return float(-np.log(roots.max() / total) / np.log(len(kernel))) if total > 0 else 0.0


def _self_bleu4(captions: Sequence[Sequence[str]]) -> float:
    counts = [count_ngrams(words) for words in captions]
    lengths = [len(words) for words in captions]
    values = []
    for place, (of_caption, length) in enumerate(zip(counts, lengths, strict=True)):
        others = [other for other in range(len(captions)) if other != place]
        references = BleuReferences([counts[i] for i in others], [lengths[i] for i in others])
        values.append(bleu(np.array(references.statistics(of_caption, length)))[3])
    return float(np.mean(values))


def _distinct(captions: Sequence[Sequence[str]], n: int) -> float:
    grams = [tuple(words[i : i + n]) for words in captions for i in range(len(words) - n + 1)]
    return len(set(grams)) / max(1, len(grams))

"""Weights of training captions: those that say what an image's other captions say count more.

People describe one photograph in five ways, of which some are about a detail or a mood. A model that learns
all alike spreads its probability over all of them; what it says at last, and what CIDEr-D rewards, is what
most people would say. Phan et al. 2017 (Consensus-based Sequence Training for Video Captioning) weigh the
cross entropy of each caption by its CIDEr-D with the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from modules.metrics.bleu import count_ngrams
from modules.metrics.cider import CiderD


def consensus_weights(captions: Sequence[Sequence[Sequence[int]]], share: float) -> list[list[float]]:
    """Returns a weight for every caption; their mean is 1.

    Args:
        captions: Of each image the token ids of its captions.
        share: How much of the weight follows the agreement, from 0 (all alike) to 1. An image's only caption
            weighs 1.
    """
    counts = [[count_ngrams(list(map(str, ids))) for ids in image] for image in captions]
    cider = CiderD(counts)
    agreements = [
        [cider.score_among_others(number, place) if len(image) > 1 else None for place in range(len(image))]
        for number, image in enumerate(counts)
    ]
    known = [value for image in agreements for value in image if value is not None]
    mean = sum(known) / len(known) if known else 0.0
    return [
        [1.0 if value is None or mean == 0 else 1 - share + share * value / mean for value in image]
        for image in agreements
    ]

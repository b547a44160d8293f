"""How well sentences fit images, without references: what an image makes of them beyond the mean image.

    g = (log P(sentence | image) - log P(sentence | mean image)) / words, the end mark counted as a word

The mean image's annotations are those of training images, averaged location by location: a sentence that is
probable whatever an image shows gains nothing. With references, standardised g is added to twice the
standardised log(1 + CIDEr-D); what standardises them are constants of the training images.

Axis letters: N images, K sentences of each, T words, L locations, D annotation width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from modules.caption_tokens import tokenize
from modules.decoders.captions import CaptionDecoder
from modules.metrics.captions import CaptionScorer
from modules.vocabulary import Vocabulary

MOST = 1000  # training images that mean and constants are taken from
_BATCH = 64  # images read at a time
_ROWS = 2048  # pairs of an image and a sentence at a time
CIDER_WEIGHT = 2.0  # of standardised log(1 + CIDEr-D) beside standardised g

Annotate = Callable[[list[int]], Float[Tensor, "N L D"]]  # of images, by their numbers


@dataclass(frozen=True)
class Agreement:
    """What a checkpoint keeps to judge sentences with.

    Attributes:
        mean_image: Annotations of training images, averaged.
        g: Mean and standard deviation of g over true and foreign captions of training images.
        log_cider: Those of log(1 + CIDEr-D).
    """

    mean_image: Float[Tensor, "L D"]
    g: tuple[float, float]
    log_cider: tuple[float, float]

    def with_cider(self, g: float, cider_d: float) -> float:
        """Returns standardised g plus twice the standardised log(1 + CIDEr-D)."""
        (g_mean, g_deviation), (mean, deviation) = self.g, self.log_cider
        return (g - g_mean) / g_deviation + CIDER_WEIGHT * (math.log1p(cider_d) - mean) / deviation

    def stored(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps: the mean image in half precision, the rest as JSON can hold it."""
        constants = {"g": list(self.g), "log_cider": list(self.log_cider)}
        return {"mean_image": self.mean_image.half(), "agreement": constants}

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> Agreement | None:
        """Returns what a checkpoint keeps; None where it was written before there was any."""
        if "mean_image" not in checkpoint:
            return None
        constants = checkpoint["agreement"]
        return cls(checkpoint["mean_image"].float(), tuple(constants["g"]), tuple(constants["log_cider"]))


class Judge:
    """Gives g of sentences and images.

    Args:
        decoder: Of the captioner that judges, in evaluation mode.
        vocabulary: Its words.
        mean_image: Annotations of training images, averaged.
    """

    def __init__(
        self, decoder: CaptionDecoder, vocabulary: Vocabulary, mean_image: Float[Tensor, "L D"]
    ) -> None:
        self.decoder, self.vocabulary = decoder, vocabulary
        self.device = next(decoder.parameters()).device
        self.mean_image = mean_image.to(self.device).unsqueeze(0)

    def of_pairs(self, annotations: Float[Tensor, "N L D"], sentences: Sequence[str]) -> list[float]:
        """Returns g of each image and its own sentence."""
        tokens = self._tokens(sentences)
        gain = log_probs(self.decoder, annotations.to(self.device), tokens.unsqueeze(1)).squeeze(1)
        return self._per_word(gain - self._of_mean(tokens), tokens).tolist()

    def of_all(self, annotations: Float[Tensor, "N L D"], sentences: Sequence[str]) -> Float[Tensor, "N K"]:
        """Returns g of each image and each sentence."""
        tokens = self._tokens(sentences)
        parts = annotations.split(max(1, _ROWS // len(sentences)))
        gain = torch.cat([log_probs_of_all(self.decoder, part.to(self.device), tokens) for part in parts])
        return self._per_word(gain - self._of_mean(tokens), tokens).cpu()

    def of_mean(self, sentences: Sequence[str]) -> Float[Tensor, " K"]:
        """Returns log P of each sentence given the mean image, a word; with g added, that given the image."""
        tokens = self._tokens(sentences)
        return self._per_word(self._of_mean(tokens), tokens).cpu()

    def _tokens(self, sentences: Sequence[str]) -> Int[Tensor, "K T"]:
        ids = [
            [Vocabulary.BOS, *self.vocabulary.encode(tokenize(text)), Vocabulary.EOS] for text in sentences
        ]
        tokens = torch.full((len(ids), max(map(len, ids))), Vocabulary.PAD)
        for row, of_sentence in enumerate(ids):
            tokens[row, : len(of_sentence)] = torch.tensor(of_sentence)
        return tokens.to(self.device)

    def _of_mean(self, tokens: Int[Tensor, "K T"]) -> Float[Tensor, " K"]:
        return log_probs_of_all(self.decoder, self.mean_image, tokens).squeeze(0)

    @staticmethod
    def _per_word(gain: Tensor, tokens: Int[Tensor, "K T"]) -> Tensor:
        return gain / (tokens[:, 1:] != Vocabulary.PAD).sum(1)


@torch.no_grad()
def log_probs(
    decoder: CaptionDecoder, annotations: Float[Tensor, "N L D"], tokens: Int[Tensor, "N K T"]
) -> Float[Tensor, "N K"]:
    """Returns log P(sentence | image) of each image's own sentences; an image is read once for all of them.

    Args:
        decoder: In evaluation mode.
        annotations: Of the images.
        tokens: Sentences with both marks, padded.
    """
    images, sentences, length = tokens.shape
    state = decoder.init_state(annotations)
    state = state.select(torch.arange(images, device=annotations.device).repeat_interleave(sentences))
    rows = tokens.flatten(0, 1)
    total = annotations.new_zeros(len(rows))
    for t in range(length - 1):
        logits, state, _ = decoder.step(rows[:, t], state)
        total -= F.cross_entropy(logits, rows[:, t + 1], ignore_index=Vocabulary.PAD, reduction="none")
    return total.view(images, sentences)


@torch.no_grad()
def log_probs_of_all(
    decoder: CaptionDecoder, annotations: Float[Tensor, "N L D"], tokens: Int[Tensor, "K T"]
) -> Float[Tensor, "N K"]:
    """Returns log P(sentence | image) of each image and each sentence; a common beginning is read once.

    Args:
        decoder: In evaluation mode.
        annotations: Of the images.
        tokens: Sentences with both marks, padded.
    """
    state = decoder.init_state(annotations)
    firsts = torch.arange(len(annotations), device=tokens.device).unsqueeze(1)
    total = annotations.new_zeros(len(annotations), len(tokens))
    beginning, beginnings = torch.zeros_like(tokens[:, 0]), 1  # each sentence's, by number, and how many
    for t in range(tokens.shape[1] - 1):
        going = (tokens[:, t + 1] != Vocabulary.PAD).nonzero().squeeze(1)
        longer = torch.stack([beginning[going], tokens[going, t]], dim=1)
        distinct, beginning[going] = longer.unique(dim=0, return_inverse=True)
        state = state.select((beginnings * firsts + distinct[:, 0]).flatten())
        logits, state, _ = decoder.step(distinct[:, 1].repeat(len(annotations)), state)
        log_p = logits.log_softmax(-1).unflatten(0, (len(annotations), len(distinct)))
        total[:, going] += log_p[:, beginning[going], tokens[going, t + 1]]
        beginnings = len(distinct)
    return total


def measure_agreement(
    decoder: CaptionDecoder, vocabulary: Vocabulary, annotate: Annotate, captions: Sequence[Sequence[str]]
) -> Agreement:
    """Returns mean image and constants of training images.

    The constants are of two captions an image: its first one, and the first of another image. Both are scored
    against the image's further captions.

    Args:
        decoder: Trained, in evaluation mode.
        vocabulary: Its words.
        annotate: Gives annotations of the images.
        captions: Of each image.
    """
    numbers = list(range(len(captions)))
    batches = [numbers[first : first + _BATCH] for first in range(0, len(numbers), _BATCH)]
    annotations = [annotate(batch).half().cpu() for batch in batches]
    sums = [batch.double().sum(0) for batch in annotations]
    # as a checkpoint keeps it
    mean_image = (torch.stack(sums).sum(0) / len(numbers)).half()
    judge = Judge(decoder, vocabulary, mean_image.float())
    scorer = CaptionScorer({str(n): captions[n][1:] or captions[n] for n in numbers})
    g: list[float] = []
    log_cider: list[float] = []
    for shift in (0, 1):
        said = [captions[(n + shift) % len(numbers)][0] for n in numbers]
        for batch, of_batch in zip(batches, annotations, strict=True):
            g += judge.of_pairs(of_batch.float(), [said[n] for n in batch])
        scores = scorer.per_image({str(n): text for n, text in enumerate(said)})
        log_cider += [math.log1p(score["cider_d"]) for score in scores.values()]
    # where all are equal, as of a single image, nothing is to be scaled
    of_g, of_cider = ((float(np.mean(v)), float(np.std(v)) or 1.0) for v in (g, log_cider))
    return Agreement(mean_image.float(), of_g, of_cider)

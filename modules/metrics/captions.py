"""Scores of captions against references, as the COCO evaluation computes them, with two blind controls."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NotRequired, TypedDict

import numpy as np
from jaxtyping import Float

from modules.caption_tokens import tokenize
from modules.errors import InputError, first_five
from modules.metrics.bleu import BleuReferences, Ngrams, bleu, count_ngrams
from modules.metrics.cider import CiderD
from modules.metrics.rouge import rouge_l

METRICS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider_d")
CONSTANT_CANDIDATES = 20  # of the system's own most frequent captions


@dataclass(frozen=True)
class CaptionScores:
    """Scores of one system: BLEU and ROUGE-L in 0..1, CIDEr-D in 0..10, and what its captions are like.

    `vocabulary_used` counts different words, `mean_length` is in words.
    """

    bleu1: float
    bleu2: float
    bleu3: float
    bleu4: float
    rouge_l: float
    cider_d: float
    images: int
    distinct_captions: int
    vocabulary_used: int
    mean_length: float

    def as_dict(self) -> dict[str, float]:
        """Scores by name, in the order of the fields."""
        return asdict(self)


class Controls(TypedDict):
    """Scores without a look at the image; a single image has no other to be shuffled with."""

    constant: tuple[str, CaptionScores]
    shuffled: NotRequired[CaptionScores]


@dataclass(frozen=True)
class _Statistics:
    """What every score is made of, a row an image: sums over rows give BLEU, means the other two."""

    bleu: Float[np.ndarray, "images 10"]
    rouge_l: Float[np.ndarray, " images"]
    cider_d: Float[np.ndarray, " images"]


class CaptionScorer:
    """Scores captions of a fixed set of images, whose references are tokenized and counted once.

    Args:
        references: for every image id its reference sentences, one or more.
        tokenizer: words of a sentence; `str.split` where references and hypotheses are tokenized already.

    Raises:
        InputError: there is no image, or an image without a reference.
    """

    def __init__(
        self,
        references: Mapping[str, Sequence[str]],
        tokenizer: Callable[[str], list[str]] = tokenize,
    ) -> None:
        if not references:
            raise InputError("there are no references to score against; give every image one or more")
        bare = [image for image, sentences in references.items() if not sentences]
        if bare:
            raise InputError(
                f"no reference for {len(bare)} of {len(references)} images: {first_five(bare)};"
                " give every image one or more"
            )
        self.tokenizer = tokenizer
        self.images = list(references)
        self._references = [[tokenizer(sentence) for sentence in references[image]] for image in self.images]
        counts = [[count_ngrams(words) for words in image] for image in self._references]
        self._bleu = [
            BleuReferences(of_image, [len(words) for words in sentences])
            for of_image, sentences in zip(counts, self._references, strict=True)
        ]
        self._cider = CiderD(counts)

    def score(self, hypotheses: Mapping[str, str]) -> CaptionScores:
        """Scores of one caption for each image.

        Raises:
            InputError: the images are not exactly those of the references.
        """
        words = self._words(hypotheses)
        statistics = self._statistics(words)
        return CaptionScores(
            **_summary(statistics),
            images=len(words),
            distinct_captions=len(set(map(tuple, words))),
            vocabulary_used=len({word for caption in words for word in caption}),
            mean_length=sum(map(len, words)) / len(words),
        )

    def per_image(self, hypotheses: Mapping[str, str]) -> dict[str, dict[str, float]]:
        """Sentence-level `cider_d`, `rouge_l` and `bleu4` of each image."""
        statistics = self._statistics(self._words(hypotheses))
        bleu4 = bleu(statistics.bleu)[:, 3].tolist()
        rows = zip(self.images, statistics.cider_d.tolist(), statistics.rouge_l.tolist(), bleu4, strict=True)
        return {image: {"cider_d": c, "rouge_l": r, "bleu4": b} for image, c, r, b in rows}

    def bootstrap(
        self, hypotheses: Mapping[str, str], samples: int = 1000, seed: int = 0
    ) -> dict[str, tuple[float, float]]:
        """The 95 % percentile interval of each metric when the images are drawn again with replacement.

        CIDEr-D keeps the document frequencies of the whole set: a resampled image is the same image.
        """
        statistics = self._statistics(self._words(hypotheses))
        images = len(self.images)
        rows = np.column_stack([statistics.bleu, statistics.rouge_l, statistics.cider_d])
        random = np.random.default_rng(seed)
        draws = (random.integers(images, size=images) for _ in range(samples))
        times_drawn = (np.bincount(draw, minlength=images).astype(np.float64) for draw in draws)
        sums = np.stack([times @ rows for times in times_drawn])  # (samples, 12)
        resampled = np.column_stack([bleu(sums[:, :10]), sums[:, 10:] / images])  # in the order of METRICS
        low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
        return dict(zip(METRICS, zip(low.tolist(), high.tolist(), strict=True), strict=True))

    def controls(self, hypotheses: Mapping[str, str], seed: int = 0) -> Controls:
        """Scores that need no look at the image, to be set beside the system's.

        "constant": (caption, scores) of the one caption, given to every image, that has the best BLEU-4 among
        the system's own 20 most frequent ones. "shuffled": scores of the same captions, each given to another
        image; absent where there is only one image.
        """
        captions = [hypotheses[image] for image in self._check(hypotheses)]
        frequency = Counter(sorted(captions))  # sorted: the order of the images decides no tie
        candidates = [caption for caption, _ in frequency.most_common(CONSTANT_CANDIDATES)]
        constant = max(candidates, key=self._constant_bleu4)
        scores = Controls(constant=(constant, self.score(dict.fromkeys(self.images, constant))))
        if len(self.images) > 1:
            # neighbours on one random ring through all images, so that no image keeps its own caption
            ring = np.random.default_rng(seed).permutation(len(self.images))
            dealt = {self.images[i]: captions[j] for i, j in zip(ring, np.roll(ring, 1), strict=True)}
            scores["shuffled"] = self.score(dealt)
        return scores

    def kernel(self, captions: Sequence[str]) -> Float[np.ndarray, "m m"]:
        """CIDEr, 0..1, of each of some captions with each; the references say which n-grams are rare."""
        counts = [count_ngrams(self.tokenizer(caption)) for caption in captions]
        return np.array([[self._cider.alikeness(one, other) for other in counts] for one in counts])

    def _constant_bleu4(self, caption: str) -> float:
        words = self.tokenizer(caption)
        counts = count_ngrams(words)
        rows = [references.statistics(counts, len(words)) for references in self._bleu]
        return float(bleu(np.sum(rows, axis=0))[3])

    def _statistics(self, words: Sequence[Sequence[str]]) -> _Statistics:
        counts: list[Ngrams] = [count_ngrams(caption) for caption in words]
        bleu_rows = [
            references.statistics(of_caption, len(caption))
            for references, of_caption, caption in zip(self._bleu, counts, words, strict=True)
        ]
        pairs = zip(words, self._references, strict=True)
        return _Statistics(
            bleu=np.array(bleu_rows, dtype=np.float64),
            rouge_l=np.array([rouge_l(caption, references) for caption, references in pairs]),
            cider_d=np.array([self._cider.score(i, of_caption) for i, of_caption in enumerate(counts)]),
        )

    def _words(self, hypotheses: Mapping[str, str]) -> list[list[str]]:
        return [self.tokenizer(hypotheses[image]) for image in self._check(hypotheses)]

    def _check(self, hypotheses: Mapping[str, str]) -> list[str]:
        """The images in the references' order, each known to have a hypothesis."""
        missing = [image for image in self.images if image not in hypotheses]
        unknown = sorted(set(hypotheses) - set(self.images))
        for images, all_images, lack in (
            (missing, self.images, "no caption"),
            (unknown, hypotheses, "no references"),
        ):
            if images:
                raise InputError(
                    f"{lack} for {len(images)} of {len(all_images)} images: {first_five(images)};"
                    " caption every image that has references, and no other"
                )
        return self.images


def _summary(statistics: _Statistics) -> dict[str, float]:
    """The corpus-level metrics by name."""
    values = [*bleu(statistics.bleu.sum(axis=0)), statistics.rouge_l.mean(), statistics.cider_d.mean()]
    return {name: float(value) for name, value in zip(METRICS, values, strict=True)}

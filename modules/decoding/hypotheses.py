"""What decoding is made of: the state of a decoder, hypotheses, and which words may go on with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.errors import InputError
from modules.vocabulary import Vocabulary

BOS, EOS, UNK, PAD = Vocabulary.BOS, Vocabulary.EOS, Vocabulary.UNK, Vocabulary.PAD
MOST_BEAMS = 1000


class DecoderState(NamedTuple):
    """Tensors with one row an image (`memory`) and one row a hypothesis (`recurrent`)."""

    memory: tuple[Tensor, ...]
    recurrent: tuple[Tensor, ...]

    def select(self, rows: Tensor, images: Tensor | None = None) -> DecoderState:
        """Returns the state of these hypotheses and, where some images are finished, of these images."""
        memory = self.memory if images is None else tuple(m[images] for m in self.memory)
        return DecoderState(memory, tuple(r[rows] for r in self.recurrent))

    def of_images(self, images: Tensor, *, in_place: bool) -> DecoderState:
        """Returns the state with the memory of these images alone.

        Args:
            images: From `without_gaps`.
            in_place: Move only those that fill a gap, in the memory itself: it is no other's any more.
        """
        if not in_place:
            return DecoderState(tuple(m[images] for m in self.memory), self.recurrent)
        moved = (images != torch.arange(len(images), device=images.device)).nonzero().squeeze(1)
        for m in self.memory:
            m[moved] = m[images[moved]]
        return DecoderState(tuple(m[: len(images)] for m in self.memory), self.recurrent)


def without_gaps(kept: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Returns rising numbers in the order that moves fewest: the last fill the gaps of the first n."""
    places = torch.arange(len(kept), device=kept.device)
    staying = kept[kept < len(kept)]
    is_gap = torch.ones_like(places, dtype=torch.bool).index_fill(0, staying, False)
    return places.masked_scatter(is_gap, kept[len(staying) :])


Step = Callable[[Tensor, DecoderState], tuple[Tensor, DecoderState, Tensor | None]]


@dataclass
class Hypothesis:
    """One decoded sequence.

    Attributes:
        tokens: Without begin and end marks.
        score: Sum of the log-probabilities, the end mark's included, over `length ** length_penalty`.
        finished: Whether the end mark was reached within the maximum length.
        alpha: Attention `(T, L)` of each token, where it was asked for.
    """

    tokens: list[int]
    score: float
    finished: bool
    alpha: Tensor | None = None


@dataclass
class DecodingOptions:
    """How words are chosen when no teacher gives them.

    Args:
        method: beam search, greedy (the most probable word at every step) or sample.
        beam_size: Hypotheses kept per image in beam search.
        beam_groups: Groups into which the beams are dealt: each avoids words that earlier groups have in the
            same place (Vijayakumar et al. 2018).
        diversity: What such a word costs a group, in nats for every earlier beam that has it.
        must_contain: Words that a caption has to contain, as they are written there: dog, or "dog ball"
            (Anderson et al. 2017).
        length_penalty: Power of the length that a hypothesis' log-probability is divided by; 0 favours short
            captions, 1 compares the mean per word.
        max_length: Most words in a caption.
        min_length: Fewest words in a caption.
        no_repeat_ngram: No n-gram of this many words occurs twice in a caption; 0 allows all.
        allow_unknown: Let the mark of unknown words appear in captions.
        temperature: Sampling: logits are divided by it; below 1 sharpens, above 1 flattens.
        top_k: Sampling: only from the k most probable words; 0 means all.
        top_p: Sampling: only from the most probable words that together hold this probability.
        seed: Sampling: of the random numbers; each image has its own.
    """

    method: Literal["beam", "greedy", "sample"] = "beam"
    beam_size: int = 5
    beam_groups: int = 1
    diversity: float = 0.5
    must_contain: str = ""
    length_penalty: float = 1.0
    max_length: int = 30
    min_length: int = 1
    no_repeat_ngram: int = 0
    allow_unknown: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fits, wanted in [
            ("beam_size", 1 <= self.beam_size <= MOST_BEAMS, f"from 1 to {MOST_BEAMS:,}"),
            ("beam_groups", self.beam_groups >= 1, "at least 1"),
            ("diversity", self.diversity >= 0, "0 or more"),
            ("max_length", self.max_length >= 1, "at least 1"),
            ("min_length", 0 <= self.min_length <= self.max_length, "from 0 to max_length"),
            ("no_repeat_ngram", self.no_repeat_ngram >= 0, "0 or more"),
            ("temperature", self.temperature > 0, "above 0 (for the most probable words: method greedy)"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
        ]:
            if not fits:
                raise InputError(f"decoding.{name} is {getattr(self, name)}; it has to be {wanted}")
        if self.beam_size % self.beam_groups:
            raise InputError(
                f"decoding.beam_size is {self.beam_size}; it has to be a multiple of decoding.beam_groups, "
                f"{self.beam_groups}"
            )
        if self.must_contain and (self.method != "beam" or self.beam_groups > 1):
            raise InputError(
                "decoding.must_contain needs --decoding.method beam and one group of beams; here are "
                f"{self.method} and {self.beam_groups}"
            )


def allowed_log_probs(
    logits: Float[Tensor, "N V"], history: Int[Tensor, "N t"], options: DecodingOptions
) -> Float[Tensor, "N V"]:
    """Returns log-probabilities with those of forbidden words at minus infinity."""
    log_probs = logits.float().log_softmax(dim=-1)  # (N, V)
    ends = log_probs[:, EOS].clone()
    log_probs[:, [PAD, BOS]] = -torch.inf
    if not options.allow_unknown:
        log_probs[:, UNK] = -torch.inf
    length = history.shape[1]
    if length < options.min_length:
        log_probs[:, EOS] = -torch.inf
    n = options.no_repeat_ngram
    if n and length >= n:
        windows = history.unfold(1, n, 1)  # (N, t - n + 1, n)
        newest = history[:, length - n + 1 :].unsqueeze(1)  # (N, 1, n - 1)
        seen = (windows[:, :, :-1] == newest).all(dim=-1)  # (N, t - n + 1)
        # where the n-gram has not begun, PAD is banned once more
        log_probs.scatter_(1, windows[:, :, -1].where(seen, PAD), -torch.inf)
    if log_probs.shape[1] > length + 4:  # more words than can be forbidden: the marks, and one an n-gram
        return log_probs
    # a caption whose every word is forbidden has to end
    stuck = (log_probs == -torch.inf).all(dim=1)
    log_probs[:, EOS] = torch.where(stuck, ends, log_probs[:, EOS])
    return log_probs

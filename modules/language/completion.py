"""The most probable continuations of a text, up to the end of a word or line, with their probabilities.

Every text that could follow has exactly one beginning that is a continuation in this sense. So the
probabilities of all continuations add up to one. Each is that of its tokens by the chain rule: `log P(x_1 ..
x_m, then an end) = sum_t log P(x_t | x_<t) + log sum_{e ends} P(e | x_1 .. x_m)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from modules.decoding import DecoderState, Step


class Boundary(NamedTuple):
    """Where a continuation ends, by the kinds of token; each tensor has one value a token of the vocabulary.

    Attributes:
        begins: Tokens after which a continuation may end (the first letter of a word).
        ends_before: Tokens that end it and are not part of it, if it has begun (a space after a word).
        ends_after: Tokens that end it and are its last (a whole word).
        forbidden: Tokens that are never part of it (the markers).
        begun: Whether it may end at once.
    """

    begins: Bool[Tensor, " V"]
    ends_before: Bool[Tensor, " V"]
    ends_after: Bool[Tensor, " V"]
    forbidden: Bool[Tensor, " V"]
    begun: bool = False


@dataclass(frozen=True)
class Completion:
    """One continuation.

    Attributes:
        tokens: What is shown, without a token that it ended before.
        log_prob: Its log-probability given the text before it, in nats.
        finished: Whether it reached an end; if not, the probability is that of all that begin so.
    """

    tokens: list[int]
    log_prob: float
    finished: bool


@dataclass(frozen=True)
class Completions:
    """The best continuations in falling order of probability.

    Attributes:
        best: At most as many as were asked for.
        missed: Log-probability of the most probable beginning that the beam had no room for.
        is_exact: Whether no continuation that is not listed can be more probable than one that is.
    """

    best: list[Completion]
    missed: float
    is_exact: bool


def complete(
    step: Step,
    logits: Float[Tensor, "1 V"],
    state: DecoderState,
    boundary: Boundary,
    *,
    n: int,
    beam_size: int,
    max_length: int,
) -> Completions:
    """Returns the n most probable continuations, found by beam search.

    A beginning is given up if n whole continuations are at least as probable, which costs nothing. It is also
    given up if the beam is full, of which `Completions.missed` keeps account.

    Args:
        step: One time step of a decoder.
        logits: What follows the text, as its last token's step gave it.
        state: The decoder's after that token, one row.
        boundary: Where a continuation ends.
        n: How many to return.
        beam_size: Beginnings kept at every step.
        max_length: Most tokens of a continuation.
    """
    device, vocabulary = logits.device, logits.shape[1]
    begins, ends_before, ends_after, forbidden = (kind.to(device) for kind in boundary[:4])
    begun = torch.tensor([boundary.begun], device=device)
    history = torch.empty(1, 0, dtype=torch.long, device=device)  # (K, t)
    scores = torch.zeros(1, dtype=torch.float64, device=device)  # (K,)
    found: list[Completion] = []
    missed = -math.inf

    def keep(rows: Tensor, log_probs: Tensor, finished: bool) -> None:
        found.extend(
            Completion(tokens, log_prob, finished)
            for tokens, log_prob in zip(rows.tolist(), log_probs.tolist(), strict=True)
            if log_prob > -math.inf
        )
        found.sort(key=lambda completion: (-completion.log_prob, completion.tokens))
        del found[n:]

    with torch.no_grad():
        for length in range(1, max_length + 1):
            total = scores.unsqueeze(1) + logits.double().log_softmax(dim=1)  # (K, V)
            total[:, forbidden] = -math.inf
            if begun.any() and ends_before.any():
                keep(history[begun], total[begun][:, ends_before].logsumexp(dim=1), True)
                total.masked_fill_(begun.unsqueeze(1) & ends_before, -math.inf)
            if ends_after.any():
                top, index = total[:, ends_after].flatten().topk(min(n, total[:, ends_after].numel()))
                token = ends_after.nonzero().squeeze(1)[index % int(ends_after.sum())]
                parent = index // int(ends_after.sum())
                keep(torch.cat([history[parent], token.unsqueeze(1)], dim=1), top, True)
                total[:, ends_after] = -math.inf
            top, index = total.flatten().topk(min(beam_size + 1, total.numel()))
            worst = found[-1].log_prob if len(found) == n else -math.inf
            promising = int((top > worst).sum())
            if promising > beam_size:
                missed = max(missed, float(top[beam_size]))
            if not promising:
                break
            top, index = top[:promising][:beam_size], index[:promising][:beam_size]
            parent, token = index // vocabulary, index % vocabulary
            history = torch.cat([history[parent], token.unsqueeze(1)], dim=1)
            scores, begun = top, begun[parent] | begins[token]
            if length == max_length:
                keep(history, scores, False)
                break
            logits, state, _ = step(token, state.select(parent))
    worst = found[-1].log_prob if len(found) == n else -math.inf
    return Completions(found, missed, missed <= worst)

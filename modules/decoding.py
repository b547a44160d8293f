"""Decoding over `step`: greedy, beam search and sampling, the same for every decoder.

A decoder offers `step(tokens (N,), state) -> (logits (N, V), state, alpha (N, L) or None)`. Its state keeps
what belongs to an image (annotations and their projection: `memory`, one row an image) apart from what
belongs to a hypothesis (`recurrent`, one row a hypothesis, K rows an image in order): K beams share one copy
of the annotations, and reordering beams moves only hidden states.

Nothing here depends on which images share a batch: scores are compared within an image only, images that
are finished leave the batch, and random numbers belong to the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.errors import InputError
from modules.vocabulary import Vocabulary

BOS, EOS, UNK, PAD = Vocabulary.BOS, Vocabulary.EOS, Vocabulary.UNK, Vocabulary.PAD
DRAWN_AHEAD = 256  # random numbers of a text without end come in blocks


class DecoderState(NamedTuple):
    """Tensors with one row an image (`memory`) and one row a hypothesis (`recurrent`)."""

    memory: tuple[Tensor, ...]
    recurrent: tuple[Tensor, ...]

    def select(self, rows: Tensor, images: Tensor | None = None) -> DecoderState:
        """Returns the state of these hypotheses and, where some images are finished, of these images."""
        memory = self.memory if images is None else tuple(m[images] for m in self.memory)
        return DecoderState(memory, tuple(r[rows] for r in self.recurrent))


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
            ("beam_size", self.beam_size >= 1, "at least 1"),
            ("max_length", self.max_length >= 1, "at least 1"),
            ("min_length", 0 <= self.min_length <= self.max_length, "from 0 to max_length"),
            ("no_repeat_ngram", self.no_repeat_ngram >= 0, "0 or more"),
            ("temperature", self.temperature > 0, "above 0 (for the most probable words: method greedy)"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
        ]:
            if not fits:
                raise InputError(f"decoding.{name} is {getattr(self, name)}; it has to be {wanted}")


def decode(
    step: Step,
    state: DecoderState,
    options: DecodingOptions,
    *,
    images: int,
    keep_alpha: bool = False,
    seeds: Sequence[int] | None = None,
    bos: int = BOS,
) -> list[Hypothesis]:
    """Returns the best hypothesis of each image.

    Args:
        step: One time step of a decoder.
        state: Its initial state, one hypothesis an image.
        options: How to choose.
        images: Number of images B.
        keep_alpha: Keep the attention of each token.
        seeds: Sampling: one number an image; by default its place in the batch.
        bos: The token before the first.
    """
    with torch.no_grad():
        if options.method == "beam":
            beams = beam_search(step, state, options, images=images, keep_alpha=keep_alpha, bos=bos)
            return [hypotheses[0] for hypotheses in beams]
        return _one_by_one(step, state, options, images, keep_alpha, seeds, bos)


def beam_search(
    step: Step,
    state: DecoderState,
    options: DecodingOptions,
    *,
    images: int,
    keep_alpha: bool = False,
    bos: int = BOS,
) -> list[list[Hypothesis]]:
    """Returns up to `beam_size` hypotheses of each image, best first.

    At every step each image's K beams are extended by all words and the best K extensions without an end
    mark live on; an extension with an end mark is finished if it ranks among the first K. An image leaves
    the batch when K of its hypotheses are finished. One that finishes none within the maximum length gives
    its unfinished beams.
    """
    K, device = options.beam_size, state.recurrent[0].device
    finished: list[list[Hypothesis]] = [[] for _ in range(images)]
    live = torch.arange(images, device=device)  # images still in the batch, by their number
    tokens = torch.full((images,), bos, device=device)
    scores = torch.zeros(images, 1, device=device)  # (B, beams): one before the first step, K after it
    history = torch.empty(images, 1, 0, dtype=torch.long, device=device)  # (B, beams, t)
    alphas: Tensor | None = None  # (B, beams, t, L)

    def finish(b: int, beam: int, score: float, at_end: bool) -> None:
        words = history[b, beam].tolist()
        alpha = None if alphas is None else alphas[b, beam, : len(words)].cpu()
        # the end mark is one of the tokens that the score sums over
        score /= max(1, len(words) + at_end) ** options.length_penalty
        finished[int(live[b])].append(Hypothesis(words, score, at_end, alpha))

    for _ in range(options.max_length):
        beams = scores.shape[1]
        logits, state, alpha = step(tokens, state)  # (B beams, V)
        log_probs = _allowed_log_probs(logits, history.flatten(0, 1), options)
        if keep_alpha and alpha is not None:
            newest = alpha.view(len(live), beams, 1, -1)
            alphas = newest if alphas is None else torch.cat([alphas, newest], dim=2)
        total = scores.unsqueeze(2) + log_probs.view(len(live), beams, -1)  # (B, beams, V)
        vocabulary = total.shape[2]
        # 2K candidates hold K without an end mark, because each beam has only one
        top, index = total.flatten(1).topk(min(2 * K, beams * vocabulary))  # (B, candidates)
        parent, word = index // vocabulary, index % vocabulary

        best, best_parent = top[:, :K].tolist(), parent[:, :K].tolist()
        for b, rank in (word[:, :K] == EOS).nonzero().tolist():
            if best[b][rank] > -torch.inf and len(finished[int(live[b])]) < K:
                finish(b, best_parent[b][rank], best[b][rank], True)

        # the first K without an end mark live on: a stable sort moves end marks behind and keeps the order
        order = (word == EOS).to(torch.int8).argsort(dim=1, stable=True)[:, :K]  # (B, K)
        parent, word = parent.gather(1, order), word.gather(1, order)
        scores = top.gather(1, order).masked_fill(word == EOS, -torch.inf)

        going = torch.tensor([len(finished[image]) < K for image in live.tolist()], device=device)
        kept = (going & (scores > -torch.inf).any(dim=1)).nonzero().squeeze(1)
        if len(kept) == 0:
            break
        parent = parent[kept]
        rows = (kept.unsqueeze(1) * beams + parent).flatten()  # (B' K)
        state = state.select(rows, None if len(kept) == len(live) else kept)
        live, scores, word = live[kept], scores[kept], word[kept]
        tokens = word.flatten()
        history = torch.cat([history[kept.unsqueeze(1), parent], word.unsqueeze(2)], dim=2)
        if alphas is not None:
            alphas = alphas[kept.unsqueeze(1), parent]
    else:
        for b, image in enumerate(live.tolist()):
            if not finished[image]:
                for beam, score in enumerate(scores[b].tolist()):
                    if score > -torch.inf:
                        finish(b, beam, score, False)

    empty = Hypothesis([], -torch.inf, False)
    return [sorted(hypotheses, key=lambda h: -h.score) or [empty] for hypotheses in finished]


def _one_by_one(
    step: Step,
    state: DecoderState,
    options: DecodingOptions,
    images: int,
    keep_alpha: bool,
    seeds: Sequence[int] | None,
    bos: int,
) -> list[Hypothesis]:
    """Returns one hypothesis an image, each word chosen before the next is scored: greedy or sampled."""
    device = state.recurrent[0].device
    sampled = options.method == "sample"
    if sampled:
        generators = _generators(options, range(images) if seeds is None else seeds)
        uniforms = _uniforms(generators, options.max_length).to(device)  # (B, max_length)
    live = torch.arange(images, device=device)
    tokens = torch.full((images,), bos, device=device)
    history = torch.empty(images, 0, dtype=torch.long, device=device)
    scores = torch.zeros(images, device=device)
    results: list[Hypothesis] = [Hypothesis([], 0.0, False) for _ in range(images)]
    alphas: list[list[Tensor]] = [[] for _ in range(images)]

    for t in range(options.max_length):
        logits, state, alpha = step(tokens, state)  # (B, V)
        log_probs = _allowed_log_probs(logits, history, options)
        if sampled:
            tokens = _draw(log_probs, uniforms[live, t], options)
        else:
            tokens = log_probs.argmax(dim=1)
        scores = scores + log_probs.gather(1, tokens.unsqueeze(1)).squeeze(1)
        ended = tokens == EOS
        for b, (image, token, end, score) in enumerate(
            zip(live.tolist(), tokens.tolist(), ended.tolist(), scores.tolist(), strict=True)
        ):
            result = results[image]
            result.finished, result.score = end, score
            if not end:
                result.tokens.append(token)
                if keep_alpha and alpha is not None:
                    alphas[image].append(alpha[b].cpu())
        history = torch.cat([history, tokens.unsqueeze(1)], dim=1)
        if ended.any():
            going = (~ended).nonzero().squeeze(1)
            if len(going) == 0:
                break
            state = state.select(going, going)
            live, tokens, history, scores = live[going], tokens[going], history[going], scores[going]

    for result, rows in zip(results, alphas, strict=True):
        result.score /= max(1, len(result.tokens) + result.finished) ** options.length_penalty
        result.alpha = torch.stack(rows) if rows else None
    return results


def sample_stream(
    step: Step,
    state: DecoderState,
    tokens: Int[Tensor, " N"],
    options: DecodingOptions,
    *,
    banned: Sequence[int] = (),
    seeds: Sequence[int] | None = None,
) -> Iterator[Int[Tensor, " N"]]:
    """Yields the next token of each of N texts, drawn or (method greedy) the best, and so on without end.

    Args:
        step: One time step of a decoder.
        state: Before `tokens` is read, one row a text.
        tokens: The last token of each text.
        options: How to choose; the maximum length is the caller's to keep.
        banned: Tokens that are never chosen.
        seeds: One number a text, of its own random numbers; by default its place in the batch.
    """
    generators = _generators(options, range(len(tokens)) if seeds is None else seeds)
    never = torch.tensor(list(banned), dtype=torch.long, device=tokens.device)
    for t in count():
        with torch.inference_mode():
            if t % DRAWN_AHEAD == 0:
                uniforms = _uniforms(generators, DRAWN_AHEAD).to(tokens.device)  # (N, DRAWN_AHEAD)
            logits, state, _ = step(tokens, state)
            allowed = logits.float().index_fill(1, never, -torch.inf)  # (N, V)
            u = uniforms[:, t % DRAWN_AHEAD]
            tokens = allowed.argmax(dim=1) if options.method == "greedy" else _draw(allowed, u, options)
        yield tokens


def _allowed_log_probs(
    logits: Float[Tensor, "N V"], history: Int[Tensor, "N t"], options: DecodingOptions
) -> Float[Tensor, "N V"]:
    """Returns log-probabilities with those of forbidden words at minus infinity."""
    log_probs = logits.float().log_softmax(dim=-1)
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
    # a caption whose every word is forbidden has to end
    stuck = (log_probs == -torch.inf).all(dim=1)
    log_probs[:, EOS] = torch.where(stuck, ends, log_probs[:, EOS])
    return log_probs


def _generators(options: DecodingOptions, seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed((options.seed * 1_000_003 + seed) % 2**63) for seed in seeds]


def _uniforms(generators: Sequence[torch.Generator], steps: int) -> Float[Tensor, "N T"]:
    """Returns numbers in [0, 1), each row's from a generator of its own."""
    return torch.stack([torch.rand(steps, generator=generator) for generator in generators])


def _draw(
    logits: Float[Tensor, "N V"], uniforms: Float[Tensor, " N"], options: DecodingOptions
) -> Int[Tensor, " N"]:
    """Returns a word a row by inverting the cumulative distribution (nucleus: Holtzman et al. 2020)."""
    temperature = min(max(options.temperature, 1e-30), 1e30)  # float32 has neither 1e-46 nor 1e39
    probs, uniforms = (logits / temperature).softmax(dim=-1), uniforms.unsqueeze(1)
    if not options.top_k and options.top_p == 1:  # nothing is cut off: sorting would take most of the time
        cumulative = probs.cumsum(-1)
        place = torch.searchsorted(cumulative, uniforms * cumulative[:, -1:], right=True)
        return place.clamp(max=probs.shape[1] - 1).squeeze(1)
    probs, words = probs.sort(dim=-1, descending=True)
    if options.top_k:
        probs = probs[:, : options.top_k]
    cumulative = probs.cumsum(-1)
    # the word that crosses top_p is the last of the nucleus
    last = torch.searchsorted(cumulative, options.top_p * cumulative[:, -1:]).clamp(max=probs.shape[1] - 1)
    wanted = uniforms * cumulative.gather(1, last)
    place = torch.searchsorted(cumulative, wanted, right=True).minimum(last)
    return words.gather(1, place).squeeze(1)

"""Sequences whose every word is chosen before the next is scored: greedy or sampled, with and without end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoding.hypotheses import (
    EOS,
    DecoderState,
    DecodingOptions,
    Hypothesis,
    Step,
    allowed_log_probs,
    without_gaps,
)

DRAWN_AHEAD = 256  # random numbers of a text without end come in blocks


def one_by_one(
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
        log_probs = allowed_log_probs(logits, history, options)
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
            going = without_gaps(going)
            state = state.of_images(going, in_place=len(live) < images).select(going)
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

"""Beam search over a decoder's `step`: plain, in groups that differ, and with words that have to occur."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoding.hypotheses import (
    BOS,
    EOS,
    PAD,
    DecoderState,
    DecodingOptions,
    Hypothesis,
    Step,
    allowed_log_probs,
    without_gaps,
)


def beam_search(
    step: Step,
    state: DecoderState,
    options: DecodingOptions,
    *,
    images: int,
    keep_alpha: bool = False,
    bos: int = BOS,
    required: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Returns up to `beam_size` hypotheses of each image, best first.

    At every step each image's K beams are extended by all words and the best K extensions without an end
    mark live on; an extension with an end mark is finished if it ranks among the first K. An image leaves
    the batch when K of its hypotheses are finished. One that finishes none within the maximum length gives
    its unfinished beams.

    Groups of beams search one after another (Vijayakumar et al. 2018, with the Hamming distance). In the
    ranking of a group, a word costs `diversity` for each earlier beam that has it in the same place. Scores
    are log-probabilities without that cost.

    With required words there are K beams for every set of them that a hypothesis may have by now. Only those
    with all of them end (Anderson et al. 2017). An image that comes to none gives what has most.

    Args:
        step: One time step of a decoder.
        state: Its initial state, one hypothesis an image.
        options: How to choose.
        images: Number of images B.
        keep_alpha: Keep the attention of each token.
        bos: The token before the first.
        required: Tokens that a hypothesis has to have.
    """
    beams = options.beam_size // options.beam_groups
    device = state.recurrent[0].device
    used = torch.empty(images, options.max_length, 0, dtype=torch.long, device=device)
    found: list[list[Hypothesis]] = [[] for _ in range(images)]
    for _ in range(options.beam_groups):
        of_group, words = _search_group(step, state, options, beams, keep_alpha, bos, required, used)
        used = torch.cat([used, words], dim=2)
        found = [earlier + own for earlier, own in zip(found, of_group, strict=True)]
    empty = Hypothesis([], -torch.inf, False)
    return [sorted(hypotheses, key=lambda h: -h.score) or [empty] for hypotheses in found]


def _search_group(
    step: Step,
    state: DecoderState,
    options: DecodingOptions,
    K: int,
    keep_alpha: bool,
    bos: int,
    required: Sequence[int],
    used: Int[Tensor, "B T U"],
) -> tuple[list[list[Hypothesis]], Int[Tensor, "B T K"]]:
    """Returns the hypotheses of one group of K beams, and the words of its beams at every step.

    Args:
        step: One time step of a decoder.
        state: Its initial state.
        options: How to choose.
        K: Beams of the group, for each of the S sets of required words.
        keep_alpha: Keep the attention of each token.
        bos: The token before the first.
        required: Tokens that a hypothesis has to have.
        used: Words of earlier groups; padded.
    """
    images, device, S = len(used), used.device, 2 ** len(required)
    finished: list[list[Hypothesis]] = [[] for _ in range(images)]
    words = torch.full((images, options.max_length, K), PAD, device=device)
    live = torch.arange(images, device=device)  # images still in the batch, by their number
    if S > 1:
        state = state.select(live.repeat_interleave(S))
    tokens = torch.full((images * S,), bos, device=device)
    scores = torch.full((images, S, 1), -torch.inf, device=device)  # one beam before the first step, K after
    scores[:, 0] = 0.0
    history = torch.empty(images, S, 0, dtype=torch.long, device=device)  # (B, S beams, t)
    alphas: Tensor | None = None  # (B, S beams, t, L)

    def finish(b: int, row: int, score: float, at_end: bool) -> None:
        said = history[b, row].tolist()
        alpha = None if alphas is None else alphas[b, row, : len(said)].cpu()
        # the end mark is one of the tokens that the score sums over
        score /= max(1, len(said) + at_end) ** options.length_penalty
        finished[int(live[b])].append(Hypothesis(said, score, at_end, alpha))

    for t in range(options.max_length):
        rows = scores.shape[1] * scores.shape[2]  # S beams of an image
        logits, state, alpha = step(tokens, state)  # (B rows, V)
        log_probs = allowed_log_probs(logits, history.flatten(0, 1), options)
        if keep_alpha and alpha is not None:
            newest = alpha.view(len(live), rows, 1, -1)
            alphas = newest if alphas is None else torch.cat([alphas, newest], dim=2)
        total = scores.unsqueeze(3) + log_probs.view(*scores.shape, -1)  # (B, S, beams, V)
        cost = total.new_zeros(len(live), total.shape[3])
        if used.shape[2]:
            taken = used[live, t]  # (B, U)
            cost.scatter_add_(1, taken, torch.full_like(taken, 1, dtype=cost.dtype) * options.diversity)
            total = total - cost[:, None, None]
        # 2K candidates hold K without an end mark, because each beam has only one
        top, parent, word = _extensions(total, required, 2 * K)  # (B, S, candidates)
        if used.shape[2]:
            top = top + cost.gather(1, word.flatten(1)).view(top.shape)

        best, best_parent = top[:, -1, :K].tolist(), parent[:, -1, :K].tolist()
        for b, rank in (word[:, -1, :K] == EOS).nonzero().tolist():
            if best[b][rank] > -torch.inf and len(finished[int(live[b])]) < K:
                finish(b, best_parent[b][rank], best[b][rank], True)

        # the first K without an end mark live on: a stable sort moves end marks behind and keeps the order
        order = (word == EOS).to(torch.int8).argsort(dim=2, stable=True)[:, :, :K]  # (B, S, K)
        parent, word = parent.gather(2, order), word.gather(2, order)
        scores = top.gather(2, order).masked_fill(word == EOS, -torch.inf)
        words[live, t, : word.shape[2]] = word[:, -1].masked_fill(scores[:, -1] == -torch.inf, PAD)

        going = torch.tensor([len(finished[image]) < K for image in live.tolist()], device=device)
        kept = (going & (scores > -torch.inf).flatten(1).any(dim=1)).nonzero().squeeze(1)
        if len(kept) == 0:
            break
        if len(kept) < len(live):
            kept = without_gaps(kept)
            state = state.of_images(kept, in_place=len(live) < images)
        parent = parent[kept].flatten(1)  # (B', S K)
        state = state.select((kept.unsqueeze(1) * rows + parent).flatten())
        live, scores, word = live[kept], scores[kept], word[kept].flatten(1)
        tokens = word.flatten()
        history = torch.cat([history[kept.unsqueeze(1), parent], word.unsqueeze(2)], dim=2)
        if alphas is not None:
            alphas = alphas[kept.unsqueeze(1), parent]
    else:
        for b, image in enumerate(live.tolist()):
            if not finished[image]:
                # of the sets that have a hypothesis, that with most of the required words
                of_sets = [(s.bit_count(), s) for s in range(S) if scores[b, s].max() > -torch.inf]
                best_set = max(of_sets)[1]
                for beam, score in enumerate(scores[b, best_set].tolist()):
                    if score > -torch.inf:
                        finish(b, best_set * scores.shape[2] + beam, score, False)
    return finished, words


def _extensions(
    total: Float[Tensor, "B S K V"], required: Sequence[int], count: int
) -> tuple[Float[Tensor, "B S N"], Int[Tensor, "B S N"], Int[Tensor, "B S N"]]:
    """Returns the best extensions in each set of required words: score, row of the parent, and word.

    Set s has the words whose bits are set in s. Its own beams are extended by any word but those that it
    lacks. From the sets that lack just one of its words, beams come by this word.
    """
    beams, vocabulary = total.shape[2:]
    device, sets = total.device, []
    for s in range(total.shape[1]):
        has = [bool(s >> place & 1) for place in range(len(required))]
        own = total[:, s]
        lacking = [word for word, there in zip(required, has, strict=True) if not there]
        if lacking:
            own = own.index_fill(2, torch.tensor([*lacking, EOS], device=device), -torch.inf)
        top, index = own.flatten(1).topk(min(count, beams * vocabulary))  # (B, N)
        parent, word = s * beams + index // vocabulary, index % vocabulary
        arrivals = [(s ^ 1 << place, required[place]) for place, there in enumerate(has) if there]
        if arrivals:
            source = torch.tensor([before for before, _ in arrivals], device=device)  # (C,)
            by = torch.tensor([new for _, new in arrivals], device=device)
            rows = (source.unsqueeze(1) * beams + torch.arange(beams, device=device)).flatten()  # (C K,)
            scores = total[:, source, :, by].permute(1, 0, 2).flatten(1)  # (B, C K)
            images, size = top.shape
            top, order = torch.cat([top, scores], dim=1).topk(size)
            parent = torch.cat([parent, rows.expand(images, -1)], dim=1).gather(1, order)
            of_arrivals = by.repeat_interleave(beams).expand(images, -1)
            word = torch.cat([word, of_arrivals], dim=1).gather(1, order)
        sets.append((top, parent, word))
    tops, parents, words = zip(*sets, strict=True)
    return torch.stack(tops, 1), torch.stack(parents, 1), torch.stack(words, 1)

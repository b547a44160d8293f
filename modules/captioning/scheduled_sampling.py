"""Scheduled sampling: a decoder in training reads some of its own words in place of people's.

What it writes later follows words of its own, right or wrong; with people's words alone it never meets a
wrong one (Bengio et al. 2015). At every word a coin decides whether the true word is read or one drawn from
the decoder. Its targets stay people's words, and no gradient goes through a draw.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoders.ensemble import Reader
from modules.vocabulary import Vocabulary

ScheduleName = Literal["inverse_sigmoid", "exponential", "linear"]
STEEPNESS = 100.0  # k of the inverse sigmoid: it begins with 1 / (k + 1) own words


def own_share(schedule: ScheduleName, progress: float, final: float) -> float:
    """Returns the share of own words after a share of the training (Bengio et al. 2015, section 2.4).

    Args:
        schedule: How the share of true words, 1 at the beginning, falls.
        progress: Of the training, 0..1.
        final: Share of own words at its end, below 1; 0 has none at any time.
    """
    if final == 0:
        return 0.0
    progress = min(progress, 1.0)
    if schedule == "linear":
        return final * progress
    if schedule == "exponential":
        return 1 - (1 - final) ** progress
    return 1 - STEEPNESS / (STEEPNESS + (STEEPNESS * final / (1 - final)) ** progress)


@torch.no_grad()
def with_own_words(
    decoder: Reader,
    annotations: Float[Tensor, "N L D"],
    tokens: Int[Tensor, "R T"],
    image_index: Int[Tensor, " R"],
    share: float,
    generator: torch.Generator,
) -> Int[Tensor, "R T"]:
    """Returns captions whose words are partly the decoder's own, each drawn after those before it.

    Args:
        decoder: Whose distribution is drawn from.
        annotations: Of N images.
        tokens: True captions without end marks, padded, beginning with the begin mark.
        image_index: The image of each.
        share: Probability that a word is the decoder's own.
        generator: Of the draws, on the CPU.
    """
    state = decoder.init_state(annotations).select(image_index, image_index)
    is_own = (torch.rand(tokens.shape, generator=generator) < share).to(tokens.device)
    uniforms = torch.rand(tokens.shape, generator=generator).to(tokens.device)
    banned = [Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS]  # a caption goes on as long as the true one
    read = tokens.clone()
    for t in range(1, tokens.shape[1]):
        logits, state, _ = decoder.step(read[:, t - 1], state)
        logits = logits.float()
        logits[:, banned] = -torch.inf
        cumulative = logits.softmax(-1).cumsum(-1)
        drawn = torch.searchsorted(cumulative, uniforms[:, t : t + 1] * cumulative[:, -1:], right=True)
        drawn = drawn.squeeze(1).clamp(max=logits.shape[1] - 1)
        read[:, t] = torch.where(is_own[:, t] & (tokens[:, t] != Vocabulary.PAD), drawn, tokens[:, t])
    return read

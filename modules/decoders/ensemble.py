"""One sequence from several decoders: at every step the mean of their probabilities of the next word.

Models trained from different random numbers err differently, so their mean errs less (Sutskever et al. 2014,
section 3.6). It offers `init_state` and `step` as decoders do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoding import DecoderState


@runtime_checkable
class Reader(Protocol):
    """What reads an image and writes a caption step by step."""

    def init_state(self, annotations: Any) -> DecoderState:
        """Returns the state before the first word."""

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Returns logits of the next word, the next state and the attention."""


class EnsembleDecoder:
    """P(word) is the mean of the members' P(word), each of which has a state of its own.

    The attention is the mean of the members', where all have one of the same grid.

    Args:
        members: At least one, all with the same words.
    """

    def __init__(self, members: Sequence[Reader]) -> None:
        self.members = list(members)
        self.sizes: list[tuple[int, int]] = []  # tensors in the memory and recurrent state of each member

    def init_state(self, annotations: Sequence[Any]) -> DecoderState:
        """Returns the states of all members, each from what it reads of the image."""
        states = [member.init_state(read) for member, read in zip(self.members, annotations, strict=True)]
        self.sizes = [(len(state.memory), len(state.recurrent)) for state in states]
        return DecoderState(
            tuple(tensor for state in states for tensor in state.memory),
            tuple(tensor for state in states for tensor in state.recurrent),
        )

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"] | None]:
        """Returns log-probabilities of the next word, the next state and the mean attention."""
        log_probs, alphas = [], []
        recurrent: tuple[Tensor, ...] = ()
        memory_begin = recurrent_begin = 0
        for member, (memories, recurrents) in zip(self.members, self.sizes, strict=True):
            memory_end, recurrent_end = memory_begin + memories, recurrent_begin + recurrents
            own = DecoderState(
                state.memory[memory_begin:memory_end], state.recurrent[recurrent_begin:recurrent_end]
            )
            memory_begin, recurrent_begin = memory_end, recurrent_end
            logits, after, alpha = member.step(tokens, own)
            log_probs.append(logits.log_softmax(-1))
            alphas.append(alpha)
            recurrent += after.recurrent
        mean = reduce(torch.logaddexp, log_probs) - math.log(len(log_probs))
        return mean, DecoderState(state.memory, recurrent), _mean_attention(alphas)


def _mean_attention(alphas: Sequence[Tensor | None]) -> Tensor | None:
    known = [alpha for alpha in alphas if alpha is not None]
    if len(known) < len(alphas) or len({alpha.shape for alpha in known}) > 1:
        return None
    return torch.stack(known).mean(0)

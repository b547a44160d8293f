"""One caption from an image and its mirror image: the mean of what a decoder reads in each.

The two views of a photograph mislead a decoder in different ways, so their mean errs less (Krizhevsky et al.
2012, section 4.1, of classifiers). It offers `init_state` and `step` as decoders do.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from modules.decoders.captions import CaptionDecoder
from modules.decoding import DecoderState


class MirroredDecoder:
    """P(word) = (P(word | image) + P(word | mirror image)) / 2, with one state for each.

    Attention on the mirror image is given at the places that the image has them.

    Args:
        decoder: Reads both.
        grid: Rows and columns of the annotations, L in all.
    """

    def __init__(self, decoder: CaptionDecoder, grid: tuple[int, int]) -> None:
        self.decoder, self.grid = decoder, grid

    def init_state(self, views: Float[Tensor, "B 2 L D"]) -> DecoderState:
        """Returns the states of both, those of the image first."""
        states = [self.decoder.init_state(annotations) for annotations in views.unbind(1)]
        return DecoderState(
            tuple(tensor for state in states for tensor in state.memory),
            tuple(tensor for state in states for tensor in state.recurrent),
        )

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"] | None]:
        """Returns log-probabilities of the next word, the next state and the mean attention."""
        memory, recurrent = len(state.memory) // 2, len(state.recurrent) // 2
        plain, plain_state, alpha = self.decoder.step(
            tokens, DecoderState(state.memory[:memory], state.recurrent[:recurrent])
        )
        mirrored, mirrored_state, mirrored_alpha = self.decoder.step(
            tokens, DecoderState(state.memory[memory:], state.recurrent[recurrent:])
        )
        log_probs = torch.logaddexp(plain.log_softmax(-1), mirrored.log_softmax(-1)) - math.log(2)
        if alpha is not None and mirrored_alpha is not None:
            back = mirrored_alpha.unflatten(1, self.grid).flip(2).flatten(1)  # (N, L)
            alpha = (alpha + back) / 2
        after = DecoderState(state.memory, plain_state.recurrent + mirrored_state.recurrent)
        return log_probs, after, alpha

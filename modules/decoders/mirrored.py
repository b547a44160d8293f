"""One caption from an image and its mirror image: the mean of what a decoder reads in each.

The two views of a photograph mislead a decoder in different ways, so their mean errs less (Krizhevsky et al.
2012, section 4.1, of classifiers). It offers `init_state` and `step` as decoders do.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from modules.decoders.captions import CaptionDecoder
from modules.decoders.ensemble import EnsembleDecoder
from modules.decoding import DecoderState


class MirroredDecoder:
    """P(word) = (P(word | image) + P(word | mirror image)) / 2, with one state for each.

    Attention on the mirror image is given at the places that the image has them.

    Args:
        decoder: Reads both.
        grid: Rows and columns of the annotations, L in all.
    """

    def __init__(self, decoder: CaptionDecoder, grid: tuple[int, int]) -> None:
        self.both = EnsembleDecoder([decoder, _ReadsMirrored(decoder, grid)])

    def init_state(self, views: Float[Tensor, "B 2 L D"]) -> DecoderState:
        """Returns the states of both, those of the image first."""
        return self.both.init_state(views.unbind(1))

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"] | None]:
        """Returns log-probabilities of the next word, the next state and the mean attention."""
        return self.both.step(tokens, state)


class _ReadsMirrored:
    """Reads the annotations of a mirror image, and gives attention where the image itself has it."""

    def __init__(self, decoder: CaptionDecoder, grid: tuple[int, int]) -> None:
        self.decoder, self.grid = decoder, grid

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        return self.decoder.init_state(annotations)

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"] | None]:
        logits, after, alpha = self.decoder.step(tokens, state)
        return logits, after, None if alpha is None else alpha.unflatten(1, self.grid).flip(2).flatten(1)

"""A language model that learns from a text while it reads it (Mikolov et al. 2010; Krause et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

import torch

from modules.decoders.fixed_window import FixedWindowDecoder
from modules.decoders.language import LanguageDecoder
from modules.decoding import DecoderState
from modules.language.surprise import Surprise, SurpriseReader
from modules.recurrent import detach_state

SEGMENT = 64  # units between two steps, through which gradients flow back
CLIP = 1.0  # norm of a step's gradient at most


class DynamicReader(SurpriseReader):
    """Reads a text, and takes a step of gradient descent on every segment after it was scored.

    What it says of a unit depends on the text before it alone, so its score is that of any honest model. A
    text that repeats itself, in names or in style, gets more probable as it goes on.

    Args:
        decoder: In evaluation mode, on any device; it is copied.
        begin: The unit that the text stands after.
        rate: Of a step on the mean nats of a segment's units.
    """

    def __init__(self, decoder: LanguageDecoder | FixedWindowDecoder, begin: int, rate: float) -> None:
        super().__init__(deepcopy(decoder), begin, SEGMENT)
        self.rate = rate
        self.parameters = [p for p in self.decoder.parameters() if p.requires_grad]
        self._segment, self._before = [begin], self.decoder.init_state(1)

    def read(self, tokens: Sequence[int]) -> Surprise:
        parts = [super().read(())]
        while tokens:
            room = SEGMENT + 1 - len(self._segment)
            parts.append(self._read(tokens[:room]))
            self._segment += tokens[:room]
            tokens = tokens[room:]
            if len(self._segment) > SEGMENT:
                self._learn()
        return Surprise(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _learn(self) -> None:
        segment = torch.tensor([self._segment], device=self.following.device)
        # cuDNN differentiates recurrent layers in training mode only
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            h, after = self.decoder.read(segment[:, :-1], self._before)
            nats, units = self.decoder.output.nats(h, segment[:, 1:])
            self._segment = self._segment[-1:]
            self._before = DecoderState((), detach_state(after.recurrent))
            if not units:
                return
            gradients = torch.autograd.grad(nats / units, self.parameters, allow_unused=True)
        found = [(p, g) for p, g in zip(self.parameters, gradients, strict=True) if g is not None]
        norm = math.sqrt(sum(float(g.square().sum()) for _, g in found))
        with torch.no_grad():
            for parameter, gradient in found:
                parameter.sub_(self.rate * CLIP / max(norm, CLIP) * gradient)

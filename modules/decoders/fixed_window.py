"""The fixed-window neural language model, the baseline that recurrent ones are measured against."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from modules.decoders.language import LanguageDecoderOptions, UnitScores, draw_normal
from modules.decoders.language_steps import WeightsName
from modules.decoding import DecoderState
from modules.vocabulary import Vocabulary


class FixedWindowDecoder(nn.Module):
    """Predicts from the last n units alone (Bengio et al. 2003, section 2, without direct connections).

        e = [e(x_{t-n+1}); ...; e(x_t)];  h = tanh(W e + b_1);  y = softmax(U h + b_2)

    It sees nothing before the window, and W grows with the window; a recurrent network does away with both.
    Its state is the window: the last n - 1 units, PAD (0) where the text has not begun. So zeros are the
    state before a text, as in a recurrent network.

    Args:
        vocabulary_size: Number of units V, the markers included.
        options: Sizes.
    """

    def __init__(self, vocabulary_size: int, options: LanguageDecoderOptions) -> None:
        super().__init__()
        self.options, self.vocabulary_size = options, vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.hidden = nn.Linear(options.window * options.embedding_size, options.hidden_size)
        self.dropout = nn.Dropout(options.dropout)
        self.output = UnitScores(options.hidden_size, vocabulary_size, options.unknown)
        if options.initial_deviation:
            draw_normal(self, options.initial_deviation)

    def init_state(self, rows: int) -> DecoderState:
        """Returns windows that have seen nothing."""
        size = (rows, self.options.window - 1)
        window = torch.full(size, Vocabulary.PAD, device=self.hidden.weight.device)
        return DecoderState((), (window,))

    def for_steps(self, weights: WeightsName = "float32") -> FixedWindowDecoder:
        """Returns what to write with: itself, whose few weights would not gain by another form."""
        return self

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, None]:
        """Returns logits of the next unit, the next state, and no attention."""
        logits, state = self(tokens.unsqueeze(1), state)
        return logits.squeeze(1), state, None

    def forward(
        self, tokens: Int[Tensor, "B T"], state: DecoderState
    ) -> tuple[Float[Tensor, "B T V"], DecoderState]:
        """Returns the logits of the unit after each given one, and the state after the last."""
        h, state = self.read(tokens, state)
        return self.output(h), state

    def read(
        self, tokens: Int[Tensor, "B T"], state: DecoderState
    ) -> tuple[Float[Tensor, "B T H"], DecoderState]:
        """Returns what the logits are computed from, and the state after the last unit."""
        seen = torch.cat([state.recurrent[0], tokens], dim=1)  # (B, n - 1 + T)
        e = self.embedding(seen).unfold(1, self.options.window, 1)  # (B, T, E, n)
        h = torch.tanh(self.hidden(self.dropout(e.flatten(2))))  # (B, T, H)
        window = seen[:, seen.shape[1] - self.options.window + 1 :]
        return self.dropout(h), DecoderState((), (window,))

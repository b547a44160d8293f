"""Att2in: an RNN whose memory alone reads what the attention found."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from modules.cells import LSTMCell, State
from modules.decoders.caption_decoder import DecoderOptions, Look, SuccessiveDecoder
from modules.decoding import DecoderState
from modules.recurrent import RecurrentStack

# which block of a cell's gates is the candidate; a vanilla cell is nothing else
CANDIDATE = {"rnn": 0, "jordan": 0, "lstm": 2, "gru": 2, "gru_reset_before": 2}


class MaxoutLSTMCell(LSTMCell):
    """An LSTM whose candidate is the larger of two linear maps (Rennie et al. 2017, eq. 5)."""

    gates = 5

    def step(
        self, from_input: Tensor, from_hidden: Tensor, state: State, mask: Tensor | None = None
    ) -> State:
        i, f, g, other, o = (from_input + from_hidden).chunk(5, dim=-1)  # (N, H) each
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.maximum(g, other)
        return torch.sigmoid(o) * torch.tanh(c), c


class Att2inDecoder(SuccessiveDecoder):
    """Soft attention that enters the candidate alone, not the gates (Rennie et al. 2017, section 2).

        alpha_t = softmax(score(a, h_{t-1}));  I_t = sum_i alpha_ti a_i
        i, f, o = sigmoid(W E y_{t-1} + U h_{t-1} + b)
        g = phi(W E y_{t-1} + W_I I_t + U h_{t-1} + b)
        c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t);  logits = W_s h_t       (eq. 3-5)

    In the paper phi is the larger of two such maps (`maxout`), here tanh by default, and other cells have
    their own candidate. The first hidden state is zero.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__(vocabulary_size, annotation_size, options, options.context_size)
        E, H = options.embedding_size, options.hidden_size
        self.rnn = RecurrentStack(options.cell, E, H, options.layers, options.dropout)
        blocks = 1
        if options.maxout:
            self.rnn.cells[0] = MaxoutLSTMCell(E, H)  # type: ignore[index]  # a ModuleList
            blocks = 2
        self._attend()
        self.to_candidate = nn.Linear(self.annotation_size, blocks * H, bias=False)
        before = CANDIDATE[options.cell]
        # zeros for the gates before and after the candidate
        self.padding = before * H, (self.rnn.cells[0].gates - before - blocks) * H
        self._score_words_from(H)

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns annotations and their projection, one row an image, and zeros."""
        a = self.context(annotations)
        return DecoderState((a, self.attention.project(a)), self.rnn.init_state(len(a)))

    def _project(self, words: Float[Tensor, "B K E"], memory: tuple[Tensor, ...]) -> Float[Tensor, "B K GH"]:
        return self.rnn.cells[0].project_input(words)

    def _advance(
        self, from_word: Float[Tensor, "N GH"], recurrent: State, look: Look
    ) -> tuple[Float[Tensor, "N H"], State, Float[Tensor, "N L"]]:
        context, alpha = look(self.attention.hidden(self.rnn.output(recurrent)))
        from_context = F.pad(self.to_candidate(context), self.padding)
        h, recurrent = self.rnn.step(from_word + from_context, recurrent)
        return h, recurrent, alpha

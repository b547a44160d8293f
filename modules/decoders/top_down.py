"""Top-down attention: one RNN decides where to look, another what to say."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from modules.cells import State
from modules.decoders.caption_decoder import DecoderOptions, Look, SuccessiveDecoder
from modules.decoding import DecoderState
from modules.recurrent import RecurrentStack


class TopDownDecoder(SuccessiveDecoder):
    """An attention RNN and a language RNN, on a grid of annotations (Anderson et al. 2018, section 3.2).

        h1_t = RNN1([h2_{t-1}; mean_i a_i; E y_{t-1}], h1_{t-1})                (eq. 2)
        alpha_t = softmax(score(a, h1_t));  z_t = sum_i alpha_ti a_i            (eq. 3-5)
        h2_t = RNN2([z_t; h1_t], h2_{t-1});  logits = W_p h2_t                  (eq. 6-7)

    The first hidden states are zero. Further layers are those of the language RNN.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__(vocabulary_size, annotation_size, options, options.context_size)
        E, H, D = options.embedding_size, options.hidden_size, self.annotation_size
        self.attention_rnn = RecurrentStack(options.cell, D + E, H)
        # the columns of RNN1 that read h2: the only ones that wait for it
        self.from_language = nn.Linear(H, len(self.attention_rnn.cells[0].weight_ih), bias=False)
        self._attend()
        self.rnn = RecurrentStack(options.cell, D + H, H, options.layers, options.dropout)
        self._score_words_from(H)

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns annotations, their projection, the product with their mean, a row an image, and zeros."""
        a = self.context(annotations)
        first = self.attention_rnn.cells[0]
        from_mean = F.linear(a.mean(1), first.weight_ih[:, : self.annotation_size], first.bias_ih)
        zeros = (*self.attention_rnn.init_state(len(a)), *self.rnn.init_state(len(a)))
        return DecoderState((a, self.attention.project(a), from_mean), zeros)

    def _project(self, words: Float[Tensor, "B K E"], memory: tuple[Tensor, ...]) -> Float[Tensor, "B K GH"]:
        weight = self.attention_rnn.cells[0].weight_ih[:, self.annotation_size :]
        return F.linear(words, weight) + memory[2].unsqueeze(1)

    def _advance(
        self, from_word: Float[Tensor, "N GH"], recurrent: State, look: Look
    ) -> tuple[Float[Tensor, "N H"], State, Float[Tensor, "N L"]]:
        of_attention, of_language = recurrent[: self.rnn.state_size], recurrent[self.rnn.state_size :]
        from_word = from_word + self.from_language(self.rnn.output(of_language))
        h1, of_attention = self.attention_rnn.step(from_word, of_attention)
        context, alpha = look(self.attention.hidden(h1))
        from_input = self.rnn.cells[0].project_input(torch.cat([context, h1], dim=-1))
        h2, of_language = self.rnn.step(from_input, of_language)
        return h2, (*of_attention, *of_language), alpha

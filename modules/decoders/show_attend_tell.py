"""Show, Attend and Tell: an RNN that looks at the image before every word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.decoders.caption_decoder import AttendingDecoder, DecoderOptions
from modules.decoders.hard_attention import Draw, most_probable
from modules.decoders.linear_over_time import LinearOverTime
from modules.decoding import DecoderState
from modules.recurrent import RecurrentStack


class ShowAttendTellDecoder(AttendingDecoder):
    """An RNN that reads a weighted mean of the annotations at every word (Xu et al. 2015, section 3.1).

        alpha_t = softmax(score(a, h_{t-1}));  z_t = beta_t * sum_i alpha_ti a_i  (eq. 4-6, section 4.2.1)
        beta_t = sigmoid(f(h_{t-1}));  h_t = RNN([E y_{t-1}; z_t], h_{t-1})       (eq. 1-3)
        logits = L_o (E y_{t-1} + L_h h_t + L_z z_t)                               (eq. 7, deep output)

    The initial state is a linear map and tanh of the mean annotation. With hard attention the sum is one
    annotation, see modules/decoders/hard_attention.py.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__(vocabulary_size, annotation_size, options, options.context_size)
        E, H, annotation_size = options.embedding_size, options.hidden_size, self.annotation_size
        self.rnn = RecurrentStack(options.cell, E + annotation_size, H, options.layers, options.dropout)
        self._attend()
        self.hard = options.hard
        self.beta = nn.Linear(H, annotation_size) if options.gate else None
        self.initial = nn.Linear(annotation_size, H * options.layers * self.rnn.state_size)
        if options.deep_output:
            self.output_hidden = nn.Linear(H, E)
            self.output_context = nn.Linear(annotation_size, E, bias=False)
        self._score_words_from(E if options.deep_output else H)

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns annotations and their projection (one row an image) and the initial hidden states."""
        annotations = self.context(annotations)
        initial = torch.tanh(self.initial(annotations.mean(1)))
        recurrent = initial.chunk(self.options.layers * self.rnn.state_size, dim=-1)  # (B, H) each
        return DecoderState((annotations, self.attention.project(annotations)), recurrent)

    def _readers(self) -> tuple[list[Tensor], list[Tensor]]:
        """Returns weights and biases of all that reads the top hidden state: query, gate, first layer."""
        parts = [self.attention.hidden] + ([self.beta] if self.beta is not None else [])
        weights: list[Tensor] = [part.weight for part in parts]
        biases: list[Tensor] = [part.bias for part in parts]
        if self.options.layers == 1:  # the recurrent product reads the same hidden state
            weights.append(self.rnn.cells[0].weight_hh)
            biases.append(self.rnn.cells[0].bias_hh)
        return weights, biases

    def _read(self, products: Sequence[Tensor]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Returns query, gate and the first layer's hidden product (the last two where there are any)."""
        gate = torch.sigmoid(products[1]) if self.beta is not None else None
        return products[0], gate, products[-1] if self.options.layers == 1 else None

    def _weigh(self, alpha: Float[Tensor, "*N L"]) -> Float[Tensor, "*N L"]:
        return most_probable(alpha) if self.hard else alpha

    def _logits(self, words: Tensor, h: Tensor, z: Tensor) -> Tensor:
        """Returns logits from word vectors (..., E), hidden states (..., H) and contexts (..., D)."""
        if self.options.deep_output:
            h = words + self.output_hidden(self.dropout(h)) + self.output_context(z)
        return self.output(self.dropout(h))

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"]]:
        h = self.rnn.output(state.recurrent)
        products = [F.linear(h, weight, bias) for weight, bias in zip(*self._readers(), strict=True)]
        q, gate, from_hidden = self._read(products)
        annotations, p = state.memory
        z, alpha = self._look(annotations, p, q)
        if gate is not None:
            z = gate * z
        words = self.dropout(self.embedding(tokens))  # (N, E)
        from_input = self.rnn.cells[0].project_input(torch.cat([words, z], dim=-1))
        h, recurrent = self.rnn.step(from_input, state.recurrent, from_hidden)
        return self._logits(words, h, z), DecoderState(state.memory, recurrent), alpha

    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
        draw: Draw | None = None,
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T L"]]:
        """Returns the logits of the word after each given one, and the weights of the annotations.

        Args:
            annotations: Of N images.
            tokens: B captions, beginning with the begin mark.
            image_index: The image each caption belongs to; by default one caption an image.
            draw: Says where hard attention looks; by default at the most probable location.
        """
        (annotations, p), recurrent = self._state_of_captions(annotations, image_index)
        look = self._teacher_forced_look(annotations, p, draw)
        words = self.dropout(self.embedding(tokens))  # (B, T, E)
        E, first = self.options.embedding_size, self.rnn.cells[0]
        from_words = F.linear(words, first.weight_ih[:, :E], first.bias_ih)  # (B, T, G H)
        weights, biases = self._readers()
        widths = [len(part) for part in weights]
        # autocast would cast what is no parameter again at every word: cast once
        readers = LinearOverTime(torch.cat(weights).to(p.dtype), torch.cat(biases).to(p.dtype))
        from_context = LinearOverTime(first.weight_ih[:, E:].to(p.dtype))

        hs, zs, alphas = [], [], []
        for from_word in from_words.unbind(1):
            q, gate, from_hidden = self._read(readers(self.rnn.output(recurrent)).split(widths, dim=-1))
            z, alpha = look(q)
            if gate is not None:
                z = gate * z
            h, recurrent = self.rnn.step(from_word + from_context(z), recurrent, from_hidden)
            hs.append(h)
            zs.append(z)
            alphas.append(alpha)
        logits = self._logits(words, torch.stack(hs, 1), torch.stack(zs, 1))  # (B, T, V)
        return logits, torch.stack(alphas, 1)

"""Adaptive attention: a decoder that may rest on what it already knows instead of looking at the image."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.decoders.caption_decoder import AttendingDecoder, DecoderOptions
from modules.decoding import DecoderState
from modules.recurrent import RecurrentStack

KEPT = 0.5  # share of images whose mean annotation is part of x_t in training


class AdaptiveDecoder(AttendingDecoder):
    """Attention over the annotations and a visual sentinel s_t (Lu et al. 2017, section 2).

        v_i = relu(W_a a_i);  x_t = [w_t; relu(W_b mean_i a_i)]                 (section 3)
        h_t, m_t = RNN(x_t, h_{t-1}, m_{t-1})                                   (eq. 4)
        g_t = sigmoid(W_x x_t + W_h h_{t-1});  s_t = g_t * tanh(m_t)            (eq. 9-10)
        alpha_t, beta_t = softmax([score(v, h_t); score(s_t, h_t)])             (eq. 6 and 12)
        logits = W_p (sum_i alpha_ti v_i + beta_t s_t + h_t)                    (eq. 11 and 13)

    The weights alpha sum to 1 - beta: what they lack is the sentinel's, for words that need no look. A cell
    without a memory m has its hidden state in that place. The context waits for the hidden state but not the
    hidden state for a context: with given words, all of them look at once.

    Training with dropout leaves the image's part out of x_t for half of the images. Always with it, a decoder
    knows the objects from there and looks at none. On drawn scenes that costs a third of CIDEr-D, see "Which
    words look" in configs/README.md.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    has_sentinel = True

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        E, H = options.embedding_size, options.hidden_size
        super().__init__(vocabulary_size, annotation_size, options, context_size=H)
        self.image = nn.Linear(annotation_size, E)
        self.rnn = RecurrentStack(options.cell, 2 * E, H, options.layers, options.dropout)
        self.gate_input = nn.Linear(2 * E, H)
        self.gate_hidden = nn.Linear(H, H, bias=False)
        self._attend()
        self.sentinel = nn.Linear(H, options.attention_size, bias=False)
        self._score_words_from(H)

    def _input_weight(self) -> Float[Tensor, "GS X"]:
        """Returns what reads x_t: the first layer and the sentinel's gate."""
        return torch.cat([self.rnn.cells[0].weight_ih, self.gate_input.weight])

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns what is the same at every word (v, its projection, the image's part of x_t), and zeros."""
        image = self.dropout(F.relu(self.image(annotations.mean(1))))  # (B, E)
        if self.training and self.options.dropout:
            image = image * (torch.rand(len(image), 1, device=image.device) < KEPT)
        bias = torch.cat([self.rnn.cells[0].bias_ih, self.gate_input.bias])
        from_image = F.linear(image, self._input_weight()[:, self.options.embedding_size :], bias)
        v = self.context(annotations)
        return DecoderState((v, self.attention.project(v), from_image), self.rnn.init_state(len(v)))

    def _project(
        self, words: Float[Tensor, "B K E"], from_image: Float[Tensor, "B GS"]
    ) -> tuple[Float[Tensor, "B K GH"], Float[Tensor, "B K H"]]:
        """Returns the products of x_t with the first layer and with the sentinel's gate."""
        products = F.linear(words, self._input_weight()[:, : self.options.embedding_size])
        products = products + from_image.unsqueeze(1)
        H = self.options.hidden_size
        return products[..., :-H], products[..., -H:]

    def _say(
        self,
        v: Float[Tensor, "B L H"],
        p: Float[Tensor, "B L A"],
        h: Float[Tensor, "B K H"],
        s: Float[Tensor, "B K H"],
    ) -> tuple[Float[Tensor, "B K V"], Float[Tensor, "B K L"]]:
        """Returns logits and attention of K hypotheses, or of K given words, of each image."""
        q = self.attention.hidden(h)
        of_sentinel = self.attention.energy(self.sentinel(s), q).unsqueeze(-1)
        weights = torch.cat([self.attention.energies(p, q), of_sentinel], dim=-1).float().softmax(-1)
        alpha, beta = weights[..., :-1], weights[..., -1:].to(s.dtype)
        context = alpha.to(v.dtype) @ v + beta * s
        return self.output(self.dropout(context + h)), alpha

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"]]:
        v, p, from_image = state.memory
        each = (len(v), len(tokens) // len(v), -1)  # B, K
        words = self.dropout(self.embedding(tokens)).reshape(each)
        from_input, gate = self._project(words, from_image)
        gate = torch.sigmoid(gate + self.gate_hidden(self.rnn.output(state.recurrent)).reshape(each))
        h, recurrent = self.rnn.step(from_input.flatten(0, 1), state.recurrent)
        s = gate * torch.tanh(recurrent[-1]).reshape(each)
        logits, alpha = self._say(v, p, h.reshape(each), s)
        return logits.flatten(0, 1), DecoderState(state.memory, recurrent), alpha.flatten(0, 1)

    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T L"]]:
        (v, p, from_image), recurrent = self._state_of_captions(annotations, image_index)
        from_inputs, gate = self._project(self.dropout(self.embedding(tokens)), from_image)
        hs, ms = [self.rnn.output(recurrent).to(from_inputs.dtype)], []
        for from_input in from_inputs.unbind(1):
            h, recurrent = self.rnn.step(from_input, recurrent)
            hs.append(h)
            ms.append(recurrent[-1])
        h = torch.stack(hs, 1)  # (B, T + 1, H)
        s = torch.sigmoid(gate + self.gate_hidden(h[:, :-1])) * torch.tanh(torch.stack(ms, 1))
        return self._say(v, p, h[:, 1:], s)

"""Caption decoders: a recurrent language model conditioned on an image's annotations.

Each offers the interface that all decoding rests on: `init_state(annotations) -> state`, `step(tokens, state)
-> logits, state, alpha`, and `forward(annotations, tokens) -> logits, alpha`, the same mathematics for given
words (teacher forcing). There every product that does not wait for a hidden state is done once for all words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.attention import ATTENTIONS, AttentionName, SharedGradient
from modules.decoding import DecoderState
from modules.errors import InputError, check_ranges
from modules.recurrent import CellName, RecurrentStack


@dataclass
class DecoderOptions:
    """The RNN that writes the caption.

    Args:
        kind: show_attend_tell reads the grid of annotations at every word, show_and_tell their mean, once.
        cell: lstm, gru, gru_reset_before (the lecture's form), rnn (vanilla, Elman) or jordan.
        layers: Recurrent layers.
        embedding_size: Width E of a word's vector.
        hidden_size: Width H of the hidden state.
        attention: How annotations are scored: additive or multiplicative.
        attention_size: Width A of the space in which annotation and hidden state are compared.
        context_size: Width D that annotations are first mapped to (linear, ReLU, dropout), once an image; 0
            attends to the encoder's own, as the paper does.
        gate: Scale the context by a gate from the hidden state (beta in the paper).
        deep_output: Score words from word, hidden state and context, not from the hidden state alone.
        tied: Score words by the vectors they are read by: one matrix of (words, E), learned from both sides
            (Press and Wolf 2017).
        dropout: Probability of dropping a unit before the output, between layers and of the word vectors.
    """

    chosen_by: ClassVar[str] = "kind"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = dict.fromkeys(
        ("attention", "attention_size", "context_size", "gate", "deep_output"), ("show_attend_tell",)
    )

    kind: Literal["show_attend_tell", "show_and_tell"] = "show_attend_tell"
    cell: CellName = "lstm"
    layers: int = 1
    embedding_size: int = 512
    hidden_size: int = 512
    attention: AttentionName = "additive"
    attention_size: int = 512
    context_size: int = 0
    gate: bool = True
    deep_output: bool = True
    tied: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.decoder",
            positive=("layers", "embedding_size", "hidden_size", "attention_size"),
            not_negative=("context_size",),
            below_one=("dropout",),
        )


def tie(output: nn.Linear, embedding: nn.Embedding) -> None:
    """Lets a decoder score words by their vectors; InputError where they are of another width."""
    if output.in_features != embedding.embedding_dim:
        raise InputError(
            f"model.decoder.tied: embedding_size is {embedding.embedding_dim}; words are scored from "
            f"{output.in_features} values, and it has to be the same"
        )
    output.weight = embedding.weight


class ShowAndTellDecoder(nn.Module):
    """An RNN whose first input is the image's pooled feature (Vinyals et al. 2015, eq. 10-12).

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.image = nn.Linear(annotation_size, options.embedding_size)
        self.rnn = RecurrentStack(
            options.cell, options.embedding_size, options.hidden_size, options.layers, options.dropout
        )
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(options.hidden_size, vocabulary_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if options.tied:
            tie(self.output, self.embedding)

    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns the state after the image was read, before the first word."""
        image = self.image(annotations.mean(1))  # (B, E)
        _, state = self.rnn.step(self.rnn.cells[0].project_input(image), self.rnn.init_state(len(image)))
        return DecoderState((), state)

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, None]:
        """Returns logits of the next word, the next state, and no attention."""
        x = self.rnn.cells[0].project_input(self.dropout(self.embedding(tokens)))
        h, recurrent = self.rnn.step(x, state.recurrent)
        return self.output(self.dropout(h)), DecoderState((), recurrent), None

    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], None]:
        """Returns the logits of the word after each given one.

        Args:
            annotations: Of N images.
            tokens: B captions, beginning with the begin mark.
            image_index: The image each caption belongs to; by default one caption an image.
        """
        state = self.init_state(annotations)
        if image_index is not None:
            state = state.select(image_index)
        x = self.dropout(self.embedding(tokens))  # (B, T, E)
        h, _ = self.rnn(x, tuple(tensor.to(x.dtype) for tensor in state.recurrent))  # (B, T, H)
        return self.output(self.dropout(h)), None


class AnnotationMap(nn.Module):
    """`relu(W a_i + b)`; dropout takes a channel from all locations at once (Tompson et al. 2015).

    Neighbouring locations see much the same, so what is dropped from one alone is still in the others.

    Args:
        annotation_size: Width D of an annotation vector.
        context_size: Width after the map.
        dropout: Probability of dropping a channel.
    """

    def __init__(self, annotation_size: int, context_size: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(annotation_size, context_size)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, annotations: Float[Tensor, "B L D"]) -> Float[Tensor, "B L C"]:
        mapped = F.relu(self.linear(annotations))
        return self.dropout(mapped.mT).mT  # Dropout1d wants channels before locations


class ShowAttendTellDecoder(nn.Module):
    """An RNN that reads a weighted mean of the annotations at every word (Xu et al. 2015, section 3.1).

        alpha_t = softmax(score(a, h_{t-1}));  z_t = beta_t * sum_i alpha_ti a_i  (eq. 4-6, section 4.2.1)
        beta_t = sigmoid(f(h_{t-1}));  h_t = RNN([E y_{t-1}; z_t], h_{t-1})       (eq. 1-3)
        logits = L_o (E y_{t-1} + L_h h_t + L_z z_t)                               (eq. 7, deep output)

    The initial state is a linear map and tanh of the mean annotation.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__()
        E, H = options.embedding_size, options.hidden_size
        self.options = options
        self.context: nn.Module = nn.Identity()
        if options.context_size:
            self.context = AnnotationMap(annotation_size, options.context_size, options.dropout)
            annotation_size = options.context_size
        self.embedding = nn.Embedding(vocabulary_size, E)
        self.rnn = RecurrentStack(options.cell, E + annotation_size, H, options.layers, options.dropout)
        self.attention = ATTENTIONS[options.attention](annotation_size, H, options.attention_size)
        self.beta = nn.Linear(H, annotation_size) if options.gate else None
        self.initial = nn.Linear(annotation_size, H * options.layers * self.rnn.state_size)
        self.dropout = nn.Dropout(options.dropout)
        if options.deep_output:
            self.output_hidden = nn.Linear(H, E)
            self.output_context = nn.Linear(annotation_size, E, bias=False)
        self.output = nn.Linear(E if options.deep_output else H, vocabulary_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if options.tied:
            tie(self.output, self.embedding)

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

    def _logits(self, words: Tensor, h: Tensor, z: Tensor) -> Tensor:
        """Returns logits from word vectors (..., E), hidden states (..., H) and contexts (..., D)."""
        if self.options.deep_output:
            h = words + self.output_hidden(self.dropout(h)) + self.output_context(z)
        return self.output(self.dropout(h))

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"]]:
        """Returns logits of the next word, the next state and the attention on the annotations."""
        annotations, p = state.memory  # (B, L, D), (B, L, A)
        images, rows = len(annotations), len(tokens)  # rows N = B K
        h = self.rnn.output(state.recurrent)
        products = [F.linear(h, weight, bias) for weight, bias in zip(*self._readers(), strict=True)]
        q, gate, from_hidden = self._read(products)
        alpha = self.attention(p, q.reshape(images, rows // images, -1))  # (B, K, L)
        z = (alpha.to(annotations.dtype) @ annotations).flatten(0, 1)  # (N, D)
        if gate is not None:
            z = gate * z
        words = self.dropout(self.embedding(tokens))  # (N, E)
        from_input = self.rnn.cells[0].project_input(torch.cat([words, z], dim=-1))
        h, recurrent = self.rnn.step(from_input, state.recurrent, from_hidden)
        return self._logits(words, h, z), DecoderState(state.memory, recurrent), alpha.flatten(0, 1)

    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T L"]]:
        """Returns the logits of the word after each given one, and the attention at each word.

        Args:
            annotations: Of N images, each projected once for all its captions.
            tokens: B captions, beginning with the begin mark.
            image_index: The image each caption belongs to; by default one caption an image.
        """
        state = self.init_state(annotations)
        if image_index is not None:
            state = state.select(image_index, image_index)
        (annotations, p), recurrent = state
        words = self.dropout(self.embedding(tokens))  # (B, T, E)
        E, first = self.options.embedding_size, self.rnn.cells[0]
        from_words = F.linear(words, first.weight_ih[:, :E], first.bias_ih)  # (B, T, G H)
        weights, biases = self._readers()
        widths = [len(part) for part in weights]
        # autocast would cast what is no parameter again at every word: cast once
        weight, bias = torch.cat(weights).to(p.dtype), torch.cat(biases).to(p.dtype)
        for_context = first.weight_ih[:, E:].to(p.dtype)
        a = annotations.to(p.dtype)

        shared = SharedGradient()
        hs, zs, alphas = [], [], []
        for t, from_word in enumerate(from_words.unbind(1)):
            product = F.linear(self.rnn.output(recurrent), weight, bias)
            q, gate, from_hidden = self._read(product.split(widths, dim=-1))
            alpha = self.attention.teacher_forced(p, q, shared, t == 0)  # (B, L)
            z = (alpha.to(a.dtype).unsqueeze(1) @ a).squeeze(1)  # (B, D)
            if gate is not None:
                z = gate * z
            h, recurrent = self.rnn.step(from_word + F.linear(z, for_context), recurrent, from_hidden)
            hs.append(h)
            zs.append(z)
            alphas.append(alpha)
        logits = self._logits(words, torch.stack(hs, 1), torch.stack(zs, 1))  # (B, T, V)
        return logits, torch.stack(alphas, 1)


DECODERS: dict[str, type[ShowAttendTellDecoder] | type[ShowAndTellDecoder]] = {
    "show_attend_tell": ShowAttendTellDecoder,
    "show_and_tell": ShowAndTellDecoder,
}
CaptionDecoder = ShowAttendTellDecoder | ShowAndTellDecoder

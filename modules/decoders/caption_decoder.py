"""What caption decoders share: a recurrent language model conditioned on an image's annotations.

Each offers the interface that all decoding rests on: `init_state(annotations) -> state`, `step(tokens, state)
-> logits, state, alpha`, and `forward(annotations, tokens) -> logits, alpha`, the same mathematics for given
words (teacher forcing). There every product that does not wait for a hidden state is done once for all words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from modules.attention import ATTENTIONS, AttentionName, SharedGradient
from modules.decoding import DecoderState
from modules.errors import InputError, check_ranges
from modules.recurrent import CellName, RecurrentStack, State

# gives context (N, D) and alpha (N, L) of queries (N, A)
Look = Callable[[Tensor], tuple[Tensor, Tensor]]
Weigh = Callable[[Tensor], Tensor]  # gives the weights of the annotations of alpha (N, L)


@dataclass
class DecoderOptions:
    """The RNN that writes the caption.

    Args:
        kind: show_and_tell reads the mean of the annotations, once. The others look at their grid at every
            word: show_attend_tell before it, adaptive where the word needs it, att2in for the candidate of
            its cell alone, top_down between two RNNs.
        cell: lstm, gru, gru_reset_before (the lecture's form), rnn (vanilla, Elman) or jordan.
        layers: Recurrent layers.
        embedding_size: Width E of a word's vector.
        hidden_size: Width H of the hidden state.
        attention: How annotations are scored: additive or multiplicative.
        attention_size: Width A of the space in which annotation and hidden state are compared.
        context_size: Width D that annotations are first mapped to (linear, ReLU, dropout), once an image; 0
            attends to the encoder's own, as the papers do.
        gate: Scale the context by a gate from the hidden state (beta in the paper).
        hard: Look at one location at every word, found by trial (section 4.1), not at a weighted mean of all.
        deep_output: Score words from word, hidden state and context, not from the hidden state alone.
        maxout: The candidate of the LSTM's memory is the larger of two, as in the paper of att2in.
        tied: Score words by the vectors they are read by: one matrix of (words, E), learned from both sides
            (Press and Wolf 2017).
        dropout: Probability of dropping a unit before the output, between layers and of the word vectors.
    """

    chosen_by: ClassVar[str] = "kind"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {
        **dict.fromkeys(
            ("attention", "attention_size"), ("show_attend_tell", "adaptive", "att2in", "top_down")
        ),
        "context_size": ("show_attend_tell", "att2in", "top_down"),
        **dict.fromkeys(("gate", "hard", "deep_output"), ("show_attend_tell",)),
        "maxout": ("att2in",),
    }

    kind: Literal["show_attend_tell", "show_and_tell", "adaptive", "att2in", "top_down"] = "show_attend_tell"
    cell: CellName = "lstm"
    layers: int = 1
    embedding_size: int = 512
    hidden_size: int = 512
    attention: AttentionName = "additive"
    attention_size: int = 512
    context_size: int = 0
    gate: bool = True
    hard: bool = False
    deep_output: bool = True
    maxout: bool = False
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
        if self.maxout and self.cell != "lstm":
            raise InputError(f"model.decoder.maxout is of the lstm cell; model.decoder.cell is {self.cell}")


def tie(output: nn.Linear, embedding: nn.Embedding) -> None:
    """Lets a decoder score words by their vectors; InputError where they are of another width."""
    if output.in_features != embedding.embedding_dim:
        raise InputError(
            f"model.decoder.tied: embedding_size is {embedding.embedding_dim}; words are scored from "
            f"{output.in_features} values, and it has to be the same"
        )
    output.weight = embedding.weight


class CaptionDecoder(nn.Module, ABC):
    """What every decoder has: word vectors, recurrent layers, and the layer that scores words.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
    """

    has_sentinel: ClassVar[bool] = False  # whether what alpha lacks of 1 is the weight of a sentinel

    embedding: nn.Embedding
    rnn: RecurrentStack

    @abstractmethod
    def __init__(self, vocabulary_size: int, annotation_size: int, options: DecoderOptions) -> None:
        super().__init__()
        self.options = options
        self.dropout = nn.Dropout(options.dropout)

    def _score_words_from(self, width: int) -> None:
        """Builds the output layer, the last of all."""
        self.output = nn.Linear(width, self.embedding.num_embeddings)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if self.options.tied:
            tie(self.output, self.embedding)

    @abstractmethod
    def init_state(self, annotations: Float[Tensor, "B L D"]) -> DecoderState:
        """Returns the state before the first word: `memory` has one row an image."""

    @abstractmethod
    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"] | None]:
        """Returns logits of the next word, the next state and the attention on the annotations, if any."""

    @abstractmethod
    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T L"] | None]:
        """Returns the logits of the word after each given one, and the attention at each word, if any.

        Args:
            annotations: Of N images, each projected once for all its captions.
            tokens: B captions, beginning with the begin mark.
            image_index: The image each caption belongs to; by default one caption an image.
        """


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


class AttendingDecoder(CaptionDecoder):
    """A decoder that looks at the annotations at every word.

    Args:
        vocabulary_size: Number of words V.
        annotation_size: Width D of an annotation vector.
        options: Sizes and kinds.
        context_size: Width that annotations are mapped to first; 0 for none.
    """

    @abstractmethod
    def __init__(
        self, vocabulary_size: int, annotation_size: int, options: DecoderOptions, context_size: int
    ) -> None:
        super().__init__(vocabulary_size, annotation_size, options)
        self.context: nn.Module = nn.Identity()
        self.annotation_size = context_size or annotation_size
        if context_size:
            self.context = AnnotationMap(annotation_size, context_size, options.dropout)
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)

    def _attend(self) -> None:
        """Builds the attention."""
        kind = ATTENTIONS[self.options.attention]
        self.attention = kind(self.annotation_size, self.options.hidden_size, self.options.attention_size)

    def _state_of_captions(
        self, annotations: Float[Tensor, "N L D"], image_index: Int[Tensor, " B"] | None
    ) -> DecoderState:
        """Returns the initial state with one row a caption."""
        state = self.init_state(annotations)
        return state if image_index is None else state.select(image_index, image_index)

    def _look(
        self, a: Float[Tensor, "B L D"], p: Float[Tensor, "B L A"], q: Float[Tensor, "N A"]
    ) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N L"]]:
        """Returns contexts and attention of the N = B K hypotheses' queries."""
        alpha = self._weigh(self.attention(p, q.reshape(len(a), len(q) // len(a), -1)))  # (B, K, L)
        return (alpha.to(a.dtype) @ a).flatten(0, 1), alpha.flatten(0, 1)

    def _weigh(self, alpha: Float[Tensor, "*N L"]) -> Float[Tensor, "*N L"]:
        """Returns the weights with which annotations are read: alpha itself."""
        return alpha

    def _teacher_forced_look(
        self, a: Float[Tensor, "B L D"], p: Float[Tensor, "B L A"], weigh: Weigh | None = None
    ) -> Look:
        """Returns what looks with gradients, called once a word, in the order of the words."""
        a, weigh = a.to(p.dtype), weigh or self._weigh
        shared, words = SharedGradient(), count()

        def look(q: Tensor) -> tuple[Tensor, Tensor]:
            alpha = weigh(self.attention.teacher_forced(p, q, shared, next(words) == 0))  # (B, L)
            return (alpha.to(a.dtype).unsqueeze(1) @ a).squeeze(1), alpha

        return look


class SuccessiveDecoder(AttendingDecoder):
    """One whose attention at a word feeds the state of the next, and that scores words from its top layer."""

    @abstractmethod
    def _project(self, words: Float[Tensor, "B K E"], memory: tuple[Tensor, ...]) -> Float[Tensor, "B K GH"]:
        """Returns the part of the gates that waits for no hidden state."""

    @abstractmethod
    def _advance(
        self, from_word: Float[Tensor, "N GH"], recurrent: State, look: Look
    ) -> tuple[Float[Tensor, "N H"], State, Float[Tensor, "N L"]]:
        """Returns what words are scored from, the next hidden states and the attention."""

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, Float[Tensor, "N L"]]:
        a, p = state.memory[:2]
        words = self.dropout(self.embedding(tokens)).reshape(len(a), len(tokens) // len(a), -1)  # (B, K, E)
        from_word = self._project(words, state.memory).flatten(0, 1)
        h, recurrent, alpha = self._advance(from_word, state.recurrent, partial(self._look, a, p))
        return self.output(self.dropout(h)), DecoderState(state.memory, recurrent), alpha

    def forward(
        self,
        annotations: Float[Tensor, "N L D"],
        tokens: Int[Tensor, "B T"],
        image_index: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T L"]]:
        memory, recurrent = self._state_of_captions(annotations, image_index)
        a, p = memory[:2]
        look = self._teacher_forced_look(a, p)
        words = self.dropout(self.embedding(tokens))  # (B, T, E)
        hs, alphas = [], []
        for from_word in self._project(words, memory).unbind(1):
            h, recurrent, alpha = self._advance(from_word, recurrent, look)
            hs.append(h)
            alphas.append(alpha)
        return self.output(self.dropout(torch.stack(hs, 1))), torch.stack(alphas, 1)

"""The language decoder: the next character, byte or word from those before it.

It offers the interface that all decoding rests on: `init_state(rows) -> state` and `step(tokens, state) ->
logits, state, None`. `forward(tokens, state) -> logits, state` is the same mathematics for a given text: the
state after one chunk of a text is the state before the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from modules.cells import ActivationName, CellName, State
from modules.decoders.language_steps import LanguageSteps, WeightsName
from modules.decoding import DecoderState
from modules.elman_recurrence import ElmanOfTokens
from modules.errors import InputError, check_ranges
from modules.losses import LinearCrossEntropy
from modules.recurrent import ConnectionName, RecurrentStack
from modules.vocabulary import Vocabulary


@dataclass
class LanguageDecoderOptions:
    """What reads a text and predicts its next unit (character, byte or word).

    Args:
        kind: recurrent carries a state from unit to unit; fixed_window sees only the last ones (Bengio).
        cell: Of the recurrent kind: lstm, gru, rnn (vanilla), jordan or gru_reset_before (the lecture's GRU).
        layers: Recurrent layers.
        embedding_size: Width E of a unit's vector; 0 feeds one-hot vectors.
        hidden_size: Width H of the hidden state.
        dropout: Probability of dropping an element of a unit's vector, between layers and before the output.
        recurrent_dropout: Probability of dropping a hidden unit on its way to the next time step.
        weight_dropout: Probability of dropping a recurrent weight, for a whole window of text (Merity et al.
            2018); the fused kernels stay in use.
        connection: plain, residual, dense or highway, from layer to layer.
        layer_norm: Normalise what goes into the gates.
        activation: tanh, relu or identity, of the candidate in gated cells; relu needs layer_norm, or it
            diverges.
        tied: Score units by their own vectors; embedding_size has to be the width of the output.
        window: How many units the fixed_window kind sees.
        unknown: Give the mark of unknown units a probability; without it only units of the training text
            have one, as in min-char-rnn.
        initial_deviation: Standard deviation of normal initial weights, biases at 0, as in min-char-rnn; by
            default (0) every part has its own.
    """

    chosen_by: ClassVar[str] = "kind"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {
        "window": ("fixed_window",),
        **dict.fromkeys(
            (
                "cell",
                "layers",
                "recurrent_dropout",
                "weight_dropout",
                "connection",
                "layer_norm",
                "activation",
                "tied",
            ),
            ("recurrent",),
        ),
    }

    kind: Literal["recurrent", "fixed_window"] = "recurrent"
    cell: CellName = "lstm"
    layers: int = 2
    embedding_size: int = 128
    hidden_size: int = 512
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    connection: ConnectionName = "plain"
    layer_norm: bool = False
    activation: ActivationName = "tanh"
    tied: bool = False
    window: int = 8
    unknown: bool = True
    initial_deviation: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.decoder",
            positive=("layers", "hidden_size", "window"),
            not_negative=("embedding_size", "initial_deviation"),
            below_one=("dropout", "recurrent_dropout", "weight_dropout"),
        )
        if self.embedding_size == 0 and (self.tied or self.kind == "fixed_window"):
            what = "tied weights need" if self.tied else "kind fixed_window needs"
            raise InputError(f"model.decoder.embedding_size is 0; {what} vectors of units")


class UnitScores(nn.Module):
    """Logits of all units, `U h + b`; those that never occur in a text have probability 0.

    Args:
        width: Of the hidden state.
        vocabulary_size: Number of units V, the markers included.
        unknown: Whether the mark of unknown units occurs.
    """

    never: Tensor

    def __init__(self, width: int, vocabulary_size: int, unknown: bool) -> None:
        super().__init__()
        linear = nn.Linear(width, vocabulary_size)
        self.weight, self.bias = linear.weight, linear.bias
        never = torch.zeros(vocabulary_size, dtype=torch.bool)
        never[[Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS]] = True
        never[Vocabulary.UNK] = not unknown
        self.register_buffer("never", never, persistent=False)

    @property
    def possible(self) -> int:
        """Number of units that have a probability."""
        return int((~self.never).sum())

    def forward(self, h: Float[Tensor, "*N H"]) -> Float[Tensor, "*N V"]:
        return F.linear(h, self.weight, self.bias.masked_fill(self.never, -torch.inf))

    def nats(
        self, h: Float[Tensor, "B T H"], targets: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Returns -log p of all targets that have a probability (padding has none), and their number."""
        if h.transpose(0, 1).is_contiguous():  # recurrent layers leave time first: no copy is needed then
            h, targets = h.transpose(0, 1), targets.t()
        rows = h.flatten(0, 1), self.weight, self.bias, self.never, targets.flatten()
        return LinearCrossEntropy.apply(*rows)


class LanguageDecoder(nn.Module):
    """An RNN language model (Mikolov et al. 2010; the letters are the lecture's): P(x_{t+1} | x_t, ..., x_1).

        e_t = E x_t;  h_t = RNN(e_t, h_{t-1});  y_t = softmax(U h_t + b_2)

    Dropout is applied to e_t, between layers and to the last h_t (Zaremba et al. 2014, eq. 7).

    Args:
        vocabulary_size: Number of units V, the markers included.
        options: Sizes and kinds.
    """

    def __init__(self, vocabulary_size: int, options: LanguageDecoderOptions) -> None:
        super().__init__()
        self.options, self.vocabulary_size = options, vocabulary_size
        E = options.embedding_size
        self.embedding = nn.Embedding(vocabulary_size, E) if E else None
        self.rnn = RecurrentStack(
            options.cell,
            E or vocabulary_size,
            options.hidden_size,
            options.layers,
            options.dropout,
            connection=options.connection,
            layer_norm=options.layer_norm,
            recurrent_dropout=options.recurrent_dropout,
            activation=options.activation,
        )
        self.dropout, self.weight_dropout = nn.Dropout(options.dropout), options.weight_dropout
        self.output = UnitScores(self.rnn.output_size, vocabulary_size, options.unknown)
        if options.initial_deviation:
            draw_normal(self, options.initial_deviation)
        if options.tied:
            assert self.embedding is not None
            if self.rnn.output_size != E:
                raise InputError(
                    f"model.decoder.tied: embedding_size is {E}; units are scored from "
                    f"{self.rnn.output_size} values, and it has to be the same"
                )
            # as vectors of a unit each, their products with the hidden state would be far too large
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.output.weight = self.embedding.weight
        if options.cell != "gru":
            # two biases that occur only as a sum would learn twice as fast as the one of the equations
            for cell in self.rnn.cells:
                nn.init.zeros_(cell.bias_hh).requires_grad_(False)

    def init_state(self, rows: int) -> DecoderState:
        """Returns the state before the first unit: zeros."""
        return DecoderState((), self.rnn.init_state(rows))

    def vectors(self, tokens: Int[Tensor, "*N"]) -> Float[Tensor, "*N D"]:
        """Returns what the first layer reads of each unit: its vector, or a one-hot vector."""
        if self.embedding is None:
            return F.one_hot(tokens, self.vocabulary_size).to(self.output.weight.dtype)
        return self.dropout(self.embedding(tokens))

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, None]:
        """Returns logits of the next unit, the next state, and no attention."""
        x = self.rnn.cells[0].project_input(self.vectors(tokens))  # (N, G H)
        h, recurrent = self.rnn.step(x, state.recurrent)
        return self.output(self.dropout(h)), DecoderState((), recurrent), None

    def for_steps(self, weights: WeightsName = "float32") -> LanguageSteps:
        """Returns what says the same and whose `step` is quick: to write with, not to train."""
        return LanguageSteps(self, weights)

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
        if self._is_min_char_rnn and tokens.device.type == "cpu":
            h, recurrent = self._one_hot(tokens, state.recurrent[0])
        else:
            h, recurrent = self._recurrent(self.vectors(tokens), state.recurrent)  # (B, T, H)
        if self.options.dropout:  # even asking a module that does nothing costs the smallest model 3 %
            h = self.dropout(h)
        return h, DecoderState((), recurrent)

    def _recurrent(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Returns what the top layer hands on, and the last state; in training recurrent weights are dropped.

        Weights are dropped, and not states (DropConnect on U; Merity et al. 2018, section 2). So one mask
        serves all time steps and sequences, and the kernel does not know of it.
        """
        if not (self.training and self.weight_dropout):
            return self.rnn(x, state)
        dropped = {
            f"cells.{layer}.weight_hh": F.dropout(cell.weight_hh, self.weight_dropout)
            for layer, cell in enumerate(self.rnn.cells)
        }
        return functional_call(self.rnn, dropped, (x, state))

    @property
    def _is_min_char_rnn(self) -> bool:
        """Whether it is one plain layer of vanilla cells over one-hot vectors."""
        options = self.options
        dropped = options.recurrent_dropout or self.weight_dropout
        plain = options.layers == 1 and not (options.layer_norm or dropped)
        return plain and self.embedding is None and (options.cell, options.activation) == ("rnn", "tanh")

    def _one_hot(self, tokens: Tensor, before: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns hidden states (B, T, H) and last state: a product with a one-hot vector is a look-up."""
        cell = self.rnn.cells[0]
        weights = cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh
        hs = ElmanOfTokens.apply(tokens.t(), before.to(cell.weight_ih.dtype), *weights)  # (T, B, H)
        return hs.transpose(0, 1), (hs[-1],)


def draw_normal(module: nn.Module, deviation: float) -> None:
    """Draws all matrices of a module from a normal distribution around 0 and sets its biases to 0."""
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=deviation)
        elif "bias" in name:
            nn.init.zeros_(parameter)

"""Recurrent cells by the lecture's equations, and the stack of them that every decoder stands on.

A cell's work at one time step is two matrix products and some element-wise gates. Only the product with
the hidden state has to wait for the step before, so the two are kept apart: `project_input` runs for all
time steps in one product, `step` takes its slice. Weights have PyTorch's own layout (gate blocks stacked
along the rows), so a plain sequence runs on the fused kernel of `nn.RNN`, `nn.LSTM` or `nn.GRU`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CellName = Literal["rnn", "lstm", "gru"]
State = tuple[Tensor, ...]


class RecurrentCell(nn.Module):
    """What the cells share: weights `(G H, D)` and `(G H, H)` of G gate blocks, and two biases.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the hidden state.
    """

    gates: ClassVar[int]
    state_size: ClassVar[int] = 1  # tensors in the state: h, or h and c

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform input weights; orthogonal recurrent weights, which keep |dJ/dh| from the first step on."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in (self.weight_ih, self.bias_ih):
            nn.init.uniform_(parameter, -bound, bound)
        for block in self.weight_hh.data.split(self.hidden_size):
            nn.init.orthogonal_(block)
        nn.init.zeros_(self.bias_hh)

    def init_state(self, rows: int) -> State:
        """Zeros, `(rows, H)` for each tensor of the state."""
        return (self.weight_hh.new_zeros(rows, self.hidden_size),) * self.state_size

    def project_input(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N GH"]:
        """Returns `W x + b`, the part of the gates that needs no hidden state."""
        return F.linear(x, self.weight_ih, self.bias_ih)

    def project_hidden(self, h: Float[Tensor, "N H"]) -> Float[Tensor, "N GH"]:
        """Returns `U h + b`, the part of the gates that has to wait for the step before."""
        return F.linear(h, self.weight_hh, self.bias_hh)

    def step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        """Returns the next state from the two products `(N, G H)` and the state `(N, H)` each."""
        raise TypeError(f"{type(self).__name__} defines no step")

    def forward(self, x: Float[Tensor, "N D"], state: State) -> State:
        return self.step(self.project_input(x), self.project_hidden(state[0]), state)


class ElmanCell(RecurrentCell):
    """The vanilla RNN: `h_t = tanh(W x_t + U h_{t-1} + b)` (Elman 1990)."""

    gates = 1

    def step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        return (torch.tanh(from_input + from_hidden),)


class LSTMCell(RecurrentCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

        i, f, o = sigmoid(W x_t + U h_{t-1} + b);  g = tanh(W x_t + U h_{t-1} + b)
        c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t)

    The forget gate's bias starts at 1 (Jozefowicz et al. 2015), so that memory is kept until it is unlearned.
    """

    gates = 4
    state_size = 2

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.bias_ih[self.hidden_size : 2 * self.hidden_size] = 1.0

    def step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        i, f, g, o = (from_input + from_hidden).chunk(4, dim=-1)  # (N, H) each
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(RecurrentCell):
    """Gated recurrent unit (Cho et al. 2014), in PyTorch's form: the reset gate follows the product.

    r, z = sigmoid(W x_t + U h_{t-1} + b);  n = tanh(W x_t + b + r * (U h_{t-1} + b'))
    h_t = (1 - z) * n + z * h_{t-1}
    """

    gates = 3

    def step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        rx, zx, nx = from_input.chunk(3, dim=-1)
        rh, zh, nh = from_hidden.chunk(3, dim=-1)
        z = torch.sigmoid(zx + zh)
        n = torch.tanh(nx + torch.sigmoid(rx + rh) * nh)
        return ((1 - z) * n + z * state[0],)


CELLS: dict[str, type[RecurrentCell]] = {"rnn": ElmanCell, "lstm": LSTMCell, "gru": GRUCell}


class RecurrentStack(nn.Module):
    """Layers of one kind of cell, each reading the hidden states of the one below.

    Its state is flat, `(h of layer 1, [c of layer 1,] h of layer 2, ...)`, each `(N, H)`: one row a sequence,
    so that rows can be picked and reordered without knowing the cell.

    Args:
        cell: rnn (vanilla), lstm or gru.
        input_size: Width D of the input.
        hidden_size: Width H of every layer's hidden state.
        layers: Number of layers.
        dropout: Probability of dropping an output of one layer on its way to the next.
    """

    def __init__(
        self, cell: CellName, input_size: int, hidden_size: int, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"a stack needs at least one layer, not {layers}")
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.kind, self.hidden_size, self.dropout = cell, hidden_size, dropout
        cells = nn.ModuleList(CELLS[cell](size, hidden_size) for size in sizes)
        self.cells: Sequence[RecurrentCell] = cells  # type: ignore[assignment]  # a ModuleList names no item type
        self.state_size = CELLS[cell].state_size

    def init_state(self, rows: int) -> State:
        """Zeros for every tensor of every layer."""
        return tuple(tensor for cell in self.cells for tensor in cell.init_state(rows))

    def output(self, state: State) -> Float[Tensor, "N H"]:
        """Returns the top layer's hidden state."""
        return state[-self.state_size]

    def step(
        self, from_input: Tensor, state: State, from_hidden: Tensor | None = None
    ) -> tuple[Float[Tensor, "N H"], State]:
        """Returns the output and state after one time step.

        Args:
            from_input: The first layer's `project_input`, `(N, G H)`.
            state: Flat state of all layers.
            from_hidden: The first layer's `project_hidden` where the caller has it already, `(N, G H)`.
        """
        after: list[Tensor] = []
        for layer, cell in enumerate(self.cells):
            mine = state[layer * self.state_size : (layer + 1) * self.state_size]
            if layer > 0:
                below = F.dropout(after[-self.state_size], self.dropout, self.training)
                from_input, from_hidden = cell.project_input(below), None
            if from_hidden is None:
                from_hidden = cell.project_hidden(mine[0])
            after += cell.step(from_input, from_hidden, mine)
        return self.output(tuple(after)), tuple(after)

    def forward(self, x: Float[Tensor, "B T D"], state: State) -> tuple[Float[Tensor, "B T H"], State]:
        """Returns the top layer's hidden states of a sequence and the last state, by the fused kernel."""
        stacked = [torch.stack(state[i :: self.state_size]) for i in range(self.state_size)]  # (layers, B, H)
        weights: list[Tensor] = []
        for cell in self.cells:
            weights += [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        options = (True, len(self.cells), self.dropout, self.training, False, True)
        if self.kind == "lstm":
            outputs, *last = torch._VF.lstm(x, stacked, weights, *options)
        else:
            kernel = torch._VF.gru if self.kind == "gru" else torch._VF.rnn_tanh
            outputs, *last = kernel(x, stacked[0], weights, *options)
        return outputs, tuple(tensor[layer] for layer in range(len(self.cells)) for tensor in last)

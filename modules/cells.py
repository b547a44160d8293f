"""Recurrent cells by the lecture's equations: Elman, Jordan, LSTM and two forms of the GRU.

A cell's work at one time step is two matrix products and some element-wise gates. Only the product with the
hidden state has to wait for the step before, so the two are kept apart: `project_input` runs for all time
steps in one product, `step` takes its slice. Weights have PyTorch's own layout (gate blocks stacked along the
rows). So a plain sequence can run on the fused kernel of `nn.RNN`, `nn.LSTM` or `nn.GRU`.

In the equations `*` is element-wise, `W` reads the input, `U` the hidden state, and `phi` is the activation:
tanh unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CellName = Literal["rnn", "jordan", "lstm", "gru", "gru_reset_before"]
ActivationName = Literal["tanh", "relu", "identity"]
State = tuple[Tensor, ...]


def identity(x: Tensor) -> Tensor:
    """Returns its argument: the linear network of the lecture's sketch of why gradients vanish."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": identity,
}


class RecurrentCell(nn.Module):
    """What the cells share: weights `(G H, D)` and `(G H, H)` of G gate blocks, and two biases.

    Layer norm (Ba et al. 2016) takes each of the two products by itself, as the paper's supplement does for
    LSTM and GRU, before the biases; mean and deviation are over the H summed inputs of one gate (eq. 3-4):

        LN(W x_t) + b + LN(U h_{t-1}) + b';   LN(a) = gain * (a - mean(a)) / std(a)

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the hidden state.
        activation: tanh, relu or identity, where the equations say phi.
        layer_norm: Normalise what goes into the gates.
    """

    gates: ClassVar[int]
    state_size: ClassVar[int] = 1  # tensors in the state: h, or h and c
    reads_sum: ClassVar[bool] = False  # whether a step needs the two projections only as their sum

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: ActivationName = "tanh",
        *,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.phi, self.layer_norm = ACTIVATIONS[activation], layer_norm
        rows = self.gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        if layer_norm:
            self.gain_ih = nn.Parameter(torch.ones(rows))
            self.gain_hh = nn.Parameter(torch.ones(rows))
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
        return (self.weight_hh.new_zeros(rows, self.output_size),) * self.state_size

    def normalised(self, product: Tensor, gain: Tensor) -> Tensor:
        """Returns `LN(product)`, each gate's block of H by itself."""
        blocks = product.unflatten(-1, (-1, self.hidden_size))  # (..., G, H)
        return F.layer_norm(blocks, (self.hidden_size,)).flatten(-2) * gain  # (..., G H)

    def project_input(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N GH"]:
        """Returns `W x + b`, the part of the gates that needs no hidden state."""
        if self.layer_norm:
            return self.normalised(F.linear(x, self.weight_ih), self.gain_ih) + self.bias_ih
        return F.linear(x, self.weight_ih, self.bias_ih)

    def project_hidden(self, h: Float[Tensor, "N H"]) -> Float[Tensor, "N GH"]:
        """Returns `U h + b`, the part of the gates that has to wait for the step before."""
        if self.layer_norm:
            return self.normalised(F.linear(h, self.weight_hh), self.gain_hh) + self.bias_hh
        return F.linear(h, self.weight_hh, self.bias_hh)

    def step(
        self, from_input: Tensor, from_hidden: Tensor, state: State, mask: Tensor | None = None
    ) -> State:
        """Returns the next state.

        Args:
            from_input: `project_input` of this step's input, `(N, G H)`.
            from_hidden: `project_hidden` of the hidden state, `(N, G H)`, the mask applied.
            state: `(N, H)` each.
            mask: What the hidden state is multiplied by where a product reads it (recurrent dropout).
        """
        return self.step_from_sum(from_input + from_hidden, state)

    def step_from_sum(self, projected: Tensor, state: State) -> State:
        """Returns the next state from both projections together, `(N, G H)`, where `reads_sum` says so."""
        raise TypeError(f"{type(self).__name__} defines no step")

    def forward(self, x: Float[Tensor, "N D"], state: State) -> State:
        return self.step(self.project_input(x), self.project_hidden(state[0]), state)


class ElmanCell(RecurrentCell):
    """The vanilla RNN, which feeds back its hidden state (Elman 1990; the lecture's sigma is phi).

    h_t = phi(W x_t + U h_{t-1} + b)
    """

    gates = 1
    reads_sum = True

    def step_from_sum(self, projected: Tensor, state: State) -> State:
        return (self.phi(projected),)


class JordanCell(RecurrentCell):
    """The vanilla RNN that feeds back its output (Jordan 1986), which the lecture draws beside Elman's.

        h_t = phi(W x_t + U y_{t-1} + b);   y_t = phi(V h_t + c)

    Its state, and what it hands on, is the output `y` alone. Jordan's state units also remember outputs
    before the last, at a fixed rate of decay; here, as in the lecture's figure, that rate is 0.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the hidden layer.
        activation: tanh, relu or identity, of both layers.
        layer_norm: Normalise what goes into the hidden layer.
        output_size: Width O of the output; by default H.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: ActivationName = "tanh",
        *,
        layer_norm: bool = False,
        output_size: int | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, activation, layer_norm=layer_norm)
        self.output_size = output_size or hidden_size
        self.weight_hh = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden_size, self.output_size)))
        self.weight_ho = nn.Parameter(nn.init.orthogonal_(torch.empty(self.output_size, hidden_size)))
        self.bias_ho = nn.Parameter(torch.zeros(self.output_size))

    def step(
        self, from_input: Tensor, from_hidden: Tensor, state: State, mask: Tensor | None = None
    ) -> State:
        h = self.phi(from_input + from_hidden)
        return (self.phi(F.linear(h, self.weight_ho, self.bias_ho)),)  # (N, O)


class LSTMCell(RecurrentCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

        i, f, o = sigmoid(W x_t + U h_{t-1} + b);  g = phi(W x_t + U h_{t-1} + b)
        c_t = f * c_{t-1} + i * g;  h_t = o * phi(c_t)

    The forget gate's bias starts at 1 (Jozefowicz et al. 2015), so that memory is kept until it is unlearned.
    With layer norm, `h_t = o * phi(LN(c_t))` (Ba et al. 2016, supplement): `c` itself is kept.
    """

    gates = 4
    state_size = 2
    reads_sum = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: ActivationName = "tanh",
        *,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, hidden_size, activation, layer_norm=layer_norm)
        if layer_norm:
            self.norm_cell = nn.LayerNorm(hidden_size)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            self.bias_ih[self.hidden_size : 2 * self.hidden_size] = 1.0

    def step_from_sum(self, projected: Tensor, state: State) -> State:
        i, f, g, o = projected.chunk(4, dim=-1)  # (N, H) each
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * self.phi(g)
        return torch.sigmoid(o) * self.phi(self.norm_cell(c) if self.layer_norm else c), c


class GRUCell(RecurrentCell):
    """Gated recurrent unit (Cho et al. 2014), in PyTorch's form: the reset gate follows the product.

    r, z = sigmoid(W x_t + U h_{t-1} + b);  n = phi(W x_t + b + r * (U h_{t-1} + b'))
    h_t = (1 - z) * n + z * h_{t-1}
    """

    gates = 3

    def step(
        self, from_input: Tensor, from_hidden: Tensor, state: State, mask: Tensor | None = None
    ) -> State:
        rx, zx, nx = from_input.chunk(3, dim=-1)
        rh, zh, nh = from_hidden.chunk(3, dim=-1)
        z = torch.sigmoid(zx + zh)
        n = self.phi(nx + torch.sigmoid(rx + rh) * nh)
        return ((1 - z) * n + z * state[0],)


class LectureGRUCell(RecurrentCell):
    """Gated recurrent unit in the lecture's form (Cho et al. 2014, eq. 5-8): reset before the product.

        r, u = sigmoid(W x_t + U h_{t-1} + b);  n = phi(W x_t + U (r * h_{t-1}) + b)
        h_t = (1 - u) * h_{t-1} + u * n

    `u` is the lecture's update gate, 1 replaces all and 0 keeps all: the opposite of Cho's and PyTorch's `z`.
    (The lecture's W is U here, its U is W, its h with a tilde n.) The blocks of the weights are r, u, n. The
    last product has to wait for the reset gate, so no fused kernel computes this form.
    """

    gates = 3

    def _hidden_product(self, h: Tensor, rows: slice) -> Tensor:
        """Returns `U h + b` of some of the gates' rows."""
        weight, bias = self.weight_hh[rows], self.bias_hh[rows]
        if self.layer_norm:
            return self.normalised(F.linear(h, weight), self.gain_hh[rows]) + bias
        return F.linear(h, weight, bias)

    def project_hidden(self, h: Float[Tensor, "N H"]) -> Float[Tensor, "N 2*H"]:
        """Returns `U h + b` of the two gates: the candidate's product is not of h."""
        return self._hidden_product(h, slice(0, 2 * self.hidden_size))

    def step(
        self, from_input: Tensor, from_hidden: Tensor, state: State, mask: Tensor | None = None
    ) -> State:
        rx, ux, nx = from_input.chunk(3, dim=-1)
        # a caller that multiplied by all of weight_hh has a third block, which is of no use here
        rh, uh = from_hidden[..., : 2 * self.hidden_size].chunk(2, dim=-1)
        h = state[0] if mask is None else state[0] * mask
        kept = torch.sigmoid(rx + rh) * h
        n = self.phi(nx + self._hidden_product(kept, slice(2 * self.hidden_size, None)))
        u = torch.sigmoid(ux + uh)
        return ((1 - u) * state[0] + u * n,)


CELLS: dict[str, type[RecurrentCell]] = {
    "rnn": ElmanCell,
    "jordan": JordanCell,
    "lstm": LSTMCell,
    "gru": GRUCell,
    "gru_reset_before": LectureGRUCell,
}

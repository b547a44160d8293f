"""Steering decoders: from the features of a stretch of frames to angle (torque, speed) at each of them.

All have one interface, free-running: `init_state(rows) -> state` and `forward(features, state) -> outputs,
state`. One call over a stretch, several over its parts, or one a frame give the same numbers. Outputs are
standardised; the module around them knows mean and standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from modules.errors import check_ranges
from modules.recurrent import CellName, RecurrentStack, State


@dataclass
class SteeringDecoderOptions:
    """The RNN that steers.

    Args:
        kind: frame has no memory; recurrent carries a state from frame to frame; window reads the last frames
            afresh at each one (Chauffeur); autoregressive is fed its own previous outputs (Komanda).
        outputs: 1 (angle), 2 (angle, throttle) or 3 (angle, torque, speed).
        cell: Of recurrent and window: lstm, gru or rnn (vanilla); autoregressive is an LSTM.
        layers: Recurrent layers of recurrent.
        hidden_size: Width H of the hidden state; of the memory in autoregressive.
        projection_size: Width that autoregressive projects its hidden state to.
        window: Frames that window reads, the current one included.
        dense_size: Width of window's dense layer; of the one before recurrent's RNN (0 for none).
        dropout: Probability of dropping a feature, and a unit between layers and before the output.
    """

    chosen_by: ClassVar[str] = "kind"
    read_by: ClassVar[dict[str, tuple[str, ...]]] = {
        "cell": ("recurrent", "window"),
        "layers": ("recurrent",),
        "hidden_size": ("recurrent", "window", "autoregressive"),
        "projection_size": ("autoregressive",),
        "window": ("window",),
        "dense_size": ("recurrent", "window"),
    }

    kind: Literal["frame", "recurrent", "window", "autoregressive"] = "frame"
    outputs: Literal[1, 2, 3] = 1
    cell: CellName = "lstm"
    layers: int = 1
    hidden_size: int = 32
    projection_size: int = 32
    window: int = 50
    dense_size: int = 256
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "model.decoder",
            positive=("layers", "hidden_size", "projection_size", "window"),
            not_negative=("dense_size",),
            below_one=("dropout",),
        )
        if self.kind == "window":
            check_ranges(self, "model.decoder", positive=("dense_size",))


class FrameDecoder(nn.Module):
    """`W x_t + b`: what can be said from one frame.

    Args:
        feature_size: Width D of a frame's features.
        options: Sizes and kinds.
    """

    def __init__(self, feature_size: int, options: SteeringDecoderOptions) -> None:
        super().__init__()
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(feature_size, options.outputs)

    def init_state(self, rows: int) -> State:
        """Nothing is remembered."""
        return ()

    def forward(self, features: Float[Tensor, "B T D"], state: State) -> tuple[Float[Tensor, "B T O"], State]:
        return self.output(self.dropout(features)), state


class RecurrentDecoder(nn.Module):
    """An RNN, and a slow mean of what it reads; the state of both goes on from window to window.

        z_t = relu(V x_t + b);  h_t = RNN(z_t, h_{t-1});  m_t = m_{t-1} + k * (z_t - m_{t-1})
        y_t = W [h_t; m_t] + b

    h_t is bounded: of a curve sharper than any in training it alone would say what it says of the sharpest it
    knows. m_t is not, and its learned rates k keep what flickers from frame to frame out of the angle.

    Args:
        feature_size: Width D of a frame's features.
        options: Sizes and kinds.
    """

    def __init__(self, feature_size: int, options: SteeringDecoderOptions) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Dropout(options.dropout)]
        if options.dense_size:
            layers += [nn.Linear(feature_size, options.dense_size), nn.ReLU(), nn.Dropout(options.dropout)]
            feature_size = options.dense_size
        self.input = nn.Sequential(*layers)
        self.rnn = RecurrentStack(
            options.cell, feature_size, options.hidden_size, options.layers, options.dropout
        )
        self.mean_rate = nn.Parameter(
            torch.full((feature_size,), -1.0)
        )  # k = sigmoid(-1): over about 4 frames
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(options.hidden_size + feature_size, options.outputs)

    def init_state(self, rows: int) -> State:
        """Zeros."""
        return *self.rnn.init_state(rows), self.mean_rate.new_zeros(rows, len(self.mean_rate))

    def forward(self, features: Float[Tensor, "B T D"], state: State) -> tuple[Float[Tensor, "B T O"], State]:
        z = self.input(features)
        *recurrent, mean = (tensor.to(z.dtype) for tensor in state)
        h, recurrent = self.rnn(z, tuple(recurrent))  # (B, T, H)
        rate, means = torch.sigmoid(self.mean_rate), []
        for t in range(z.shape[1]):
            mean = mean + rate * (z[:, t] - mean)
            means.append(mean)
        read = torch.cat([self.dropout(h), torch.stack(means, dim=1)], dim=-1)
        return self.output(read), (*recurrent, mean)


class WindowDecoder(nn.Module):
    """Chauffeur's: an RNN over the last W frames, all its steps to a dense layer, and a linear output.

    The RNN starts afresh in every window. But what it reads of a frame, `W x_t + b`, is the same in all
    windows that hold the frame: it is computed once a frame, and the windows step through it side by side. A
    window at the beginning of a drive is filled up with the first frame. The state is what was read of the
    last W - 1 frames.

    Args:
        feature_size: Width D of a frame's features.
        options: Sizes and kinds.
    """

    def __init__(self, feature_size: int, options: SteeringDecoderOptions) -> None:
        super().__init__()
        self.window = options.window
        self.rnn = RecurrentStack(options.cell, feature_size, options.hidden_size)
        self.dropout = nn.Dropout(options.dropout)
        self.dense = nn.Linear(options.window * options.hidden_size, options.dense_size)
        self.output = nn.Linear(options.dense_size, options.outputs)

    def init_state(self, rows: int) -> State:
        """An empty window: zeros, and the mark that they are no frames."""
        gates = self.rnn.cells[0].weight_ih
        return gates.new_zeros(rows, self.window - 1, len(gates)), gates.new_zeros(rows, 1, 1)

    def forward(self, features: Float[Tensor, "B T D"], state: State) -> tuple[Float[Tensor, "B T O"], State]:
        B, T, _ = features.shape
        read = self.rnn.cells[0].project_input(self.dropout(features))  # (B, T, G H)
        past, is_filled = state
        past = torch.where(is_filled > 0, past.to(read.dtype), read[:, :1])  # (B, W-1, G H)
        read = torch.cat([past, read], dim=1)
        recurrent, steps = self.rnn.init_state(B * T), []
        for i in range(self.window):  # the i-th frame of all windows
            h, recurrent = self.rnn.step(read[:, i : i + T].flatten(0, 1), recurrent)
            steps.append(h)
        h = F.relu(self.dense(self.dropout(torch.cat(steps, dim=-1))))  # (B T, W H) -> (B T, dense)
        return self.output(h).unflatten(0, (B, T)), (read[:, T:], torch.ones_like(is_filled))


class ProjectedLSTMCell(nn.Module):
    """Long short-term memory whose hidden state is a projection of its cell's output (Sak et al. 2014).

        i, f, o = sigmoid(W x_t + U r_{t-1} + b);  g = tanh(W x_t + U r_{t-1} + b)
        c_t = f * c_{t-1} + i * g;  r_t = P (o * tanh(c_t))

    Gate blocks are stacked i, f, g, o, as in PyTorch. The forget gate's bias starts at 1.

    Args:
        input_size: Width D of the input.
        hidden_size: Width H of the memory c.
        projection_size: Width of r.
    """

    def __init__(self, input_size: int, hidden_size: int, projection_size: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, projection_size))
        self.weight_hr = nn.Parameter(torch.empty(projection_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        bound = 1 / math.sqrt(hidden_size)
        for parameter in (self.weight_ih, self.weight_hr):
            nn.init.uniform_(parameter, -bound, bound)
        for block in self.weight_hh.data.split(hidden_size):
            nn.init.orthogonal_(block)
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = 1.0

    def step(self, from_input: Float[Tensor, "N G"], r: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the next r and c from `W x + b` and the state."""
        i, f, g, o = (from_input + F.linear(r, self.weight_hh)).chunk(4, dim=-1)  # (N, H) each
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return F.linear(torch.sigmoid(o) * torch.tanh(c), self.weight_hr), c


class AutoregressiveDecoder(nn.Module):
    """Komanda's: an LSTM fed its own previous outputs beside the features, with a learned initial state.

        r_t, c_t = LSTM([y_{t-1}; x_t], r_{t-1}, c_{t-1});  y_t = W [r_t; y_{t-1}; x_t] + b

    The state is (y, r, c). Given the true outputs, y_{t-1} is the truth (GT); without them its own (AR). The
    weights are the same.

    Args:
        feature_size: Width D of a frame's features.
        options: Sizes and kinds.
    """

    is_known: Tensor

    def __init__(self, feature_size: int, options: SteeringDecoderOptions) -> None:
        super().__init__()
        outputs, projection = options.outputs, options.projection_size
        self.cell = ProjectedLSTMCell(outputs + feature_size, options.hidden_size, projection)
        self.output = nn.Linear(projection + outputs + feature_size, outputs)
        self.dropout = nn.Dropout(options.dropout)
        self.initial = nn.ParameterList(
            nn.Parameter(torch.zeros(width)) for width in (outputs, projection, options.hidden_size)
        )
        # an output that the training data do not have is never right, so it is not fed back
        self.register_buffer("is_known", torch.ones(outputs))

    def start_from(self, head: nn.Linear) -> None:
        """Starts training as what steers from single frames: y_t = W' x_t + b' of its output layer.

        What the memory adds is learned from there. The LSTM keeps its weights, but nothing of it is read yet.

        Args:
            head: gives the first outputs, all or the angle alone, from the first columns of the features.
        """
        outputs, width = head.weight.shape
        begins = self.output.in_features - (self.cell.weight_ih.shape[1] - len(self.is_known))
        with torch.no_grad():
            self.output.weight[:outputs] = 0
            self.output.weight[:outputs, begins : begins + width] = head.weight
            self.output.bias[:outputs] = head.bias

    def init_state(self, rows: int) -> State:
        """The learned one, for every row."""
        return tuple(initial.expand(rows, -1) for initial in self.initial)

    def forward(
        self, features: Float[Tensor, "B T D"], state: State, given: Float[Tensor, "B T O"] | None = None
    ) -> tuple[Float[Tensor, "B T O"], State]:
        """Returns the outputs at every frame and the state after the last.

        Args:
            features: Of T frames.
            state: After the frame before them.
            given: True standardised outputs, fed instead of its own where they are not NaN.
        """
        y, r, c = state
        outputs, projection = len(self.is_known), r.shape[-1]
        features = self.dropout(features)
        # what does not wait for the step before, for all time steps at once
        to_cell = F.linear(features, self.cell.weight_ih[:, outputs:], self.cell.bias)  # (B, T, 4 H)
        to_output = F.linear(features, self.output.weight[:, projection + outputs :], self.output.bias)
        from_y = self.cell.weight_ih[:, :outputs]
        from_state = self.output.weight[:, : projection + outputs]
        results = []
        for t in range(features.shape[1]):
            y = y * self.is_known
            r, c = self.cell.step(to_cell[:, t] + F.linear(y, from_y), r, c)
            y = to_output[:, t] + F.linear(torch.cat([r, y], dim=-1), from_state)
            results.append(y)
            if given is not None:
                y = torch.where(given[:, t].isnan(), y, given[:, t])
        return torch.stack(results, dim=1), (y, r, c)


SteeringDecoder = FrameDecoder | RecurrentDecoder | WindowDecoder | AutoregressiveDecoder
DECODERS: dict[str, type[SteeringDecoder]] = {
    "frame": FrameDecoder,
    "recurrent": RecurrentDecoder,
    "window": WindowDecoder,
    "autoregressive": AutoregressiveDecoder,
}

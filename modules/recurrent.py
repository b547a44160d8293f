"""The stack of recurrent layers that every decoder stands on: deep, bidirectional, with or without shortcuts.

Where PyTorch's fused kernels (`nn.RNN`, `nn.LSTM`, `nn.GRU`) define the same thing they are what runs; the
rest is a loop over `RecurrentCell.step`, the input's product done for all time steps at once. Of the vanilla
RNN PyTorch has no fused kernel on a CPU: what runs there is `modules/elman_recurrence.py`.

All shapes of the lecture: the whole of `outputs` is many to many; `output(state)` after the last step is many
to one; feeding what `step` returns back into it is one to many; a sequence of one step is one to one.
Truncated backpropagation through time carries the state from chunk to chunk through `detach_state`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from modules.cells import ACTIVATIONS, CELLS, ActivationName, CellName, RecurrentCell, State
from modules.elman_recurrence import ElmanRecurrence
from modules.errors import InputError, check_choice

ConnectionName = Literal["plain", "residual", "dense", "highway"]

# cells own their weights, so cuDNN joins them at every call: nothing that a user could mend
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")

KERNELS = {  # cell and activation -> what torch._VF calls the fused kernel
    ("rnn", "tanh"): "rnn_tanh",
    ("rnn", "relu"): "rnn_relu",
    ("lstm", "tanh"): "lstm",
    ("gru", "tanh"): "gru",
}


def detach_state(state: State) -> State:
    """Returns the state cut off from its history: the next chunk's gradient ends here (truncated BPTT)."""
    return tuple(tensor.detach() for tensor in state)


class RecurrentStack(nn.Module):
    """Layers of one kind of cell, each reading what the one below hands on.

    Let `h_l` be the hidden states of layer l (both directions side by side) and `y_1 = h_1`. Layer l reads
    `y_{l-1}`, dropout applied, and hands on

        plain     y_l = h_l
        residual  y_l = h_l + y_{l-1}                     (He et al. 2016, eq. 1)
        dense     y_l = [y_{l-1}; h_l]                    (Huang et al. 2017, eq. 2)
        highway   y_l = g * h_l + (1 - g) * y_{l-1};  g = sigmoid(W_T y_{l-1} + b_T)
                                                          (Srivastava et al. 2015, eq. 3)

    The shortcuts go from layer to layer and carry no dropout. None goes around the first layer, whose input
    may have any width, so the output is a function of the state. `b_T` starts at -1: mostly carry.

    The state is flat, `(h of layer 1, [c of layer 1,] h of layer 2, ...)`, each `(N, H)`: one row a sequence,
    so that rows can be picked and reordered without knowing the cell. A bidirectional layer has its forward
    direction's tensors first.

    Args:
        cell: rnn (vanilla, Elman), jordan, lstm, gru or gru_reset_before (the lecture's form of the GRU).
        input_size: Width D of the input.
        hidden_size: Width H of every layer's hidden state, in each direction.
        layers: Number of layers.
        dropout: Probability of dropping an output of one layer on its way to the next.
        bidirectional: Read every sequence from both ends; the whole of it has to be known.
        connection: plain, residual, dense or highway, from layer to layer.
        layer_norm: Normalise what goes into the gates (see `RecurrentCell`).
        recurrent_dropout: Probability of dropping a hidden unit on its way to the next time step: one mask a
            sequence, layer and direction, the same at every time step (variational, Gal and Ghahramani 2016);
            each call draws new ones.
        activation: tanh, relu or identity, of the candidate in gated cells (see each cell's phi).

    Raises:
        InputError: An option has no such value.
    """

    def __init__(
        self,
        cell: CellName,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        dropout: float = 0.0,
        *,
        bidirectional: bool = False,
        connection: ConnectionName = "plain",
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        activation: ActivationName = "tanh",
    ) -> None:
        super().__init__()
        check_choice(tuple(CELLS), cell=cell)
        check_choice(get_args(ConnectionName), connection=connection)
        check_choice(tuple(ACTIVATIONS), activation=activation)
        if layers < 1:
            raise InputError(f"a stack needs at least one layer, not {layers}")
        if input_size < 1 or hidden_size < 1:
            raise InputError(
                f"input and hidden size are {input_size} and {hidden_size}; they have to be above 0"
            )
        for option, share in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= share <= 1:
                raise InputError(f"{option} is {share}; it is a probability, from 0 to 1")

        self.kind, self.hidden_size, self.activation = cell, hidden_size, activation
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        # draw the dropout between layers by PyTorch: cuDNN's own has a buffer that every new seed replaces,
        # after waiting for the GPU, and a CUDA graph would go on with the old one
        self.own_dropout = False
        self.connection, self.layer_norm = connection, layer_norm
        self.bidirectional, self.directions = bidirectional, 2 if bidirectional else 1
        self.state_size = CELLS[cell].state_size
        width = hidden_size * self.directions
        # what each layer reads, and what the last one hands on
        *sizes, self.output_size = [input_size] + [
            width * layer if connection == "dense" else width for layer in range(1, layers + 1)
        ]

        kind = CELLS[cell]
        directions = [
            nn.ModuleList(kind(size, hidden_size, activation, layer_norm=layer_norm) for size in sizes)
            for _ in range(self.directions)
        ]
        # a ModuleList names no item type
        self.cells: Sequence[RecurrentCell] = directions[0]  # type: ignore[assignment]
        self.reverse_cells: Sequence[RecurrentCell] = nn.ModuleList(*directions[1:])  # type: ignore[assignment]
        gates = layers - 1 if connection == "highway" else 0
        self.transform_gates = nn.ModuleList(nn.Linear(width, width) for _ in range(gates))
        for name, parameter in self.transform_gates.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, -1.0)

    def init_state(self, rows: int) -> State:
        """Zeros for every tensor of every layer."""
        layers = range(len(self.cells))
        return tuple(h for layer in layers for cell in self._cells_of(layer) for h in cell.init_state(rows))

    def output(self, state: State) -> Float[Tensor, "N O"]:
        """Returns what the top layer hands on in this state.

        In a bidirectional stack each direction's state is the last that it reached, so both have read all.
        """
        y = state[0]
        for layer in range(len(self.cells)):
            own = self._of_layer(state, layer)[:: self.state_size]  # h of each direction
            y = self.hand_on(layer, torch.cat(own, dim=-1) if self.bidirectional else own[0], y)
        return y

    def step(
        self, from_input: Tensor, state: State, from_hidden: Tensor | None = None
    ) -> tuple[Float[Tensor, "N O"], State]:
        """Returns the output and state after one time step.

        Args:
            from_input: The first layer's `project_input`, `(N, G H)`.
            state: Flat state of all layers.
            from_hidden: The first layer's `project_hidden` where the caller has it already, `(N, G H)`.

        Raises:
            ValueError: The stack has to see more than one time step: it is bidirectional, or it is training
                with recurrent dropout, whose mask belongs to a whole sequence.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional stack reads a sequence from its end too: call it on all of it")
        if self.training and self.recurrent_dropout:
            raise ValueError(
                "recurrent dropout has one mask a sequence: call the stack on all of it, or eval()"
            )
        after: list[Tensor] = []
        y = from_input
        for layer, cell in enumerate(self.cells):
            own = self._of_layer(state, layer)
            if layer > 0:
                below = F.dropout(y, self.dropout, self.training)
                from_input, from_hidden = cell.project_input(below), None
            if from_hidden is None:
                from_hidden = cell.project_hidden(own[0])
            after += cell.step(from_input, from_hidden, own)
            y = self.hand_on(layer, after[-self.state_size], y)
        return y, tuple(after)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        state: State | None = None,
        lengths: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T O"], State]:
        """Returns what the top layer hands on at every time step, and the last state.

        Args:
            x: Sequences.
            state: Before the first time step (of the backward direction: after the last); zeros by default.
            lengths: Time steps of each sequence where they differ. What `x` holds after them is not read, and
                the outputs there are 0. The last state is the one after each sequence's own last step.

        Raises:
            ValueError: Lengths or state do not fit.
        """
        if state is None:
            state = self.init_state(len(x))
        elif len(state) != len(self.cells) * self.directions * self.state_size:
            raise ValueError(f"the state has {len(state)} tensors, which another stack's options made")
        elif state[0].shape[0] != x.shape[0]:  # the kernel would read beyond it; an exporter fixes a len()
            raise ValueError(f"the state has {len(state[0])} rows and x has {len(x)}")
        if x.shape[1] < 1:
            raise ValueError("a sequence has at least one time step")
        if lengths is not None:
            lengths = lengths.cpu()  # where packing wants them
            if len(lengths) != len(x) or int(lengths.min()) < 1 or int(lengths.max()) > x.shape[1]:
                raise ValueError(f"lengths have to be {len(x)} numbers from 1 to {x.shape[1]}")
        state = tuple(tensor.to(x.dtype) for tensor in state)

        fused = self._fuses(x)
        written_out = fused and self._is_written_out(x, lengths)
        between = self.own_dropout and self.training and self.dropout > 0
        if fused and not written_out and self.connection == "plain" and not between:
            return self._fused(x, state, lengths, 0, len(self.cells))
        y = x
        after: list[Tensor] = []
        for layer in range(len(self.cells)):
            below = F.dropout(y, self.dropout, self.training) if layer > 0 else x
            own = self._of_layer(state, layer)
            if written_out:
                h, last = self._written_out(below, own[0], layer)
            elif fused:
                h, last = self._fused(below, own, lengths, layer, layer + 1)
            else:
                h, last = self._looped(below, own, lengths, layer)
            after += last
            y = self.hand_on(layer, h, y)
        return y, tuple(after)

    def _cells_of(self, layer: int) -> list[RecurrentCell]:
        """Returns a layer's cell of each direction."""
        return [self.cells[layer], *self.reverse_cells[layer : layer + 1]]

    def _of_layer(self, state: State, layer: int) -> State:
        """Returns the part of the flat state that belongs to one layer."""
        size = self.directions * self.state_size
        return state[layer * size : (layer + 1) * size]

    def hand_on(self, layer: int, h: Tensor, below: Tensor) -> Tensor:
        """Returns what a layer hands on: its hidden states joined to what the layer below handed on."""
        if layer == 0 or self.connection == "plain":
            return h
        if self.connection == "residual":
            return h + below
        if self.connection == "dense":
            return torch.cat([below, h], dim=-1)
        g = torch.sigmoid(self.transform_gates[layer - 1](below))
        return g * h + (1 - g) * below

    def _fuses(self, x: Tensor) -> bool:
        """Whether a fused kernel computes what these options define, on this machine."""
        dropped = self.training and self.recurrent_dropout > 0
        if self.kind == "lstm" and x.device.type == "cpu":
            half = torch.is_autocast_enabled("cpu") or x.dtype == torch.bfloat16
            if half and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
                return False  # the kernel would fail on a processor without bfloat16
        if x.shape[1] == 1 and x.device.type == "cpu" and not torch.is_grad_enabled():
            return False  # of a stream's single steps the kernel's preparations would take the most time
        return (self.kind, self.activation) in KERNELS and not self.layer_norm and not dropped

    def _is_written_out(self, x: Tensor, lengths: Tensor | None) -> bool:
        """Whether the vanilla RNN's recurrence with its own backward pass stands in for a missing kernel."""
        vanilla = (self.kind, self.activation) == ("rnn", "tanh") and not self.bidirectional
        return vanilla and x.device.type == "cpu" and lengths is None

    def _written_out(self, x: Tensor, before: Tensor, layer: int) -> tuple[Tensor, State]:
        """Returns hidden states and last state of one layer of vanilla cells."""
        cell = self.cells[layer]
        from_input = F.linear(x.transpose(0, 1), cell.weight_ih, cell.bias_ih + cell.bias_hh)  # (T, B, H)
        dtype = cell.weight_hh.dtype  # in autocast too: the loop's products are too small to gain by bfloat16
        hs = ElmanRecurrence.apply(from_input.to(dtype), cell.weight_hh, before.to(dtype))
        return hs.transpose(0, 1), (hs[-1],)

    def _fused(
        self, x: Tensor, state: State, lengths: Tensor | None, first: int, end: int
    ) -> tuple[Tensor, State]:
        """Returns hidden states and last state of the layers from `first` to before `end`, by one kernel."""
        cells = [cell for layer in range(first, end) for cell in self._cells_of(layer)]
        weights = [w for c in cells for w in (c.weight_ih, c.weight_hh, c.bias_ih, c.bias_hh)]
        hx = [torch.stack(state[i :: self.state_size]) for i in range(self.state_size)]  # (cells, B, H)
        kernel = getattr(torch._VF, KERNELS[self.kind, self.activation])
        # on a GPU only a kernel that was told to train keeps what a backward pass needs
        train = self.training or torch.is_grad_enabled()
        # one layer drops nothing, and yet cuDNN would renew its buffer for it
        dropout = self.dropout if self.training and end - first > 1 else 0.0
        options = (True, end - first, dropout, train, self.bidirectional)
        if lengths is None:
            outputs, *last = kernel(x, hx if self.state_size > 1 else hx[0], weights, *options, True)
        else:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            assert packed.sorted_indices is not None and packed.unsorted_indices is not None
            hx = [tensor.index_select(1, packed.sorted_indices) for tensor in hx]
            start = hx if self.state_size > 1 else hx[0]
            data, *last = kernel(packed.data, packed.batch_sizes, start, weights, *options)
            hs = PackedSequence(data, *packed[1:])
            outputs, _ = pad_packed_sequence(hs, batch_first=True, total_length=x.shape[1])
            last = [tensor.index_select(1, packed.unsorted_indices) for tensor in last]
        return outputs, tuple(tensor[cell] for cell in range(len(cells)) for tensor in last)

    def _looped(self, x: Tensor, state: State, lengths: Tensor | None, layer: int) -> tuple[Tensor, State]:
        """Returns hidden states and last state of one layer, time step by time step."""
        inside: Tensor | None = None
        if lengths is not None:
            inside = (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).to(x.device).unsqueeze(2)  # (B, T, 1)
            x = x.masked_fill(~inside, 0)  # not even a NaN of the padding reaches a gradient
        hs: list[Tensor] = []
        after: list[Tensor] = []
        for direction, cell in enumerate(self._cells_of(layer)):
            own = state[direction * self.state_size : (direction + 1) * self.state_size]
            h, last = self._along(x, cell, own, inside, backward=direction == 1)
            hs.append(h)
            after += last
        return torch.cat(hs, dim=-1), tuple(after)

    def _along(
        self, x: Tensor, cell: RecurrentCell, state: State, inside: Tensor | None, *, backward: bool
    ) -> tuple[Tensor, State]:
        """Returns one direction's hidden states and last state, which stands still outside a sequence."""
        mask: Tensor | None = None
        if self.training and self.recurrent_dropout > 0:
            mask = F.dropout(torch.ones_like(state[0]), self.recurrent_dropout)  # (B, H), for all time steps
        from_input = cell.project_input(x).unbind(1)
        hs: list[Tensor] = []
        for t in reversed(range(x.shape[1])) if backward else range(x.shape[1]):
            h = state[0] if mask is None else state[0] * mask
            after = cell.step(from_input[t], cell.project_hidden(h), state, mask)
            if inside is not None:
                after = tuple(torch.where(inside[:, t], *pair) for pair in zip(after, state, strict=True))
            state = after
            hs.append(state[0])
        h = torch.stack(hs[::-1] if backward else hs, dim=1)  # (B, T, H)
        return h if inside is None else h.masked_fill(~inside, 0), state

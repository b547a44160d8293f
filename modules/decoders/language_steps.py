"""A recurrent language decoder made to write with: it says what `LanguageDecoder.step` says, sooner.

A step of few texts takes as long as reading all weights, and next to that as calling PyTorch. So

- a processor reads weights column by column, in half the time that rows take where one vector is multiplied;
- what the first layer makes of each unit is looked up;
- where a cell adds its two products, they are one product with `[x; h]`;
- large weights are whole numbers of 8 bits where the processor multiplies those quickly: a quarter to read.

In the last, `W x` is `s_w s_x sum_k q_w q_x`. Every row of W has a step `s_w` of its own, its largest weight
divided by 127. The states of tanh cells have bounds, so `s_x` is known beforehand, and texts that are written
side by side do not touch each other. x has 7 bits: the kernel for AVX2 sums pairs of products in 16 bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from modules.cells import GRUCell, RecurrentCell, State
from modules.decoding import DecoderState
from modules.recurrent import RecurrentStack

if TYPE_CHECKING:
    from modules.decoders.language import LanguageDecoder

WeightsName = Literal["auto", "float32"]
Product = Callable[[Tensor], Tensor]
INT8_FROM = (
    1_000_000  # weights of a matrix; preparing a product of whole numbers takes as long as reading fewer
)
LEVELS = 63  # of the input on either side of 0


class LanguageSteps:
    """What a language decoder says, step by step, for texts that are written and not trained on.

    Args:
        decoder: Of any kind of cell; it is copied.
        weights: auto has large matrices in 8 bits where the device gains by that; float32 has none.
    """

    def __init__(self, decoder: LanguageDecoder, weights: WeightsName) -> None:
        self.init_state = decoder.init_state
        self.rnn = deepcopy(decoder.rnn).eval().requires_grad_(False)
        for parameter in self.rnn.parameters():
            if parameter.dim() == 2:
                parameter.data = _by_columns(parameter.data)
        output, table = decoder.output, decoder.embedding
        in_8_bits = weights == "auto" and self.rnn.activation == "tanh" and multiplies_int8(output.weight)
        with torch.inference_mode():
            vectors = (
                table.weight if table else torch.eye(decoder.vocabulary_size).to(output.weight)
            )  # (V, D)
            bounds = [float(vectors.abs().max()), *_bounds(self.rnn)] if in_8_bits else []
            first = self.rnn.cells[0]
            looks_up = len(vectors) * len(first.weight_ih) <= sum(w.numel() for w in self.rnn.parameters())
            self.looked_up = first.project_input(vectors) if looks_up else vectors.clone()
            self.layers = [
                _Layer(cell, bounds[number] if bounds else 0.0, looks_up and number == 0)
                for number, cell in enumerate(self.rnn.cells)
            ]
            bias = output.bias.masked_fill(output.never, -torch.inf)
            self.output = product(output.weight, bias, bounds[-1] if bounds else 0.0)

    def step(
        self, tokens: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N V"], DecoderState, None]:
        """Returns logits of the next unit, the next state, and no attention."""
        after: list[Tensor] = []
        size = self.rnn.state_size
        y = F.embedding(tokens, self.looked_up)
        for number, layer in enumerate(self.layers):
            after += layer.step(y, state.recurrent[number * size : (number + 1) * size])
            y = self.rnn.hand_on(number, after[-size], y)
        return self.output(y), DecoderState((), tuple(after)), None


class _Layer:
    """One layer's step.

    Args:
        cell: Its weights.
        bound: Largest magnitude of what it reads from below; 0 keeps weights as they are.
        projected: Whether that is the cell's `project_input` already.
    """

    def __init__(self, cell: RecurrentCell, bound: float, projected: bool) -> None:
        self.cell, self.projected = cell, projected
        self.joined: Product | None = None
        self.from_input: Product = cell.project_input
        self.from_hidden: Product = cell.project_hidden
        if cell.layer_norm or not (cell.reads_sum or isinstance(cell, GRUCell)):
            return
        of_hidden = 1.0 if bound else 0.0
        if projected:
            self.from_hidden = product(cell.weight_hh, cell.bias_hh, of_hidden)
        elif cell.reads_sum:
            weight = torch.cat([cell.weight_ih, cell.weight_hh], dim=1)  # (G H, D + H)
            self.joined = product(weight, cell.bias_ih + cell.bias_hh, bound and max(bound, of_hidden))
        else:
            self.from_input = product(cell.weight_ih, cell.bias_ih, bound)
            self.from_hidden = product(cell.weight_hh, cell.bias_hh, of_hidden)

    def step(self, x: Tensor, state: State) -> State:
        """Returns the next state."""
        if self.joined is not None:
            return self.cell.step_from_sum(self.joined(torch.cat([x, state[0]], dim=1)), state)
        from_input = x if self.projected else self.from_input(x)
        return self.cell.step(from_input, self.from_hidden(state[0]), state)


def product(weight: Float[Tensor, "O D"], bias: Float[Tensor, " O"], bound: float) -> Product:
    """Returns what multiplies rows `(N, D)`: `W x + b`, in 8 bits where W is large and x has a bound.

    Args:
        weight: W.
        bias: b.
        bound: Largest magnitude of an element of x; 0 keeps W as it is.
    """
    if bound and weight.numel() >= INT8_FROM:
        return _of_whole_numbers(weight, bias, bound)
    by_columns = _by_columns(weight)
    return lambda x: F.linear(x, by_columns, bias)


def multiplies_int8(weight: Tensor) -> bool:
    """Whether PyTorch has a kernel that gains by having such weights in 8 bits: FBGEMM's, from AVX2 on."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and "fbgemm" in torch.backends.quantized.supported_engines
        and torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512"))
    )


def _of_whole_numbers(weight: Tensor, bias: Tensor, bound: float) -> Product:
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = "fbgemm"  # packs; what is packed remembers it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it will move to another package some day
            steps = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).double()
            zeros = torch.zeros(len(weight), dtype=torch.long)
            whole = torch.quantize_per_channel(weight.contiguous(), steps, zeros, 0, torch.qint8)
            packed = torch.ops.quantized.linear_prepack(whole, bias)
    finally:
        torch.backends.quantized.engine = engine
    multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
    return lambda x: multiply(x, bound / LEVELS, LEVELS + 1, packed)


def _bounds(rnn: RecurrentStack) -> list[float]:
    """Returns the largest magnitude of what each layer of tanh cells hands on: 1, and what is added to it."""
    return [float(number) if rnn.connection == "residual" else 1.0 for number in range(1, len(rnn.cells) + 1)]


def _by_columns(weight: Tensor) -> Tensor:
    return weight.t().contiguous().t()

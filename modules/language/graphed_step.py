"""The training step of a language model as one CUDA graph, started by a single call.

On a GPU a step of truncated backpropagation takes as long as its hundreds of small kernels take to start. A
CUDA graph records them once and starts them together (https://pytorch.org/docs/stable/notes/cuda.html). It
reads and writes the same memory every time, so what goes in and what comes out is copied. PyTorch's own
`make_graphed_callables` hands out gradients in that memory, where the next step overwrites accumulated ones
(https://github.com/pytorch/pytorch/issues/181723). So this one records loss and gradients together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from modules.decoding import DecoderState
from modules.errors import tell
from modules.recurrent import RecurrentStack

if TYPE_CHECKING:
    from modules.language.language_model import LanguageModel

WARM_UP = 3  # runs before the recording, in which libraries choose kernels and reserve memory


class Outcome(NamedTuple):
    """What a step computes.

    Attributes:
        outputs: -log p of all targets (nats), their number, and the state after the batch, detached.
        gradients: Of the nats, one for each parameter.
    """

    outputs: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]


def differentiate(
    model: LanguageModel, batch: Sequence[Tensor], state: DecoderState, parameters: Sequence[Tensor]
) -> Outcome:
    """Returns `model.losses` and its gradients; nothing in it waits for the GPU."""
    device = batch[0].device.type
    half, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    # a backward pass runs outside of autocast; a cached copy of a weight would be that of the recording
    with torch.autocast(device, enabled=False):
        with torch.autocast(device, dtype, half, cache_enabled=False):
            nats, units, after = model.losses(batch, state)  # type: ignore[arg-type]  # a batch of its kind
        gradients = torch.autograd.grad(nats, tuple(parameters))
    return Outcome((nats.detach(), units, *after.recurrent), gradients)


def record(run: Callable[[], Outcome], device: torch.device) -> tuple[Callable[[], None], Outcome]:
    """Returns what runs `run` again, and the outcome whose memory each such run writes to.

    Raises:
        RuntimeError: It cannot be recorded: it asks the GPU for a value, or memory is short.
    """
    stream = torch.cuda.Stream(device)  # of both, since libraries keep memory for each stream
    stream.wait_stream(torch.cuda.current_stream(device))
    graph = torch.cuda.CUDAGraph()
    # the outer stream context restores the current stream where the recording fails
    with torch.cuda.device(device), torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            run()
        # threads that load data may go on meanwhile
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            outcome = run()
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph.replay, outcome


class Recorded(NamedTuple):
    """A step that was recorded.

    Attributes:
        replay: Runs it.
        outcome: What it writes to.
        inputs: What it reads: batch and state before.
        parameters: Those with gradients.
        places: Where they lay in memory.
    """

    replay: Callable[[], None]
    outcome: Outcome
    inputs: list[Tensor]
    parameters: list[torch.nn.Parameter]
    places: list[int]

    def fits(self, shapes: list[torch.Size]) -> bool:
        """Whether it can read inputs of these shapes, and its parameters are still where it reads them."""
        moved = [parameter.data_ptr() for parameter in self.parameters] != self.places
        return not moved and shapes == [tensor.shape for tensor in self.inputs]


class _Replay(torch.autograd.Function):
    """Runs a recorded step; its backward pass only scales the gradients, into memory of their own."""

    @staticmethod
    def forward(
        ctx: Any, recorded: Recorded, given: Sequence[Tensor], *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        for ours, theirs in zip(recorded.inputs, given, strict=True):
            ours.copy_(theirs)
        recorded.replay()
        ctx.gradients = recorded.outcome.gradients
        nats, *others = (output.clone() for output in recorded.outcome.outputs)
        ctx.mark_non_differentiable(*others)
        return nats, *others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *torch._foreach_mul(ctx.gradients, gradients[0])


def obstacle(model: LanguageModel) -> str | None:
    """Returns why no step of this fit can be a CUDA graph, or None."""
    if model.device.type != "cuda":
        return f"the fit runs on {model.device.type}, and only NVIDIA GPUs have CUDA graphs"
    if model.world_size > 1:
        return f"{model.world_size} processes train together, and only one alone can"
    if model.trainer.precision == "16-mixed":
        return "16-mixed scales each loss before its gradients; bf16-mixed can"
    return None


def _note(line: str) -> None:
    tell(f"note: model.training.cuda_graphs has no effect: {line}")


class GraphedStep:
    """Computes `model.losses` by a CUDA graph once two batches of the same shapes came one after the other.

    Batches of other shapes, weights that moved in memory and evaluation take the plain way. So does all that
    comes after a recording that failed, which one line tells. A copy of it, or a pickle, has no graph.
    """

    def __init__(self) -> None:
        self.recorded: Recorded | None = None
        self._shapes: list[torch.Size] = []  # of the batch before
        self._failed = False

    def __reduce__(self) -> tuple[type[GraphedStep], tuple[()]]:
        return GraphedStep, ()

    @classmethod
    def for_training(cls, model: LanguageModel) -> GraphedStep | None:
        """Returns one for a fit that begins; None, and says why, where the plain step has to do."""
        reason = obstacle(model)
        if reason is not None:
            if model.global_rank == 0:
                _note(reason)
            return None
        for module in model.modules():
            if isinstance(module, RecurrentStack):
                module.own_dropout = True
        return cls()

    def __call__(
        self, model: LanguageModel, batch: Any, state: DecoderState
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Returns what `model.losses(batch, state)` returns."""
        if not model.training:
            return model.losses(batch, state)
        given = [*batch, *state.recurrent]
        shapes = [tensor.shape for tensor in given]
        if self.recorded is None and not self._failed and shapes == self._shapes:
            self._record(model, batch, state)
        self._shapes = shapes
        recorded = self.recorded
        if recorded is None or not recorded.fits(shapes):
            return model.losses(batch, state)
        nats, units, *after = _Replay.apply(recorded, given, *recorded.parameters)
        return nats, units, DecoderState((), tuple(after))

    def _record(self, model: LanguageModel, batch: Any, state: DecoderState) -> None:
        device = model.device
        kept = type(batch)(*(tensor.clone() for tensor in batch))
        before = tuple(tensor.clone() for tensor in state.recurrent)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

        def run() -> Outcome:
            return differentiate(model, kept, DecoderState((), before), parameters)

        try:
            # the step itself then draws the dropout that the plain one would
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                replay, outcome = record(run, device)
        except RuntimeError as error:
            self._failed = True
            why = str(error).strip() or type(error).__name__
            _note(f"the step cannot be recorded: {why.splitlines()[0]}")
            return
        places = [parameter.data_ptr() for parameter in parameters]
        self.recorded = Recorded(replay, outcome, [*kept, *before], parameters, places)

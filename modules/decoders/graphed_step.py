"""The training step of a decoder as one CUDA graph, started by a single call.

On a GPU a step of an RNN takes as long as its hundreds of small kernels take to start. A CUDA graph records
them once and starts them together (https://pytorch.org/docs/stable/notes/cuda.html). It reads and writes the
same memory every time, so what goes in and what comes out is copied. PyTorch's own `make_graphed_callables`
hands out gradients in that memory, where the next step overwrites accumulated ones
(https://github.com/pytorch/pytorch/issues/181723). So this one records loss and gradients together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from modules.errors import tell
from modules.recurrent import RecurrentStack

if TYPE_CHECKING:
    from modules.training import TrainedModule

WARM_UP = 3  # runs before the recording, in which libraries choose kernels and reserve memory
MOST = 16  # graphs of a kind of step, each of inputs of other shapes

# takes tensors; gives a sum to learn from, and what else is known after the step
Step = Callable[..., tuple[Tensor, ...]]


Made = TypeVar("Made")


class Outcome(NamedTuple):
    """What a step computes.

    Attributes:
        outputs: The sum to learn from and what else the step gives, detached.
        gradients: Of that sum, one for each parameter.
    """

    outputs: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]


def differentiate(step: Step, given: Sequence[Tensor], parameters: Sequence[Tensor]) -> Outcome:
    """Returns what a step gives and the gradients of its sum; nothing in it waits for the GPU."""
    device = given[0].device.type
    half, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    # a backward pass runs outside of autocast; a cached copy of a weight would be that of the recording
    with torch.autocast(device, enabled=False):
        with torch.autocast(device, dtype, half, cache_enabled=False):
            total, *others = step(*given)
        gradients = torch.autograd.grad(total, tuple(parameters))
    return Outcome((total.detach(), *(other.detach() for other in others)), gradients)


def record(run: Callable[[], Made], device: torch.device, pool: Any) -> tuple[Callable[[], None], Made]:
    """Returns what runs `run` again, and what it returned, whose memory each such run writes to.

    Args:
        run: The step.
        device: A GPU.
        pool: Memory that all graphs of a fit share, as one's outcome is copied before another runs.

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
        with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
            outcome = run()
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph.replay, outcome


class Recorded(NamedTuple):
    """A step that was recorded.

    Attributes:
        replay: Runs it.
        made: What it writes to.
        inputs: What it reads.
        weights: What it reads, too.
        places: Where they lay in memory.
    """

    replay: Callable[[], None]
    made: Any
    inputs: list[Tensor]
    weights: list[nn.Parameter]
    places: list[int]

    def is_in_place(self) -> bool:
        """Whether its weights are still where it reads them."""
        return [weight.data_ptr() for weight in self.weights] == self.places


Key = tuple[Any, ...]  # the name of a kind of step, and what differs between its recordings


class Plan(NamedTuple):
    """What is to be recorded.

    Attributes:
        run: The step, which takes nothing.
        inputs: What it reads, and is given anew before each replay.
        weights: What it reads, too.
    """

    run: Callable[[], Any]
    inputs: list[Tensor]
    weights: list[nn.Parameter]


class Recordings:
    """Steps as CUDA graphs, each from the second time on that it is asked for.

    After a recording that failed, which one line tells, there are no more.
    """

    def __init__(self) -> None:
        self.recorded: dict[Key, Recorded] = {}
        self._asked: Counter[Key] = Counter()
        self._pool: Any = None
        self._failed = False

    def find(self, key: Key, plan: Callable[[], Plan]) -> Recorded | None:
        """Returns what can be replayed; None where the plain step has to do, as where weights moved.

        Args:
            key: Of the step.
            plan: Returns what is to be recorded, if it is.
        """
        self._asked[key] += 1
        is_new = key not in self.recorded and sum(known[0] == key[0] for known in self.recorded) < MOST
        if is_new and not self._failed and self._asked[key] > 1:
            self._record(key, *plan())
        recorded = self.recorded.get(key)
        return recorded if recorded is not None and recorded.is_in_place() else None

    def _record(
        self, key: Key, run: Callable[[], Any], inputs: list[Tensor], weights: list[nn.Parameter]
    ) -> None:
        device = inputs[0].device
        if self._pool is None and device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
        try:
            # the step itself then draws the dropout that the plain one would
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                replay, made = record(run, device, self._pool)
        except RuntimeError as error:
            self._failed = True
            why = str(error).strip() or type(error).__name__
            note(f"the step cannot be recorded: {why.splitlines()[0]}")
            return
        places = [weight.data_ptr() for weight in weights]
        self.recorded[key] = Recorded(replay, made, inputs, weights, places)


class _Replay(torch.autograd.Function):
    """Runs a recorded step; its backward pass, of which there is one, only scales the gradients."""

    @staticmethod
    def forward(
        ctx: Any, recorded: Recorded, given: Sequence[Tensor], *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        for ours, theirs in zip(recorded.inputs, given, strict=True):
            ours.copy_(theirs)
        recorded.replay()
        # of their own, since before the backward pass another graph may run in the same memory
        ctx.gradients = [gradient.clone() for gradient in recorded.made.gradients]
        total, *others = (output.clone() for output in recorded.made.outputs)
        ctx.mark_non_differentiable(*others)
        return total, *others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        torch._foreach_mul_(ctx.gradients, gradients[0])
        return None, None, *ctx.gradients


def obstacle(model: TrainedModule) -> str | None:
    """Returns why no step of this fit can be a CUDA graph, or None."""
    if model.device.type != "cuda":
        return none_on(model.device, "the fit runs")
    if model.world_size > 1:
        return f"{model.world_size} processes train together, and only one alone can"
    if model.trainer.precision == "16-mixed":
        return "16-mixed scales each loss before its gradients; bf16-mixed can"
    return None


def none_on(device: torch.device, what: str) -> str:
    """Returns why there are no CUDA graphs where a device is none of theirs.

    Args:
        device: It.
        what: Is done there, such as "the fit runs".
    """
    return f"{what} on {device.type}, and only NVIDIA GPUs have CUDA graphs"


def note(line: str) -> None:
    """Says on stderr why there are no CUDA graphs, or no more."""
    tell(f"note: cuda_graphs has no effect: {line}")


class GraphedStep(Recordings):
    """Computes steps by CUDA graphs, from the second time on that one is given tensors of certain shapes.

    Other shapes, weights that moved in memory and evaluation take the plain way. So does all that comes after
    a recording that failed. A copy of it, or a pickle, has no graph.
    """

    def __reduce__(self) -> tuple[type[GraphedStep], tuple[()]]:
        return GraphedStep, ()

    @classmethod
    def for_training(cls, model: TrainedModule, reason: str | None = None) -> GraphedStep | None:
        """Returns one for a fit that begins; None, and says why, where the plain step has to do.

        Args:
            model: It begins to train.
            reason: What the model itself has against it.
        """
        reason = obstacle(model) or reason
        if reason is not None:
            if model.global_rank == 0:
                note(reason)
            return None
        for module in model.modules():
            if isinstance(module, RecurrentStack):
                module.own_dropout = True
        return cls()

    def __call__(
        self, model: nn.Module, name: str, step: Step, given: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Returns what `step(*given)` returns.

        Args:
            model: Its parameters are learned.
            name: Of the kind of step, which is the same at every call but for what it is given.
            step: The step.
            given: All that differs from call to call.
        """
        if not model.training:
            return step(*given)

        def plan() -> Plan:
            kept = [tensor.clone() for tensor in given]
            weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
            return Plan(lambda: differentiate(step, kept, weights), kept, weights)

        recorded = self.find((name, *(tensor.shape for tensor in given)), plan)
        if recorded is None:
            return step(*given)
        return _Replay.apply(recorded, given, *recorded.weights)

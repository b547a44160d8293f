"""What tests of steps that are CUDA graphs share where there is no GPU: a recorder, and what sees waiting."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Made = TypeVar("Made")


def stand_in(run: Callable[[], Made], device: torch.device, pool: Any) -> tuple[Callable[[], None], Made]:
    """Records as `graphed_step.record` does, without a graph: every replay fills the same memory anew."""
    outcome = run()

    def replay() -> None:
        with torch.enable_grad():
            found = run()
        for old, new in zip(tree_leaves(outcome), tree_leaves(found), strict=True):
            old.copy_(new)

    return replay, outcome


class OnlyMeta(TorchDispatchMode):
    """Fails where an operation reads a tensor of the CPU: a GPU would have to wait for it."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor) and tensor.device.type == "cpu":
                raise AssertionError(f"{function} reads a tensor of the CPU")
        return function(*args, **kwargs or {})

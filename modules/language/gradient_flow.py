"""How much of a loss's gradient reaches earlier hidden states: vanishing and exploding gradients, measured.

The loss J is that of the last time step i alone. By the chain rule (Pascanu et al. 2013, eq. 5)

    dJ/dh_j = dJ/dh_i  prod_{j < t <= i}  dh_t/dh_{t-1}

and in a linear network without inputs every factor is the recurrent matrix, so dJ/dh_j = dJ/dh_i U^(i-j): it
shrinks or grows exponentially with the distance i - j.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from modules.cells import State
from modules.recurrent import RecurrentStack

LastStepLoss = Callable[[Float[Tensor, "B O"]], Float[Tensor, " B"]]


def state_gradients(
    stack: RecurrentStack, x: Float[Tensor, "B T D"], loss: LastStepLoss
) -> tuple[Float[Tensor, "T B H"], ...]:
    """Returns `dJ/ds_j` of every tensor s of the stack's flat state, by distance: index d holds j = i - d.

    J is a function of the state after time step j and of the inputs that follow. Each gradient is the
    derivative by one tensor of that state, the others held: of an LSTM's `h_j` with `c_j` held, and of one
    layer's `h_j` with the others' held. Every sequence has its own J, so no row depends on how many others
    there are. Dropout acts as the stack's mode says.

    Args:
        stack: Any stack that can go step by step; its weights get no gradient and are left as they are.
        x: Input of the first layer.
        loss: From the output of the last time step to J of each sequence.
    """
    with torch.enable_grad():
        # states depend on the first one, so they have a gradient even where all weights are frozen
        state = tuple(tensor.requires_grad_() for tensor in stack.init_state(len(x)))
        states: list[State] = []
        for from_input in stack.cells[0].project_input(x).unbind(1):
            _, after = stack.step(from_input, state)
            # views, so that each tensor of this state reaches the future by itself alone
            state = tuple(tensor.view_as(tensor) for tensor in after)
            states.append(state)
        backwards = [tensor for state in reversed(states) for tensor in state]  # T times S
        total = loss(stack.output(state)).sum()
        gradients = torch.autograd.grad(total, backwards, allow_unused=True, materialize_grads=True)
    return tuple(torch.stack(gradients[i :: len(state)]) for i in range(len(state)))


def gradient_flow(
    stack: RecurrentStack, x: Float[Tensor, "B T D"], loss: LastStepLoss
) -> Float[Tensor, " T"]:
    """Returns the mean `|dJ/dh_j|` of a batch by distance: index d holds j = i - d.

    `h_j` is the hidden states of all layers side by side; an LSTM's cell states are no part of it.

    Args:
        stack: Any stack that can go step by step.
        x: Input of the first layer.
        loss: From the output of the last time step to J of each sequence.
    """
    hidden = state_gradients(stack, x, loss)[:: stack.state_size]
    return torch.cat(hidden, dim=-1).norm(dim=-1).mean(dim=-1)  # (T, B, layers H) -> (T,)

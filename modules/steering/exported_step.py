"""One step of a steering model as an ONNX graph, and what a program without PyTorch has to know of it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from modules.encoders.flow import FINEST_SCALE, FLOW_SCALE, SMALLEST, WIDEST
from modules.onnx_graphs import Graph
from modules.steering.steerer import Steerer
from modules.steering.units import unit_of

FRAMES = "frames"
FLOW = "flow"


class Step(nn.Module):
    """Angle, throttle if the model has it, and the next state, from the newest frame and the state.

    Args:
        model: A trained model.
    """

    def __init__(self, model: Steerer) -> None:
        super().__init__()
        self.model = model
        self.full_lock = unit_of(model.recorder).full_lock

    def forward(self, frames: Real[Tensor, "B S 3 H W"], *rest: Tensor) -> tuple[Tensor, ...]:
        model, outputs = self.model, self.model.decoder_options.outputs
        features: Float[Tensor, "B 1 D"] = model.encoder(model.preprocessing.recolour(frames))
        if model.flow is not None:
            features, rest = torch.cat([features, rest[0].unsqueeze(1)], dim=-1), rest[1:]
        said, state = model.decoder(features, rest)
        said = said[:, 0] * model.target_std[:outputs] + model.target_mean[:outputs]
        named = [said[:, 0] / self.full_lock] + ([said[:, 1]] if outputs == 2 else [])
        # what is handed on unchanged is no output of a graph by itself
        return *named, *(tensor + 0 for tensor in state)


def step_graph(model: Steerer) -> Graph:
    """Returns the graph of one step, to be written.

    Args:
        model: A trained model, in evaluation mode.
    """
    p = model.preprocessing
    frames = torch.zeros(2, model.encoder.left_context + 1, 3, p.height, p.width, dtype=torch.uint8)
    flow = [torch.zeros(2, model.flow.feature_size)] if model.flow is not None else []
    with torch.no_grad():
        state = [tensor.contiguous().clone() for tensor in model.decoder.init_state(2)]
    names = [f"state{number}" for number in range(len(state))]
    outputs = ["angle", *["throttle"] * (model.says_throttle)]
    return Graph(
        "steer",
        Step(model),
        (frames, *flow, *state),
        [FRAMES, *[FLOW] * len(flow), *names],
        [*outputs, *(f"next_{name}" for name in names)],
        strict=False,
    )


def describe(model: Steerer, graph: Graph) -> dict[str, Any]:
    """Returns what steer.json holds: all that a program needs to steer by the graph."""
    p = model.preprocessing
    with torch.no_grad():
        state = model.decoder.init_state(1)
    flow = None
    if model.flow is not None:
        flow = {
            "rows": model.flow.grid[0],
            "columns": model.flow.grid[1],
            "refinements": model.flow.refinements,
            "finest_scale": FINEST_SCALE,
            "widest": WIDEST,
            "smallest": SMALLEST,
            "factor": FLOW_SCALE,
        }
    return {
        "task": "steer",
        "graph": {"file": graph.file, "inputs": graph.inputs, "outputs": graph.outputs},
        "frames": {
            "count": model.encoder.left_context + 1,
            "height": p.height,
            "width": p.width,
            "crop_top": p.crop_top,
            "crop_bottom": p.crop_bottom,
        },
        "flow": flow,
        "unit": unit_of(model.recorder).described,
        "recorder": model.recorder or "",
        "left_is_positive": True,
        "state": {f"state{number}": tensor[0].tolist() for number, tensor in enumerate(state)},
    }

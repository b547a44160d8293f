"""Steering models that come with the package, in half precision, in safetensors files.

What each was trained on, how well it does and where it errs stands in the model card beside its file.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from modules.checkpoints import ready_made, write_safetensors

if TYPE_CHECKING:
    from modules.steering.steerer import Steerer

NAMES = ("road",)
PRETRAINED = Path(__file__).parent / "road.safetensors"  # what commands steer with by default


def pretrained_path(name: str = "road") -> Path:
    """Returns the file of a steering model that comes with the package; `Steerer.load` reads it.

    Raises:
        InputError: There is none of this name.
    """
    return ready_made(Path(__file__).parent, NAMES, name)


def write_weights(model: Steerer, path: Path) -> None:
    """Writes a steering model whole, its matrices in half precision.

    Args:
        model: Trained.
        path: A .safetensors file, which `Steerer.load` reads.
    """
    # vectors are few: biases, and the mean and deviation of the angles, whose rounding would show
    tensors = {name: v.half() if v.dim() > 1 else v for name, v in model.state_dict().items()}
    tensors |= {f"drives.{name}": values for name, values in (model.drives or {}).items()}
    about = {
        "task": model.task,
        "hyper_parameters": dict(model.hparams),
        "recorder": model.recorder,
        "cars": model.cars,
        "ridges": {name: asdict(ridge) for name, ridge in model.ridges.items()},
    }
    write_safetensors(path, tensors, about)

"""The steering models that a command is given, or the ready-made one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from modules.errors import InputError, tell
from modules.steering.pretrained import PRETRAINED
from modules.steering.steerer import Steerer
from modules.steering.units import unit_of

READY_MADE = (
    "model: the ready-made one, which has learnt drawn roads alone; it is described in "
    f"{PRETRAINED.with_suffix('.md')}"
)


def load_models(ckpt_path: Sequence[Path] | None, device: torch.device) -> list[Steerer]:
    """Returns the models of checkpoints, or the ready-made one, and says so on stderr.

    InputError where a checkpoint is named twice.

    Args:
        ckpt_path: Checkpoints; none for the ready-made model.
        device: Of the models.
    """
    if not ckpt_path:
        tell(READY_MADE)
        return [Steerer.load(PRETRAINED).to(device)]
    if len({path.resolve() for path in ckpt_path}) < len(ckpt_path):
        raise InputError("--ckpt_path names a checkpoint twice; the mean is of different models")
    return [Steerer.load(path).to(device) for path in ckpt_path]


def steered_for(models: Sequence[Steerer], recorder: str, ckpt_path: Sequence[Path] | None) -> str | None:
    """Returns what recorded the drives that models have learnt; None where they are of old checkpoints.

    Models of several cars say angles in the unit of the recorder from now on. InputError where angles of
    models have different units: they have no mean.

    Args:
        models: Of the checkpoints, in their order.
        recorder: Of the frames that are steered at.
        ckpt_path: Checkpoints; none for the ready-made model.
    """
    for model in models:
        model.steer_for(recorder)
    paths = ckpt_path or [PRETRAINED]
    known = [(path, m.recorder) for path, m in zip(paths, models, strict=True) if m.recorder is not None]
    for path, other in known[1:]:
        if unit_of(other) != unit_of(known[0][1]):
            said, first = (f"{unit_of(name).described} ({name or 'a car'})" for name in (other, known[0][1]))
            raise InputError(
                f"--ckpt_path {path}: says {said}, {known[0][0]} {first}; models of one recorder go together"
            )
    return known[0][1] if known else None

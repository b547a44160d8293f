"""The option `--device` of every command that runs a model."""

from __future__ import annotations

import re

import torch

from modules.errors import InputError


def chosen_device(name: str) -> torch.device:
    """Returns the device that `--device` names: auto, cpu, mps, cuda or cuda:N.

    auto is an NVIDIA GPU where there is one, and the CPU elsewhere. InputError where the name is none of
    these or this machine lacks the device.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise InputError(f"--device is {name!r}; it has to be auto, cpu, cuda, cuda:N or mps")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}); cpu always can") from None
    return torch.device(name)

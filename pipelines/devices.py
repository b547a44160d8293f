"""The option `--device` of every command that runs a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from modules.errors import InputError
from modules.precision import fast_dtype
from pipelines.arguments import given_values

TRAINER_HELP = "auto, cpu, cuda, cuda:N or mps. It stands for --trainer.accelerator and --trainer.devices."


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
        reason = re.split(r"\.\s|\n", str(error).strip())[0]  # PyTorch's further sentences list its backends
        raise InputError(f"--device {name} cannot be used here ({reason}); cpu always can") from None
    return torch.device(name)


def take_device(config: Any, argv: Sequence[str]) -> None:
    """Replaces a configuration's `device` by the trainer's options that it stands for.

    Args:
        config: Options of a command, with `trainer` among them.
        argv: What was written on the command line.

    Raises:
        InputError: The device cannot be used, or one of the trainer's options was written too and differs.
    """
    name = config.pop("device", None)
    if name is None:
        return
    chosen_device(name)
    kind, _, number = name.partition(":")
    meant: dict[str, Any] = {"accelerator": kind} | ({"devices": [int(number)]} if number else {})
    for option, value in meant.items():
        for given in given_values(argv, f"--trainer.{option}"):
            if given != str(value) and (given, kind) not in (("gpu", "cuda"), ("gpu", "mps")):
                raise InputError(f"--device {name} and --trainer.{option} {given} differ; leave one out")
        config.trainer[option] = value


def check_strategy(strategy: Any) -> None:
    """Raises InputError where a strategy cuts one model into pieces, of which none here is large enough.

    Args:
        strategy: As `--trainer.strategy` says it: a name, or a class with its arguments.
    """
    name = str(getattr(strategy, "class_path", strategy))
    if re.search(r"fsdp|deepspeed|model_?parallel", name, re.IGNORECASE):
        raise InputError(
            f"trainer.strategy is {name}, which cuts a model into pieces; checkpoints here hold whole ones, "
            "and every process has room for it: take ddp"
        )


def fast_precision(accelerator: str) -> str:
    """Returns bf16-mixed where the device that Lightning would choose is fast in it, else 32-true."""
    chosen = None if accelerator == "cpu" else torch.accelerator.current_accelerator(check_available=True)
    return "bf16-mixed" if fast_dtype(chosen or torch.device("cpu")) == torch.bfloat16 else "32-true"

"""Checkpoints of every task, read without running code from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modules.errors import InputError


def read_checkpoint(path: Path | str, task: str) -> dict[str, Any]:
    """Returns a checkpoint's dictionary, read without running code from it.

    Raises:
        InputError: the file is absent, no checkpoint, damaged, or of another task.
    """
    import torch  # not for a file that is not there

    path = Path(path)
    check_checkpoint_file(path)
    try:
        if path.suffix == ".safetensors":
            checkpoint = _read_safetensors(path)
        else:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and key errors of every kind
        raise InputError(
            f"{path}: no readable checkpoint ({type(error).__name__}); it may be cut short"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint or "task" not in checkpoint:
        raise InputError(
            f"{path}: a PyTorch file, but no checkpoint of this project (no task is named in it)"
        )
    if checkpoint["task"] != task:
        raise InputError(
            f"{path}: a checkpoint of the task {checkpoint['task']!r}; this command needs one of {task!r}"
        )
    if "hyper_parameters" not in checkpoint:
        raise InputError(f"{path}: a checkpoint without its options (hyper_parameters); it cannot be rebuilt")
    return checkpoint


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Returns what `write_weights` of a task wrote: options and words stand in the file's header."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = json.loads((file.metadata() or {}).get("seqsight", "{}"))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # a captioner's, and no weight
    about |= {"mean_image": tensors.pop("mean_image")} if "mean_image" in tensors else {}
    return {**about, "state_dict": tensors}


def check_checkpoint_file(path: Path | str) -> None:
    """Raises InputError where there is no such file; imports nothing for it."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a checkpoint" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {what}; name a file such as RUN/checkpoints/best.ckpt")

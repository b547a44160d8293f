"""Checkpoints of every task, read without running code from them."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.errors import InputError
from modules.whole_files import write_whole

if TYPE_CHECKING:
    from torch import Tensor


def read_checkpoint(path: Path | str, task: str) -> dict[str, Any]:
    """Returns a checkpoint's dictionary, read without running code from it.

    Raises:
        InputError: the file is absent, no checkpoint, damaged, or of another task.
    """
    path = Path(path)
    check_checkpoint_file(path)
    checkpoint = stored_in(path)
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


def stored_in(path: Path) -> Any:
    """Returns what a checkpoint's file holds, whatever that is; InputError where it is damaged."""
    import torch  # not for a file that is not there

    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # of what is no checkpoint
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and key errors of every kind
        raise InputError(
            f"{path}: no readable checkpoint ({type(error).__name__}); it may be cut short"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Returns what `write_weights` of a task wrote: options and words stand in the file's header."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = json.loads((file.metadata() or {}).get("seqsight", "{}"))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if about.get("task") == "steer":  # JSON knows no tuples, which its options have
        for group in about.get("hyper_parameters", {}).values():
            group |= {name: tuple(value) for name, value in group.items() if isinstance(value, list)}
    # a captioner's, and no weight
    about |= {"mean_image": tensors.pop("mean_image")} if "mean_image" in tensors else {}
    # a steering model's, and no weights
    drives = [name for name in tensors if name.startswith("drives.")]
    about |= {"drives": {name.partition(".")[2]: tensors.pop(name) for name in drives}} if drives else {}
    return {**about, "state_dict": tensors}


def write_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Writes a checkpoint whole, or leaves what was there before.

    Raises:
        OSError: It cannot be written.
    """
    import torch

    content = io.BytesIO()
    torch.save(dict(checkpoint), content)
    write_whole(path, content.getvalue())


def add_to_checkpoint(path: Path, entries: Mapping[str, Any]) -> None:
    """Gives a checkpoint new entries and keeps all others; those of `state_dict` are weights by name.

    Args:
        path: A file that a fit wrote; it is replaced as a whole.
        entries: New or changed ones.
    """
    import torch

    stored = torch.load(path, map_location="cpu", weights_only=True)
    weights = stored["state_dict"] | dict(entries.get("state_dict", {}))
    write_checkpoint(path, stored | dict(entries) | {"state_dict": weights})


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Writes a .safetensors file that `read_checkpoint` reads.

    Args:
        path: The file.
        tensors: Weights, and what else a task keeps in tensors.
        about: The rest of the checkpoint's dictionary, plain values.
    """
    from safetensors.torch import save

    write_whole(path, save(dict(tensors), {"seqsight": json.dumps(about, ensure_ascii=False)}))


def ready_made(folder: Path, names: Collection[str], name: str) -> Path:
    """Returns the file of a model that comes with the package; InputError where there is none of this name.

    Args:
        folder: Of the task's ready-made models.
        names: Of all of them.
        name: Of the wanted one.
    """
    if name not in names:
        raise InputError(f"no ready-made model {name!r}; there are {', '.join(names)}")
    return folder / f"{name}.safetensors"


def check_checkpoint_file(path: Path | str) -> None:
    """Raises InputError where there is no such file; imports nothing for it."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a checkpoint" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {what}; name a file such as RUN/checkpoints/best.ckpt")

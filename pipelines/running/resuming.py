"""What a fit can go on from: a checkpoint of its own, with all that training needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.checkpoints import read_checkpoint
from modules.errors import InputError

# of Lightning: what a fit restores, and of which type it is
STATE = {"loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list}


def named_checkpoint(path: str, task: str) -> dict[str, Any]:
    """Returns what a checkpoint holds; InputError for one of Lightning's words in place of its file."""
    if path in ("best", "last", "hpc", "registry"):
        raise InputError(f"--ckpt_path {path}: name the file, such as RUN/checkpoints/{path}.ckpt")
    return read_checkpoint(path, task)


def check_resumable(path: Path | str, checkpoint: Mapping[str, Any], beside: Sequence[str]) -> None:
    """Raises InputError where a fit cannot go on from a checkpoint, or would overwrite another model.

    Args:
        path: The checkpoint's file.
        checkpoint: What it holds.
        beside: Names of files, without their suffix, of models that a fit trains beside its own.
    """
    last = Path(path).with_name("last.ckpt")
    if Path(path).stem in beside:
        raise InputError(f"{path}: is a model beside a run's own, to compare with it; go on from {last}")
    is_whole = all(isinstance(checkpoint.get(name), kind) for name, kind in STATE.items())
    if (
        not is_whole
        or not checkpoint["optimizer_states"]
        or not isinstance(checkpoint["loops"].get("fit_loop"), dict)
    ):
        raise InputError(
            f"{path}: holds a model, but not where its training stood; go on from RUN/checkpoints/last.ckpt"
        )

"""The folder of a run: reserved before anything else is done, given back where nothing came of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modules.errors import InputError

UNTOLD = "version_of_the_first_process"  # a folder's name that stands for one, and is never made
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


def is_first_process() -> bool:
    """Returns whether this is the first of all processes, as torchrun, SLURM or Lightning number them."""
    return not any(int(os.environ.get(name) or 0) for name in _RANKS)


def reserve_run_folder(parent: Path) -> Path:
    """Returns a new folder version_N of an experiment's, which no other fit has; N is above all others."""
    existing = next(folder for folder in (parent, *parent.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise InputError(f"{existing}: no folder that runs can be written to; choose another --runs")
    while True:
        versions = [re.fullmatch(r"version_(\d+)", path.name) for path in parent.glob("version_*")]
        number = max((int(version[1]) for version in versions if version), default=-1) + 1
        folder = parent / f"version_{number}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except (FileExistsError, FileNotFoundError):
            continue  # another fit was faster, or gave its folder back just now
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}; choose another --runs") from error


@contextmanager
def given_back_without_checkpoint(folder: Path, existed: Path) -> Iterator[None]:
    """Removes at the end a run folder that holds no checkpoint, and what of its parents is then empty.

    Args:
        folder: Of the run.
        existed: The nearest folder above that was there before.
    """
    try:
        yield
    finally:
        if not list(folder.glob("checkpoints/*.ckpt")):
            shutil.rmtree(folder, ignore_errors=True)
            for parent in folder.parents:
                if parent == existed or any(parent.iterdir()):
                    break
                parent.rmdir()

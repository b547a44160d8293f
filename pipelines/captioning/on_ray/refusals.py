"""What `predict --engine` is told before anything is loaded: one line for what an engine does not do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from data_prep.captions.sources import is_remote
from data_prep.progress import SPEAKS_EVERY
from modules.errors import InputError, check_at_least

# what the local engine alone reads, but for the trainer's own options
LOCAL_ONLY = ("attention", "every", "num_workers", "cuda_graphs")
RAY_ONLY = ("ray_address", "ray_actors")
SHARDS = ("jsonl", "parquet")  # formats of --engine ray
DEVICES = ("auto", "cpu", "cuda")


def check_engine(options: Any, given: Sequence[str]) -> None:
    """Raises InputError where the engine lacks its package, or does not do what it is asked for.

    Args:
        options: Of predict, as parsed.
        given: What was written on the command line.
    """
    names = [word[2:].partition("=")[0] for word in given if word.startswith("--")]
    if options.engine == "local":
        for name in RAY_ONLY:
            if name in names:
                raise InputError(f"--{name} is of --engine ray, which is not chosen")
        for place in (*map(str, options.images), options.output or ""):
            if is_remote(place):
                raise InputError(f"{place}: addresses are read and written by --engine ray")
        if options.format == "parquet" or (options.output or "").lower().endswith(".parquet"):
            raise InputError("parquet is written by --engine ray; there are jsonl, csv, coco, srt and vtt")
        return
    # it must not tell anybody that it is used, and is told so before it is imported
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_NON_TTY_PROGRESS_LOG_INTERVAL", f"{SPEAKS_EVERY:.0f}")
    if any(find_spec(name) is None for name in ("ray", "pyarrow", "pandas")):
        raise InputError('--engine ray needs the package ray: pip install -e ".[ray]"')
    for name in names:
        if name in LOCAL_ONLY or name.partition(".")[0] == "trainer":
            raise InputError(f"--{name} is of --engine local; leave it out, or the engine")
    if options.device not in (None, *DEVICES):
        raise InputError(f"--device is {options.device!r}; --engine ray takes {', '.join(DEVICES)}")
    if not options.output:
        raise InputError("--engine ray needs --output: a folder of shards, here or in an object store")
    if options.format not in (None, *SHARDS):
        raise InputError(f"--format is {options.format}; --engine ray writes {' and '.join(SHARDS)}")
    check_at_least(1, ray_actors=options.ray_actors)

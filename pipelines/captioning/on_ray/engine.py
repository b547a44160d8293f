"""Batch inference on any number of machines: reading, captioning and writing as one stream of Ray Data.

Ray restarts a captioner that dies and reads again what was lost with it. A shard is written by one task under
that task's name, so that nothing is lost and nothing is there twice.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
import torch
from ray.exceptions import RayError, RayTaskError

from data_prep.captions.sources import Sources, list_sources
from data_prep.left_out import SHOWN
from modules.captioning.captioner import Captioner
from modules.captioning.ensemble import CaptionerEnsemble
from modules.captioning.preprocessing import EvalTransform
from modules.captioning.pretrained import PRETRAINED
from modules.errors import InputError, tell
from pipelines.captioning.on_ray.shards import MANIFEST, ShardSink, new_shards
from pipelines.captioning.on_ray.stages import CaptionPictures, ReadPictures
from pipelines.captioning.predict import (
    CPU_BATCH_SIZE,
    GPU_BATCH_SIZE,
    PredictionOptions,
    instruct,
    warn_where_nothing_is_reduced,
)

ROOT = Path(__file__).resolve().parents[3]
OBJECT_STORE = 2**30  # bytes on a cluster of this machine alone; what is more is spilled to disk
PATIENCE = 10.0  # seconds, for a cluster to answer
# its loggers that tell how it works, and the one that tells how far
QUIET = ("ray.data._internal.execution.streaming_executor", "ray.data.dataset", "ray.data._internal.progress")
PROGRESS = "ray.data._internal.progress.logging_progress"
MOST_SINGLE = 256  # pictures that a task reads where they do not lie in archives


def caption_on_ray(
    options: PredictionOptions, model: Captioner | CaptionerEnsemble, device: str | None
) -> None:
    """Captions all pictures into a folder of shards with a manifest.

    Args:
        options: Of predict; those of the local engine alone have been refused.
        model: Captions; it is sent to every captioner of the pool.
        device: auto, cpu or cuda; None for auto.
    """
    instruct(model, options)
    options = replace(options, ray_address=options.ray_address or os.environ.get("RAY_ADDRESS"))
    images = [str(place) for place in options.images]
    sources = list_sources(images)
    output = str(options.output)
    format = options.format or ("parquet" if output.lower().endswith(".parquet") else "jsonl")
    begun = time.monotonic()
    with new_shards(output, options.overwrite, images) as folder, cluster(options.ray_address):
        sink = ShardSink(folder, format)
        with in_one_line():
            # writing waits for disks and networks
            stream(sources, options, model, device).write_datasink(sink, ray_remote_args={"num_cpus": 0.01})
        expected, rows = len(sources.pictures), sum(shard["rows"] for shard in sink.shards)
        if rows < expected or (rows > expected and not sources.archives):
            raise RuntimeError(f"{rows} rows were written of {expected} pictures")
        manifest = sink.write_manifest(
            {
                "images": images,
                "checkpoints": [str(path) for path in options.ckpt_path or [PRETRAINED]],
                "decoding": asdict(options.decoding),
                "captions": options.captions,
                "mirrored": model.mirrored,
                "reduced_precision": options.reduced_precision,
                "seconds": round(time.monotonic() - begun, 1),
            }
        )
    summarise(manifest, output)


def stream(
    sources: Sources, options: PredictionOptions, model: Captioner | CaptionerEnsemble, device: str | None
) -> Any:
    """Returns the rows of all pictures as a data set of Ray, which computes them when they are written."""
    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 1.0), total.get("GPU", 0.0)
    on_gpu = device == "cuda" or (device in (None, "auto") and gpus > 0)
    if on_gpu and not gpus:
        raise InputError("--device cuda: no machine of the cluster has a GPU; cpu always can")
    if options.reduced_precision and options.ray_address is None:  # else captioners are elsewhere, too
        warn_where_nothing_is_reduced(torch.device("cuda" if on_gpu else "cpu"))
    actors = options.ray_actors or max(1, int(gpus if on_gpu else 0.75 * cpus))
    shares = sources.shares(min(MOST_SINGLE, max(16, -(-len(sources.pictures) // (4 * actors)))))
    items = [{"share": json.dumps(share)} for share in shares]  # escapes keep a name that is no UTF-8

    def cores(part: float) -> float:
        # also where every machine has one core and one captioner, reading and writing find room beside it
        return float(np.floor(100 * min(1.0, part * cpus / actors)) / 100)

    images = sys.maxsize if sources.archives else len(sources.pictures) // actors
    return (
        ray.data.from_items(items, override_num_blocks=min(len(items), 10_000))
        .map_batches(
            ReadPictures(EvalTransform(model.encoder.image_size, model.resize)),
            batch_size=1,
            num_cpus=cores(0.2),
        )
        .map_batches(
            CaptionPictures,
            fn_constructor_args=(ray.put(model), "cuda" if on_gpu else "cpu", images),
            batch_size=options.batch_size or (GPU_BATCH_SIZE if on_gpu else CPU_BATCH_SIZE),
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=cores(0.75),
            num_gpus=1 if on_gpu else None,
        )
    )


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Connects to a cluster, or makes one of this machine alone, which is gone at the end."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # remarks that say nothing to who captions
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
        # processes of this machine find the same code
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    try:
        host, _, port = (address or "").rpartition(":")
        if port.isdecimal():
            # Ray itself would ask for minutes
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        ray.init(address=address or "local", **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"--ray_address {address}: no cluster answers ({_first_line(error)})") from None
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # where there is no terminal: how far the captioners are, not what each machine holds
    logging.getLogger(PROGRESS).addFilter(lambda record: CaptionPictures.__name__ in record.getMessage())
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def in_one_line() -> Iterator[None]:
    """Turns what ended the stream into one line; its log files say more."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, InputError | OSError):
            raise error.cause from None
        raise InputError(f"--engine ray: a task failed ({_first_line(error.cause)})") from error
    except RayError as error:
        raise InputError(f"--engine ray: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def summarise(manifest: dict[str, Any], output: str) -> None:
    """Prints counts and places, and names the first files with which something is wrong on stderr."""
    lacking = manifest["rows"] - manifest["captioned"]
    print(f"{manifest['captioned']:,} captions, {lacking:,} unreadable files, {manifest['seconds']:.0f} s")
    print(f"captions in {len(manifest['shards']):,} shards in {output}, counted in {MANIFEST}")
    damaged = [row["image"] for row in manifest["damaged_archives"]]
    for row in manifest["damaged_archives"]:
        tell(f"warning: {row['image']}: {row['error']}")
    wrong = [row for row in manifest["first_errors"] if row["image"] not in damaged]
    for row in wrong[:SHOWN]:
        tell(f"warning: {row['image']}: {row['error']}")
    if len(wrong) > SHOWN:
        more = manifest["errors"] - len(damaged) - SHOWN
        tell(f"warning: {more:,} more; all have an error in their row")

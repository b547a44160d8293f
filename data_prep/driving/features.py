"""Features of a frozen encoder, computed once for every drive and kept on disk.

A file for each drive and camera, named by a hash of the encoder's weights and of the frames:
CACHE/drive_features/HASH.npy, float32 (frames, D). Files are there whole or not at all, so a killed run loses
the drive it was at, and several processes may use them.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_prep.cache import cache_root, in_turn, stated_options, writing_in
from data_prep.driving.frames import FrameCache
from data_prep.driving.table import DriveTable
from data_prep.progress import counting_bar
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from modules.whole_files import write_whole

_CHUNK = 16  # frames encoded at once

# the options that the first keys named, in their order
_FRAMES = ("height", "width", "crop_top", "crop_bottom", "colours", "equalise")
_ENCODER = (
    "kind", "dropout", "channels", "kernels", "strides", "time_kernels", "pool", "dense_sizes",
    "feature_size", "name", "stage", "weights", "finetune_from", "downscale", "flow", "flow_refinements",
)  # fmt: skip


class DriveFeatures:
    """The features of all frames of a table, by their rows.

    Args:
        begins: First row of each drive and camera.
        parts: Their features (n, D), memory maps.
        mirrored: Those of the mirrored frames, where they are wanted.
        motions: How many of the last features say how the picture moved since the frame before.
    """

    def __init__(
        self,
        begins: Sequence[int],
        parts: Sequence[np.ndarray],
        mirrored: Sequence[np.ndarray] = (),
        motions: int = 0,
    ) -> None:
        self.begins, self.parts, self.mirrored = np.asarray(begins), list(parts), list(mirrored)
        self.motions = motions

    def read(self, rows: np.ndarray, mirrored: bool = False) -> np.ndarray:
        """Returns features float32 (S, D) of rows (S,) of one drive and camera."""
        part, first = self._part(rows, mirrored)
        return np.asarray(part[rows - first])

    def read_between(
        self, rows: np.ndarray, between: np.ndarray, rate: float, mirrored: bool = False
    ) -> np.ndarray:
        """Returns features float32 (S, D) of places that lie `rate` frames apart in one drive and camera.

        What is seen there lies between what is seen in the frames before and after. The motion to a place is
        the sum of all motions since the place before it.

        Args:
            rows: The nearest frames (S,).
            between: From them to the places (S,).
            rate: Frames from one place to the next.
            mirrored: Whether those of the mirrored frames are wanted.
        """
        part, begin = self._part(rows, mirrored)
        places = rows - begin + between
        first, last = max(0, math.floor(places.min() - rate)), math.ceil(places.max())
        seen = np.asarray(part[first : last + 1], np.float64)  # (frames, D)
        features = _at(seen, places - first)
        if self.motions:
            travelled = np.cumsum(seen[:, -self.motions :], axis=0)
            before = (places - rate).clip(min=0)
            features[:, -self.motions :] = _at(travelled, places - first) - _at(travelled, before - first)
        return features.astype(np.float32)

    def _part(self, rows: np.ndarray, mirrored: bool) -> tuple[np.ndarray, int]:
        """Returns the features of the drive that rows are of, and its first row."""
        number = int(np.searchsorted(self.begins, rows[0], side="right")) - 1
        return (self.mirrored if mirrored else self.parts)[number], int(self.begins[number])


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns what lies between neighbouring values (N, D) at places (S,), from 0 to N - 1."""
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, len(values) - 1)
    share = (places - before)[:, None]
    return (1 - share) * values[before] + share * values[after]


def compute_features(
    table: DriveTable,
    frames: FrameCache,
    stored: np.ndarray,
    model: Steerer,
    root: Path | None = None,
    mirror: bool = False,
) -> DriveFeatures:
    """Returns the features of every frame of a table; those that are missing are computed first.

    Args:
        table: drives that were cut.
        frames: the cache that holds their frames.
        stored: row of each frame in it (N,).
        model: the model with the frozen encoder, on the device where it is to run.
        root: folder of all caches; `cache_root()` if not given.
        mirror: whether also those of the mirrored frames are wanted.
    """
    folder = (root or cache_root()) / "drive_features"
    encoder = _fingerprint(model)
    series = table.series()
    identities = [frames.identity(table.file[rows]) for rows in series]
    found = []
    for lead in ("", "mirrored ") if mirror else ("",):
        keys = (hashlib.sha256(f"{lead}{encoder} {name}".encode()).hexdigest()[:32] for name in identities)
        files = [folder / f"{key}.npy" for key in keys]
        missing = [number for number, path in enumerate(files) if not path.exists()]
        if missing:
            with writing_in(folder, "features"), in_turn(folder / "lock", folder):
                _compute([(files[n], stored[series[n]]) for n in missing], frames, model, bool(lead))
        found.append([np.load(path, mmap_mode="r") for path in files])
    motions = model.flow.feature_size if model.flow is not None else 0
    mirrored = found[1] if mirror else ()
    return DriveFeatures([int(rows[0]) for rows in series], found[0], mirrored, motions)


def _compute(jobs: list[tuple[Path, np.ndarray]], frames: FrameCache, model: Steerer, mirror: bool) -> None:
    # another process may have computed some while this one waited for its turn
    jobs = [(path, rows) for path, rows in jobs if not path.exists()]
    was_training = model.training
    stream = SteeringStream(model)
    with counting_bar("frames", bool(jobs)) as bar:
        task = bar.add_task("encoding frames", total=sum(len(rows) for _, rows in jobs))
        for path, rows in jobs:
            stream.reset()
            features = []
            for first in range(0, len(rows), _CHUNK):
                piece = torch.from_numpy(np.array(frames.read(rows[first : first + _CHUNK])))
                piece = piece.flip(-1) if mirror else piece
                features.append(stream.encode(piece.unsqueeze(0))[0].cpu().numpy())
                bar.advance(task, len(piece))
            data = io.BytesIO()
            np.save(data, np.concatenate(features).astype(np.float32))
            write_whole(path, data.getvalue())
    model.train(was_training)


def _fingerprint(model: Steerer) -> str:
    """Returns a hash of all that features depend on: weights, options, geometry, colours, kind of device."""
    # where the weights came from does not matter: a checkpoint's encoder is the one it was trained with
    encoder = stated_options(replace(model.encoder_options, weights="none"), _ENCODER)
    frames = stated_options(model.preprocessing, _FRAMES)
    stated = f"FramePreprocessing({_listed(frames)}) SteeringEncoderOptions({_listed(encoder)})"
    digest = hashlib.sha256(f"{stated} {model.device.type}".encode())
    for name, tensor in sorted(model.encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())

"""Which drives a model has learnt from, told by what was recorded and not by where it lies.

A drive is told by marks: hashes of name, time and last angles of frames at which the angle changes. A
checkpoint keeps some marks of each drive, and from when to when its frames trained, validated or tested. So a
drive is known again under another path, longer, or cut; and it is scored where its fit set frames apart.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from data_prep.driving.splitting import GUARD, SPLITS
from data_prep.driving.table import DriveTable

# marks: of a drive each, (M,) int64, and the drive that each is of; spans (K, 4) float64: drive, place in
# SPLITS, first and last time
KnownDrives = dict[str, Tensor]

_MARKS = 256  # of a drive
_BEFORE = 3  # angles that a mark is also of
_ENOUGH = 0.1  # a share of marks: frames of two drives may be alike by chance


def drives_learnt(
    table: DriveTable, split: np.ndarray, camera: str, before: KnownDrives | None
) -> KnownDrives:
    """Returns the drives of a fit, and those known before.

    Args:
        table: drives, cut.
        split: of each row (N,).
        camera: whose frames tell.
        before: what the model had learnt from, where a fit goes on.
    """
    known = before or {
        "marks": torch.empty(0, dtype=torch.int64),
        "drive": torch.empty(0, dtype=torch.int64),
        "spans": torch.empty(0, 4, dtype=torch.float64),
    }
    for rows in _recordings(table, camera):
        if not np.isin(split[rows], ("train", "val")).any():
            continue
        marks, number = _marks(table, rows), _number_of(table, rows, known)
        if number is None:
            number = int(known["drive"].max()) + 1 if len(known["drive"]) else 0
            known = {
                **known,
                "marks": torch.cat([known["marks"], torch.from_numpy(marks[:_MARKS])]),
                "drive": torch.cat([known["drive"], torch.full((len(marks[:_MARKS]),), number)]),
            }
        spans = torch.tensor([[number, *span] for span in _spans(table, split, rows)], dtype=torch.float64)
        known = {**known, "spans": torch.unique(torch.cat([known["spans"], spans]), dim=0)}
    return known


def split_again(
    table: DriveTable, camera: str, known: KnownDrives, stage: str
) -> tuple[np.ndarray, int, int]:
    """Returns the split of each row (N,) for a model that has learnt; all drives, and how many it knows not.

    What it knows is split as its fit did. A drive that it does not know is scored whole, in the test split.
    Where it knows none, that is the split that is asked for.

    Args:
        table: drives, cut.
        camera: whose frames tell.
        known: drives that the model has learnt from.
        stage: validate or test.
    """
    found = [(rows, _number_of(table, rows, known)) for rows in _recordings(table, camera)]
    new = sum(number is None for _, number in found)
    whole = "val" if stage == "validate" and new == len(found) else "test"
    split = np.full(len(table), GUARD, "<U5")
    names = table.recordings()
    for rows, number in found:
        own = np.flatnonzero(names == names[rows[0]])  # of all cameras
        if number is None:
            split[own] = whole
            continue
        spans = known["spans"].numpy()
        # what has trained once is never held out
        for place in reversed(range(len(SPLITS))):
            for _, _, first, last in spans[(spans[:, 0] == number) & (spans[:, 1] == place)]:
                split[own[(table.time_s[own] >= first) & (table.time_s[own] <= last)]] = SPLITS[place]
    return split, len(found), new


def _recordings(table: DriveTable, camera: str) -> list[np.ndarray]:
    return [rows for rows in table.series(recordings=True) if table.camera[rows[0]] == camera]


def _marks(table: DriveTable, rows: np.ndarray) -> np.ndarray:
    """Returns the marks of a drive, ascending: the least ones are a sample that parts of it have, too."""
    rows = rows[~np.isnan(table.angle_rad[rows])]
    changes = np.diff(table.angle_rad[rows], prepend=np.nan) != 0
    rows = rows[changes]
    # with the angles before: those of keys and gamepads are few, and videos count their frames alike
    angles = [f"{angle:.6f}" for angle in table.angle_rad[rows].tolist()]
    texts = [
        f"{str(frame).rpartition('/')[2]} {time:.3f} {' '.join(angles[max(0, place - _BEFORE) : place + 1])}"
        for place, (frame, time) in enumerate(
            zip(table.frame[rows].tolist(), table.time_s[rows].tolist(), strict=True)
        )
    ]
    encoded = (text.encode(errors="surrogateescape") for text in texts)
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in encoded)
    return np.unique(np.frombuffer(digests, "<i8").astype(np.int64))


def _number_of(table: DriveTable, rows: np.ndarray, known: KnownDrives) -> int | None:
    marks = _marks(table, rows)
    votes = known["drive"].numpy()[np.isin(known["marks"].numpy(), marks)]
    if len(votes) <= _ENOUGH * min(_MARKS, len(marks)):
        return None
    return int(np.bincount(votes).argmax())


def _spans(table: DriveTable, split: np.ndarray, rows: np.ndarray) -> list[tuple[int, float, float]]:
    """Returns place in SPLITS, first and last time of each run of frames of one split."""
    rows = rows[np.argsort(table.time_s[rows], kind="stable")]
    runs = np.split(rows, np.flatnonzero(split[rows[1:]] != split[rows[:-1]]) + 1)
    return [
        (SPLITS.index(split[run[0]]), float(table.time_s[run[0]]), float(table.time_s[run[-1]]))
        for run in runs
        if split[run[0]] in SPLITS
    ]

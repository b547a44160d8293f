"""Training, validation and test parts of drives, never by shuffled frames.

Neighbouring frames look alike, so frames drawn at random would be judged by what was learned by heart. Whole
drives are set apart, or unbroken blocks with a gap between them that no clip reaches across.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from data_prep.driving.clocks import frame_period
from data_prep.driving.cutting import LONGEST_STEP
from data_prep.driving.table import DriveTable
from modules.errors import InputError, check_ranges

SPLITS = ("train", "val", "test")
GUARD = "guard"  # frames of no split
_FEWEST_DRIVES = 6  # fewer are too few to set some apart
_USUAL_GUARD = 20  # frames: of a clip of one frame the next ones are copies


@dataclass
class SplitOptions:
    """Which frames train, validate and test.

    Args:
        rule: named goes by drives called train_..., val_... and test_...; drive takes whole drives; blocks
            takes the end of every stretch between gaps longer than a guard. auto is named where all drives
            are called so, else drive where there are at least six or val_drives are given, else blocks.
        val_share: Share of the drives, or of each stretch's frames, that validates.
        test_share: Share that tests; with 0 validation frames stand in for them.
        guard_frames: Frames left out between two blocks, at least those of a clip; by default these or a
            second at 20 a second, whichever is more.
        val_drives: Names of drives, or of their folders, that validate, with * and ?; instead of a share.
        test_drives: Names of drives, or of their folders, that test, with * and ?; instead of a share.
        seed: Which drives a share takes.
    """

    rule: Literal["auto", "named", "drive", "blocks"] = "auto"
    val_share: float = 0.15
    test_share: float = 0.0
    guard_frames: int | None = None
    val_drives: list[str] = field(default_factory=list)
    test_drives: list[str] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(
            self, "data.split", below_one=("val_share", "test_share"), not_negative=("guard_frames",)
        )
        if self.val_share + self.test_share >= 1:
            raise InputError("data.split.val_share and data.split.test_share leave nothing to train on")
        if self.rule in ("named", "blocks") and (self.val_drives or self.test_drives):
            raise InputError("data.split.val_drives needs data.split.rule drive, which takes whole drives")


def split_frames(table: DriveTable, options: SplitOptions, clip_frames: int) -> np.ndarray:
    """Returns train, val, test or guard for every row (N,).

    Cameras are split together: at one time they see one scene.

    Args:
        table: drives that were cut.
        options: the rule and its shares.
        clip_frames: frames of the longest clip; a shorter guard raises InputError.
    """
    guard = max(clip_frames, _USUAL_GUARD) if options.guard_frames is None else options.guard_frames
    if guard < clip_frames:
        raise InputError(
            f"data.split.guard_frames is {guard}, shorter than a clip of {clip_frames} frames: frames of "
            "validation clips would be trained on"
        )
    recordings = table.recordings()
    rule = _rule(recordings, options) if options.rule == "auto" else options.rule
    if rule == "named":
        split = _by_name(table, recordings)
    elif rule == "drive":
        split = _by_drive(recordings, options)
    else:
        split = _by_blocks(table, options, guard)
    for name in ("train", "val"):
        if len(table) and not (split == name).any():
            remedy = "give more or longer drives, or another data.split"
            raise InputError(f"{table.root}: no frames are left for the {name} split; {remedy}")
    return split


def _rule(recordings: np.ndarray, options: SplitOptions) -> str:
    names = set(recordings.tolist())
    if options.val_drives or options.test_drives:
        return "drive"
    if names and all(_named_split(name) for name in names):
        return "named"
    return "drive" if len(names) >= _FEWEST_DRIVES else "blocks"


def _named_split(name: str) -> str | None:
    lead = name.replace("-", "_").partition("_")[0]
    return lead if lead in SPLITS else None


def _by_name(table: DriveTable, recordings: np.ndarray) -> np.ndarray:
    splits = [_named_split(name) for name in recordings.tolist()]
    if None in splits:
        row = splits.index(None)
        raise InputError(
            f"{table.where(row)}: drive {recordings[row]} is called neither train_..., val_... nor test_..., "
            "as data.split.rule named has it"
        )
    return np.array(splits, "<U5")


def _by_drive(recordings: np.ndarray, options: SplitOptions) -> np.ndarray:
    names = list(dict.fromkeys(recordings.tolist()))
    split = dict.fromkeys(names, "train")
    # a drive keeps its place among the others when drives are added
    told = {name: f"{options.seed} {name}".encode(errors="surrogateescape") for name in names}
    places = {name: hashlib.blake2b(text).digest() for name, text in told.items()}
    free = sorted(names, key=lambda name: places[name])
    for part, patterns in (("test", options.test_drives), ("val", options.val_drives)):
        for pattern in patterns:
            # a folder's name stands for all drives in it
            found = [n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}/*")]
            if not found:
                shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
                raise InputError(
                    f"data.split.{part}_drives: no drive is called {pattern!r}; there are {shown}"
                )
            split.update(dict.fromkeys(found, part))
            free = [name for name in free if name not in found]
    for part, patterns, share in (
        ("test", options.test_drives, options.test_share),
        ("val", options.val_drives, options.val_share),
    ):
        if not patterns and share:
            count = max(1, round(share * len(names)))
            split.update(dict.fromkeys(free[:count], part))
            free = free[count:]
    return np.array([split[name] for name in recordings.tolist()], "<U5")


def _by_blocks(table: DriveTable, options: SplitOptions, guard: int) -> np.ndarray:
    """Cuts every stretch into train, guard, val, guard, test by time, for all cameras alike."""
    split = np.full(len(table), "train", "<U5")
    recordings = table.recordings()
    for name in dict.fromkeys(recordings.tolist()):
        rows = np.flatnonzero(recordings == name)
        for stretch in _stretches(table, rows, guard):
            # the frames of the camera that has most of them are counted
            cameras, counts = np.unique(table.camera[stretch], return_counts=True)
            clock = np.sort(table.time_s[stretch[table.camera[stretch] == cameras[counts.argmax()]]])
            parts = _blocks(len(clock), options, guard)
            begins = np.append(clock, np.inf)[[begin for _, begin in parts]]
            place = np.searchsorted(begins, table.time_s[stretch], side="right") - 1
            split[stretch] = np.array([part for part, _ in parts], "<U5")[place.clip(min=0)]
    return split


def _stretches(table: DriveTable, rows: np.ndarray, guard: int) -> list[np.ndarray]:
    """Returns rows in groups, by time and whatever the camera, that lie further apart than a guard is long.

    Shorter gaps do not end a stretch: a block that ended there would lie too near to the next one.
    """
    rows = rows[np.argsort(table.time_s[rows], kind="stable")]
    cameras = (rows[table.camera[rows] == camera] for camera in np.unique(table.camera[rows]))
    periods = (frame_period(table.time_s[part]) for part in cameras)
    longest = max(LONGEST_STEP, guard) * max((period for period in periods if period > 0), default=np.inf)
    return np.split(rows, np.flatnonzero(np.diff(table.time_s[rows]) > longest) + 1)


def _blocks(frames: int, options: SplitOptions, guard: int) -> list[tuple[str, int]]:
    """Returns the parts of a stretch with their first frames; one too short for its shares trains whole."""
    val, test = round(options.val_share * frames), round(options.test_share * frames)
    blocks = [("val", val), ("test", test)]
    held_out = [(name, count) for name, count in blocks if count]
    first = frames - sum(count + guard for _, count in held_out)
    if first < guard:
        return [("train", 0)]
    parts = [("train", 0)]
    for name, count in held_out:
        parts += [(GUARD, first), (name, first + guard)]
        first += guard + count
    return parts

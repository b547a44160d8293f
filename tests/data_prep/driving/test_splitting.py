"""Splits by drive or by blocks with a guard between: no frame of a validation clip is ever trained on."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.driving import read_drives
from data_prep.driving.cutting import cut_drives
from data_prep.driving.sampling import ShuffledClips, StreamedClips
from data_prep.driving.splitting import SplitOptions, split_frames
from data_prep.driving.summary import prepared
from data_prep.driving.table import DriveTable
from data_prep.driving.windows import plan_clips, segments_of, windows_of
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import DATA, drive, drives

HERE = Path("drives")


def runs(split: np.ndarray) -> list[tuple[str, int]]:
    edges = np.flatnonzero(split[1:] != split[:-1]) + 1
    return [(str(part[0]), len(part)) for part in np.split(split, edges)]


def by_drive(table: DriveTable, split: np.ndarray) -> dict[str, str]:
    names = table.recordings()
    found = {name: set(split[names == name]) for name in dict.fromkeys(names.tolist())}
    assert all(len(splits) == 1 for splits in found.values())
    return {name: splits.pop() for name, splits in found.items()}


# ---------------------------------------------------------------------------------------------------- blocks


def test_the_end_of_every_stretch_validates_after_a_guard(tmp_path: Path) -> None:
    table = cut_drives(drives(HERE, [200, 100], drive="one"))
    split = split_frames(table, SplitOptions(val_share=0.15, guard_frames=12), 12)
    assert runs(split) == [
        ("train", 158),
        ("guard", 12),
        ("val", 30),
        ("train", 73),
        ("guard", 12),
        ("val", 15),
    ]
    split = split_frames(table, SplitOptions(val_share=0.1, test_share=0.2, guard_frames=20), clip_frames=12)
    first = [("train", 100), ("guard", 20), ("val", 20), ("guard", 20), ("test", 40)]
    assert runs(split)[:5] == first and len(runs(split)) == 10


def test_short_gaps_do_not_part_blocks() -> None:
    """Else a block would end right before a gap of four frames, and training begin right behind it."""
    times = np.arange(100) / 20
    times[50:] += 0.2
    table = cut_drives(drive(HERE, 100, time_s=times))
    assert len(table.series()) == 2
    split = split_frames(table, SplitOptions(val_share=0.2, guard_frames=10), clip_frames=10)
    assert runs(split) == [("train", 70), ("guard", 10), ("val", 20)]
    for clip_frames, guard in ((1, 20), (25, 25)):
        assert runs(split_frames(table, SplitOptions(val_share=0.2), clip_frames))[1] == ("guard", guard)


def test_a_stretch_too_short_for_its_blocks_trains_whole() -> None:
    table = cut_drives(drives(HERE, [200, 12], drive="one"))
    split = split_frames(table, SplitOptions(), clip_frames=10)
    assert runs(split)[-1] == ("train", 12)
    with pytest.raises(
        InputError, match=r"drives: no frames are left for the val split; give more or longer"
    ):
        split_frames(cut_drives(drive(HERE, 12)), SplitOptions(), clip_frames=10)


def test_all_cameras_are_split_at_the_same_moment() -> None:
    cameras = ["left", "right", "center"] * 100
    table = drive(HERE, 300, time_s=np.arange(300) / 60, camera=cameras)
    table = cut_drives(table, np.arange(300) == 150)  # a frame of the left camera
    split = split_frames(table, SplitOptions(val_share=0.2, guard_frames=10), clip_frames=10)
    latest_trained = table.time_s[split == "train"].max()
    earliest_validated = table.time_s[split == "val"].min()
    assert earliest_validated - latest_trained > 10 * 3 / 60
    for camera in ("left", "right", "center"):
        assert abs((split[table.camera == camera] == "val").sum() - 20) <= 1


# ---------------------------------------------------------------------------------------------------- drives


def test_whole_drives_are_set_apart_and_keep_their_place() -> None:
    table = cut_drives(drives(HERE, [20] * 20))
    options = SplitOptions(val_share=0.2, test_share=0.1)
    split = by_drive(table, split_frames(table, options, 5))
    assert [list(split.values()).count(name) for name in ("train", "val", "test")] == [14, 4, 2]
    other = by_drive(table, split_frames(table, SplitOptions(val_share=0.2, test_share=0.1, seed=1), 5))
    assert other != split
    fewer = table.select(np.isin(table.drive, list("abcdefghijklmno")))
    again = by_drive(fewer, split_frames(fewer, SplitOptions(val_share=4 / 15, test_share=2 / 15), 5))
    kept = [name for name in again if again[name] == split[name]]
    assert len(kept) >= 11, "drives that are added move few others"


def test_parts_of_a_cut_drive_stay_together() -> None:
    table = drives(HERE, [40] * 6)
    table = cut_drives(table, np.arange(240) % 40 == 20)
    assert len(table.series()) == 12
    by_drive(table, split_frames(table, SplitOptions(rule="drive"), 5))


def test_drives_by_name() -> None:
    table = cut_drives(drives(HERE, [20] * 5))
    options = SplitOptions(val_drives=["b", "[de]"], test_drives=["a"])
    split = by_drive(table, split_frames(table, options, 5))
    assert split == {"a": "test", "b": "val", "c": "train", "d": "val", "e": "val"}
    with pytest.raises(InputError, match=r"val_drives: no drive is called 'x\*'; there are a, b, c, d, e"):
        split_frames(table, SplitOptions(val_drives=["x*"]), 5)

    names = np.repeat(["train_000", "train_001", "val_000", "test_000"], 10)
    table = cut_drives(drive(HERE, 40, drive=names))
    split = by_drive(table, split_frames(table, SplitOptions(), 5))
    assert split == {"train_000": "train", "train_001": "train", "val_000": "val", "test_000": "test"}
    with pytest.raises(InputError, match=r"row:1: drive a is called neither train_..., val_... nor test_..."):
        split_frames(drives(HERE, [20] * 3), SplitOptions(rule="named"), 5)


def test_options_that_cannot_be() -> None:
    with pytest.raises(InputError, match="leave nothing to train on"):
        SplitOptions(val_share=0.5, test_share=0.5)
    with pytest.raises(InputError, match=r"data.split.val_share is 1.0; it has to be from 0 to below 1"):
        SplitOptions(val_share=1.0)
    with pytest.raises(InputError, match=r"needs data\.split\.rule drive"):
        SplitOptions(rule="blocks", val_drives=["a"])
    with pytest.raises(InputError, match="guard_frames is 5, shorter than a clip of 15 frames"):
        split_frames(drive(HERE, 100), SplitOptions(guard_frames=5), 15)


# ------------------------------------------------------------------------------------------- nothing leaks


def seen(sampler: ShuffledClips | StreamedClips, epochs: int) -> set[int]:
    rows: set[int] = set()
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for plan in sampler:
            rows |= set(plan.rows.reshape(-1).tolist())
    return rows


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("rule", ["blocks", "drive"])
def test_no_frame_of_a_validation_clip_is_trained_on(rule: str, stateful: bool) -> None:
    length, context = 10, 5
    table = drives(HERE, [150, 90, 70, 60, 200, 33, 120])
    table = cut_drives(table, np.random.default_rng(0).random(len(table)) < 0.02)
    split = split_frames(table, SplitOptions(rule=rule, val_share=0.2), length + context)  # type: ignore[arg-type]
    train, val = (segments_of(table, split == name) for name in ("train", "val"))
    trained = (
        StreamedClips(train, length, context, 3, training=True)
        if stateful
        else ShuffledClips(train, length, context, 8, stride=1)
    )
    validated = StreamedClips(val, 16, context, 2, training=False)
    in_training, in_validation = seen(trained, 4), seen(validated, 1)
    assert not in_training & in_validation
    assert in_validation >= set(np.flatnonzero(split == "val").tolist()), "every validation frame is judged"
    if not stateful:
        assert in_training == set(np.flatnonzero(split == "train").tolist())
    # nor does a validation clip begin within a clip's length of what was trained on, in one drive
    for row in in_validation:
        near = range(row - length - context + 1, row + length + context)
        same = [n for n in near if n in in_training and table.recordings()[n] == table.recordings()[row]]
        close = [n for n in same if abs(table.time_s[n] - table.time_s[row]) < (length + context) / 20 - 1e-9]
        assert not close


def test_clips_never_cross_a_cut() -> None:
    table = cut_drives(drives(HERE, [30, 4, 25]), np.arange(59) == 40)
    segments = segments_of(table, np.ones(len(table), bool))
    rows, is_padding, _ = plan_clips(segments, windows_of(segments, 6, 2), 6, 3)
    for clip, padding in zip(rows, is_padding, strict=True):
        assert len(set(table.drive[clip])) == 1
        steps = np.diff(clip)
        assert ((steps == 1) | ((steps == 0) & (padding[1:] | padding[:-1]))).all()


@pytest.mark.real_data
def test_the_last_part_of_each_real_segment_validates() -> None:
    root = DATA / "udacity_ch2"
    if not root.is_dir():
        pytest.skip(f"no {root}: set SEQSIGHT_DATA to the folder that holds udacity_ch2")
    table, _ = prepared(read_drives(root))
    for clip_frames in (1, 15, 59):
        split = split_frames(table, SplitOptions(), clip_frames)
        val = segments_of(table, split == "val")
        assert [len(rows) for rows in val] == [144, 168, 341], "whatever the clip, models are judged alike"
        assert [rows[-1] for rows in val] == [rows[-1] for rows in table.series()]

"""Of any times and absent images: each frame in one stretch, none across a gap, splits a guard apart."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.driving.clocks import frame_period
from data_prep.driving.cutting import LONGEST_STEP, cut_drives, repeated_rows
from data_prep.driving.splitting import GUARD, SplitOptions, split_frames
from data_prep.driving.table import DriveTable
from modules.errors import InputError

# time goes on by one, stands still, leaps, and runs back
steps = st.sampled_from([0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 30.0, -5.0])
rows = st.lists(
    st.tuples(steps, st.sampled_from("ab"), st.sampled_from(["center", "left"]), st.integers(0, 9)),
    max_size=40,
)


def table_of(drawn: list[tuple[float, str, str, int]]) -> tuple[DriveTable, np.ndarray]:
    """Returns a table and which of its rows are unusable."""
    time_s = np.cumsum([step for step, *_ in drawn])
    files = [str(place if number else 0) for place, (*_, number) in enumerate(drawn)]
    drive, camera = ([row[at] for row in drawn] for at in (1, 2))
    table = DriveTable.build(".", file=files, time_s=time_s, angle_rad=0.0, drive=drive, camera=camera)
    return table, np.array([number == 1 for *_, number in drawn], bool)


@given(rows)
def test_every_frame_lies_in_one_stretch_and_none_crosses_a_gap(
    drawn: list[tuple[float, str, str, int]],
) -> None:
    table, unusable = table_of(drawn)
    try:
        cut = cut_drives(table, unusable)
    except InputError:
        assert repeated_rows(table).mean() > 0.2  # times that cannot be
        return
    kept = np.flatnonzero(~(unusable | repeated_rows(table)))
    assert sorted(cut.line.tolist()) == (kept + 1).tolist()
    for rows in cut.series():
        steps = np.diff(cut.time_s[rows])
        whole = np.flatnonzero(
            (cut.recordings() == cut.recordings()[rows[0]]) & (cut.camera == cut.camera[rows[0]])
        )
        assert (np.diff(rows) == 1).all() and (np.diff(cut.line[rows]) > 0).all()
        assert len(steps) == 0 or (steps >= 0).all()
        assert (steps <= LONGEST_STEP * frame_period(cut.time_s[whole])).all()
        # no unusable row of the same drive and camera lies within
        lost = np.flatnonzero(
            unusable & (table.drive == cut.recordings()[rows[0]]) & (table.camera == cut.camera[rows[0]])
        )
        assert not any(cut.line[rows[0]] < line + 1 < cut.line[rows[-1]] for line in lost)


@given(rows)
def test_cutting_again_changes_nothing(drawn: list[tuple[float, str, str, int]]) -> None:
    table, unusable = table_of(drawn)
    try:
        once = cut_drives(table, unusable)
    except InputError:
        return
    again = cut_drives(once)
    for name, column in once.columns().items():
        np.testing.assert_array_equal(getattr(again, name), column)


@given(
    lengths=st.lists(st.integers(1, 120), min_size=1, max_size=4),
    gap_s=st.sampled_from([0.2, 3.0, 100.0]),
    clip_frames=st.integers(1, 25),
    val_share=st.floats(0.05, 0.45),
    test_share=st.sampled_from([0.0, 0.1, 0.3]),
    cameras=st.integers(1, 2),
)
def test_blocks_lie_a_guard_apart(
    lengths: list[int], gap_s: float, clip_frames: int, val_share: float, test_share: float, cameras: int
) -> None:
    ends = np.cumsum([length / 20 + gap_s for length in lengths])
    clock = np.concatenate([e - gap_s - np.arange(n)[::-1] / 20 for n, e in zip(lengths, ends, strict=True)])
    time_s, camera = np.tile(clock, cameras), np.repeat(["center", "left"][:cameras], len(clock))
    files = [str(row) for row in range(len(time_s))]
    table = cut_drives(DriveTable.build(".", file=files, time_s=time_s, angle_rad=0.0, camera=camera))
    options = SplitOptions("blocks", val_share, test_share)
    try:
        split = split_frames(table, options, clip_frames)
    except InputError as error:
        assert "no frames are left for the" in str(error)
        return
    guard = max(clip_frames, 20)
    for moment in np.unique(table.time_s):
        assert len(set(split[table.time_s == moment])) == 1  # whatever the camera
    for stretch in table.series():
        changes = np.flatnonzero(split[stretch][1:] != split[stretch][:-1])
        for before, after in pairwise(changes):
            if split[stretch][after] == GUARD:
                continue
            if split[stretch][before + 1] == GUARD:
                assert table.time_s[stretch][after + 1] - table.time_s[stretch][before] > guard / 20
    used = [(table.time_s[split == name], name) for name in ("train", "val", "test") if (split == name).any()]
    for times, name in used:
        for others, other in used:
            if name != other:
                assert np.abs(times[:, None] - others[None]).min() > guard / 20 - 1e-6

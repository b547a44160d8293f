"""Clips and batches: padding marked, each frame where it belongs, the same for any number of processes."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data_prep.driving.sampling import ClipSampler, ShuffledClips, StreamedClips, clip_weights
from data_prep.driving.windows import (
    ClipPlan,
    Window,
    plan_clips,
    segments_of,
    windows_of,
)
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import drives

SEGMENTS = [np.arange(0, 23), np.arange(40, 47), np.arange(60, 63), np.arange(100, 160)]


def plans(sampler: ClipSampler, epoch: int = 0) -> list[ClipPlan]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_a_clip_at_the_beginning_in_the_middle_and_at_the_end() -> None:
    rows, padding, between = plan_clips(
        SEGMENTS, [Window(1, 0), Window(0, 10), Window(2, 0), Window(-1, 0)], 4, 2
    )
    assert rows[0].tolist() == [40, 40, 40, 41, 42, 43], "the first frame stands in for those before it"
    assert padding[0].tolist() == [True, True, False, False, False, False]
    assert rows[1].tolist() == [8, 9, 10, 11, 12, 13] and not padding[1].any()
    assert rows[2].tolist() == [60, 60, 60, 61, 62, 62]
    assert padding[2].tolist() == [True, True, False, False, False, True]
    assert padding[3].all() and not between.any()


def test_windows_reach_every_frame() -> None:
    windows = windows_of(SEGMENTS, 10, 4)
    assert [first for segment, first in windows if segment == 0] == [0, 4, 8, 12, 13]
    assert [window for window in windows if window.segment == 1] == [Window(1, 0)]
    assert len(windows_of(SEGMENTS, 10, 1)) == 14 + 1 + 1 + 51


def test_segments_are_runs_of_chosen_rows() -> None:
    table = drives(Path(), [6, 5])
    chosen = np.array([0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1], bool)
    assert [rows.tolist() for rows in segments_of(table, chosen)] == [[1, 2], [4, 5], [6, 7], [10]]


# -------------------------------------------------------------------------------------------- shuffled clips


def test_shuffled_clips_come_once_an_epoch_in_another_order() -> None:
    sampler = ShuffledClips(SEGMENTS, 5, 2, 6, stride=2, seed=3)
    firsts = [[int(rows[2]) for plan in plans(sampler, epoch) for rows in plan.rows] for epoch in (0, 1)]
    expected = sorted(int(SEGMENTS[w.segment][w.first]) for w in windows_of(SEGMENTS, 5, 2))
    assert sorted(firsts[0]) == sorted(firsts[1]) == expected
    assert firsts[0] != firsts[1] and firsts[0] != expected
    assert len(plans(sampler)) == len(sampler) == -(-len(expected) // 6)
    assert all(plan.resets.all() and 5 <= len(plan.rows) <= 6 for plan in plans(sampler))


def equal(one: ClipPlan, other: ClipPlan) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("stateful", [False, True])
def test_a_resumed_epoch_goes_on_with_the_same_batches(stateful: bool) -> None:
    def sampler() -> ClipSampler:
        if stateful:
            return StreamedClips(SEGMENTS, 5, 2, 3, training=True, seed=1)
        return ShuffledClips(SEGMENTS, 5, 2, 6, stride=2, seed=1)

    whole, resumed = plans(sampler(), 7), sampler()
    resumed.skip = 2
    rest = plans(resumed, 7)
    assert len(rest) == len(whole) - 2 and all(map(equal, rest, whole[2:]))
    assert all(map(equal, plans(resumed, 7), whole)), "the next epoch is whole again"
    assert not equal(plans(sampler(), 8)[0], whole[0])


@pytest.mark.parametrize("kind", ["shuffled", "streamed", "evaluated"])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_every_batch(kind: str, world: int) -> None:
    def sampler(rank: int, size: int) -> ClipSampler:
        share = {"seed": 5, "rank": rank, "world_size": size}
        if kind == "shuffled":
            return ShuffledClips(SEGMENTS, 5, 2, 7, stride=3, **share)
        return StreamedClips(SEGMENTS, 5, 2, 5, training=kind == "streamed", **share)

    alone = plans(sampler(0, 1), 2)
    shares = [plans(sampler(rank, world), 2) for rank in range(world)]
    assert {len(share) for share in shares} == {len(alone)}
    for step, plan in enumerate(alone):
        for rank in range(world):
            part = ClipPlan(*(values[rank::world] for values in plan))
            assert equal(shares[rank][step], part) and len(part.rows)


def test_too_few_clips_for_the_processes() -> None:
    with pytest.raises(InputError, match="a batch of 2 clips is too small for 3 processes"):
        StreamedClips(SEGMENTS, 5, 2, 2, training=True, world_size=3)
    with pytest.raises(InputError, match="1 clips to train on are too few for 2 processes"):
        ShuffledClips([np.arange(5)], 5, 0, 4, stride=1, world_size=2)


# -------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("streams", [1, 2, 3, 50])
def test_each_clip_of_a_stream_begins_where_the_one_before_ended(streams: int, training: bool) -> None:
    length, context = 5, 2
    for epoch in range(3):
        batches = plans(StreamedClips(SEGMENTS, length, context, streams, training=training), epoch)
        assert len({len(plan.rows) for plan in batches}) == 1, "the state has one row for each stream"
        assert batches[0].resets.all()
        for before, after in pairwise(batches):
            for stream in np.flatnonzero(~after.resets):
                assert after.rows[stream, context] == before.rows[stream, -1] + 1
                assert before.draws[stream] == after.draws[stream], "a drive is not mirrored on the way"
                # and the context is what was seen before, not padding
                assert after.rows[stream, :context].tolist() == before.rows[stream, -context:].tolist()
                assert not after.is_padding[stream, :context].any()


def test_evaluation_runs_through_every_segment_once() -> None:
    batches = plans(StreamedClips(SEGMENTS, 8, 3, 2, training=False))
    rows = np.concatenate([plan.rows[:, 3:][~plan.is_padding[:, 3:]] for plan in batches])
    assert sorted(rows.tolist()) == sorted(np.concatenate(SEGMENTS).tolist())
    # a state starts afresh at the first frame of a segment and nowhere else
    begun = []
    for plan in batches:
        first, is_padding = plan.rows[:, 3], plan.is_padding[:, 3]
        begun += first[plan.resets & ~is_padding].tolist()
    assert sorted(begun) == [0, 40, 60, 100]
    # 60 frames make 8 clips of 8; the other three 3 + 1 + 1
    assert len(batches) == 8


def test_training_cursors_are_spaced_evenly_and_lose_less_than_a_clip() -> None:
    for epoch in range(5):
        batches = plans(StreamedClips(SEGMENTS, 5, 0, 4, training=True), epoch)
        valid = np.stack([~plan.is_padding.all(1) for plan in batches])  # (steps, streams)
        assert np.ptp(valid.sum(0)) <= 1
        rows = np.concatenate([plan.rows[~plan.is_padding] for plan in batches])
        assert len(set(rows.tolist())) == len(rows)
        for segment in SEGMENTS:
            used = np.isin(segment, rows).sum()
            assert used == max(len(segment) // 5 * 5, min(len(segment), 5))
    firsts = {tuple(plan.rows[:, 0].tolist()) for e in range(5) for plan in plans(
        StreamedClips(SEGMENTS, 5, 0, 4, training=True), e)[:1]}  # fmt: skip
    assert len(firsts) == 5, "epochs begin at different frames"


# ------------------------------------------------------------------------------------------------- balancing


def test_balanced_clips_show_curves_as_often_as_straights() -> None:
    random = np.random.default_rng(0)
    angles = np.abs(random.normal(0, 0.02, 2000))
    angles[::20] = random.uniform(0.3, 1.0, 100)  # one clip in twenty turns
    weights = clip_weights(angles, 1.0)
    assert weights.mean() == pytest.approx(1.0)
    edges = np.quantile(angles, [0.5, 0.75, 0.9, 0.97])
    parts = np.searchsorted(edges, angles)
    sums = np.bincount(parts, weights)
    np.testing.assert_allclose(sums, sums.mean(), rtol=1e-6)
    assert np.allclose(clip_weights(angles, 0.0), 1.0)
    # the straighter half falls from a half of all draws to a fifth
    half = clip_weights(angles, 0.5)
    assert weights[parts == 0].sum() / 2000 == pytest.approx(0.2)
    assert 0.2 < half[parts == 0].sum() / 2000 < 0.5


def test_weights_of_equal_and_of_unknown_angles() -> None:
    assert np.allclose(clip_weights(np.zeros(10), 1.0), 1.0)
    weights = clip_weights(np.r_[np.zeros(90), np.full(9, 0.5), np.nan], 1.0)
    assert weights[0] == weights[99] < weights[95] and np.isfinite(weights).all()


def test_weighed_clips_are_drawn_as_often_as_their_weights_say() -> None:
    segments = [np.arange(400)]
    sampler = ShuffledClips(segments, 1, 0, 8, stride=1)
    angle = np.where(np.arange(400) % 10 == 0, 0.5, 0.0)
    np.testing.assert_allclose(sampler.mean_angles(angle), angle)
    weights = np.where(angle > 0, 9.0, 1.0)  # a half of all draws
    sampler.weigh(weights)
    drawn = np.concatenate([plan.rows[:, 0] for epoch in range(10) for plan in plans(sampler, epoch)])
    assert len(drawn) == 4000 and (angle[drawn] > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert np.isnan(sampler.mean_angles(np.full(400, np.nan))).all()

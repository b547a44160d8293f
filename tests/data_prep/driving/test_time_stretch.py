"""Time that is stretched: places, angles, pictures and their motion agree, and no clip leaves its drive."""

import math
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data_prep.driving.augmentation import AugmentationOptions
from data_prep.driving.features import DriveFeatures
from data_prep.driving.sampling import ClipSampler, ShuffledClips, StreamedClips
from data_prep.driving.windows import Pace, Window, plan_clips
from modules.errors import InputError
from modules.steering.encoder import SteeringEncoderOptions
from tests.data_prep.driving.driving_folders import folder, model, module, numbered
from tests.data_prep.driving.test_datamodule import attach
from tests.data_prep.driving.test_windows import SEGMENTS, equal, plans

FLOWING = SteeringEncoderOptions(
    kind="pretrained", name="mobilenetv3_small_050", stage=1, weights="none", pool=(2, 4), flow=(2, 3)
)
STRETCH = AugmentationOptions(time_stretch=0.5)


def stretched(stateful: bool, **options: int) -> ClipSampler:
    sampler: ClipSampler
    if stateful:
        sampler = StreamedClips(SEGMENTS, 5, 2, 3, training=True, seed=1, **options)
    else:
        sampler = ShuffledClips(SEGMENTS, 5, 2, 6, stride=2, seed=1, **options)
    sampler.stretch_time(0.5)
    return sampler


def test_places_between_frames_have_the_nearer_row() -> None:
    rows, padding, between = plan_clips(SEGMENTS, [Window(1, 2)], 3, 2, [Pace(0.75, 0.5)])
    np.testing.assert_allclose(rows[0] + between[0], [40.5, 41.25, 42.0, 42.75, 43.5])
    assert (np.abs(between) <= 0.5).all() and not padding.any()
    rows, padding, between = plan_clips(SEGMENTS, [Window(1, 0)], 4, 2, [Pace(1.8, 1.6)])
    np.testing.assert_allclose(rows[0] + between[0], [40, 40, 41.6, 43.4, 45.2, 46])
    assert padding[0].tolist() == [True, True, False, False, False, True], "46 is the last frame"


@pytest.mark.parametrize("stateful", [False, True])
def test_clips_take_places_evenly_apart_within_their_segment(stateful: bool) -> None:
    rates = []
    for epoch in range(6):
        for plan in plans(stretched(stateful), epoch):
            places = plan.rows + plan.between
            for clip, is_padding, rate in zip(places, plan.is_padding, plan.rates, strict=True):
                assert not is_padding[2:].any() or rate == 1, "what is to be learnt is in the segment"
                np.testing.assert_allclose(np.diff(clip[~is_padding]), rate)
                rates.append(rate)
                home = next(s for s in SEGMENTS if s[0] <= clip[0] <= s[-1])
                assert home[0] <= clip.min() and clip.max() <= home[-1]
    assert 1 / 1.5 <= min(rates) < 0.75 and 1.35 < max(rates) <= 1.5
    assert abs(np.mean(np.log(rates))) < math.log(1.5) / 4, "as often slower as faster"


def test_a_stream_goes_on_at_the_same_rate_where_it_ended() -> None:
    for epoch in range(6):
        for before, after in pairwise(plans(stretched(True), epoch)):
            for stream in np.flatnonzero(~after.resets):
                rate = after.rates[stream]
                assert rate == before.rates[stream]
                ended = before.rows[stream, -1] + before.between[stream, -1]
                began = after.rows[stream, 2] + after.between[stream, 2]
                assert began == pytest.approx(ended + rate)


@pytest.mark.parametrize("stateful", [False, True])
def test_processes_share_stretched_batches_and_a_resumed_epoch_repeats_them(stateful: bool) -> None:
    alone = plans(stretched(stateful), 2)
    for rank in range(2):
        for plan, share in zip(alone, plans(stretched(stateful, rank=rank, world_size=2), 2), strict=True):
            assert equal(type(plan)(*(values[rank::2] for values in plan)), share)
    resumed = stretched(stateful)
    resumed.skip = 2
    assert all(map(equal, plans(resumed, 2), alone[2:]))


def test_motion_is_the_sum_over_the_way_between_two_places() -> None:
    place = np.arange(12.0)
    seen, motion = np.stack([place, -place], 1), np.r_[0, 1:12].astype(float)[:, None]
    features = DriveFeatures([100], [np.hstack([seen, motion]).astype(np.float32)], motions=1)
    rows, between = np.array([103, 105, 106]), np.array([0.5, 0.0, 0.5])
    read = features.read_between(rows, between, 1.5)
    np.testing.assert_allclose(read[:, 0], [3.5, 5.0, 6.5])
    np.testing.assert_allclose(read[:, 1], [-3.5, -5.0, -6.5])
    # to frame t it moved by t: from 2 to 3.5 by 3 + 4 / 2, on to 5 by 4 / 2 + 5, on to 6.5 by 6 + 7 / 2
    np.testing.assert_allclose(read[:, 2], [5.0, 7.0, 9.5])
    # as driven it is what it was
    np.testing.assert_allclose(features.read_between(rows, 0 * between, 1.0), features.read(rows))


def test_features_and_angles_of_a_clip_belong_to_its_places(tmp_path: Path) -> None:
    speed = np.linspace(5, 15, 140)
    folder(tmp_path, [80, 60], speed_mps=speed)
    data = module(tmp_path, sequence_length=6, batch_size=4, stateful=True, augmentation=STRETCH)
    steerer = model(FLOWING)
    attach(data, steerer)
    plain = module(tmp_path, sequence_length=6, batch_size=4, stateful=True)
    attach(plain, steerer)
    inputs = plain._inputs(steerer)
    assert isinstance(inputs, DriveFeatures)
    faster = []
    for batch in data.train_dataloader():
        for clip, targets, valid in zip(batch.frames, batch.targets, batch.valid, strict=True):
            if not valid.all():
                continue
            places = 1000 * targets[:, 0].double().numpy()  # the angle of row n is n / 1000
            rate = np.diff(places).mean()
            faster.append(rate)
            np.testing.assert_allclose(np.diff(places), rate, atol=1e-3)
            lower = np.floor(places + 1e-4).astype(int)
            share = (places - lower)[:, None]
            upper = np.minimum(lower + 1, 139)
            between = (1 - share) * inputs.read(lower)[:, :-12] + share * inputs.read(upper)[:, :-12]
            np.testing.assert_allclose(clip[:, :-12], between, atol=1e-3)
            expected = rate * np.interp(places, np.arange(140), speed)
            np.testing.assert_allclose(targets[:, 2], expected, rtol=1e-3)
    assert min(faster) < 0.9 and max(faster) > 1.1


def test_of_frames_the_nearest_are_shown_with_their_own_angles(tmp_path: Path) -> None:
    folder(tmp_path, [80, 60])
    data = module(tmp_path, sequence_length=4, batch_size=6, augmentation=STRETCH)
    attach(data, model())
    steps = set()
    for batch in data.train_dataloader():
        for frames, angles, rows in zip(batch.frames, batch.targets[..., 0], batch.rows, strict=True):
            np.testing.assert_allclose(angles, rows / 1000, atol=1e-6)
            for frame, row in zip(frames[-4:], rows, strict=True):
                assert frame[:, 0, 0].tolist() == numbered(int(row))[0, 0].tolist()
            steps |= set(rows.diff().tolist())
    assert steps == {0, 1, 2}
    evaluated = [row for batch in data.val_dataloader() for row in batch.rows[batch.valid].tolist()]
    assert len(evaluated) == len(set(evaluated)), "what is evaluated runs as it was driven"


def test_a_stretch_that_cannot_be() -> None:
    with pytest.raises(InputError, match=r"data.augmentation.time_stretch is 1.0; it has to be from 0 to"):
        AugmentationOptions(time_stretch=1.0)


def test_a_long_drive_is_planned_in_time_that_grows_with_its_length() -> None:
    def seconds(frames: int) -> float:
        sampler = StreamedClips([np.arange(frames)], 10, 0, 2, training=True)
        sampler.stretch_time(0.5)
        start = time.process_time()
        assert sum(1 for _ in sampler) == frames // 20
        return time.process_time() - start

    assert seconds(80_000) < 10 * seconds(20_000)  # the square would be sixteen times as long

"""A model drives: who knows the state never fails, who holds the wheel still does, batches change nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep.driving.road.driver import pursue
from data_prep.driving.road.drives import draw_roads
from data_prep.driving.road.scene import Road, road_seed
from data_prep.driving.road.vehicle import RATE_HZ, Car
from modules.errors import InputError
from pipelines.steering.drawing.picture import write_video
from pipelines.steering.drawing.road_video import annotated_frames, bird_eye
from pipelines.steering.loop.closed_loop import (
    ClosedLoopResult,
    Conditions,
    drive_by_state,
    drive_closed_loop,
)

SECONDS = 12.0


@pytest.fixture(scope="module")
def roads() -> list[Road]:
    return draw_roads(3, SECONDS, seed=5)


def oracle(cars: list[Car]) -> list[float]:
    return [pursue(car, 1.0) for car in cars]


def straight_on(cars: list[Car]) -> list[float]:
    return [0.0] * len(cars)


def by_brightness(frame: np.ndarray) -> float:
    """A bad model that looks at the frame: away from the brighter side."""
    half = frame.shape[1] // 2
    return float(frame[40:, :half].mean() - frame[40:, half:].mean()) * 0.004


def test_roads_to_drive_on_are_test_roads(roads: list[Road]) -> None:
    assert [road.seed for road in roads] == [road_seed("test", number, 5) for number in range(3)]


def test_an_oracle_is_autonomous_and_a_still_wheel_fails_in_curves(roads: list[Road]) -> None:
    best = drive_by_state(oracle, roads, SECONDS)
    assert best.autonomy == 1.0
    assert best.interventions == best.failures == 0
    assert best.lateral_rmse_m < 0.25
    assert best.elapsed_s == 3 * SECONDS
    worst = drive_by_state(straight_on, roads, SECONDS)
    assert worst.failures == 3
    assert worst.interventions > 6
    assert worst.autonomy < 0.3
    assert worst.lateral_rmse_m > 2 * best.lateral_rmse_m


def test_measures_are_those_of_the_paper() -> None:
    steps, still = 60 * RATE_HZ, np.zeros((60 * RATE_HZ, 2))
    intervened = np.zeros((steps, 2), bool)
    intervened[[100, 400, 900], 1] = True
    offset = np.tile([0.3, -0.4], (steps, 1))
    result = ClosedLoopResult(still, still, offset, intervened, still, still, still, still, still)
    assert result.elapsed_s == 120
    assert result.autonomy == pytest.approx(1 - 3 * 6 / 120)
    assert result.interventions == 3
    assert result.failures == 1
    assert result.lateral_rmse_m == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    assert result.to_dict()["interventions_by_road"] == [0, 3]
    assert result.to_dict()["lateral_rmse_m_by_road"] == pytest.approx([0.3, 0.4])


def test_an_intervention_puts_the_car_back_and_starts_the_model_afresh(roads: list[Road]) -> None:
    masks: list[np.ndarray] = []
    result = drive_closed_loop(
        lambda frames: np.full(len(frames), 0.6), roads[:2], 4.0, batched=True, reset=masks.append
    )
    assert masks[0].all()
    assert np.array_equal(np.sum(masks[1:], axis=0), result.intervened.sum(0))
    assert result.intervened.any(0).all()
    for road in range(2):
        for step in np.flatnonzero(result.intervened[:-1, road]):
            assert abs(result.offset_m[step, road]) > 1
            assert abs(result.offset_m[step + 1, road]) < 0.3
        kept = ~result.intervened[:, road]
        assert np.abs(result.offset_m[kept, road]).max() <= 1
    assert (result.predicted_rad == 0.6).all()
    # the wheel follows the model, with its lag
    first = np.flatnonzero(result.intervened[:, 0])[0]
    assert result.angle_rad[min(first, 12), 0] == pytest.approx(0.6, abs=0.02)


def test_one_after_the_other_is_the_same_as_all_at_once(roads: list[Road]) -> None:
    single = drive_closed_loop(by_brightness, roads, 2.0, keep_frames=True)
    batch = drive_closed_loop(
        lambda frames: [by_brightness(frame) for frame in frames], roads, 2.0, batched=True, keep_frames=True
    )
    assert single.frames is not None
    assert single.frames.shape == (40, 3, 80, 160, 3)
    assert np.ptp(single.predicted_rad) > 0
    for name in ClosedLoopResult.__dataclass_fields__:
        assert np.array_equal(getattr(single, name), getattr(batch, name)), name


def test_latency_delays_the_wheel(roads: list[Road]) -> None:
    prompt, late = (
        drive_closed_loop(lambda frame: 0.3, roads[:1], 0.6, conditions=Conditions(frames / RATE_HZ))
        for frames in (0, 4)
    )
    before = late.angle_rad[0, 0]
    assert np.allclose(late.angle_rad[:5, 0], before)
    np.testing.assert_allclose(late.angle_rad[4:, 0], prompt.angle_rad[:-4, 0], atol=1e-9)
    weave = drive_by_state(oracle, roads, SECONDS, conditions=Conditions(0.8))
    assert weave.lateral_rmse_m > 0.05


def test_gusts_push_the_car_and_come_again(roads: list[Road]) -> None:
    still, pushed, again = (
        drive_by_state(oracle, roads, SECONDS, conditions=Conditions(gusts=gusts))
        for gusts in (False, True, True)
    )
    assert pushed.lateral_rmse_m > 1.3 * still.lateral_rmse_m
    assert np.array_equal(pushed.offset_m, again.offset_m)
    assert pushed.interventions == 0


def test_a_mirrored_road_is_driven_mirrored(roads: list[Road]) -> None:
    one, other = (drive_by_state(oracle, group, 6.0) for group in (roads, [r.mirrored() for r in roads]))
    np.testing.assert_allclose(other.angle_rad, -one.angle_rad, atol=1e-9)
    np.testing.assert_allclose(other.offset_m, -one.offset_m, atol=1e-9)
    assert np.abs(one.angle_rad).max() > 0.1


def test_what_cannot_be_driven_is_said(roads: list[Road]) -> None:
    with pytest.raises(InputError, match="angles that are no numbers"):
        drive_closed_loop(lambda frame: np.nan, roads[:1], 1.0)
    with pytest.raises(InputError, match="draw it for as long as it is driven on"):
        drive_by_state(oracle, roads[:1], 60.0)
    with pytest.raises(InputError, match="a road for 200 s cannot be drawn"):
        draw_roads(1, 200.0)
    for latency_s in (-0.05, 0.07, 1.05, float("nan")):
        with pytest.raises(InputError, match=f"latency_s is {latency_s:g}"):
            Conditions(latency_s)
    with pytest.raises(ValueError, match="angles for 2 cars"):
        drive_closed_loop(lambda frames: 0.0, roads[:2], 1.0, batched=True)


def test_a_video_shows_every_frame(roads: list[Road], tmp_path: Path) -> None:
    result = drive_closed_loop(lambda frame: 0.5, roads[:1], 2.0, keep_frames=True)
    pictures = list(annotated_frames(result, roads[0]))
    assert len(pictures) == 40
    assert pictures[0].shape == (320, 640, 3)
    red = [(picture[0, :, 0] > 200).all() for picture in pictures]
    step = int(np.flatnonzero(result.intervened[:, 0])[0])
    assert red == [step <= at < step + RATE_HZ for at in range(40)] or result.interventions > 1
    assert red[step]
    path = write_video(pictures, tmp_path / "deep" / "drive.mp4")
    reader = cv2.VideoCapture(str(path))
    assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    _, frame = reader.read()
    assert np.abs(frame[..., ::-1].astype(int) - pictures[0]).mean() < 12
    assert [p.name for p in path.parent.iterdir()] == ["drive.mp4"]
    # from above: the road leads upwards from the car, to the left where the angle is positive
    inset = bird_eye(result, roads[0], 0, 0).astype(int)
    green = (inset[..., 1] - inset[..., [0, 2]].max(-1)) > 60
    rows, columns = np.nonzero(green)
    assert columns[rows == rows.min()].mean() < columns[rows == rows.max()].mean() - 5


def test_a_video_is_whole_or_not_there(roads: list[Road], tmp_path: Path) -> None:
    def breaks_off():  # type: ignore[no-untyped-def]
        yield np.zeros((80, 160, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(breaks_off(), tmp_path / "a.mp4")
    with pytest.raises(InputError, match="no frames"):
        write_video([], tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"written as \.mp4"):
        write_video([np.zeros((80, 160, 3), np.uint8)], tmp_path / "a.avi")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="keep_frames"):
        next(annotated_frames(drive_by_state(straight_on, roads[:1], 0.2), roads[0]))

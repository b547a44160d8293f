"""Car and camera are guessed from what recorded a drive, and the horizon from its pictures."""

import cv2
import numpy as np
import pytest

from data_prep.driving.formats.frame_folder import frames_of
from data_prep.driving.road.camera import Camera
from modules.errors import InputError
from pipelines.steering.drawing.car_view import CarView, for_the_horizon, guess_horizon
from pipelines.steering.drawing.picture import write_video
from pipelines.steering.predict import _some_frames


def road(horizon: float, height: int = 120, width: int = 160) -> np.ndarray:
    """Returns a picture of the sides of a straight road that meet on the horizon."""
    picture = np.full((height, width, 3), 90, np.uint8)
    for foot in (-0.2, 0.3, 1.1):
        meet = (width // 2, round(horizon * height))
        cv2.line(picture, meet, (round(foot * width), height), (250, 250, 250), 3, cv2.LINE_AA)
    return picture


@pytest.mark.parametrize("horizon", [0.2, 0.35, 0.5])
def test_the_horizon_is_where_the_sides_of_roads_meet(horizon):
    assert guess_horizon([road(horizon)] * 5) == pytest.approx(horizon, abs=0.03)
    blank = np.zeros((120, 160, 3), np.uint8)
    assert guess_horizon([road(horizon)] * 4 + [blank] * 9) is None


def test_a_recording_tells_its_car_and_options_come_first():
    pictures = [road(0.3)] * 5
    rc = CarView().settle("donkeycar", pictures)
    assert rc.kind == "rc" and rc.wheelbase_m < 0.5 and rc.horizon == pytest.approx(0.3, abs=0.03)
    assert CarView().settle("simulator", pictures).kind == "simulator"
    assert CarView().settle("challenge", pictures).kind == CarView().settle(None, pictures).kind == "car"
    given = CarView(kind="car", wheelbase_m=3.1, horizon=0.6).settle("donkeycar", pictures)
    assert (given.kind, given.wheelbase_m, given.horizon) == ("car", 3.1, 0.6)


def test_a_preset_is_a_pitch_and_the_drawn_roads_own_is_their_cameras():
    own, pictures = Camera(), [road(0.6, 80, 160)] * 5
    view = CarView(camera="road").settle(None, pictures)
    camera = view.camera_of(own.width, own.height)
    assert camera.focal == pytest.approx(own.focal) and camera.height_m == own.height_m
    assert camera.horizon == pytest.approx(own.horizon, abs=0.2)


def test_a_camera_that_cannot_be_is_refused():
    for wrong in ({"steering_ratio": 0}, {"horizon": 1.0}, {"field_of_view_deg": 180}):
        with pytest.raises(InputError, match=f"car.{next(iter(wrong))}"):
            CarView(**wrong)


def test_frames_of_any_size_are_kept_small_while_the_horizon_is_looked_for(tmp_path):
    large = cv2.resize(road(0.4), (1600, 1200))
    write_video([large] * 12, tmp_path / "a.mp4")
    table, _ = frames_of(tmp_path / "a.mp4", "center", 20.0, None)
    shape, some = _some_frames(table, 6)
    assert shape == (1200, 1600) and len(some) == 7
    assert {frame.shape for frame in some} == {(240, 320, 3)}
    small = [for_the_horizon(large)] * 5
    assert guess_horizon(small) == guess_horizon([large] * 5) == pytest.approx(0.4, abs=0.03)

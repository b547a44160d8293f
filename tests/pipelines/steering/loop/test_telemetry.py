"""What the simulator is answered: steering to the right side, a speed that is kept; no message does harm."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from modules.steering.units import SIMULATOR_FULL_LOCK_RAD, unit_of
from pipelines.steering.loop.telemetry import LARGEST, SpeedController, TelemetryDriver
from tests.modules.steering.steering_models import steerer

UNIT = unit_of("simulator")


def encoded(image: Image.Image, kind: str = "JPEG") -> str:
    data = io.BytesIO()
    image.save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


FRAME = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (160, 320, 3), np.uint8)))


@pytest.fixture
def driver():
    return TelemetryDriver([steerer("komanda")], UNIT, 15.0)


@pytest.mark.parametrize(("angle_rad", "steering"), [(0.1, -0.1 / SIMULATOR_FULL_LOCK_RAD), (-9, 1), (9, -1)])
def test_left_of_ours_is_negative_there_and_nothing_beyond_full_lock(
    driver, monkeypatch, angle_rad, steering
):
    monkeypatch.setattr(driver.ensemble, "step", lambda frames: (np.array([angle_rad]), np.array([np.nan])))
    event, values, wrong = driver.answer({"image": FRAME, "speed": "9.0020", "throttle": "0.1"})
    assert event == "steer" and not wrong
    assert all(isinstance(value, str) for value in values.values())  # the simulator reads no numbers
    assert float(values["steering_angle"]) == pytest.approx(steering, abs=1e-6)
    assert -1 <= float(values["throttle"]) <= 1


def test_the_model_sees_the_frame_as_it_was_sent(driver):
    reference = TelemetryDriver([steerer("komanda")], UNIT, 15.0)
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(FRAME))))
    expected = -reference.ensemble.step(seen[np.newaxis])[0][0] / UNIT.full_lock
    _, values, _ = driver.answer({"image": FRAME, "speed": "1"})
    assert float(values["steering_angle"]) == pytest.approx(np.clip(expected, -1, 1), abs=1e-5)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, ""),
        ({}, ""),
        ({"speed": "3"}, "has no image"),
        ({"image": None}, "has no image"),
        ({"image": 7}, "has no image"),
        ({"image": "not base64!"}, "not in base64"),
        ({"image": "ü"}, "not in base64"),
        ({"image": base64.b64encode(b"no picture").decode()}, "no picture"),
        ({"image": FRAME[: len(FRAME) // 8 * 4]}, "the image"),
        ({"image": "A" * (LARGEST + 4)}, "more than 4 MB"),
        ({"image": encoded(Image.new("L", (40_000, 2_000)), "PNG")}, "40000x2000 pixels"),
        ("telemetry", "is a str"),
        ([1, 2], "is a list"),
        (3.5, "is a float"),
    ],
)
def test_what_is_no_frame_is_answered_with_manual(driver, data, said):
    event, values, wrong = driver.answer(data)
    assert (event, values) == ("manual", {}) and said in wrong and bool(wrong) == bool(said)
    # and the next frame is steered at
    assert driver.answer({"image": FRAME})[0] == "steer"


@pytest.mark.parametrize("speed", ["", "fast", "nan", "inf", None, [], "1e999"])
def test_a_speed_that_is_none_leaves_the_throttle_in_its_bounds(driver, speed):
    values = driver.answer({"image": FRAME, "speed": speed})[1]
    assert -1 <= float(values["throttle"]) <= 1


@pytest.mark.parametrize(
    ("kind", "sent_hz", "expected"), [("komanda", 40, 20), ("komanda", 7, 14), ("pilotnet", 40, 80)]
)
def test_a_model_with_a_memory_is_shown_frames_at_the_rate_of_its_training(
    monkeypatch, kind, sent_hz, expected
):
    model = steerer(kind)
    model.rate_hz = 10.0
    driver, clock, steps = TelemetryDriver([model], UNIT, 15.0), 5.0, []

    def step(frames):
        steps.append(clock)
        return np.array([0.01 * len(steps)]), np.array([np.nan])

    monkeypatch.setattr("pipelines.steering.loop.telemetry.time.monotonic", lambda: clock)
    monkeypatch.setattr(driver.ensemble, "step", step)
    for number in range(2 * sent_hz):
        clock = 5 + number / sent_hz
        event, values, _ = driver.answer({"image": FRAME, "speed": "9"})
        assert event == "steer"  # what was said last, where nothing new was asked
        said = -0.01 * len(steps) / UNIT.full_lock
        assert float(values["steering_angle"]) == pytest.approx(max(-1, said), abs=1e-6)
    assert len(steps) == pytest.approx(expected, abs=1)


def test_the_sum_over_time_does_not_depend_on_the_rate_of_the_frames():
    throttles = []
    for rate_hz in (10, 50):
        controller = SpeedController(15.0)
        for _ in range(3 * rate_hz):
            throttle = controller.throttle(13.0, 0.0, 1 / rate_hz)
        throttles.append(throttle)
    assert throttles[0] == pytest.approx(throttles[1], abs=0.01)


def test_a_missing_stretch_is_forgotten(driver, monkeypatch):
    first = driver.answer({"image": FRAME})
    later = driver.answer({"image": FRAME})
    assert later[1]["steering_angle"] != first[1]["steering_angle"]  # it remembers
    driver.answer({})
    assert driver.answer({"image": FRAME})[1]["steering_angle"] == first[1]["steering_angle"]
    monkeypatch.setattr("time.monotonic", lambda: 1e9)
    assert driver.answer({"image": FRAME})[1]["steering_angle"] == first[1]["steering_angle"]


@pytest.mark.parametrize("slope", [0.0, 1.5, -1.5])
def test_a_speed_is_kept_uphill_and_downhill_and_is_lower_in_curves(slope):
    def end(steering: float) -> float:
        controller, speed = SpeedController(15.0), 0.0
        for _ in range(600):
            throttle = controller.throttle(speed, steering)
            assert -1 <= throttle <= 1
            speed = max(0.0, speed + 0.1 * (9 * throttle - 0.2 * speed - slope))
        return speed

    assert end(0.0) == pytest.approx(15, abs=0.7)
    assert 6.5 < end(1.0) < 9

"""The picture says what the angle says: where the path goes, where the heat lies, what the driver did."""

from dataclasses import replace

import numpy as np
import pytest

from modules.steering.preprocessing import FramePreprocessing
from modules.steering.units import unit_of
from pipelines.steering.drawing import overlay as drawing
from pipelines.steering.drawing.car_view import CarView
from pipelines.steering.drawing.overlay import SteeringOverlay, heat_of, path_outline

VIEW = CarView(horizon=0.45).settle(None, [np.zeros((480, 640, 3), np.uint8)])


def middle(angle_rad, view=VIEW):
    """Columns and rows of the middle of the path, from near to far."""
    return path_outline(angle_rad, view, 640, 480).mean(0)


def test_the_path_leads_where_the_wheel_is_turned():
    straight, left, right = (middle(angle) for angle in (0.0, 1.0, -1.0))
    np.testing.assert_allclose(straight[:, 0], 319.5, atol=1e-6)
    assert (np.diff(left[:, 0]) < 0).all() and (np.diff(left[:, 1]) < 0).all()
    np.testing.assert_allclose(left[:, 0] - 319.5, 319.5 - right[:, 0], atol=1e-6)
    assert straight[0, 1] == pytest.approx(480) and straight[-1, 1] > VIEW.horizon * 480
    # the farther end of a small turn: 30 m along a circle of radius L / tan(angle / ratio)
    radius, focal = 2.8 / np.tan(0.1 / 15), 320 / np.tan(np.radians(30))
    turned = 30 / radius
    expected = 319.5 - focal * radius * (1 - np.cos(turned)) / (radius * np.sin(turned))
    assert middle(0.1)[-1, 0] == pytest.approx(expected, abs=0.05)


def test_no_angle_is_too_large_and_the_wheels_own_angle_turns_faster():
    for angle in (-40.0, -7.5, 7.5, 40.0):
        outline = path_outline(angle, VIEW, 640, 480)
        assert np.isfinite(outline).all() and outline.shape[0] == 2
    wheels = middle(0.2, replace(VIEW, steering_ratio=1.0))
    assert wheels[5, 0] < middle(0.2)[5, 0] - 10


def test_pictures_are_of_an_even_size_a_screen_can_show():
    for shape, size in (((120, 160), (480, 640)), ((1081, 1921), (540, 960)), ((67, 641), (66, 640))):
        overlay = SteeringOverlay(VIEW, 20, False, shape)
        assert overlay.shape == size
        picture = overlay.draw(overlay.fit(np.zeros((*shape, 3), np.uint8)), 0.1, np.nan, "", True)
        assert picture.shape[0] > size[0] and picture.shape[1] == size[1] and picture.dtype == np.uint8
        assert picture.shape[0] % 2 == 0


def test_a_path_that_is_in_doubt_is_wider_and_widens_as_it_leads_on():
    overlay = SteeringOverlay(VIEW, 20, False, (240, 320))
    frame = np.full((*overlay.shape, 3), 128, np.uint8)
    tinted = []
    for deviation_rad in (0.0, 0.1, 0.3):
        picture = overlay.draw(frame, 0.2, np.nan, "", True, deviation_rad=deviation_rad)[:480].astype(int)
        # yellow or green where the road is grey
        tinted.append((picture[..., 1] - picture[..., 2] > 15).sum(1))
    sure, doubt, more = tinted
    # above row 260 the sharpest of these curves would look like a hook
    assert (sure <= doubt + 3)[260:].all() and (doubt <= more + 3)[260:].all()
    near, far = 420, 280
    assert more[far] - sure[far] > 2 * (more[near] - sure[near]) and more[far] > 1.3 * doubt[far]
    picture = overlay.draw(frame, np.nan, np.nan, "", True, deviation_rad=np.nan)
    assert (picture[:480, 5:-5] == 128)[8:-8].all()


def test_the_driver_is_drawn_beside_the_model_and_a_lost_frame_is_marked():
    overlay = SteeringOverlay(VIEW, 20, True, (240, 320))
    frame = np.full((*overlay.shape, 3), 128, np.uint8)
    alone = overlay.draw(frame, 0.3, np.nan, "", True)
    both = overlay.draw(frame, 0.3, -0.3, "", True)
    changed = (alone[:480] != both[:480]).any(2)
    columns = np.flatnonzero(changed[300])
    assert columns.mean() > 320  # to the right of the middle, where the driver steers
    assert (frame == 128).all()
    lost = overlay.draw(np.zeros_like(frame), np.nan, np.nan, "", False)
    assert (lost[0, :, 0] > 200).all() and (lost[240, 320] == 0).all()


def test_the_chart_forgets_when_a_drive_begins():
    overlay = SteeringOverlay(VIEW, 20, False, (240, 320))
    frame = np.zeros((*overlay.shape, 3), np.uint8)
    for n in range(300):
        picture = overlay.draw(frame, np.sin(n / 9), np.nan, "", n == 0)
    assert len(overlay.recent) == 200
    afresh = overlay.draw(frame, np.sin(299 / 9), np.nan, "", True)
    assert (picture[480:] != afresh[480:]).any() and (picture[:480] == afresh[:480]).all()


def test_heat_lies_where_the_model_looks_on_the_cameras_frame():
    view = FramePreprocessing(20, 40, crop_top=0.5)
    seen = np.zeros((20, 40), np.float32)
    seen[5, 30] = 3e-7
    heat = heat_of([seen], [view], (200, 400))
    assert heat.max() == pytest.approx(1) and (heat[:100] == 0).all()
    row, column = (round(where.mean()) for where in np.nonzero(heat > 0.6))
    assert abs(row - (100 + 5.5 * 5)) < 4 and abs(column - 30.5 * 10) < 4
    other = np.zeros((20, 40), np.float32)
    other[15, 3] = 40.0
    both = heat_of([seen, other], [view, FramePreprocessing(20, 40)], (200, 400))
    assert both[row, column] == pytest.approx(0.5, abs=0.02) and both[155, 35] == pytest.approx(0.5, abs=0.02)
    assert (heat_of([np.zeros((20, 40))], [view], (200, 400)) == 0).all()
    overlay = SteeringOverlay(VIEW, 20, False, (240, 640))
    frame = np.full((*overlay.shape, 3), 128, np.uint8)
    hot = np.zeros(overlay.shape, np.float32)
    hot[30:60, 500:540] = 1
    warm = np.abs(overlay.draw(frame, 0.0, np.nan, "", True, hot).astype(int)[:240] - 128).max(2) > 40
    assert warm[45, 520] and not warm[45, 100]


def test_a_path_ends_before_it_looks_like_a_hook():
    for angle in (0.2, 0.9, 3.0, 7.0):
        sides = path_outline(angle, VIEW, 640, 480)
        aside, up = np.abs(np.diff(sides[..., 0])).max(0), -np.diff(sides[..., 1]).mean(0)
        assert (aside[-3:] < 3 * up[-3:]).all()
        assert sides[:, 0, 1].min() >= 470  # both sides begin at the lower edge


@pytest.mark.parametrize(
    ("recorder", "unit", "said"), [("donkeycar", 1.0, "-50 % of"), ("simulator", 0.4363, "-50 % of")]
)
def test_commands_are_drawn_as_shares_of_full_lock_with_wheels_of_the_road(recorder, unit, said, monkeypatch):
    written = []
    monkeypatch.setattr(drawing, "write_text", lambda _, text, *__: written.append(text))
    frame = np.zeros((120, 160, 3), np.uint8)
    view = CarView().settle(recorder, [frame])
    overlay = SteeringOverlay(view, 20, False, frame.shape[:2], unit_of(recorder))
    overlay.draw(overlay.fit(frame), -unit / 2, np.nan, "", True)
    assert any(text.startswith(said) for text in written)
    assert not view.car.has_wheel and np.degrees(view.wheels_rad(unit)) == pytest.approx(25, abs=0.1)

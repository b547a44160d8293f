"""Courses, cars and the camera: closed forms, inverses of one another, and mirror images."""

import numpy as np
import pytest

from data_prep.driving.road.camera import Camera, Pose, RoadAhead
from data_prep.driving.road.course import Course, draw_course
from data_prep.driving.road.scene import SPLITS, road_seed
from data_prep.driving.road.vehicle import (
    STEERING_RATIO,
    STEP_S,
    WHEELBASE_M,
    Car,
    angle_of,
    curvature_of,
    roll_on,
)
from modules.errors import InputError
from tests.data_prep.driving.road.flat_courses import flat_course

CAMERA = Camera()


def drawn(seed: int, steepest: float = 0.05) -> Course:
    return draw_course(700, 40, 0.2, steepest, np.random.default_rng(seed))


def pose_on(course: Course, distance_m: float, offset_m: float = -1.7, turned: float = 0.0) -> Pose:
    x, y, heading = course.point(distance_m, offset_m)
    return Pose(x, y, heading + turned, distance_m)


def test_constant_curvature_is_a_circle() -> None:
    radius = 60.0
    course = flat_course(150, 1 / radius)
    along = np.arange(len(course.curvature))
    circle = radius * np.stack([np.sin(along / radius), 1 - np.cos(along / radius)], axis=1)
    np.testing.assert_allclose(course.position, circle, atol=1e-9)


def test_drawn_courses_keep_to_their_limits_and_follow_from_the_seed() -> None:
    courses = [drawn(seed) for seed in range(20)]
    bends = np.concatenate([course.curvature for course in courses])
    assert 1 / 60 < np.abs(bends).max() <= 1 / 40 + 1e-9
    assert min((bends > 0.005).mean(), (bends < -0.005).mean()) > 0.15
    for course in courses:
        # clothoids: curvature has no steps, and neither has grade
        assert np.abs(np.diff(course.curvature)).max() < 1 / 40 / 10
        assert np.abs(course.grade).max() <= 0.05
        assert np.abs(np.diff(course.grade)).max() < 1 / 1000
        assert np.ptp(course.heading) < np.pi, "a road that turns back"
    again = drawn(3)
    assert np.array_equal(again.curvature, courses[3].curvature)
    assert not np.array_equal(again.curvature, courses[4].curvature)


def test_a_place_is_found_again_from_its_position() -> None:
    for seed in range(5):
        course = drawn(seed)
        for distance, offset in ((30.3, 0.0), (151.7, -3.0), (340.1, 2.2), (599.9, 8.0)):
            x, y, _ = course.point(distance, offset)
            found = course.locate(x, y, distance + 1.5)
            np.testing.assert_allclose(found, (distance, offset), atol=0.02)


def test_a_car_with_a_fixed_wheel_drives_the_closed_form_circle() -> None:
    angle = 0.7
    radius = WHEELBASE_M / np.tan(angle / STEERING_RATIO)
    assert curvature_of(angle) == pytest.approx(1 / radius)
    assert angle_of(curvature_of(angle)) == pytest.approx(angle)
    car = Car(flat_course(2000), 0.0, 100.0, 12.0)
    car.angle_rad = angle
    steps = 120
    for _ in range(steps):
        car.step(angle, 12.0)
    turned = 12.0 * steps * STEP_S / radius
    assert car.heading_rad == pytest.approx(turned, abs=1e-9)
    expected = 100 + radius * np.sin(turned), radius * (1 - np.cos(turned))
    np.testing.assert_allclose((car.x_m, car.y_m), expected, atol=1e-9)
    assert car.offset_m > 0, "a positive angle leads to the left"
    # a slip moves the car aside without turning it
    x, y, heading = roll_on(0.0, 0.0, 0.0, 0.0, 10.0, slip_rad=0.1)
    np.testing.assert_allclose((x, y, heading), (10 * np.cos(0.1), 10 * np.sin(0.1), 0.0))


def test_wheel_and_speed_follow_no_faster_than_they_can() -> None:
    car = Car(flat_course(500), 0.0, 50.0, 10.0)
    angles, speeds = [0.0], [10.0]
    for _ in range(60):
        car.step(3.0, 20.0)
        angles.append(car.angle_rad)
        speeds.append(car.speed_mps)
    assert np.diff(angles).max() <= 6.0 * STEP_S + 1e-9
    assert angles[-1] == pytest.approx(3.0, abs=1e-3)
    assert np.diff(speeds).max() <= 1.8 * STEP_S + 1e-9
    car.to_lane_centre()
    assert car.offset_m == 0
    assert car.angle_rad == 0


@pytest.mark.parametrize(("course", "tolerance"), [
    (flat_course(400), 0.02),
    (flat_course(400, 1 / 70), 0.1),
    (flat_course(400, -1 / 45), 0.15),
    *[(drawn(seed), 0.5) for seed in range(4)],
])  # fmt: skip
def test_what_a_pixel_sees_projects_back_to_it(course: Course, tolerance: float) -> None:
    checked = 0
    for place, turned in ((100.0, 0.0), (180.5, 0.06), (250.2, -0.05)):
        pose = pose_on(course, place, turned=turned)
        ahead = RoadAhead(course, CAMERA, pose)
        left, along, offset = ahead.ground()
        reach = np.array([in_camera(course, pose, s)[0] for s in place + np.arange(0, 60, 0.5)])
        for row in range(ahead.top + 4, CAMERA.height, 5):
            for column in range(0, CAMERA.width, 13):
                at = row - ahead.top, column
                if abs(offset[at]) > 6 or ahead.distances[at[0]] > 45:
                    continue
                # from the place on the road to the world, to the camera and to the pixel
                forward, aside = in_camera(course, pose, float(along[at]), float(offset[at]))
                assert aside == pytest.approx(float(left[at]), abs=0.06)
                # the ground is as high as the centre line is where it is as far ahead
                below = place + 0.5 * np.interp(forward, reach, np.arange(len(reach)))
                height = course.at(course.elevation, below) - course.at(course.elevation, place)
                height -= course.at(course.grade, place) * forward
                point = np.array([forward, aside, height])
                seen = CAMERA.project(point[0], point[1], point[2], ahead.horizon)
                np.testing.assert_allclose(seen, (column, row), atol=tolerance)
                checked += 1
    assert checked >= 150


def in_camera(course: Course, pose: Pose, distance_m: float, offset_m: float = 0.0) -> tuple[float, float]:
    """How far ahead and to the left of the camera a place of the road is."""
    x, y, _ = course.point(distance_m, offset_m)
    turned = np.array([[np.cos(pose.heading_rad), np.sin(pose.heading_rad)],
                       [-np.sin(pose.heading_rad), np.cos(pose.heading_rad)]])  # fmt: skip
    forward, left = turned @ (x - pose.x_m, y - pose.y_m)
    return float(forward), float(left)


def test_left_curves_and_hills_show_where_they_should() -> None:
    def centre_column(course: Course, row: int) -> float:
        ahead = RoadAhead(course, CAMERA, pose_on(course, 50.0, 0.0))
        _, _, offset = ahead.ground()
        return float(np.interp(0.0, -offset[row - ahead.top], np.arange(CAMERA.width)))

    far, near = 36, 78
    assert centre_column(flat_course(300), far) == pytest.approx(CAMERA.middle, abs=1e-3)
    assert centre_column(flat_course(300, 0.01), far) < CAMERA.middle - 10
    assert centre_column(flat_course(300, 0.01), near) == pytest.approx(CAMERA.middle, abs=2)
    assert centre_column(flat_course(300, -0.01), far) > CAMERA.middle + 10

    nodes = np.arange(301)
    level, none = np.zeros(301), np.zeros(301)
    crest = Course(none, np.where(nodes < 80, 0.05, -0.05), none)
    uphill, over, dip = (
        RoadAhead(course, CAMERA, pose_on(course, 50.0))
        for course in (
            Course(none, np.full(301, 0.05), none),
            crest,
            Course(none, np.where(nodes < 80, -0.05, 0.05), none),
        )
    )
    flat = RoadAhead(Course(none, level, none), CAMERA, pose_on(flat_course(300), 50.0))
    assert uphill.top == flat.top, "an even slope looks like a plain"
    assert uphill.level > flat.level, "but the sky is lower in the picture"
    assert over.top > flat.top + 3, "a crest hides the road behind it"
    assert over.distances.max() < 45
    assert dip.top < flat.top - 3, "beyond a dip the road rises above the horizon"


def test_mirrored_courses_are_seen_mirrored() -> None:
    course = drawn(2)
    pose = pose_on(course, 120.0, -1.5, 0.03)
    mirror = Pose(pose.x_m, -pose.y_m, -pose.heading_rad, pose.distance_m)
    views = RoadAhead(course, CAMERA, pose), RoadAhead(course.mirrored(), CAMERA, mirror)
    (left, along, offset), (other_left, other_along, other_offset) = (view.ground() for view in views)
    np.testing.assert_allclose(other_offset[:, ::-1], -offset, atol=1e-3)
    np.testing.assert_allclose(other_along[:, ::-1], along, atol=1e-3)
    np.testing.assert_allclose(other_left[:, ::-1], -left, atol=1e-4)


def test_no_two_splits_share_a_road() -> None:
    seeds = {
        split: {road_seed(split, number, seed) for number in (0, 1, 500, 999) for seed in (0, 1, 17, 999)}
        for split in SPLITS
    }
    assert len(set.union(*seeds.values())) == 3 * 16
    assert max(seeds["train"]) < min(seeds["val"])
    assert max(seeds["val"]) < min(seeds["test"])
    for number, seed in ((1000, 0), (-1, 0), (0, 1000), (0, -1)):
        with pytest.raises(InputError, match="there is no road"):
            road_seed("test", number, seed)

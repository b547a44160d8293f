"""A car on a drawn road: the kinematic bicycle, its steering wheel, and where it is in its lane."""

from dataclasses import dataclass, field

import numpy as np

from data_prep.driving.road.course import Course

RATE_HZ = 20
STEP_S = 1 / RATE_HZ
WHEELBASE_M = 2.8
STEERING_RATIO = 15.0  # steering wheel to front wheels
LARGEST_ANGLE_RAD = 7.5
_FASTEST_TURN_RAD_S = 6.0  # of the steering wheel
_WHEEL_LAG_S = 0.06  # from a command to the wheel's angle
_BRAKE_MPS2, _THROTTLE_MPS2 = 3.0, 1.8


def curvature_of(angle_rad: float) -> float:
    """Returns the curvature [1/m] that the car drives with a steering-wheel angle: tan(angle / ratio) / L."""
    return float(np.tan(angle_rad / STEERING_RATIO) / WHEELBASE_M)


def angle_of(curvature: float) -> float:
    """Returns the steering-wheel angle [rad] that makes the car drive a curvature [1/m]."""
    return float(STEERING_RATIO * np.arctan(WHEELBASE_M * curvature))


def roll_on(
    x_m: float, y_m: float, heading_rad: float, curvature: float, distance_m: float, slip_rad: float = 0.0
) -> tuple[float, float, float]:
    """Returns x, y, heading after driving a distance on an arc (exact, not Euler's step).

    Args:
        x_m: position of the rear axle.
        y_m: position of the rear axle.
        heading_rad: direction of the car.
        curvature: of the arc [1/m].
        distance_m: length of the arc.
        slip_rad: angle between the direction of motion and the car's, as a gust makes it.
    """
    turn = curvature * distance_m
    chord = distance_m * np.sinc(turn / (2 * np.pi))
    direction = heading_rad + turn / 2 + slip_rad
    return x_m + chord * np.cos(direction), y_m + chord * np.sin(direction), heading_rad + turn


def arc(curvature: float, distance_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns metres ahead, metres to the left and heading of a car on an arc after distances (N,)."""
    turn = curvature * distance_m
    chord = distance_m * np.sinc(turn / (2 * np.pi))
    return chord * np.cos(turn / 2), chord * np.sin(turn / 2), turn


@dataclass
class Car:
    """A car on a course; `step` drives it on by a twentieth of a second.

    Attributes:
        course: the road.
        lane_m: where the centre of its lane is, from the centre line [m], left positive.
        x_m, y_m, heading_rad: the rear axle in the world.
        distance_m, offset_m: the same along the road, and from the centre of the lane, left positive.
        angle_rad: of the steering wheel, left positive.
        speed_mps, acceleration_mps2: along its direction.
        time_s: since the start.
    """

    course: Course
    lane_m: float
    distance_m: float
    speed_mps: float
    x_m: float = field(init=False)
    y_m: float = field(init=False)
    heading_rad: float = field(init=False)
    offset_m: float = field(init=False)
    angle_rad: float = field(init=False)
    acceleration_mps2: float = field(init=False, default=0.0)
    time_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.to_lane_centre()

    def to_lane_centre(self) -> None:
        """Puts the car where it is along the road, but in the lane's centre, along it, steering with it."""
        self.x_m, self.y_m, self.heading_rad = self.course.point(self.distance_m, self.lane_m)
        self.offset_m = 0.0
        curvature = float(self.course.at(self.course.curvature, self.distance_m))
        self.angle_rad = angle_of(curvature / (1 - curvature * self.lane_m))

    def step(self, command_rad: float, target_speed_mps: float, slip_rad: float = 0.0) -> None:
        """Drives on by one step.

        Args:
            command_rad: angle that the steering wheel is to take; it follows with a lag, at a limited rate.
            target_speed_mps: speed to go to, within what brakes and engine can do.
            slip_rad: angle between the direction of motion and the car's.
        """
        command = np.clip(command_rad, -LARGEST_ANGLE_RAD, LARGEST_ANGLE_RAD)
        wanted = (command - self.angle_rad) * (1 - np.exp(-STEP_S / _WHEEL_LAG_S))
        before = self.angle_rad
        self.angle_rad += float(np.clip(wanted, -_FASTEST_TURN_RAD_S * STEP_S, _FASTEST_TURN_RAD_S * STEP_S))
        self.acceleration_mps2 = float(
            np.clip((target_speed_mps - self.speed_mps) / 0.5, -_BRAKE_MPS2, _THROTTLE_MPS2)
        )
        travelled = (self.speed_mps + self.acceleration_mps2 * STEP_S / 2) * STEP_S
        curvature = curvature_of((before + self.angle_rad) / 2)
        self.x_m, self.y_m, self.heading_rad = roll_on(
            self.x_m, self.y_m, self.heading_rad, curvature, travelled, slip_rad
        )
        self.speed_mps += self.acceleration_mps2 * STEP_S
        self.distance_m, from_centre_line = self.course.locate(
            self.x_m, self.y_m, self.distance_m + travelled
        )
        self.offset_m = from_centre_line - self.lane_m
        self.time_s += STEP_S

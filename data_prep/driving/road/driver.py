"""A human-like driver: looks ahead, reacts late, never holds the wheel quite still, recovers from gusts.

Steering is pure pursuit (Coulter 1992, CMU-RI-TR-92-01, eq. 3.5): drive the arc through a point of the lane a
preview time ahead. What makes it human are a reaction time, a wandering aim in the lane, a hand that
trembles, and disturbances: gusts push the car aside or turn it, and the driver brings it back. So a drive
also shows what to do when off the centre.

People who steer need some 0.2 to 0.5 s from what they see to what their arms do. (Donges 1978, A two-level
model of driver steering behavior, Human Factors 20; MacAdam 2003, Understanding and modeling the human
driver, Vehicle System Dynamics 40). So the wheel follows the road as it looked seven frames ago, before the
last gust: who sees one frame has to guess part of it, who remembers the frames before can know.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from data_prep.driving.road.course import NODE_M, Course
from data_prep.driving.road.vehicle import RATE_HZ, STEP_S, Car, angle_of, curvature_of

_BRAKING_MPS2, _THROTTLE_MPS2 = 1.8, 1.2  # what a driver plans with, less than the car could
REACTION_S = 0.35  # of eyes, mind and arms; the wheel's own lag comes on top
_PUSHED_M = 0.65  # from the centre, where a gust ends: the car drifts on before the driver catches it
_ALIGNING_NM = 0.55  # steering torque per m/s² of lateral acceleration
_DAMPING_NM, _FRICTION_NM = 0.25, 0.2
GUST_EVERY_S = 5.0  # mean time between gusts


def plan_speed(course: Course, limit_mps: float, lateral_mps2: float) -> np.ndarray:
    """Returns the speed at every node [m/s]: the limit, less in curves, braking before and throttle after.

    Args:
        course: the road.
        limit_mps: speed on a straight.
        lateral_mps2: acceleration that the driver accepts in curves, v² times curvature.
    """
    speed = np.minimum(limit_mps, np.sqrt(lateral_mps2 / np.maximum(np.abs(course.curvature), 1e-6)))
    for node in range(len(speed) - 2, -1, -1):
        speed[node] = min(speed[node], np.sqrt(speed[node + 1] ** 2 + 2 * _BRAKING_MPS2 * NODE_M))
    for node in range(1, len(speed)):
        speed[node] = min(speed[node], np.sqrt(speed[node - 1] ** 2 + 2 * _THROTTLE_MPS2 * NODE_M))
    return speed


def pursue(car: Car, preview_s: float, aim_m: float = 0.0) -> float:
    """Returns the steering-wheel angle [rad] of pure pursuit: curvature = 2 y / l², the aim at (x, y).

    Args:
        car: where it is and how fast.
        preview_s: how far ahead the driver looks.
        aim_m: where in the lane the driver wants to be, left of its centre.
    """
    reach = max(7.0, preview_s * car.speed_mps)
    x, y, _ = car.course.point(car.distance_m + reach, car.lane_m + aim_m)
    x, y = x - car.x_m, y - car.y_m
    left = y * np.cos(car.heading_rad) - x * np.sin(car.heading_rad)
    return angle_of(2 * left / (x * x + y * y))


@dataclass(frozen=True)
class Drive:
    """What a drive logged, one row a frame at 20 Hz; offsets and angles are left positive."""

    time_s: np.ndarray
    angle_rad: np.ndarray  # of the steering wheel
    torque: np.ndarray  # of the hands on it [N m]
    speed_mps: np.ndarray
    acceleration_mps2: np.ndarray
    x_m: np.ndarray  # rear axle in the world
    y_m: np.ndarray
    heading_rad: np.ndarray
    distance_m: np.ndarray  # along the road
    offset_m: np.ndarray  # from the centre of the lane

    def __len__(self) -> int:
        return len(self.time_s)


class Driver:
    """Steers one car; every driver has a preview time, a tremor and a liking for a place in the lane.

    The preview is long enough that the car does not swing from side to side for the late reaction.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.preview_s = rng.uniform(1.1, 1.4)
        self._tremor_rad = rng.uniform(0.003, 0.008)
        self._liking_m = rng.normal(0, 0.08)
        self._wander_m = rng.uniform(0.05, 0.16)
        self._aim = 0.0
        self._hand = 0.0
        self._intended: deque[float] = deque(maxlen=round(REACTION_S * RATE_HZ) + 1)

    def reset(self) -> None:
        """Forgets what was intended: somebody else has put the car where it is."""
        self._intended.clear()

    def steer(self, car: Car) -> float:
        """Returns the angle [rad] the wheel is turned to now: what was intended a reaction time ago."""
        # two Ornstein-Uhlenbeck processes: the aim wanders within seconds, the hand trembles within tenths
        self._aim += -self._aim * STEP_S / 4 + self._wander_m * np.sqrt(2 * STEP_S / 4) * self.rng.normal()
        self._hand += (
            -self._hand * STEP_S / 0.4 + self._tremor_rad * np.sqrt(2 * STEP_S / 0.4) * self.rng.normal()
        )
        self._intended.append(pursue(car, self.preview_s, self._liking_m + self._aim))
        return self._intended[0] + self._hand


class Gusts:
    """Pushes that come every few seconds: sideways motion or a twist, smooth over about a second."""

    def __init__(self, rng: np.random.Generator, every_s: float) -> None:
        self._rng = rng
        self._every_s = every_s
        self._left = round(rng.exponential(every_s) * RATE_HZ) + 1
        self._push = np.zeros(0)

    def slip(self, car: Car) -> float:
        """Returns the slip angle [rad] of this step; a car off the centre is not pushed farther."""
        if len(self._push) and self._push[0] * car.offset_m > 0 and abs(car.offset_m) > _PUSHED_M:
            self._push = self._push[:0]
        if len(self._push):
            slip, self._push = self._push[0], self._push[1:]
            return float(slip)
        self._left -= 1
        if self._left <= 0:
            steps = round(self._rng.uniform(0.6, 1.6) * RATE_HZ)
            side = self._rng.choice([-1, 1]) if abs(car.offset_m) < 0.15 else -np.sign(car.offset_m)
            aside = side * self._rng.uniform(0.3, 1.0)  # metres, were it not steered against
            shape = np.sin(np.pi * (np.arange(steps) + 0.5) / steps)
            self._push = aside * shape / (shape.sum() * STEP_S * max(car.speed_mps, 5.0))
            self._left = round(self._rng.exponential(self._every_s) * RATE_HZ) + 1
        return 0.0


def drive(
    course: Course,
    lane_m: float,
    speeds_mps: np.ndarray,
    frames: int,
    start_m: float,
    rng: np.random.Generator,
    gust_every_s: float = GUST_EVERY_S,
) -> Drive:
    """Returns the log of a drive at 20 Hz.

    Args:
        course: the road, long enough for the drive.
        lane_m: centre of the lane, from the centre line.
        speeds_mps: planned speed at the nodes of the course.
        frames: rows of the log.
        start_m: where along the road the drive starts.
        rng: what driver and gusts follow from.
        gust_every_s: mean time between gusts; infinity for none.
    """
    driver, gusts = Driver(rng), Gusts(rng, gust_every_s) if np.isfinite(gust_every_s) else None
    car = Car(course, lane_m, start_m, float(course.at(speeds_mps, start_m)))
    sensor = rng.normal(0, 0.06, frames)
    rows = []
    before = car.angle_rad
    for number in range(frames):
        torque = steering_torque(car, (car.angle_rad - before) / STEP_S) + sensor[number]
        before = car.angle_rad
        rows.append(
            (
                car.time_s,
                car.angle_rad,
                torque,
                car.speed_mps,
                car.acceleration_mps2,
                car.x_m,
                car.y_m,
                car.heading_rad,
                car.distance_m,
                car.offset_m,
            )
        )
        slip = gusts.slip(car) if gusts else 0.0
        car.step(driver.steer(car), float(course.at(speeds_mps, car.distance_m)), slip)
    return Drive(*np.array(rows).T)


def steering_torque(car: Car, rate_rad_s: float) -> float:
    """Returns the torque of the hands [N m]: self-aligning with lateral acceleration, damping, friction."""
    lateral = car.speed_mps**2 * curvature_of(car.angle_rad)
    return float(
        _ALIGNING_NM * lateral + _DAMPING_NM * rate_rad_s + _FRICTION_NM * np.tanh(rate_rad_s / 0.05)
    )

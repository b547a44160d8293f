"""A model drives: closed loop on drawn roads, measured as NVIDIA measured PilotNet.

Bojarski et al. 2016 (arXiv 1604.07316, section 6.1): when the car is more than 1 m off the centre of its
lane, a virtual human puts it back there. That counts as 6 s not driven by the model,

    autonomy = 1 - interventions x 6 s / elapsed s

Every step of 1/20 s a frame is drawn from where the car is. The model says an angle, and the steering wheel
goes there, with the lag of a real one. Latency delays what was said, and gusts of wind push the car aside, as
in the training drives. The speed is what a human-like driver plans for the road.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.driving.road.camera import Camera
from data_prep.driving.road.driver import GUST_EVERY_S, Gusts
from data_prep.driving.road.scene import START_M, Road
from data_prep.driving.road.vehicle import RATE_HZ, STEP_S, Car
from data_prep.driving.road.view import RoadView, car_pose
from data_prep.progress import tracked
from modules.errors import InputError

INTERVENTION_M = 1.0
PENALTY_S = 6.0
_VIEW_LEFT_M = 60.0  # of road ahead that a drive must not run out of

Reset = Callable[[np.ndarray], None]


@dataclass(frozen=True)
class Conditions:
    """What makes driving harder than a still, prompt world would.

    Args:
        latency_s: How late an angle arrives at the wheel, from 0 to 1, in whole frames.
        gusts: Whether gusts push the car; they follow from the road's seed and from where the car is.
    """

    latency_s: float = 0.0
    gusts: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.latency_s <= 1:
            raise InputError(f"latency_s is {self.latency_s:g}; it has to be from 0 to 1")
        if abs(self.latency_s - self.latency_frames * STEP_S) > 1e-6:
            raise InputError(
                f"latency_s is {self.latency_s:g}; it has to be a multiple of {STEP_S:g}, the time of a frame"
            )

    @property
    def latency_frames(self) -> int:
        """The latency in frames."""
        return round(self.latency_s * RATE_HZ)

    def described(self) -> str:
        """Returns the conditions in words."""
        wind = f"gusts every {GUST_EVERY_S:g} s or so" if self.gusts else "no gusts"
        return f"angles reach the wheel {self.latency_s:g} s late, {wind}"


@dataclass(frozen=True)
class ClosedLoopResult:
    """What happened; arrays (steps, roads), one column a road, angles and offsets left positive.

    Attributes:
        predicted_rad: what the model said.
        angle_rad: of the steering wheel when it said so.
        offset_m: of the car from the centre of its lane, after the step and before it is put back.
        intervened: whether it was put back after the step.
        speed_mps, distance_m, x_m, y_m, heading_rad: of the car when the model was asked.
        frames: what the camera saw (steps, roads, Hh, Ww, 3), uint8, or None where they were not kept.
    """

    predicted_rad: np.ndarray
    angle_rad: np.ndarray
    offset_m: np.ndarray
    intervened: np.ndarray
    speed_mps: np.ndarray
    distance_m: np.ndarray
    x_m: np.ndarray
    y_m: np.ndarray
    heading_rad: np.ndarray
    frames: np.ndarray | None = None

    @property
    def elapsed_s(self) -> float:
        """Time driven on all roads together."""
        return self.offset_m.size / RATE_HZ

    @property
    def interventions(self) -> int:
        """How many times a car was put back."""
        return int(self.intervened.sum())

    @property
    def failures(self) -> int:
        """On how many roads a car was put back at least once."""
        return int(self.intervened.any(0).sum())

    @property
    def autonomy(self) -> float:
        """Share of the time that the model drove; 0 where the penalties come to more than all of it."""
        return max(0.0, 1 - self.interventions * PENALTY_S / self.elapsed_s)

    @property
    def lateral_rmse_m(self) -> float:
        """Root mean square of the offset from the lane's centre."""
        return float(np.sqrt(np.mean(self.offset_m**2)))

    def to_dict(self) -> dict[str, Any]:
        """Returns the measures as plain numbers, all roads together and road by road."""
        return {
            "autonomy": self.autonomy,
            "interventions": self.interventions,
            "failures": self.failures,
            "lateral_rmse_m": self.lateral_rmse_m,
            "elapsed_s": self.elapsed_s,
            "roads": self.offset_m.shape[1],
            "interventions_by_road": self.intervened.sum(0).tolist(),
            "lateral_rmse_m_by_road": np.sqrt(np.mean(self.offset_m**2, axis=0)).tolist(),
        }


@dataclass(frozen=True)
class ModelDrive:
    """How models drove, and what else is shown of it.

    Attributes:
        result: Of the mean of their angles.
        spread_rad: Standard deviation of their angles (steps, roads); NaN of one model.
        seen: What each step showed on the watched roads (K, Hh, Ww, 3).
    """

    result: ClosedLoopResult
    spread_rad: np.ndarray
    seen: list[np.ndarray]


def drive_closed_loop(
    predict: Callable[[np.ndarray], Any],
    roads: Sequence[Road],
    seconds: float,
    *,
    batched: bool = False,
    reset: Reset | None = None,
    conditions: Conditions = Conditions(),
    keep_frames: bool = False,
    camera: Camera | None = None,
    progress: bool = False,
) -> ClosedLoopResult:
    """Returns how a model drives that sees nothing but frames.

    InputError where the model predicts no number, or where a road is too short.

    Args:
        predict: gives the steering-wheel angle [rad] for a frame (Hh, Ww, 3), uint8, RGB; or, where
            `batched`, the angles (N,) for frames (N, Hh, Ww, 3), one of each road.
        roads: to drive on; `draw_roads` made them for at least `seconds`.
        seconds: on each road.
        batched: all roads at once, in lockstep; otherwise one after the other.
        reset: called with a mask (N,) of the cars that start afresh, N = 1 where not `batched`: at the start
            of a road and after an intervention. Recurrent models forget their state there.
        conditions: latency and gusts; neither by default.
        keep_frames: whether the result holds the frames (38 KB each).
        camera: what the model sees through.
        progress: whether to show a bar.
    """

    def drive(group: Sequence[Road], steps: Iterable[int]) -> ClosedLoopResult:
        views = [RoadView(road, camera) for road in group]

        def steer(cars: list[Car]) -> tuple[np.ndarray, np.ndarray]:
            frames = np.stack(
                [v.draw(car_pose(c, v.camera), c.time_s) for v, c in zip(views, cars, strict=True)]
            )
            angles = predict(frames) if batched else [predict(frames[0])]
            return np.asarray(angles, np.float64).reshape(-1), frames

        return _run(steer, group, steps, reset, conditions, keep_frames)

    steps = range(round(seconds * RATE_HZ))
    if batched:
        return drive(roads, tracked(steps, "driving", visible=progress))
    return _side_by_side([drive([road], steps) for road in tracked(roads, "driving", visible=progress)])


def drive_by_state(
    steer: Callable[[list[Car]], Any],
    roads: Sequence[Road],
    seconds: float,
    *,
    reset: Reset | None = None,
    conditions: Conditions = Conditions(),
) -> ClosedLoopResult:
    """Returns how a controller drives that knows the true state, without frames: what a model can reach.

    Args:
        steer: gives the steering-wheel angles (N,) [rad] for the cars on the N roads.
        roads: to drive on.
        seconds: on each road.
        reset: called with a mask (N,) of the cars that start afresh, as of a model.
        conditions: latency and gusts; neither by default.
    """

    def steered(cars: list[Car]) -> tuple[np.ndarray, None]:
        return np.asarray(steer(cars), np.float64).reshape(-1), None

    return _run(steered, roads, range(round(seconds * RATE_HZ)), reset, conditions, False)


def _run(
    steer: Callable[[list[Car]], tuple[np.ndarray, np.ndarray | None]],
    roads: Sequence[Road],
    steps: Iterable[int],
    reset: Reset | None,
    conditions: Conditions,
    keep_frames: bool,
) -> ClosedLoopResult:
    """Drives all roads in lockstep."""
    cars = [
        Car(road.course, road.lane_m, START_M, float(road.course.at(road.speeds_mps, START_M)))
        for road in roads
    ]
    late: list[deque[float]] = [deque() for _ in cars]  # angles on their way to the wheel
    winds = [
        Gusts(np.random.default_rng([road.seed, 6]), GUST_EVERY_S) if conditions.gusts else None
        for road in roads
    ]
    if reset is not None:
        reset(np.ones(len(cars), bool))
    rows: list[list[tuple[float, ...]]] = []
    pictures: list[np.ndarray] = []
    for _ in steps:
        angles, frames = steer(cars)
        if angles.shape != (len(cars),):
            raise ValueError(f"{angles.shape} angles for {len(cars)} cars")
        if not np.isfinite(angles).all():
            raise InputError("the model predicts angles that are no numbers; take another checkpoint")
        if frames is not None and keep_frames:
            pictures.append(frames)
        row = []
        for car, road, angle, queue, wind in zip(cars, roads, angles, late, winds, strict=True):
            before = (angle, car.angle_rad, car.speed_mps, car.distance_m, car.x_m, car.y_m, car.heading_rad)
            queue.append(float(angle))
            command = queue.popleft() if len(queue) > conditions.latency_frames else car.angle_rad
            slip = wind.slip(car) if wind else 0.0
            car.step(command, float(road.course.at(road.speeds_mps, car.distance_m)), slip)
            if car.distance_m > car.course.length_m - _VIEW_LEFT_M:
                raise InputError(
                    f"road {road.seed} ends after {car.time_s:.0f} s; draw it for as long as it is driven on"
                )
            row.append((*before, car.offset_m))
        put_back = np.array([abs(car.offset_m) > INTERVENTION_M for car in cars])
        for number in np.flatnonzero(put_back):
            cars[number].to_lane_centre()
            late[number].clear()
        if reset is not None and put_back.any():
            reset(put_back)
        rows.append([(*values, back) for values, back in zip(row, put_back.tolist(), strict=True)])
    predicted, angle, speed, distance, x, y, heading, offset, intervened = np.array(rows).transpose(2, 0, 1)
    return ClosedLoopResult(
        predicted,
        angle,
        offset,
        intervened.astype(bool),
        speed,
        distance,
        x,
        y,
        heading,
        np.stack(pictures) if pictures else None,
    )


def _side_by_side(results: Sequence[ClosedLoopResult]) -> ClosedLoopResult:
    """The results of several roads as one."""
    columns = {
        name: None if any(getattr(r, name) is None for r in results)
        else np.concatenate([getattr(r, name) for r in results], axis=1)
        for name in ClosedLoopResult.__dataclass_fields__
    }  # fmt: skip
    return ClosedLoopResult(**columns)  # type: ignore[arg-type]

"""Pictures of a closed-loop drive: the camera's frame, the steering wheel, and the road from above."""

from collections.abc import Iterator

import cv2
import numpy as np

from data_prep.driving.road.scene import Road
from data_prep.driving.road.vehicle import RATE_HZ, arc, curvature_of
from pipelines.steering.drawing.picture import GREEN, RED, WHITE, YELLOW, draw_wheel, write_text
from pipelines.steering.loop.closed_loop import INTERVENTION_M, PENALTY_S, ClosedLoopResult

_SCALE = 4
_INSET = 150  # side of the bird's eye view [pixels]
_INSET_PX_PER_M = 2.4
_BEHIND_M, _AHEAD_M = 14.0, 46.0
_SHOWN_FOR = RATE_HZ  # steps that an intervention stays on the picture


def annotated_frames(result: ClosedLoopResult, road: Road, number: int = 0) -> Iterator[np.ndarray]:
    """Yields the frames of one road (Hh, Ww, 3), uint8, RGB, enlarged, with what the model does drawn in.

    Args:
        result: of `drive_closed_loop` with `keep_frames`.
        road: that was driven on.
        number: its place among the roads of the result.
    """
    if result.frames is None:
        raise ValueError("the result holds no frames: drive with keep_frames")
    interventions = np.cumsum(result.intervened[:, number])
    since = _SHOWN_FOR
    for step in range(len(result.frames)):
        frame = result.frames[step, number]
        size = (frame.shape[1] * _SCALE, frame.shape[0] * _SCALE)
        picture = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
        angle = float(result.predicted_rad[step, number])
        draw_wheel(picture, angle, (size[0] // 2, size[1] - 42))
        inset = bird_eye(result, road, number, step)
        picture[8 : 8 + _INSET, -8 - _INSET : -8] = inset
        count = int(interventions[step])
        elapsed = (step + 1) / RATE_HZ
        lines = (
            f"angle {angle:+.2f} rad   offset {result.offset_m[step, number]:+.2f} m",
            f"{result.speed_mps[step, number]:.0f} m/s   {elapsed:.1f} s",
            f"interventions {count}   autonomy {100 * max(0.0, 1 - count * PENALTY_S / elapsed):.0f} %",
        )
        for row, line in enumerate(lines):
            write_text(picture, line, (10, 20 + 18 * row))
        since = 0 if result.intervened[step, number] else since + 1
        if since < _SHOWN_FOR:
            cv2.rectangle(picture, (0, 0), (size[0] - 1, size[1] - 1), RED, 5)
        yield picture


def bird_eye(result: ClosedLoopResult, road: Road, number: int, step: int) -> np.ndarray:
    """Returns the road around the car from above (pixels, pixels, 3), the car driving upwards.

    It shows the road's edges, the centre of the lane, where the car came along and where the angle leads it.
    """
    x, y, heading = (float(values[step, number]) for values in (result.x_m, result.y_m, result.heading_rad))
    picture = np.full((_INSET, _INSET, 3), (46, 62, 44), np.uint8)

    def pixels(world: np.ndarray) -> np.ndarray:
        """World positions (N, 2) to pixels, in sixteenths."""
        east, north = world[:, 0] - x, world[:, 1] - y
        ahead = east * np.cos(heading) + north * np.sin(heading)
        left = north * np.cos(heading) - east * np.sin(heading)
        across = _INSET / 2 - left * _INSET_PX_PER_M
        down = _INSET - (ahead + _BEHIND_M) * _INSET_PX_PER_M
        return np.round(np.stack([across, down], 1) * 16).astype(np.int32)

    def line(world: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
        cv2.polylines(picture, [pixels(world)], False, colour, width, cv2.LINE_AA, shift=4)

    at = float(result.distance_m[step, number])
    along = np.arange(max(at - _BEHIND_M - 2, 0), min(at + _AHEAD_M + 4, road.course.length_m), 1.0)
    centre, direction = (
        road.course.at(road.course.position, along),
        road.course.at(road.course.heading, along),
    )
    across = np.stack([-np.sin(direction), np.cos(direction)], 1)
    half = road.look.half_width_m
    edges = np.concatenate([centre + half * across, (centre - half * across)[::-1]])
    cv2.fillPoly(picture, [pixels(edges)], (92, 92, 96), cv2.LINE_AA, shift=4)
    line(centre + half * across, WHITE, 1)
    line(centre - half * across, WHITE, 1)
    line(centre + road.lane_m * across, (130, 130, 136), 1)

    # since the last intervention: before it the car was elsewhere
    back = np.flatnonzero(result.intervened[:step, number])
    first = max(int(back[-1]) + 1 if len(back) else 0, step - 6 * RATE_HZ)
    trail = np.stack([result.x_m[first : step + 1, number], result.y_m[first : step + 1, number]], 1)
    if len(trail) > 1:
        line(trail, YELLOW, 1)
    turned = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    curvature = curvature_of(float(result.predicted_rad[step, number]))
    ahead, left, _ = arc(curvature, np.linspace(0, 25, 14))
    line(np.stack([ahead, left], 1) @ turned + (x, y), GREEN, 1)
    near = abs(result.offset_m[step, number]) < INTERVENTION_M
    corners = np.array([(-0.9, -0.9), (3.6, -0.9), (3.6, 0.9), (-0.9, 0.9)])
    body = corners @ turned + (x, y)
    cv2.fillPoly(picture, [pixels(body)], GREEN if near else RED, cv2.LINE_AA, shift=4)
    return picture

"""Pictures of a closed-loop drive: the camera's frame, the steering wheel, and the road from above."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from data_prep.driving.closed_loop import INTERVENTION_M, PENALTY_S, ClosedLoopResult
from data_prep.driving.road_scene import Road
from data_prep.driving.road_vehicle import RATE_HZ, curvature_of
from modules.errors import InputError

_SCALE = 4
_INSET = 150  # side of the bird's eye view [pixels]
_INSET_PX_PER_M = 2.4
_BEHIND_M, _AHEAD_M = 14.0, 46.0
_WHITE, _GREEN, _RED, _YELLOW = (240, 240, 240), (80, 220, 100), (235, 60, 50), (250, 200, 60)
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
        _draw_wheel(picture, angle)
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
            _write(picture, line, (10, 20 + 18 * row))
        since = 0 if result.intervened[step, number] else since + 1
        if since < _SHOWN_FOR:
            cv2.rectangle(picture, (0, 0), (size[0] - 1, size[1] - 1), _RED, 5)
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
    line(centre + half * across, _WHITE, 1)
    line(centre - half * across, _WHITE, 1)
    line(centre + road.lane_m * across, (130, 130, 136), 1)

    # since the last intervention: before it the car was elsewhere
    back = np.flatnonzero(result.intervened[:step, number])
    first = max(int(back[-1]) + 1 if len(back) else 0, step - 6 * RATE_HZ)
    trail = np.stack([result.x_m[first : step + 1, number], result.y_m[first : step + 1, number]], 1)
    if len(trail) > 1:
        line(trail, _YELLOW, 1)
    curvature = curvature_of(float(result.predicted_rad[step, number]))
    reach = np.linspace(0, 25, 14)
    turn = heading + curvature * reach / 2
    chord = reach * np.sinc(curvature * reach / (2 * np.pi))
    line(np.stack([x + chord * np.cos(turn), y + chord * np.sin(turn)], 1), _GREEN, 1)
    near = abs(result.offset_m[step, number]) < INTERVENTION_M
    corners = np.array([(-0.9, -0.9), (3.6, -0.9), (3.6, 0.9), (-0.9, 0.9)])
    turned = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
    body = corners @ turned + (x, y)
    cv2.fillPoly(picture, [pixels(body)], _GREEN if near else _RED, cv2.LINE_AA, shift=4)
    return picture


def _draw_wheel(picture: np.ndarray, angle_rad: float) -> None:
    """Draws a steering wheel turned by an angle into the lower middle."""
    middle, radius = (picture.shape[1] // 2, picture.shape[0] - 42), 32
    cv2.circle(picture, middle, radius, (24, 24, 26), 7, cv2.LINE_AA)
    cv2.circle(picture, middle, radius, _WHITE, 2, cv2.LINE_AA)
    for spoke in (np.pi / 2, -np.pi / 6, 7 * np.pi / 6):
        turned = spoke + angle_rad
        tip = (middle[0] + radius * np.cos(turned), middle[1] - radius * np.sin(turned))
        colour = _YELLOW if spoke == np.pi / 2 else _WHITE
        cv2.line(picture, middle, (round(tip[0]), round(tip[1])), colour, 3, cv2.LINE_AA)


def _write(picture: np.ndarray, text: str, at: tuple[int, int]) -> None:
    for colour, shift in (((0, 0, 0), 1), (_WHITE, 0)):
        shifted = (at[0] + shift, at[1] + shift)
        cv2.putText(picture, text, shifted, cv2.FONT_HERSHEY_SIMPLEX, 0.46, colour, 1, cv2.LINE_AA)


def write_video(frames: Iterable[np.ndarray], path: Path, rate_hz: float = RATE_HZ) -> Path:
    """Returns the path of an mp4 file with these RGB frames, written whole or not at all."""
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: videos are written as .mp4; name it {path.with_suffix('.mp4').name}")
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    writer = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(unfinished), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
                if not writer.isOpened():
                    raise InputError(f"{path}: a video cannot be written there; give another file")
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        if writer is None:
            raise InputError(f"{path}: there are no frames for a video")
        writer.release()
        return unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another file") from None
    finally:
        if writer is not None:
            writer.release()
        unfinished.unlink(missing_ok=True)

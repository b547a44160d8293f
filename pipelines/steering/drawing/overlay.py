"""What a model says of a camera frame and what the driver did, drawn on the frame.

Path, wheel, the angles of the last seconds, and where the model looks.

The path is that of a kinematic bicycle on a flat road, seen by a camera that looks straight ahead. Neither
car nor camera is known, so it is approximate: `CarView` guesses them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from data_prep.driving.road.vehicle import arc
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.units import RADIANS, AngleUnit
from pipelines.steering.drawing.car_view import View
from pipelines.steering.drawing.picture import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Colour,
    draw_front_wheels,
    draw_wheel,
    write_text,
)

NARROWEST, WIDEST = 640, 960  # pixels of the picture
_PANEL = 96  # rows below the camera's frame
_FLATTEST = 2.0  # columns a row at the end of a path
_SHOWN_S = 10.0  # angles of the last seconds
_PATH_OPACITY, _DOUBT_OPACITY, _HEAT_OPACITY = 0.35, 0.3, 0.75
_BRIGHTEST_PERCENTILE = 99.5


def path_outline(angle: float, view: View, width: int, height: int) -> np.ndarray:
    """Returns where the car's left and right side go (2, n, 2), in columns and rows of the frame.

    From the frame's lower edge as far as the car's path is drawn, or to where it runs more aside than up on
    the picture: beyond that a curve looks like a hook. n may be 0.
    """
    camera, car = view.camera_of(width, height), view.car
    nearest = camera.focal * camera.height_m / (height - camera.horizon)
    curvature = view.curvature(angle)
    # so near that both sides of a car that turns begin at the frame's lower edge
    begin = max(nearest / 2, nearest - 1.5 * car.half_width_m * abs(np.sin(curvature * nearest)))
    ahead, left, heading = arc(curvature, np.linspace(begin, max(car.reach_m, 1.5 * nearest), 60))
    aside = np.array([[car.half_width_m], [-car.half_width_m]])
    along, across = ahead - aside * np.sin(heading), left + aside * np.cos(heading)  # (2, n)
    turns_back = (np.abs(heading) > np.pi / 2) | (along.min(0) < nearest / 4)
    kept = int(turns_back.argmax()) if turns_back.any() else len(heading)
    columns, rows = camera.project(along[:, :kept], across[:, :kept], np.array(0.0), camera.horizon)
    aside_px, up_px = np.abs(np.diff(columns)).max(0), -np.diff(rows).mean(0)
    flat = aside_px > _FLATTEST * up_px
    # near the frame's edge the sides of a straight path run flat, too: from where it has been steep on
    steep = int((~flat).argmax()) if not flat.all() else 0
    end = steep + int(flat[steep:].argmax()) + 1 if flat[steep:].any() else kept
    return np.stack([columns, rows], -1)[:, :end]


class SteeringOverlay:
    """Draws frame after frame; it remembers the angles of the last seconds until a drive begins.

    Args:
        view: Car and camera.
        rate_hz: Frames a second.
        with_truth: Whether there are true angles to draw.
        frame_shape: Rows and columns of the camera's frames.
        unit: In which angles are written.
    """

    def __init__(
        self,
        view: View,
        rate_hz: float,
        with_truth: bool,
        frame_shape: tuple[int, int],
        unit: AngleUnit = RADIANS,
    ) -> None:
        self.view, self.with_truth, self.unit = view, with_truth, unit
        self.recent: deque[tuple[float, float]] = deque(maxlen=max(2, round(_SHOWN_S * rate_hz)))
        rows, columns = frame_shape
        width = min(max(columns, NARROWEST), WIDEST) // 2 * 2  # codecs want even numbers
        self.shape = max(2, round(rows * width / columns / 2) * 2), width

    def fit(self, frame: np.ndarray) -> np.ndarray:
        """Returns a camera frame (Hh, Ww, 3) in the size in which it is drawn on, `shape`."""
        if frame.shape[:2] == self.shape:
            return frame
        shrinks = frame.shape[1] > self.shape[1]
        return cv2.resize(
            frame, self.shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )

    def draw(
        self,
        frame: np.ndarray,
        angle_rad: float,
        true_rad: float,
        caption: str,
        begins: bool,
        heat: np.ndarray | None = None,
        deviation_rad: float = float("nan"),
    ) -> np.ndarray:
        """Returns the picture of one frame (Hh + panel, Ww, 3), RGB bytes.

        Args:
            frame: As `fit` gives it.
            angle_rad: What the model says; NaN for a frame that cannot be read.
            true_rad: What the driver did; NaN where it is unknown.
            caption: A line of text.
            begins: Whether a drive begins here.
            heat: Where the model looks (Hh, Ww), from 0 to 1.
            deviation_rad: Standard deviation of the angle, which widens the path; NaN where it is unknown.
        """
        if begins:
            self.recent.clear()
        self.recent.append((angle_rad, true_rad))
        rows, columns = frame.shape[:2]
        picture = np.zeros((rows + _PANEL, columns, 3), np.uint8)
        view = picture[:rows]
        view[:] = frame if heat is None else _heated(frame, heat)
        if np.isnan(angle_rad):
            cv2.rectangle(view, (0, 0), (columns - 1, rows - 1), RED, 5)
        else:
            if not np.isnan(deviation_rad):
                self._draw_doubt(view, angle_rad, 2 * deviation_rad)
            self._draw_path(view, angle_rad, GREEN, filled=True)
        if not np.isnan(true_rad):
            self._draw_path(view, true_rad, BLUE, filled=False)
        write_text(view, caption, (8, 18))
        self._draw_panel(picture[rows:], angle_rad, true_rad, deviation_rad)
        return picture

    def _draw_doubt(self, view: np.ndarray, angle_rad: float, aside_rad: float) -> None:
        """Tints all that lies between the path of a larger and of a smaller angle."""
        shape = view.shape[1], view.shape[0]
        further = [path_outline(angle_rad + sign * aside_rad, self.view, *shape) for sign in (1, -1)]
        border = np.concatenate([further[0][0], further[1][1][::-1]])
        if min(sides.shape[1] for sides in further) < 2:
            return
        tinted = view.copy()
        points = np.round(border.clip(-4000, 4000) * 16).astype(np.int32)
        cv2.fillPoly(tinted, [points], YELLOW, cv2.LINE_AA, shift=4)
        view[:] = cv2.addWeighted(tinted, _DOUBT_OPACITY, view, 1 - _DOUBT_OPACITY, 0)

    def _draw_path(self, view: np.ndarray, angle_rad: float, colour: Colour, filled: bool) -> None:
        sides = path_outline(angle_rad, self.view, view.shape[1], view.shape[0])
        points = np.round(sides.clip(-4000, 4000) * 16).astype(np.int32)
        if points.shape[1] < 2:
            return
        if filled:
            tinted = view.copy()
            cv2.fillPoly(tinted, [np.concatenate([points[0], points[1][::-1]])], colour, cv2.LINE_AA, shift=4)
            view[:] = cv2.addWeighted(tinted, _PATH_OPACITY, view, 1 - _PATH_OPACITY, 0)
        cv2.polylines(view, list(points), False, colour, 2, cv2.LINE_AA, shift=4)

    def _draw_panel(self, panel: np.ndarray, angle_rad: float, true_rad: float, deviation_rad: float) -> None:
        panel[:] = (30, 30, 34)
        at = 48
        for name, angle, colour in (("model", angle_rad, GREEN), ("driver", true_rad, BLUE)):
            if name == "driver" and not self.with_truth:
                continue
            if not np.isnan(angle):
                self._draw_steering(panel, angle, at, colour)
            said = "-" if np.isnan(angle) else self._said(angle)
            write_text(panel, name, (at + 42, 44), colour)
            write_text(panel, said, (at + 42, 64), colour)
            if name == "model" and not np.isnan(deviation_rad):
                doubt = self._said(2 * deviation_rad).replace("+", "+-", 1)
                write_text(panel, doubt.removesuffix(" of full lock"), (at + 42, 84), YELLOW)
            at += 176 if self.unit == RADIANS else 204
        left = at - 20
        self._draw_chart(panel[6:-6, left:-8])

    def _draw_steering(self, panel: np.ndarray, angle: float, at: int, colour: Colour) -> None:
        if self.view.car.has_wheel:
            draw_wheel(panel, angle, (at, _PANEL // 2), 32, colour)
        else:
            draw_front_wheels(panel, self.view.wheels_rad(angle), (at, _PANEL // 2), 32, colour)

    def _said(self, angle: float) -> str:
        if self.unit == RADIANS:
            return f"{angle:+.3f} rad"
        return f"{100 * angle / self.unit.full_lock:+.0f} % of full lock"

    def _draw_chart(self, chart: np.ndarray) -> None:
        """Draws the angles of the last seconds, the newest at the right, left turns upwards."""
        height, width = chart.shape[:2]
        chart[:] = (44, 44, 48)
        angles = np.array(self.recent)
        largest = max(0.1 * self.unit.full_lock, float(np.nanmax(np.abs(angles), initial=0.0)))
        cv2.line(chart, (0, height // 2), (width, height // 2), (90, 90, 96), 1)
        columns = width - 1 - (len(angles) - 1 - np.arange(len(angles))) * width / (self.recent.maxlen or 1)
        for column, colour in ((1, BLUE), (0, GREEN)):
            rows = height / 2 - angles[:, column] / largest * (height / 2 - 5)
            for first, end in _known_runs(angles[:, column]):
                points = np.stack([columns[first:end], rows[first:end]], 1)
                line = [np.round(points * 16).astype(np.int32)]
                cv2.polylines(chart, line, False, colour, 1, cv2.LINE_AA, shift=4)
        write_text(chart, self._said(largest).lstrip("+"), (4, 14))


def _known_runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Returns first and end of each run of numbers between NaNs."""
    known = np.concatenate([[False], ~np.isnan(values), [False]])
    edges = np.flatnonzero(np.diff(known.astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def heat_of(
    saliency: Sequence[np.ndarray], views: Sequence[FramePreprocessing], shape: tuple[int, int]
) -> np.ndarray:
    """Returns where models look on the camera's frame (Hh, Ww), from 0 to 1, the mean of all models.

    Each model's map is smoothed by a 50th of the frame's width and scaled by its own brightest half percent.
    So it compares places of one frame, not frames. Where a model's view was cropped it is 0.

    Args:
        saliency: Of each model, in its own size (H, W).
        views: What each model sees of the frame.
        shape: Rows and columns of the frame.
    """
    rows, columns = shape
    heat = np.zeros(shape, np.float32)
    for values, view in zip(saliency, views, strict=True):
        first, last = view.rows_seen(rows)
        whole = np.zeros(shape, np.float32)
        whole[first:last] = cv2.resize(
            values.astype(np.float32), (columns, last - first), interpolation=cv2.INTER_LINEAR
        )
        seen = np.asarray(cv2.GaussianBlur(whole, (0, 0), columns / 50), np.float32)[first:last]
        brightest = max(float(np.percentile(seen, _BRIGHTEST_PERCENTILE)), 1e-12)
        heat[first:last] += (seen / brightest).clip(0, 1)
    return heat / len(saliency)


def _heated(frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns the frame, greyed, with the heat laid over it: the hotter, the more opaque."""
    colours = cv2.applyColorMap(np.round(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    # with the square, what is lukewarm everywhere does not veil the road
    opacity = _HEAT_OPACITY * heat[..., np.newaxis] ** 2
    return (grey * (1 - opacity) + colours * opacity).astype(np.uint8)

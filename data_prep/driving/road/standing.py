"""Draws what stands up beside a road into a frame: walls column by column, single things as pictures.

From back to front: walls that stand back, things from far to near, walls close to the road. Crests hide what
lies lower behind them.
"""

import cv2
import numpy as np

from data_prep.driving.road.camera import Camera, RoadAhead
from data_prep.driving.road.scene import Road
from data_prep.driving.road.walls import LEVELS, Wall

_NEAREST_M = 2.0  # of things that are drawn
_SMALLEST_PX = 2.5
_FAINTEST = 0.03  # share of a thing's contrast that the air leaves
_SIZE_STEP = 1.09  # between the sizes that pictures are kept at


class StandingThings:
    """Draws walls and things of one road."""

    def __init__(self, road: Road, camera: Camera) -> None:
        self._road = road
        self._camera = camera
        light = road.look.light
        self._visibility_m = light.visibility_m
        self._air = np.array((*light.horizon, 255), np.float32)
        self._gain = np.array((*light.gain, 1), np.float32)
        self._pictures: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def draw(self, frame: np.ndarray, ahead: RoadAhead, time_s: float) -> None:
        """Draws everything into a frame (Hh, Ww, 4), float32, as it stands at a time."""
        self._draw_walls(frame, ahead, self._road.verge.back)
        self._draw_things(frame, ahead, time_s)
        self._draw_walls(frame, ahead, self._road.verge.close)

    def _draw_walls(self, frame: np.ndarray, ahead: RoadAhead, walls: tuple[Wall, ...]) -> None:
        near, far = ahead.along[0], ahead.along[-1]
        seen = [wall for wall in walls if wall.to_m > near and wall.from_m < far]
        # on the outside of the curve ahead first: the inside hides it
        outside = -np.sign(ahead.turned[-1])
        for wall in sorted(seen, key=lambda wall: (np.sign(wall.offset_m) != outside, -wall.from_m)):
            self._draw_wall(frame, ahead, wall)

    def _draw_wall(self, frame: np.ndarray, ahead: RoadAhead, wall: Wall) -> None:
        camera = self._camera
        shown = _columns_of(wall, ahead, camera)
        if shown is None:
            return
        columns, along, inverse, up = shown
        foot = ahead.horizon + camera.focal * (camera.height_m - up) * inverse
        rise = camera.focal * wall.paint.height_m * inverse
        hidden_below = np.minimum(np.interp(1 / inverse, ahead.skyline_at, ahead.skyline) + 0.5, foot)
        top = max(0, int((foot - rise).min()))
        bottom = min(camera.height, int(np.ceil(hidden_below.max())))
        if bottom <= top:
            return
        rows = np.arange(top, bottom)[:, None]
        height = (foot - rows) / rise  # 0 at the foot, 1 at the top
        height[rows > hidden_below] = -1  # outside the texture
        height = height.astype(np.float32)
        coarseness = np.round(np.log2(np.maximum(1 / (camera.focal * inverse * wall.paint.texel_m), 1)))
        seen = np.empty((*height.shape, 4), np.float32)
        for number, texture in enumerate(wall.paint.levels):
            inside = np.flatnonzero(np.minimum(coarseness, LEVELS - 1) == number)
            if not len(inside):
                continue
            band = slice(inside[0], inside[-1] + 1)
            rows_at = (1 - height[:, band]) * np.float32(len(texture)) - np.float32(0.5)
            around = along[band] / wall.paint.repeat_m % 1
            columns_at = np.tile((around * (texture.shape[1] - 1)).astype(np.float32), (len(rows_at), 1))
            seen[:, band] = cv2.remap(
                texture, columns_at, rows_at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
            )
        cover = seen[..., 3] * np.float32(1 / 255)
        clear = np.tile(np.exp(-1 / (inverse * self._visibility_m)).astype(np.float32), (len(rows), 1))
        into = frame[top:bottom, columns[0] : columns[-1] + 1]
        air = np.broadcast_to(self._air, seen.shape).copy()
        into[:] = cv2.blendLinear(cv2.blendLinear(seen, air, clear, 1 - clear), into, cover, 1 - cover)

    def _draw_things(self, frame: np.ndarray, ahead: RoadAhead, time_s: float) -> None:
        verge, camera = self._road.verge, self._camera
        at = verge.distance_m + verge.speed_mps * time_s
        farthest = min(ahead.along[-1], ahead.pose.distance_m - self._visibility_m * np.log(_FAINTEST))
        near = np.flatnonzero((at > ahead.pose.distance_m + 1) & (at < farthest))
        forward, left, up = ahead.place(at[near], verge.offset_m[near])
        near, forward, left, up = (values[forward > _NEAREST_M] for values in (near, forward, left, up))
        columns, feet = camera.project(forward, left, up, ahead.horizon)
        ground = np.interp(forward, ahead.skyline_at, ahead.skyline)
        which = verge.which[near]
        pixels = camera.focal / forward * self._road.heights_m[which]
        reach = camera.width / 2 + pixels * self._road.aspects[which] / 2
        shown = (np.abs(columns - camera.middle) < reach) & (pixels > _SMALLEST_PX)
        steps = np.round(np.log(pixels) / np.log(_SIZE_STEP))
        for number in np.argsort(-forward):
            if shown[number]:
                key = int(which[number]), int(steps[number])
                self._draw_thing(frame, key, columns[number], round(feet[number]), round(ground[number]))

    def _draw_thing(
        self, frame: np.ndarray, key: tuple[int, int], column: float, foot: int, ground: int
    ) -> None:
        colour, opacity, rest = self._pictures.get(key) or self._picture(*key)
        height, width = opacity.shape
        top, left = foot - height, round(column - width / 2 + 0.5)
        first_row, first_column = max(top, 0), max(left, 0)
        last_row, last_column = min(foot, ground, frame.shape[0]), min(left + width, frame.shape[1])
        if last_row <= first_row or last_column <= first_column:
            return
        into = frame[first_row:last_row, first_column:last_column]
        part = slice(first_row - top, last_row - top), slice(first_column - left, last_column - left)
        into[:] = cv2.blendLinear(colour[part], into, opacity[part], rest[part])

    def _picture(self, which: int, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns colour in light and air, opacity, and 1 - opacity of a thing at one of the sizes.

        Its size says how far away it is.
        """
        sprite = self._road.verge.sprites[which]
        pixels = _SIZE_STEP**step
        height = max(1, round(pixels))
        width = max(1, round(height * sprite.picture.shape[1] / sprite.picture.shape[0]))
        picture = cv2.resize(sprite.picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        if self._road.side < 0:
            picture = np.ascontiguousarray(picture[:, ::-1])
        clear = np.exp(-self._camera.focal * sprite.height_m / pixels / self._visibility_m)
        colour = self._air + (picture * self._gain - self._air) * np.float32(clear)
        opacity = picture[..., 3] * np.float32(1 / 255)
        kept = self._pictures[which, step] = colour, opacity, 1 - opacity
        return kept


def _columns_of(
    wall: Wall, ahead: RoadAhead, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Returns the columns of the frame that see a wall, and what they see.

    For each it is the distance along the road, 1 / the distance ahead and the height of the ground where they
    see it; None where none does.
    """
    ends = max(wall.from_m, ahead.along[0]), min(wall.to_m, ahead.along[-1])
    inner = ahead.along[(ahead.along > ends[0]) & (ahead.along < ends[1])]
    along = np.concatenate([[ends[0]], inner, [ends[1]]])
    forward, left, up = ahead.place(along, np.full(len(along), wall.offset_m))
    in_front = forward > 1.0
    if in_front.sum() < 2:
        return None
    along, forward, left, up = (values[in_front] for values in (along, forward, left, up))
    columns, _ = camera.project(forward, left, up, ahead.horizon)
    side = 1 if left[0] > 0 else -1
    # from the near end on its columns go towards the middle, until it turns its back to the camera
    goes_on = np.append(True, np.diff(side * columns) > 0.02)
    count = len(goes_on) if goes_on.all() else int(np.argmin(goes_on))
    order = np.arange(count)[::side]
    columns, along, inverse, up = columns[order], along[order], 1 / forward[order], up[order]
    first, last = max(0, int(np.ceil(columns[0]))), min(camera.width - 1, int(np.floor(columns[-1])))
    if last < first:
        return None
    at = np.arange(first, last + 1)
    return at, np.interp(at, columns, along), np.interp(at, columns, inverse), np.interp(at, columns, up)

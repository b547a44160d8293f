"""What happens between the light of a scene and a frame: headlights, rain, exposure, vignette, noise."""

import cv2
import numpy as np

from data_prep.driving.road.camera import Camera
from data_prep.driving.road.look import Light

_NOISES = 8
_MIDDLE_GREY = 112.0  # mean brightness that the exposure goes for


class Lens:
    """The camera's way of seeing, drawn by chance once a road."""

    def __init__(self, light: Light, camera: Camera, rng: np.random.Generator) -> None:
        size = (_NOISES, camera.height, camera.width, 3)
        self._noise = np.zeros((*size[:3], 4), np.float32)
        self._noise[..., :3] = rng.standard_normal(size, np.float32) * rng.uniform(0.8, 3.5)
        self._noise += 0.5  # rounding
        self._exposure = rng.uniform(0.92, 1.14)
        self._falloff = _vignette(camera, rng.uniform(0.02, 0.14))
        if light.ambient < 1:
            self._falloff = self._falloff * _lamps(camera, light.ambient)
        self._streaks = _streaks(camera, light.rain, rng) if light.rain else None

    def expose(self, frame: np.ndarray, time_s: float) -> np.ndarray:
        """Returns the picture (Hh, Ww, 3), uint8, of a scene (Hh, Ww, 4), float32."""
        moment = round(time_s * 1000)
        if self._streaks is not None:
            frame += np.roll(self._streaks, (moment * 37 % 61, moment * 53 % frame.shape[1]), (0, 1))
        frame = cv2.multiply(frame, self._falloff)
        # the camera makes up for half of how bright or dark the scene is
        mean = float(frame[::4, ::4, :3].mean())
        gain = self._exposure * np.clip((_MIDDLE_GREY / max(mean, 1.0)) ** 0.5, 0.6, 2.2)
        noise = self._noise[moment // 50 % _NOISES]
        exposed = cv2.addWeighted(frame, float(gain), noise, 1.0, 0.0, dtype=cv2.CV_8U)
        return cv2.cvtColor(exposed, cv2.COLOR_RGBA2RGB)


def _vignette(camera: Camera, strength: float) -> np.ndarray:
    """Brightness by pixel (Hh, Ww, 4), 1 in the middle, less towards the corners."""
    x = (np.arange(camera.width) - camera.middle) / camera.middle
    y = (np.arange(camera.height) / (camera.height - 1) * 2 - 1)[:, None]
    fall = 1 - strength * (x * x + y * y)
    return np.repeat(fall[..., None], 4, axis=2).astype(np.float32)


def _lamps(camera: Camera, ambient: float) -> np.ndarray:
    """Brightness by pixel at dusk: what is left of the day, and the beam of the car's headlights."""
    rows = np.arange(camera.height)[:, None] - camera.horizon
    aside = (np.arange(camera.width) - camera.middle) / camera.focal
    ahead = camera.focal * camera.height_m / np.maximum(rows, 1)
    beam = np.exp(-((aside / 0.42) ** 2)) * np.clip(ahead / 6, 0.25, 1) * np.exp(-ahead / 38)
    beam *= np.clip((rows + 2) / 4, 0, 1)  # cut off at the horizon
    return (ambient + 0.95 * beam[..., None] * np.array((1.05, 0.95, 0.78, 0))).astype(np.float32)


def _streaks(camera: Camera, rain: float, rng: np.random.Generator) -> np.ndarray:
    """Drops that the exposure draws out, added to the scene (Hh, Ww, 1)."""
    streaks = np.zeros((camera.height, camera.width), np.float32)
    for _ in range(round(60 * rain)):
        x, y, long = rng.uniform(0, camera.width), rng.uniform(0, camera.height), rng.uniform(3, 9)
        lean = rng.normal(0, 0.12) * long
        cv2.line(streaks, (int(x), int(y)), (int(x + lean), int(y + long)), float(rng.uniform(4, 15)), 1)
    return cv2.GaussianBlur(streaks, (3, 3), 0.7)[..., None]

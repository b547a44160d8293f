"""The textures around a road: the land beside it, the sky and mountains around it."""

import numpy as np

from data_prep.driving.road.look import Look
from data_prep.driving.road.noise import clouds, grain, mix

LAND_TEXELS = 512
LAND_TEXEL_M = 0.25
SKY_TEXELS = 1024  # once around
SKY_ABOVE, SKY_BELOW = 72, 40  # rows above and below the level horizon


def paint_land(look: Look, rng: np.random.Generator) -> np.ndarray:
    """Returns a square of land (texels, texels, 4), uint8, that repeats seamlessly, in the look's light."""
    side = LAND_TEXELS
    palette = np.array(look.ground, np.float32)
    patches = clouds(side, side, (5, 5), rng, octaves=5)
    contrast = 1.6
    colour = mix(palette, 0.5 + contrast * (patches - patches.mean()))
    tufts = clouds(side, side, (90, 90), rng, octaves=2) - 0.5
    rough = 0.1 if look.landscape == "snow" else 0.36
    colour *= (1 + rough * tufts + rough * 0.25 * grain(side, side, rng))[..., None]
    if look.landscape in ("meadow", "village") and rng.random() < 0.5:  # flowers, dry stalks
        dots = grain(side, side, rng) > 2.9
        colour[dots] = rng.choice([(226, 214, 90), (232, 232, 226), (150, 120, 70)])
    return _four_channels(colour * np.array(look.light.gain, np.float32))


def paint_sky(look: Look, focal: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the view all around at the level horizon (rows, SKY_TEXELS, 4), uint8.

    Columns are angles from straight north-east to the left, rows tangents of the elevation times the focal
    length: SKY_ABOVE rows of sky with clouds, sun and mountains, SKY_BELOW of far land.

    Args:
        look: colours, light and clouds.
        focal: of the camera, in pixels.
        rng: what clouds and mountains follow from.
    """
    light = look.light
    width, above, below = SKY_TEXELS, SKY_ABOVE, SKY_BELOW
    up = np.arange(above, 0, -1, dtype=np.float32)[:, None, None] / focal  # tangent of the elevation
    zenith, horizon = np.array(light.zenith, np.float32), np.array(light.horizon, np.float32)
    sky = np.repeat(horizon + (zenith - horizon) * (1 - np.exp(-up * 3.2)), width, axis=1)

    if light.clouds > 0:
        cover = clouds(above, width, (3, 26), rng, octaves=4)
        # seen from below, clouds flatten towards the horizon
        thin = np.clip((cover - (0.92 - 0.75 * light.clouds)) * 2.6, 0, 0.85)
        white = horizon * 0.35 + np.array((250, 250, 250), np.float32) * 0.65
        if light.clouds >= 1:
            white = horizon * (0.72 + 0.4 * clouds(above, width, (4, 20), rng)[..., None])
        elif light.ambient < 1:
            white = horizon * 1.05
        sky += (white - sky) * thin[..., None]
    _shine(sky, look, focal)
    sky[-20:] += (horizon - sky[-20:]) * np.linspace(0, 0.75, 20, dtype=np.float32)[:, None, None] ** 2

    view = np.concatenate([sky, np.repeat(sky[-1:], below, axis=0)])
    _raise_mountains(view, look, rng)
    return _four_channels(view)


def _shine(sky: np.ndarray, look: Look, focal: float) -> None:
    """Adds the sun and its glow to a clear sky."""
    light = look.light
    if not light.shadow and light.ambient == 1:
        return
    above, width = sky.shape[:2]
    azimuth = np.arange(width, dtype=np.float32) * (2 * np.pi / width) - np.float32(light.sun_azimuth_rad)
    aside = np.abs(np.angle(np.exp(1j * azimuth))).astype(np.float32)
    up = np.arctan(np.arange(above, 0, -1, dtype=np.float32) / focal)[:, None] - light.sun_elevation_rad
    away = np.sqrt(aside**2 + up**2)[..., None]
    warm = np.array((255, 226, 170), np.float32)
    sky += warm * (0.75 * np.exp(-away / 0.14) + 0.3 * np.exp(-away / 0.6))
    if light.ambient == 1:
        sky += 255 * np.clip((0.035 - away) * 60, 0, 1)


def _raise_mountains(view: np.ndarray, look: Look, rng: np.random.Generator) -> None:
    """Two ridges, the farther one paler, and far land below the horizon."""
    light = look.light
    above, width = SKY_ABOVE, view.shape[1]
    air = np.array(light.horizon, np.float32)
    colour = np.array(look.mountains, np.float32) * np.array(light.gain, np.float32)
    land = np.array(look.ground, np.float32).mean(0) * np.array(light.gain, np.float32)
    heights = rng.uniform(6, 42), rng.uniform(4, 20)
    rows = np.arange(len(view), dtype=np.float32)[:, None]
    for number, (height, haze) in enumerate(zip(heights, (2600, 900), strict=True)):
        ridge = clouds(2, width, (1, 9 + 16 * number), rng, octaves=5)[0] * height
        inside = np.clip(rows - (above - ridge), 0, 1)[..., None]
        seen = np.exp(-haze / (light.visibility_m * 2.2))
        relief = 1 + 0.35 * (clouds(len(view), width, (9, 90), rng) - 0.5)[..., None]
        view += ((colour * relief) * seen + air * (1 - seen) - view) * inside
    seen = np.exp(-320 / light.visibility_m)
    below = np.clip(rows - above, 0, 1)[..., None]
    view += (land * seen + air * (1 - seen) - view) * below


def _four_channels(colour: np.ndarray) -> np.ndarray:
    """RGB as uint8 with a fourth channel of 255: OpenCV looks up four channels faster than three."""
    return np.dstack([np.clip(colour, 0, 255), np.full(colour.shape[:2], 255)]).astype(np.uint8)

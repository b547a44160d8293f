"""What a drawn road looks like: its landscape, its build and marks, its weather and light.

Everything here is drawn by chance once a road; colours are RGB from 0 to 255 as seen in plain daylight, and
`Light.gain` turns them into what the weather leaves of them.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

WEATHERS = {"sun": 0.3, "clouds": 0.2, "low sun": 0.15, "fog": 0.1, "rain": 0.13, "dusk": 0.12}
LANDSCAPES = {"meadow": 0.28, "forest": 0.3, "hills": 0.22, "village": 0.12, "snow": 0.08}
# landscape -> colours of its ground, of what grows on it, of the mountains behind
GROUNDS: dict[str, tuple[Colour, ...]] = {
    "meadow": ((88, 112, 52), (112, 128, 62), (74, 98, 44), (140, 136, 76)),
    "forest": ((70, 78, 42), (86, 76, 50), (58, 70, 36), (96, 92, 56)),
    "hills": ((158, 138, 88), (138, 124, 76), (172, 154, 104), (104, 106, 58)),
    "village": ((92, 108, 60), (120, 116, 84), (80, 100, 50), (136, 128, 108)),
    "snow": ((222, 228, 236), (204, 212, 222), (236, 240, 244), (150, 150, 140)),
}
_MOUNTAINS: dict[str, Colour] = {
    "meadow": (84, 104, 84),
    "forest": (56, 74, 52),
    "hills": (128, 112, 78),
    "village": (92, 104, 92),
    "snow": (176, 188, 204),
}


@dataclass(frozen=True)
class Light:
    """Sun, air and wetness.

    Attributes:
        gain: what daylight colours are multiplied by.
        zenith, horizon: colours of the sky, which is also the colour of fog at the horizon.
        visibility_m: distance at which 1/e of the contrast is left.
        shadow: how much of the light a shadow takes, 0 for none.
        sun_azimuth_rad, sun_elevation_rad: where the sun is, azimuth in the world, left positive.
        wet: whether the road mirrors the sky.
        rain: streaks in the picture, 0 for none to 1.
        ambient: what everything above is multiplied by where the car's headlights do not reach; 1 by day.
        clouds: share of the sky that they cover.
    """

    gain: Colour
    zenith: Colour
    horizon: Colour
    visibility_m: float
    shadow: float
    sun_azimuth_rad: float
    sun_elevation_rad: float
    wet: bool = False
    rain: float = 0.0
    ambient: float = 1.0
    clouds: float = 0.3


@dataclass(frozen=True)
class Look:
    """The build of a road and what is around it; lengths in metres.

    Attributes:
        landscape, weather: one of LANDSCAPES, one of WEATHERS.
        light: what the weather makes of colours.
        lane_width_m: of each of the two lanes, or of the whole road where lanes is 1.
        lanes: 2 with a line between them, or 1 unmarked.
        centre_mark: "dashes", "double", "solid" or "none"; centre_yellow its colour.
        edge_mark: whether lines mark the edges.
        paved_m: width of asphalt beyond the edge line; shoulder_m of gravel beyond that.
        asphalt: brightness 0 to 255 and tint.
        wear: 0 for new, 1 for faded marks, patches and cracks.
        ground: colours of the land, mixed in patches.
        mountains: colour of what stands at the horizon.
    """

    landscape: str
    weather: str
    light: Light
    lane_width_m: float
    lanes: int
    centre_mark: str
    centre_yellow: bool
    edge_mark: bool
    paved_m: float
    shoulder_m: float
    asphalt: Colour
    wear: float
    ground: tuple[Colour, ...]
    mountains: Colour

    @property
    def lane_m(self) -> float:
        """Centre of the car's lane, from the centre line, left positive: traffic keeps to the right."""
        return -self.lane_width_m / 2 if self.lanes == 2 else 0.0

    @property
    def half_width_m(self) -> float:
        """From the centre line to the edge of the asphalt."""
        return self.lane_width_m * self.lanes / 2 + self.paved_m


def draw_look(rng: np.random.Generator) -> Look:
    """Returns the look of one road."""
    landscape = str(rng.choice(list(LANDSCAPES), p=list(LANDSCAPES.values())))
    weather = str(rng.choice(list(WEATHERS), p=list(WEATHERS.values())))
    lanes = 2 if rng.random() < 0.9 else 1
    wear = rng.beta(1.3, 1.8)
    marks = (
        rng.choice(["dashes", "double", "solid", "none"], p=[0.46, 0.3, 0.14, 0.1]) if lanes == 2 else "none"
    )
    tone = rng.uniform(78, 128) + 26 * wear
    tint = rng.normal(0, 2.5)
    return Look(
        landscape=landscape,
        weather=weather,
        light=_draw_light(weather, rng),
        lane_width_m=rng.uniform(3.1, 3.7) if lanes == 2 else rng.uniform(3.6, 4.2),
        lanes=lanes,
        centre_mark=str(marks),
        centre_yellow=bool(rng.random() < (0.9 if marks == "double" else 0.35)),
        edge_mark=bool(marks == "none" and lanes == 2) or bool(rng.random() < (0.8 if lanes == 2 else 0.15)),
        paved_m=rng.uniform(0.15, 0.9) if lanes == 2 else rng.uniform(0.0, 0.2),
        shoulder_m=rng.uniform(0.2, 1.3),
        asphalt=(tone + tint, tone, tone - 1.5 * tint),
        wear=wear,
        ground=_jittered(GROUNDS[landscape], 5, rng),
        mountains=_jittered((_MOUNTAINS[landscape],), 6, rng)[0],
    )


def _jittered(colours: tuple[Colour, ...], by: float, rng: np.random.Generator) -> tuple[Colour, ...]:
    """The colours, all moved the same way."""
    moved = np.clip(np.array(colours) + rng.normal(0, by, 3) + rng.normal(0, 2 * by), 5, 250)
    return tuple((float(r), float(g), float(b)) for r, g, b in moved)


def _draw_light(weather: str, rng: np.random.Generator) -> Light:
    azimuth = rng.uniform(-np.pi, np.pi)
    high = np.radians(rng.uniform(25, 60))
    low = np.radians(rng.uniform(7, 16))
    if weather == "sun":
        zenith = (rng.uniform(58, 96), rng.uniform(110, 146), rng.uniform(186, 216))
        return Light(
            (1.06, 1.02, 0.95), zenith, (196, 216, 236), 1200, rng.uniform(0.5, 0.72), azimuth, high,
            clouds=rng.uniform(0, 0.5),
        )  # fmt: skip
    if weather == "low sun":
        return Light(
            (1.03, 0.92, 0.77), (104, 140, 190), (250, 220, 176), 700, rng.uniform(0.5, 0.7), azimuth, low,
            clouds=rng.uniform(0, 0.6),
        )  # fmt: skip
    grey = rng.uniform(-14, 14)
    if weather == "clouds":
        sky = (172 + grey, 180 + grey, 190 + grey)
        return Light((0.8, 0.82, 0.85), sky, (206, 210, 214), 600, 0.0, azimuth, high, clouds=1.0)
    if weather == "fog":
        mist = (192 + grey, 196 + grey, 198 + grey)
        return Light((0.74, 0.76, 0.78), mist, mist, rng.uniform(35, 100), 0.0, azimuth, high, clouds=0.0)
    if weather == "rain":
        sky = (112 + grey, 120 + grey, 130 + grey)
        return Light(
            (0.52, 0.55, 0.6), sky, (150 + grey, 156 + grey, 162 + grey), rng.uniform(120, 300), 0.0, azimuth,
            high, wet=True, rain=rng.uniform(0.4, 1.0), clouds=1.0,
        )  # fmt: skip
    deep = rng.uniform(0.45, 1.3)  # dusk: from blue hour to nearly night
    return Light(
        (0.82, 0.86, 1.05), (84, 112, 200), (250, 206, 184), 500, 0.0, azimuth, low, ambient=0.34 * deep,
        clouds=rng.uniform(0, 0.8),
    )  # fmt: skip

"""What a drawn scene holds: which things, how they look and where they are, decided before anything is drawn.

Which scenes may fall into which split is decided here too. Every scene shows *combinations*:

- ("colour", kind, colour): a red ball, whichever thing of the scene it is;
- ("setting", kind, setting): a ball on the beach;
- ("relation", kind, relation): a ball left of something.

`HELD_OUT` takes from every kind one colour, one setting and one relation for the test split. It takes another
colour and setting for the validation split. Then

- a training scene shows no held-out combination at all;
- a test scene shows at least one of the test split's and none of the validation split's;
- every second validation scene shows at least one of the validation split's, the others only seen ones. So
  model selection rewards generalising without having met what the test split asks.

The choice depends on the order of the tables alone, never on the seed.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from data_prep.captions.scenes.objects import COLOURS, KINDS, TEXTURES
from data_prep.captions.scenes.settings import SETTINGS, Band

# share of the picture's side: the side of a square as large as the object's patch; gaps keep the three apart
SIZES: dict[str, Band] = {"small": (0.2, 0.22), "medium": (0.28, 0.32), "large": (0.44, 0.5)}
MARGIN = 0.03
COVERS = ("tree", "umbrella")
SHELTERED = ("ball", "cat", "cup", "flower", "mushroom")
BACKDROPS = ("house", "car", "boat")  # before a tree or an umbrella, one would say under it
ABSURD = {("house", "room"), ("tree", "room"), ("car", "room"), ("bird", "room"), ("kite", "room")}

Combination = tuple[str, str, str]


@dataclass(frozen=True)
class Box:
    """A rectangle in shares of the picture's side: x, y of the upper left corner, width, height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True)
class Group:
    """One thing, or two or three that look the same, with a box for each."""

    kind: str
    colour: str
    texture: str
    size: str
    zone: str  # ground, air or water
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Scene:
    """A setting and its groups; `relation` says where the first group is, seen from the others."""

    setting: str
    relation: str  # alone, left, right, above, under, front or between
    groups: tuple[Group, ...]

    def combinations(self) -> set[Combination]:
        """Everything the splits keep apart that this scene shows."""
        shown = {("colour", group.kind, group.colour) for group in self.groups}
        shown |= {("setting", group.kind, self.setting) for group in self.groups}
        return shown | {("relation", self.groups[0].kind, self.relation)}

    def as_dict(self) -> dict[str, Any]:
        """The scene as plain JSON values, boxes as [x, y, width, height] rounded to a thousandth."""
        groups = []
        for group in self.groups:
            boxes = [[round(value, 3) for value in asdict(box).values()] for box in group.boxes]
            groups.append({**asdict(group), "boxes": boxes, "count": len(boxes)})
        return {"setting": self.setting, "relation": self.relation, "groups": groups}


def relations_of(kind: str) -> list[str]:
    """The relations in which a kind can be the first group, "alone" aside."""
    if KINDS[kind].flies:
        return ["left", "right", "above", "between"]
    small = ["under", "front"] if kind in SHELTERED else []
    return ["left", "right", "between", *small]


def settings_of(kind: str) -> list[str]:
    """The settings in which a kind is drawn."""
    return [setting for setting in SETTINGS if (kind, setting) not in ABSURD]


def _held_out() -> dict[str, frozenset[Combination]]:
    held: dict[str, set[Combination]] = {"val": set(), "test": set()}
    colours = list(COLOURS)
    for place, kind in enumerate(KINDS):
        settings, relations = settings_of(kind), relations_of(kind)
        for split, shift in (("test", 0), ("val", 3)):
            held[split].add(("colour", kind, colours[(place + shift) % len(colours)]))
            held[split].add(("setting", kind, settings[(place + shift) % len(settings)]))
        held["test"].add(("relation", kind, relations[place % len(relations)]))
    return {split: frozenset(combinations) for split, combinations in held.items()}


HELD_OUT = _held_out()


def draw_scene(split: str, place: int, rng: random.Random) -> Scene:
    """A random scene that belongs to the split; `place` is its number within the split."""
    other = {"val": "test", "test": "val"}
    wanted: frozenset[Combination] = frozenset()
    if split == "test" or (split == "val" and place % 2):
        wanted = HELD_OUT[split]
    forbidden = HELD_OUT[other[split]] if wanted else HELD_OUT["val"] | HELD_OUT["test"]
    while True:
        scene = _any_scene(rng)
        if scene is not None:
            shown = scene.combinations()
            if not shown & forbidden and (not wanted or shown & wanted):
                return scene


def _any_scene(rng: random.Random) -> Scene | None:
    """A random scene, or None where its things do not fit into the picture."""
    setting = rng.choice(list(SETTINGS))
    arrange = rng.choices(list(_ARRANGEMENTS), weights=list(_ARRANGEMENTS.values()))[0]
    made = arrange(setting, rng)
    if made is None:
        return None
    relation, groups = made
    if any(
        (group.kind, setting) in ABSURD or (group.colour, setting) == ("white", "snow") for group in groups
    ):
        return None
    return Scene(setting, relation, groups)


@dataclass(frozen=True)
class _Look:
    """A group before it has a place: how it looks, and the width and height of one of its things."""

    kind: str
    colour: str
    texture: str
    size: str
    width: float
    height: float

    def at(self, zone: str, *boxes: Box) -> Group:
        return Group(self.kind, self.colour, self.texture, self.size, zone, boxes)

    def box(self, centre: float, bottom: float) -> Box:
        return Box(centre - self.width / 2, bottom - self.height, self.width, self.height)


def _look(kind: str, colour: str, sizes: tuple[str, ...], rng: random.Random) -> _Look:
    texture = rng.choices(TEXTURES, weights=(6, 2, 2, 2))[0]
    size = rng.choice(sizes)
    side = rng.uniform(*SIZES[size]) * KINDS[kind].scale
    aspect = KINDS[kind].aspect
    return _Look(kind, colour, texture, size, side * aspect**0.5, side / aspect**0.5)


def _two_colours(rng: random.Random) -> list[str]:
    return rng.sample(list(COLOURS), 2)


def _flying(flies: bool) -> list[str]:
    return [name for name, kind in KINDS.items() if kind.flies == flies]


def _zone(kind: str, setting: str, rng: random.Random) -> str:
    if KINDS[kind].flies:
        return "air"
    if kind == "boat" and SETTINGS[setting].water and (setting == "lake" or rng.random() < 0.6):
        return "water"
    return "ground"


def _bottom(look: _Look, zone: str, setting: str, rng: random.Random) -> float:
    """Where the lower edge of a thing lies, at random within its zone's band."""
    place = SETTINGS[setting]
    if zone == "air":
        return rng.uniform(place.air[0] + look.height, max(place.air[1], place.air[0] + look.height))
    return rng.uniform(*(place.water if zone == "water" and place.water else place.ground))


def _row(looks: list[_Look], zones: list[str], setting: str, rng: random.Random) -> list[Box] | None:
    """Boxes from left to right with clear gaps, feet nearly level, or None where they do not fit."""
    free = 1 - 2 * MARGIN - sum(look.width for look in looks)
    gaps = [rng.uniform(0.04, 0.16) for _ in looks[1:]]
    if free < sum(gaps):
        return None
    left = MARGIN + rng.uniform(0, free - sum(gaps))
    shared: dict[str, float] = {}
    boxes = []
    for look, zone, gap in zip(looks, zones, [*gaps, 0.0], strict=True):
        tallest = max(looks, key=lambda each: each.height)
        bottom = shared.setdefault(zone, _bottom(tallest, zone, setting, rng))
        bottom += rng.uniform(-0.1, 0.0) if zone == "air" else rng.uniform(-0.015, 0.015)
        bottom = max(bottom, MARGIN + look.height)
        boxes.append(Box(left, bottom - look.height, look.width, look.height))
        left += look.width + gap
    return boxes


_Arranged = tuple[str, tuple[Group, ...]] | None


def _alone(setting: str, rng: random.Random) -> _Arranged:
    look = _look(rng.choice(list(KINDS)), rng.choice(list(COLOURS)), tuple(SIZES), rng)
    zone = _zone(look.kind, setting, rng)
    centre = rng.uniform(MARGIN + look.width / 2, 1 - MARGIN - look.width / 2)
    return "alone", (look.at(zone, look.box(centre, _bottom(look, zone, setting, rng))),)


def _several(setting: str, rng: random.Random) -> _Arranged:
    look = _look(rng.choice(list(KINDS)), rng.choice(list(COLOURS)), ("small", "medium"), rng)
    zone, count = _zone(look.kind, setting, rng), rng.choice((2, 3))
    boxes = _row([look] * count, [zone] * count, setting, rng)
    return ("alone", (look.at(zone, *boxes),)) if boxes else None


def _beside(setting: str, rng: random.Random) -> _Arranged:
    kinds = rng.sample(_flying(rng.random() < 0.25), 2)
    looks = [
        _look(kind, colour, tuple(SIZES), rng) for kind, colour in zip(kinds, _two_colours(rng), strict=True)
    ]
    zones = [_zone(kind, setting, rng) for kind in kinds]
    count = 2 if looks[0].size != "large" and rng.random() < 0.25 else 1
    relation = rng.choice(("left", "right"))
    order = [0] * count + [1] if relation == "left" else [1] + [0] * count
    boxes = _row([looks[i] for i in order], [zones[i] for i in order], setting, rng)
    if not boxes:
        return None
    placed = [[box for box, i in zip(boxes, order, strict=True) if i == which] for which in (0, 1)]
    return relation, tuple(looks[i].at(zones[i], *placed[i]) for i in (0, 1))


def _between(setting: str, rng: random.Random) -> _Arranged:
    kinds = rng.sample(_flying(rng.random() < 0.2), 3)
    colours = rng.sample(list(COLOURS), 3)
    looks = [_look(*pair, ("small", "medium"), rng) for pair in zip(kinds, colours, strict=True)]
    zones = [_zone(kind, setting, rng) for kind in kinds]
    order = [1, 0, 2]  # the first group is the one in the middle
    boxes = _row([looks[i] for i in order], [zones[i] for i in order], setting, rng)
    return (
        ("between", tuple(looks[i].at(zones[i], boxes[order.index(i)]) for i in range(3))) if boxes else None
    )


def _above(setting: str, rng: random.Random) -> _Arranged:
    colours = _two_colours(rng)
    upper = _look(rng.choice(_flying(True)), colours[0], ("small", "medium"), rng)
    lower = _look(rng.choice(_flying(False)), colours[1], ("small", "medium", "large"), rng)
    zone = _zone(lower.kind, setting, rng)
    floor = lower.box(0.5, _bottom(lower, zone, setting, rng)).y - 0.03
    if floor - upper.height < MARGIN:
        return None
    half = max(upper.width, lower.width) / 2 + MARGIN
    centre = rng.uniform(half, 1 - half)
    ceiling = upper.box(centre, rng.uniform(max(MARGIN + upper.height, floor - 0.12), floor))
    return "above", (upper.at("air", ceiling), lower.at(zone, lower.box(centre, floor + 0.03 + lower.height)))


def _under(setting: str, rng: random.Random) -> _Arranged:
    colours = _two_colours(rng)
    lower = _look(rng.choice(SHELTERED), colours[0], ("small",), rng)
    upper = _look(rng.choice(COVERS), colours[1], ("large",), rng)
    bottom = _bottom(upper, "ground", setting, rng)
    half = max(upper.width, 2 * lower.width) / 2 + MARGIN
    if bottom - upper.height < MARGIN or half > 0.5:
        return None
    centre = rng.uniform(half, 1 - half)
    aside = rng.choice((-1, 1)) * (lower.width / 2 + 0.035)  # clear of the trunk or the pole
    feet = min(bottom + 0.02, 1 - MARGIN)
    return "under", (
        lower.at("ground", lower.box(centre + aside, feet)),
        upper.at("ground", upper.box(centre, bottom)),
    )


def _front(setting: str, rng: random.Random) -> _Arranged:
    colours = _two_colours(rng)
    near = _look(rng.choice(SHELTERED), colours[0], ("small",), rng)
    far = _look(rng.choice(BACKDROPS), colours[1], ("large",), rng)
    top, low = SETTINGS[setting].ground
    bottom = rng.uniform(top, min(low, 0.9))
    if bottom - far.height < MARGIN or far.width > 0.9:
        return None
    centre = rng.uniform(MARGIN + far.width / 2, 1 - MARGIN - far.width / 2)
    middle = centre + rng.uniform(-0.3, 0.3) * far.width
    feet = bottom + rng.uniform(0.05, 0.08)
    return "front", (near.at("ground", near.box(middle, feet)), far.at("ground", far.box(centre, bottom)))


_ARRANGEMENTS: dict[Callable[[str, random.Random], _Arranged], float] = {
    _alone: 30,
    _several: 16,
    _beside: 22,
    _above: 11,
    _under: 6,
    _front: 7,
    _between: 8,
}


def unseen(scene: Scene, split: str) -> list[Combination]:
    """The combinations of a scene that are held out for its split, sorted; none in training."""
    return sorted(scene.combinations() & HELD_OUT.get(split, frozenset()))

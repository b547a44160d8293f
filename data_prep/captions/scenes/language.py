"""Five differently worded captions of a drawn scene, from a small grammar.

Every phrase has synonyms, listed from usual to rare; `_pick` follows that order, as people mostly choose the
same word and now and then another. Captions leave things out as people do (a size, a texture, the second
object, the setting), but say nothing that is not in the picture. They are lower case and hold no punctuation.
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from data_prep.captions.scenes.layout import Group, Scene

NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "ball": (("ball", "balls"),),
    "house": (("house", "houses"), ("cottage", "cottages")),
    "tree": (("tree", "trees"),),
    "car": (("car", "cars"),),
    "boat": (("boat", "boats"), ("sailboat", "sailboats")),
    "cat": (("cat", "cats"), ("kitten", "kittens")),
    "cup": (("cup", "cups"), ("mug", "mugs")),
    "flower": (("flower", "flowers"), ("blossom", "blossoms")),
    "mushroom": (("mushroom", "mushrooms"), ("toadstool", "toadstools")),
    "umbrella": (("umbrella", "umbrellas"), ("parasol", "parasols")),
    "balloon": (("balloon", "balloons"),),
    "kite": (("kite", "kites"),),
    "star": (("star", "stars"),),
    "bird": (("bird", "birds"),),
}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge"), "medium": ()}
TEXTURE_WORDS = {
    "striped": (("striped", ""), ("", "with stripes"), ("stripy", "")),
    "dotted": (("spotted", ""), ("", "with dots"), ("dotted", "")),
    "checked": (("checkered", ""), ("checked", ""), ("", "with checks")),
}
NUMBERS = {2: ("two", "a pair of"), 3: ("three",)}

_Verb = tuple[str, str, str]  # it lies, they lie, (a ball) lying
_LIES, _RESTS = ("lies", "lie", "lying"), ("rests", "rest", "resting")
_STANDS, _GROWS = ("stands", "stand", "standing"), ("grows", "grow", "growing")
_FLOATS, _FLIES = ("floats", "float", "floating"), ("flies", "fly", "flying")
VERBS: dict[str, tuple[_Verb, ...]] = {
    "ball": (_LIES, _RESTS),
    "house": (_STANDS,),
    "tree": (_STANDS, _GROWS),
    "car": (("is parked", "are parked", "parked"), _STANDS, ("waits", "wait", "waiting")),
    "boat": (_LIES, _RESTS),
    "cat": (("sits", "sit", "sitting"), ("waits", "wait", "waiting")),
    "cup": (_STANDS, ("sits", "sit", "sitting")),
    "flower": (_GROWS, ("blooms", "bloom", "blooming")),
    "mushroom": (_GROWS, _STANDS),
    "umbrella": (_STANDS,),
    "balloon": (_FLOATS, ("drifts", "drift", "drifting"), ("hovers", "hover", "hovering")),
    "kite": (_FLIES, ("sails", "sail", "sailing")),
    "star": (("shines", "shine", "shining"), ("glows", "glow", "glowing")),
    "bird": (_FLIES, ("glides", "glide", "gliding"), ("soars", "soar", "soaring")),
}
AFLOAT: tuple[_Verb, ...] = (_FLOATS, ("sails", "sail", "sailing"))

PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "beach": {
        "ground": ("on the beach", "on the sand", "on a sandy beach", "by the sea"),
        "air": ("over the beach", "above the sea", "in the sky by the sea"),
        "water": ("on the sea", "off a sandy beach", "on the waves"),
    },
    "meadow": {
        "ground": ("in a meadow", "on the grass", "in a grassy field"),
        "air": ("over a meadow", "above the grass", "over a grassy field"),
    },
    "night": {
        "ground": ("at night", "under a starry sky", "in the dark"),
        "air": ("in the night sky", "at night", "in a starry sky"),
    },
    "snow": {
        "ground": ("in the snow", "on a snowy day", "in a winter landscape"),
        "air": ("over the snow", "on a snowy day", "above snowy mountains"),
    },
    "wall": {
        "ground": ("by a brick wall", "on the pavement", "in the street"),
        "air": ("in front of a brick wall", "over the pavement", "against the bricks"),
    },
    "lake": {
        "ground": ("by the lake", "on the shore of a lake", "near the water"),
        "air": ("over the lake", "above the water", "near some hills"),
        "water": ("on the lake", "on the water", "on a calm lake"),
    },
    "desert": {
        "ground": ("in the desert", "on a dune", "in a hot desert"),
        "air": ("over the desert", "above the dunes", "in a desert sky"),
    },
    "room": {
        "ground": ("in a room", "on a wooden floor", "indoors"),
        "air": ("in a room", "above a wooden floor", "indoors"),
    },
}
VIEWS: dict[str, tuple[str, ...]] = {
    "beach": ("a sandy beach", "a beach", "the seaside"),
    "meadow": ("a meadow", "a grassy field", "a country meadow"),
    "night": ("a starry night", "a night sky", "a dark night"),
    "snow": ("a snowy landscape", "a winter landscape", "snowy mountains"),
    "wall": ("a brick wall", "a street", "an old brick wall"),
    "lake": ("a lake", "a calm lake", "a lake among hills"),
    "desert": ("a desert", "a hot desert", "some dunes"),
    "room": ("a room", "a bright room", "an old room"),
}

# seen from the first group; then the same relation seen from the second; then what "it" has there
_LEFT, _RIGHT = (
    ("to the left of", "left of", "on the left of"),
    ("to the right of", "right of", "on the right of"),
)
_NEAR = ("next to", "beside", "near")
RELATIONS: dict[str, tuple[str, ...]] = {
    "left": (_LEFT[0], _NEAR[0], _LEFT[1], _NEAR[1], _LEFT[2], _NEAR[2]),
    "right": (_RIGHT[0], _NEAR[0], _RIGHT[1], _NEAR[1], _RIGHT[2], _NEAR[2]),
    "above": ("above", "over"),
    "under": ("under", "beneath", "below"),
    "front": ("in front of", "close to"),
    "between": ("between", "in between"),
}
CONVERSES: dict[str, tuple[str, ...]] = {
    "left": RELATIONS["right"],
    "right": RELATIONS["left"],
    "above": ("below", "under", "beneath"),
    "front": ("behind",),
}
ASIDES = {
    "left": ("next to it", "beside it", "on its left"),
    "right": ("next to it", "beside it", "on its right"),
    "above": ("above it", "over it"),
    "under": ("under it", "beneath it"),
    "front": ("in front of it",),
    "between": ("between them", "in the middle"),
}
CAPTIONS_PER_IMAGE = 5
Option = TypeVar("Option")


def write_captions(scene: Scene, rng: random.Random, known: set[str] | None = None) -> list[str] | None:
    """Five different captions of a scene, or None where chance keeps using words that are not `known`."""
    templates = _ONE_GROUP if len(scene.groups) == 1 else _MORE_GROUPS
    captions: list[str] = []
    left = dict(templates)
    for _ in range(200):
        if not left:  # few templates fit: their synonyms still word them differently
            left = dict(templates)
        template = rng.choices(list(left), weights=list(left.values()))[0]
        del left[template]
        caption = template(scene, rng)
        if caption and caption not in captions and (known is None or known.issuperset(caption.split())):
            captions.append(caption)
            if len(captions) == CAPTIONS_PER_IMAGE:
                return captions
    return None


def _pick(options: Sequence[Option], rng: random.Random) -> Option:
    """One of the options, each three times as rare as the one before it."""
    return rng.choices(options, weights=[3.0**-rank for rank in range(len(options))])[0]


def _name(group: Group, rng: random.Random, detail: float = 1.0) -> str:
    """A noun phrase: article or number, size, texture, colour, noun; a low `detail` leaves more out."""
    plural = len(group.boxes) > 1
    words: list[str] = []
    after = ""
    if SIZE_WORDS[group.size] and rng.random() < 0.75 * detail:
        words.append(_pick(SIZE_WORDS[group.size], rng))
    if group.texture in TEXTURE_WORDS and rng.random() < 0.85 * detail:
        before, after = _pick(TEXTURE_WORDS[group.texture], rng)
        words.append(before)
    if rng.random() < 0.3 + 0.67 * detail:
        words.append(group.colour)
    words.append(_pick(NOUNS[group.kind], rng)[plural])
    phrase = " ".join(word for word in [*words, after] if word)
    if plural:
        return f"{_pick(NUMBERS[len(group.boxes)], rng)} {phrase}"
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _verb(group: Group, rng: random.Random) -> str:
    """What the group does, agreeing with its number."""
    return _pick(AFLOAT if group.zone == "water" else VERBS[group.kind], rng)[len(group.boxes) > 1]


def _doing(group: Group, rng: random.Random) -> str:
    return _pick(AFLOAT if group.zone == "water" else VERBS[group.kind], rng)[2]


def _place(scene: Scene, group: Group, rng: random.Random) -> str:
    return _pick(PLACES[scene.setting][group.zone], rng)


def _position(group: Group, rng: random.Random) -> str:
    """Where in the picture a single thing is, or how several stand; "" where nothing clear can be said."""
    if len(group.boxes) > 1:
        return "in a row" if len(group.boxes) > 2 else "side by side"
    box = group.boxes[0]
    height = box.y + box.height / 2
    side = "left" if box.centre < 0.36 else "right" if box.centre > 0.64 else ""
    if side and height < 0.3:
        return _pick((f"in the upper {side} corner", f"at the top {side}"), rng)
    if side and height > 0.75:
        return _pick((f"in the lower {side} corner", f"at the bottom {side}"), rng)
    if side:
        return _pick((f"on the {side}", f"on the {side} side"), rng)
    return _pick(("in the middle", "in the center"), rng) if 0.43 < box.centre < 0.57 else ""


def _are(group: Group) -> str:
    return "there are" if len(group.boxes) > 1 else "there is"


def _does_there(scene: Scene, rng: random.Random) -> str:
    group = scene.groups[0]
    return f"{_name(group, rng)} {_verb(group, rng)} {_place(scene, group, rng)}"


def _doing_there(scene: Scene, rng: random.Random) -> str:
    group = scene.groups[0]
    return f"{_name(group, rng)} {_doing(group, rng)} {_place(scene, group, rng)}"


def _there_is(scene: Scene, rng: random.Random) -> str:
    group = scene.groups[0]
    return f"{_are(group)} {_name(group, rng)} {_place(scene, group, rng)}"


def _place_first(scene: Scene, rng: random.Random) -> str:
    group = scene.groups[0]
    predicate = _pick((_verb(group, rng), _are(group)), rng)
    return f"{_place(scene, group, rng)} {predicate} {_name(group, rng)}"


def _view_with(scene: Scene, rng: random.Random) -> str:
    return f"{_pick(VIEWS[scene.setting], rng)} with {_name(scene.groups[0], rng)}"


def _positioned(scene: Scene, rng: random.Random) -> str:
    group = scene.groups[0]
    where = _position(group, rng)
    place = f" {_place(scene, group, rng)}" if rng.random() < 0.6 else ""
    return f"{_name(group, rng)} {_verb(group, rng)} {where}{place}" if where else ""


def _barely(scene: Scene, rng: random.Random) -> str:
    group = scene.groups[0]
    return f"{_name(group, rng, 0.4)} {_verb(group, rng)} {_place(scene, group, rng)}"


def _others(scene: Scene, rng: random.Random) -> str:
    return " and ".join(_name(group, rng, 0.75) for group in scene.groups[1:])


def _does_related(scene: Scene, rng: random.Random) -> str:
    first = scene.groups[0]
    relation = _pick(RELATIONS[scene.relation], rng)
    return f"{_name(first, rng)} {_verb(first, rng)} {relation} {_others(scene, rng)}"


def _related_there(scene: Scene, rng: random.Random) -> str:
    first, last = scene.groups[0], scene.groups[-1]
    doing = f"{_doing(first, rng)} " if rng.random() < 0.3 else ""
    relation = _pick(RELATIONS[scene.relation], rng)
    return f"{_name(first, rng)} {doing}{relation} {_others(scene, rng)} {_place(scene, last, rng)}"


def _does_related_there(scene: Scene, rng: random.Random) -> str:
    return (
        f"{_does_related(scene, rng)} {_place(scene, scene.groups[-1], rng)}" if len(scene.groups) < 3 else ""
    )


def _there_is_related(scene: Scene, rng: random.Random) -> str:
    first = scene.groups[0]
    relation = _pick(RELATIONS[scene.relation], rng)
    return f"{_are(first)} {_name(first, rng)} {relation} {_others(scene, rng)}"


def _conversely(scene: Scene, rng: random.Random) -> str:
    if scene.relation not in CONVERSES:
        return ""
    first, second = scene.groups
    relation = _pick(CONVERSES[scene.relation], rng)
    return f"{_name(second, rng)} {_verb(second, rng)} {relation} {_name(first, rng, 0.75)}"


def _with_aside(scene: Scene, rng: random.Random) -> str:
    aside, others = _pick(ASIDES[scene.relation], rng), _others(scene, rng)
    return f"{others} with {_name(scene.groups[0], rng)} {aside}" if " with " not in others else ""


def _listed(scene: Scene, rng: random.Random) -> str:
    names = " and ".join(_name(group, rng, 0.9) for group in scene.groups[:2])
    zones = {group.zone for group in scene.groups[:2]}
    if len(zones) > 1:  # no one place is true of both
        return f"{_pick(VIEWS[scene.setting], rng)} with {names}"
    return f"{names} {_place(scene, scene.groups[0], rng)}"


_Template = Callable[[Scene, random.Random], str]
_ONE_GROUP: dict[_Template, float] = {
    _does_there: 5,
    _doing_there: 3,
    _there_is: 3,
    _place_first: 2,
    _view_with: 2,
    _positioned: 3,
    _barely: 1.5,
}
_MORE_GROUPS: dict[_Template, float] = {
    _does_related: 5,
    _related_there: 4,
    _does_related_there: 4,
    _there_is_related: 2,
    _conversely: 2,
    _with_aside: 1.5,
    _listed: 1.5,
    _barely: 1,
    _does_there: 1,
}

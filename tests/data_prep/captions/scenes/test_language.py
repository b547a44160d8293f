"""Captions of drawn scenes are true, worded differently within an image and different across images."""

import random
import re
from typing import Any

import numpy as np
import pytest

from data_prep.captions.scenes.language import NOUNS, write_captions
from data_prep.captions.scenes.layout import draw_scene
from data_prep.captions.scenes.objects import COLOURS
from modules.metrics.captions import CaptionScorer

KIND_OF = {word: kind for kind, pairs in NOUNS.items() for pair in pairs for word in pair}
SIZE_OF = dict.fromkeys(("small", "little", "tiny"), "small") | dict.fromkeys(
    ("large", "big", "huge"), "large"
)
TEXTURE_OF = {
    **dict.fromkeys(("striped", "stripy", "stripes"), "striped"),
    **dict.fromkeys(("spotted", "dotted", "dots"), "dotted"),
    **dict.fromkeys(("checkered", "checked", "checks"), "checked"),
}
COUNT_OF = {"a": 1, "an": 1, "two": 2, "of": 2, "three": 3}
SETTING_OF = {
    **dict.fromkeys(["beach", "sand", "sandy", "sea", "seaside", "waves"], "beach"),
    **dict.fromkeys(["meadow", "grass", "grassy", "country"], "meadow"),
    **dict.fromkeys(["night", "starry", "dark"], "night"),
    **dict.fromkeys(["snow", "snowy", "winter", "mountains"], "snow"),
    **dict.fromkeys(["brick", "bricks", "pavement", "street"], "wall"),
    **dict.fromkeys(["lake", "shore", "water", "calm"], "lake"),
    **dict.fromkeys(["desert", "dune", "dunes", "hot"], "desert"),
    **dict.fromkeys(["room", "indoors", "wooden", "floor"], "room"),
}
NOUN, ADJECTIVE = "|".join(KIND_OF), "|".join((*COLOURS, *SIZE_OF, *TEXTURE_OF))
NAME = re.compile(
    rf"\b(a pair of|a|an|two|three) ((?:(?:{ADJECTIVE}) )*)({NOUN})\b( with (?:stripes|dots|checks))?"
)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    drawn = []
    for place in range(900):
        rng = random.Random(place)
        scene = draw_scene("test" if place % 3 == 0 else "train", place, rng)
        drawn.append({"scene": scene.as_dict(), "captions": write_captions(scene, rng)})
    return drawn


def check_relation(words: str, first: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Fails unless the boxes of the groups stand in the relation that the words state."""
    ours, theirs = np.array(first["boxes"]), np.array([box for other in others for box in other["boxes"]])
    start, stop = ours[:, 0].min(), (ours[:, 0] + ours[:, 2]).max()
    begin, end = theirs[:, 0].min(), (theirs[:, 0] + theirs[:, 2]).max()
    top, bottom = ours[:, 1].min(), (ours[:, 1] + ours[:, 3]).max()
    upper, lower = theirs[:, 1].min(), (theirs[:, 1] + theirs[:, 3]).max()
    if words in ("between", "in between", "between them", "in the middle"):
        assert len(theirs) == 2
        assert sorted(theirs[:, 0])[0] < start < sorted(theirs[:, 0])[1]
    elif "left" in words:
        assert stop < begin
    elif "right" in words:
        assert start > end
    elif words in ("next to", "beside", "near", "next to it", "beside it"):
        assert 0 < max(begin - stop, start - end) < 0.2
    elif words in ("above", "over", "above it", "over it"):
        assert bottom < upper
        assert max(start, begin) < min(stop, end)
    elif words in ("under", "beneath", "below", "under it", "beneath it"):
        assert top > upper + 0.3 * (lower - upper)
        assert max(start, begin) < min(stop, end)
    elif words in ("in front of", "close to", "in front of it"):
        assert bottom > lower
        assert max(start, begin) < min(stop, end)
        assert top > upper
    elif words == "behind":
        check_relation("in front of", others[0], [first])
    else:
        raise AssertionError(f"what does {words!r} mean?")


def check_caption(caption: str, scene: dict[str, Any]) -> None:
    """Fails unless everything the caption says holds for the description of the scene."""
    groups = {group["kind"]: group for group in scene["groups"]}
    names = list(NAME.finditer(caption))
    mentioned = [groups[KIND_OF[name[3]]] for name in names]  # KeyError: names what is not there
    for name, group in zip(names, mentioned, strict=True):
        said = name[2].split() + (name[4] or "").split()[1:]
        assert COUNT_OF[name[1].split()[-1]] == len(group["boxes"]) == group["count"]
        for word in said:
            if word in COLOURS:
                assert word == group["colour"]
            elif word in SIZE_OF:
                assert SIZE_OF[word] == group["size"]
            else:
                assert TEXTURE_OF[word] == group["texture"]
    rest = NAME.sub("#", caption)
    assert not re.search(rf"\b({NOUN}|{'|'.join(COLOURS)})\b", rest), (
        "every noun and colour is in a noun phrase"
    )
    assert {SETTING_OF[word] for word in rest.split() if word in SETTING_OF} <= {scene["setting"]}

    relation = re.search(
        r"# (?:[a-z]+ |(?:is|are) parked )??((?:(?:to|on) the )?(?:left|right) of|next to|beside|near|above"
        r"|over|under|beneath|below|in front of|close to|in between|between|behind) (#(?: and #)?)",
        rest,
    )
    aside = re.search(r"(#(?: and #)?) with # (between them|in the middle|on its \w+|[a-z ]+ it)$", rest)
    if aside:
        check_relation(aside[2], mentioned[-1], mentioned[:-1])
    elif relation:
        check_relation(relation[1], mentioned[0], mentioned[1:])
    else:
        assert rest.count("#") == 1 or re.search("# and #", rest)
    where = re.search(
        r"(?:on|in|at) the (?:(upper|lower|top|bottom) )?(left|right|middle|center)(?! of)\b", rest
    )
    if where and not aside:
        x, y, width, height = mentioned[0]["boxes"][0]
        low, high = {"left": (0.0, 0.4), "right": (0.6, 1.0)}.get(where[2], (0.4, 0.6))
        assert low < x + width / 2 < high
        if where[1]:
            assert (y + height / 2 < 0.35) == (where[1] in ("upper", "top"))


def test_captions_are_true(rows: list[dict[str, Any]]) -> None:
    relations = set()
    for row in rows:
        relations.add(row["scene"]["relation"])
        for caption in row["captions"]:
            try:
                check_caption(caption, row["scene"])
            except (AssertionError, KeyError) as error:
                raise AssertionError(f"{caption!r} is not true of {row['scene']}: {error}") from error
    assert relations == {"alone", "left", "right", "above", "under", "front", "between"}


@pytest.mark.parametrize(
    "lie",
    [
        "a blue ball lies left of a house",
        "a red cat lies left of a house",
        "two red balls lie left of a house",
        "a large red ball lies left of a house",
        "a striped red ball lies left of a house",
        "a red ball lies right of a house",
        "a red ball lies in front of a house",
        "a red ball and a house in the snow",
        "a red ball lies on the right",
        "a house with a red ball on its right",
    ],
)
def test_the_check_of_captions_finds_lies(lie: str) -> None:
    look = {"texture": "plain", "zone": "ground", "count": 1}
    ball = {"kind": "ball", "colour": "red", "size": "small", "boxes": [[0.1, 0.7, 0.2, 0.2]], **look}
    house = {"kind": "house", "colour": "pink", "size": "large", "boxes": [[0.4, 0.4, 0.5, 0.5]], **look}
    scene = {"setting": "beach", "relation": "left", "groups": [ball, house]}
    check_caption("a small red ball lies to the left of a house on the sand", scene)
    with pytest.raises((AssertionError, KeyError)):
        check_caption(lie, scene)


def test_captions_are_five_and_differently_worded(rows: list[dict[str, Any]]) -> None:
    words = [caption.split() for row in rows for caption in row["captions"]]
    assert all(len(set(row["captions"])) == 5 for row in rows)
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", caption) for row in rows for caption in row["captions"])
    assert 120 <= len({word for caption in words for word in caption}) <= 250
    assert 8 <= np.mean([len(caption) for caption in words]) <= 12
    assert max(map(len, words)) <= 24
    assert not [c for c in map(" ".join, words) if re.search(r"\ba [aeiou]|\ban [^aeiou]", c)]


def test_wording_is_shared_within_and_not_across_images(rows: list[dict[str, Any]]) -> None:
    captions = {str(number): row["captions"] for number, row in enumerate(rows[:300])}
    first = {image: texts[0] for image, texts in captions.items()}
    others = CaptionScorer({image: texts[1:] for image, texts in captions.items()})
    dealt = dict(zip(first, [*list(first.values())[1:], first[next(iter(first))]], strict=True))
    assert others.score(first).bleu4 >= 0.42
    assert CaptionScorer(captions).score(dealt).bleu4 <= 0.12


def test_captions_use_known_words_only_or_none() -> None:
    scene = draw_scene("train", 0, random.Random(0))
    captions = write_captions(scene, random.Random(1))
    assert captions is not None
    words = {word for caption in captions for word in caption.split()}
    again = write_captions(scene, random.Random(1), words)
    assert again is not None
    assert {word for caption in again for word in caption.split()} <= words
    assert write_captions(scene, random.Random(1), {"a"}) is None

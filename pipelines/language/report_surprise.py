"""The part of a language model's report on surprise: where the bits go, and what was least expected."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from modules.language.features import is_word_character
from modules.language.surprise import Unit
from modules.text_codec import Level
from pipelines.language.coloured_text import coloured, printable, surprise_pieces

BEGINNING = 1200  # characters
PASSAGE = 240  # characters
PASSAGES = 5
LEAST_EXPECTED = 12
CONTEXT = 36  # characters before a unit


class Kind(NamedTuple):
    """Units of one kind: their share of all, what one costs, and their share of the cost of all."""

    name: str
    share: float
    mean_bits: float
    share_of_bits: float


class Unexpected(NamedTuple):
    """A unit with what stands before it, its bits, and what was expected there with which probability."""

    before: str
    text: str
    bits: float
    expected: str
    probability: float


class Passage(NamedTuple):
    """A stretch of the text, where it begins (characters) and what a character of it costs."""

    offset: int
    bits_per_char: float
    text: Markup


@dataclass(frozen=True)
class SurpriseSection:
    """What the report shows of surprise: the text's beginning, kinds of units, passages, single units."""

    beginning: Markup
    kinds: list[Kind]
    passages: list[Passage]
    unexpected: list[Unexpected]


def surprise_section(units: Sequence[Unit], level: Level) -> SurpriseSection:
    """What surprised a model in a text of at least one unit."""
    offsets = [0]
    for unit in units:
        offsets.append(offsets[-1] + len(unit.text))
    return SurpriseSection(
        beginning=coloured(surprise_pieces(units[: _beginning(units, offsets)])),
        kinds=_kinds(units, level),
        passages=_passages(units, offsets),
        unexpected=_unexpected(units, offsets),
    )


def _beginning(units: Sequence[Unit], offsets: Sequence[int]) -> int:
    """Number of the first units up to a line's end before BEGINNING characters, or up to there."""
    within = sum(offset < BEGINNING for offset in offsets[1:])
    lines = (at for at in range(within, within // 2, -1) if units[at - 1].text.endswith("\n"))
    return within if within == len(units) else next(lines, within)


def _passages(units: Sequence[Unit], offsets: Sequence[int]) -> list[Passage]:
    """The stretches of PASSAGE characters with the most bits, none of which overlap, in falling order.

    They begin where lines begin, or after PASSAGE characters of a longer line, and end with a line if one
    ends in their second half.
    """
    total = [0.0]
    for unit in units:
        total.append(total[-1] + unit.bits)
    starts, begun = [], -PASSAGE
    for place, (unit, offset) in enumerate(zip(units, offsets, strict=False)):
        begins = place == 0 or units[place - 1].text.endswith("\n") or offset - begun >= PASSAGE
        if begins and unit.text.strip("\n"):
            starts.append(place)
            begun = offset
    candidates = []
    end = 0
    for start in starts:
        while end < len(units) and offsets[end] < offsets[start] + PASSAGE:
            end += 1
        half = offsets[start] + min(PASSAGE, offsets[-1]) // 2
        if offsets[end] >= half:
            whole = (at for at in range(end, start, -1) if units[at - 1].text.endswith("\n"))
            stop = next(whole, start)
            stop = stop if stop > start and offsets[stop] >= half else end
            candidates.append(((total[stop] - total[start]) / (offsets[stop] - offsets[start]), start, stop))
    chosen: list[tuple[float, int, int]] = []
    for bits, start, end in sorted(candidates, key=lambda candidate: (-candidate[0], candidate[1])):
        if all(end <= other[1] or start >= other[2] for other in chosen):
            chosen.append((bits, start, end))
    return [
        Passage(offsets[start], bits, coloured(surprise_pieces(units[start:end])))
        for bits, start, end in chosen[:PASSAGES]
    ]


def _unexpected(units: Sequence[Unit], offsets: Sequence[int]) -> list[Unexpected]:
    """The units with the most bits, in falling order."""
    text = "".join(unit.text for unit in units)
    ranked = sorted(range(len(units)), key=lambda place: (-units[place].bits, place))
    return [
        Unexpected(
            printable(text[max(0, offsets[place] - CONTEXT) : offsets[place]]).replace("␣", " "),
            printable(unit.text) or "(part of what follows)",
            unit.bits,
            printable(unit.expected),
            math.exp(unit.expected_log_prob),
        )
        for place, unit in ((place, units[place]) for place in ranked[:LEAST_EXPECTED])
    ]


def _kinds(units: Sequence[Unit], level: Level) -> list[Kind]:
    """How many units there are of each kind and what they cost, those that cost most together first."""
    costs: dict[str, list[float]] = defaultdict(list)
    position, margin = 0, True
    bits = 0.0
    for unit in units:
        bits += unit.bits
        if not unit.text:  # a part of what follows
            continue
        if level == "word":
            name = _word_kind(unit.text)
        else:
            position = position + 1 if is_word_character(unit.text) else 0
            margin = unit.text == "\n" or (margin and unit.text in " \t")
            name = _character_kind(unit.text, position, margin)
        costs[name].append(bits)
        bits = 0.0
    count = sum(map(len, costs.values()))
    total = max(1e-9, math.fsum(map(math.fsum, costs.values())))
    kinds = [
        Kind(name, len(each) / count, math.fsum(each) / len(each), math.fsum(each) / total)
        for name, each in costs.items()
    ]
    return sorted(kinds, key=lambda kind: -kind.share_of_bits)


def _character_kind(character: str, position: int, margin: bool) -> str:
    if margin:
        return "line break and indentation"
    if character.isspace():
        return "blank within a line"
    if character.isnumeric():
        return "digit"
    if position:
        return {1: "first letter of a word", 2: "second letter"}.get(position, "third and later letters")
    return "punctuation and symbols"


def _word_kind(word: str) -> str:
    if word.isspace():
        return "line break, indentation, further blanks"
    if any(map(str.isalpha, word)):
        return "word"
    return "number" if any(map(str.isnumeric, word)) else "punctuation and symbols"

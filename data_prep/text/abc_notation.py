"""Tunes in ABC notation as plain text: finding them in a file, and writing them in one simple form.

The simple form is what a model learns: four header lines (number, metre, note length, key), then notes,
rests, bars, repeats, tuplets and ties. Ornaments, slurs, chord names, words and blanks are left away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

_FIELD = re.compile(r"([A-Za-z]):(?![:|])\s*(.*)")
_ORNAMENTS = re.compile(r'"[^"\n]*"|![^!\n]*!|\{[^}\n]*\}|[.~HLMOPSTuvJkny`\\ \t*$)]|\((?!\d)')
_LENGTH = r"\d*(?:/\d*)*"
_NOTE = rf"[_^=]{{0,2}}[A-Ga-g][,']*{_LENGTH}"
_TOKEN = re.compile(
    rf"{_NOTE}|[zxZ]{_LENGTH}|\[(?:{_NOTE})+\]{_LENGTH}|\(\d(?::\d?){{0,2}}|[<>]+|-|&"
    r"|\[?:*\|+[:\]]*\d?(?:[,-]\d)*|:+|\[\d|\n"
)
_KEY = re.compile(r"([A-G][b#]?) ?(?:(m)|(maj|min|dor|mix|lyd|phr|aeo|ion|loc)[a-z]*)?", re.IGNORECASE)
_METRES = {"C": "4/4", "C|": "2/2"}
_STEPS = "CDEFGABcdefgab"


class BrokenTuneError(ValueError):
    """What is no tune, and the line of its text where that shows.

    Args:
        line: Counted from 1.
        what: Is wrong.
    """

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True)
class Tune:
    """A tune as it stands in a file.

    Args:
        text: Its lines.
        line: Of the file, counted from 1, with which it begins.
    """

    text: str
    line: int


def split_tunes(text: str) -> Iterator[Tune]:
    """Yields the tunes of a text; each begins with a line X: and ends with an empty line or the next X:."""
    lines: list[str] = []
    begins = 0
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        starts = line.startswith("X:")
        if lines and (starts or not line.strip()):
            yield Tune("\n".join(lines) + "\n", begins)
            lines = []
        if starts:
            begins = number
        if starts or lines:
            lines.append(line)


def first_tune(text: str) -> str:
    """Returns the first tune of a text, nothing where none begins in it."""
    return next((tune.text for tune in split_tunes(text)), "")


def simplified(tune: str) -> str:
    """Returns a tune in the simple form: headers X, M, L and K, and the lines of its notes.

    Raises:
        BrokenTuneError: A header is missing or wrong, or something is no note, rest, bar or sign of ABC.
    """
    fields: dict[str, str] = {}
    notes: list[str] = []
    lines = tune.split("\n")
    for number, written in enumerate(lines, start=1):
        line = written.partition("%")[0].strip()
        if field := _FIELD.match(line):
            if "K" in fields and field[1] in "KLMV":
                raise BrokenTuneError(number, f"{line!r} changes within a tune, which is not read")
            fields.setdefault(field[1], field[2].strip())
            continue
        plain = _ORNAMENTS.sub("", line).replace("x", "z")
        if wrong := _TOKEN.sub("", plain):
            raise BrokenTuneError(number, f"{wrong[:20]!r} is no note, rest, bar or sign of ABC notation")
        if plain and "K" not in fields:
            raise BrokenTuneError(number, "notes stand before the key, such as K:G")
        if plain:
            # a backslash at the end of a line joins it to the next
            joins = notes and notes[-1].endswith("\\")
            plain += "\\" if line.endswith("\\") else ""
            notes[-1:] = [notes[-1][:-1] + plain] if joins else [*notes[-1:], plain]
    body = "\n".join(notes).rstrip("\\")
    if not re.search(r"[A-Ga-g]", body):
        raise BrokenTuneError(len(lines), "holds no notes")
    metre = _metre(fields.get("M", "none"))
    length = fields.get("L") or ("1/16" if metre != "none" and Fraction(metre) < Fraction(3, 4) else "1/8")
    if not re.fullmatch(r"1/[1-9]\d*", length):
        raise BrokenTuneError(1, f"L:{length} is no note length, such as L:1/8")
    return f"X:1\nM:{metre}\nL:{length}\nK:{_key(fields['K'])}\n{body}\n"


def _metre(written: str) -> str:
    metre = _METRES.get(written, written)
    if metre == "none" or re.fullmatch(r"[1-9]\d?/(1|2|4|8|16|32)", metre):
        return metre
    raise BrokenTuneError(1, f"M:{written} is no metre, such as M:6/8 or M:none")


def _key(written: str) -> str:
    found = _KEY.fullmatch(written)
    if found is None or found[2] == "M":
        raise BrokenTuneError(1, f"K:{written} is no key, such as K:G, K:Em or K:Ador")
    tonic, minor, mode = found.groups()
    kind = (mode or "maj").lower()
    return tonic[0].upper() + tonic[1:] + ("m" if minor or kind == "min" else "" if kind == "maj" else kind)


def melody(tune: str) -> list[int]:
    """Returns the steps of the scale between neighbouring notes: the same in every key."""
    body = tune.partition("\nK:")[2].partition("\n")[2]
    steps = [
        _STEPS.index(letter) + 7 * (octaves.count("'") - octaves.count(","))
        for letter, octaves in re.findall(r"([A-Ga-g])([,']*)", body)
    ]
    return [after - before for before, after in pairwise(steps)]

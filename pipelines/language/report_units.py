"""The part of a language model's report on single units: what they follow, and passages on their colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from markupsafe import Markup

from modules.decoders.language import LanguageDecoder
from modules.language.features import text_features
from modules.language.unit_activations import UnitMatch, match_units, unit_activations
from modules.text_codec import TextCodec
from pipelines.language.coloured_text import Piece, activation_level, coloured

CHARACTERS_READ = 8_000
WINDOW = 520  # tokens of a passage
LEAST_CORRELATION = 0.3  # of a unit that is shown
MOST_VARIABLE = 2  # units shown for their variance alone


@dataclass(frozen=True)
class UnitPicture:
    """A passage on the colour of one unit; `match` is None for a unit shown for its variance."""

    unit: str
    match: UnitMatch | None
    deviation: float
    passage: Markup


@dataclass(frozen=True)
class UnitSection:
    """What the report shows of single units.

    Attributes:
        units: How many there are.
        characters: Of the text that they read.
        matches: The best unit of every feature, its name before it.
        pictures: Of the units that follow something, and of the most variable others.
    """

    units: int
    characters: int
    matches: list[tuple[str, UnitMatch]]
    pictures: list[UnitPicture]


def unit_section(decoder: LanguageDecoder, codec: TextCodec, text: str) -> UnitSection:
    """What single units of a recurrent decoder respond to in a text.

    A feature's unit has its picture if |r| is at least LEAST_CORRELATION and half more than chance gives.
    """
    text = text[:CHARACTERS_READ]
    pieces = codec.pieces(text)
    activations = unit_activations(decoder, codec.encode(text))  # (T, U)
    last = np.maximum(np.cumsum([len(piece) for piece in pieces]) - 1, 0)  # character of each token (T,)
    features = {name: values[last] for name, values in text_features(text).items()}
    matches = match_units(activations, features)
    strongest = {match.unit: match for match in reversed(matches)}  # of each unit the best
    shown = [
        match
        for match in strongest.values()
        if abs(match.correlation) >= max(LEAST_CORRELATION, 1.5 * match.chance)
    ]
    shown.sort(key=lambda match: list(features).index(match.feature))

    def name(unit: int) -> str:
        layer, number = divmod(unit, decoder.rnn.hidden_size)
        return f"layer {layer + 1}, unit {number + 1}"

    def picture(unit: int, match: UnitMatch | None, guide: Float[np.ndarray, " T"]) -> UnitPicture:
        column = activations[:, unit]
        start = _liveliest(guide, _line_starts(pieces))
        end = _last_line_end(pieces, start, start + WINDOW)
        passage = coloured(_pieces(pieces[start:end], column[start:end], column))
        return UnitPicture(name(unit), match, float(column.std()), passage)

    pictures = [picture(match.unit, match, features[match.feature]) for match in shown]
    by_variance = [int(unit) for unit in np.argsort(-activations.std(axis=0)) if unit not in strongest]
    pictures += [picture(unit, None, activations[:, unit]) for unit in by_variance[:MOST_VARIABLE]]
    return UnitSection(
        activations.shape[1], len(text), [(name(match.unit), match) for match in matches], pictures
    )


def _pieces(
    texts: list[str], values: Float[np.ndarray, " W"], column: Float[np.ndarray, " T"]
) -> Iterator[Piece]:
    """Yields the texts, coloured by how far the unit is from its mean, the strongest at two deviations."""
    scaled = (values - column.mean()) / max(1e-8, 2 * float(column.std()))
    for text, value in zip(texts, scaled, strict=True):
        yield Piece(text, activation_level(float(value)))


def _line_starts(pieces: list[str]) -> Int[np.ndarray, " starts"]:
    """Tokens with which a line begins; every hundredth where there are hardly any lines."""
    starts = [0] + [place + 1 for place, piece in enumerate(pieces) if piece.endswith("\n")]
    if len(starts) * WINDOW < len(pieces):
        starts = list(range(0, len(pieces), 100))
    return np.array(starts)


def _last_line_end(pieces: list[str], start: int, end: int) -> int:
    """Where the last line ends that ends in the second half of these tokens, or their end."""
    lines = (
        at for at in range(min(end, len(pieces)), (start + end) // 2, -1) if pieces[at - 1].endswith("\n")
    )
    return next(lines, end)


def _liveliest(guide: Float[np.ndarray, " T"], starts: Int[np.ndarray, " starts"]) -> int:
    """The start of the passage in which the values vary most, the first of equals."""
    within = starts[starts <= max(0, len(guide) - WINDOW)]
    return int(within[np.argmax([guide[start : start + WINDOW].std() for start in within])])

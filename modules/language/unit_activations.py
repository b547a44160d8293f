"""What single units of a recurrent decoder respond to (Karpathy, Johnson and Li 2015, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from modules.decoders.language import LanguageDecoder


def unit_activations(decoder: LanguageDecoder, tokens: Sequence[int]) -> Float[np.ndarray, "T U"]:
    """Every unit's activation after each token: `tanh(c)` of an LSTM's memory, of other cells their output.

    Column `l H + i` is unit i of layer l, both from 0.

    Args:
        decoder: In evaluation mode, on any device.
        tokens: A text from its beginning.
    """
    rnn = decoder.rnn
    per_layer = len(rnn.init_state(1)) // len(rnn.cells)
    state, rows = rnn.init_state(1), []
    with torch.inference_mode():
        given = torch.tensor(tokens, dtype=torch.long, device=state[0].device)
        projected = rnn.cells[0].project_input(decoder.vectors(given))  # (T, G H)
        for from_input in projected.unsqueeze(1):
            _, state = rnn.step(from_input, state)
            rows.append(torch.cat(state[per_layer - 1 :: per_layer], dim=1))  # (1, U)
        activations = torch.cat(rows) if rows else torch.empty(0, len(rnn.cells) * state[0].shape[1])
        if rnn.kind == "lstm":
            activations = activations.tanh()
    return activations.cpu().numpy()


class UnitMatch(NamedTuple):
    """The unit that follows a feature best.

    Attributes:
        feature: The feature's name.
        unit: Column of the activations.
        correlation: Pearson's r of the unit with the feature, from -1 to 1.
        chance: The largest |r| of any unit with the same feature of another place in the text: what a search
            among so many units finds where there is nothing to find.
    """

    feature: str
    unit: int
    correlation: float
    chance: float


def match_units(
    activations: Float[np.ndarray, "T U"], features: Mapping[str, Float[np.ndarray, " T"]]
) -> list[UnitMatch]:
    """The unit with the largest |r| for every feature that changes, the best match first.

    `r = cov(a, f) / (sd(a) sd(f))` over the T tokens.

    Args:
        activations: One column a unit.
        features: One value a token each.
    """
    units = _standardised(activations)
    matches = []
    for name, values in features.items():
        if np.ptp(values) == 0:
            continue
        feature = _standardised(values[:, None])[:, 0]
        correlations = units.T @ feature / len(feature)  # (U,)
        # the same values, in their own order, at places half the text away
        elsewhere = np.roll(feature, len(feature) // 2)
        unit = int(np.abs(correlations).argmax())
        chance = float(np.abs(units.T @ elsewhere).max() / len(feature))
        matches.append(UnitMatch(name, unit, float(correlations[unit]), chance))
    return sorted(matches, key=lambda match: -abs(match.correlation))


def _standardised(columns: Float[np.ndarray, "T N"]) -> Float[np.ndarray, "T N"]:
    """Each column with mean 0 and variance 1; one that never changes is 0."""
    centred = columns - columns.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 1e-8, deviation, np.inf)

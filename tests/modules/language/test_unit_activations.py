"""Which unit follows which feature."""

import numpy as np
import pytest
import torch

from modules.decoders.language import LanguageDecoder, LanguageDecoderOptions
from modules.language.unit_activations import match_units, unit_activations

PLACES, UNITS = 3000, 40


@pytest.fixture
def activations():
    return np.random.default_rng(0).normal(size=(PLACES, UNITS)).astype(np.float32)


def test_planted_units_are_found_with_their_sign_and_strength(activations):
    rng = np.random.default_rng(1)
    feature, other = (rng.random((2, PLACES)) < 0.3).astype(np.float32)
    activations[:, 7] = 3 - 2 * feature
    activations[:, 11] = other + 0.5 * rng.normal(size=PLACES)
    first, second = match_units(activations, {"other": other, "feature": feature})
    assert (first.feature, first.unit) == ("feature", 7) and first.correlation == pytest.approx(-1, abs=1e-5)
    assert (second.feature, second.unit) == ("other", 11)
    assert second.correlation == pytest.approx(np.corrcoef(activations[:, 11], other)[0, 1], abs=1e-5)
    assert max(first.chance, second.chance) < 0.1


def test_where_there_is_nothing_to_find_chance_is_as_good(activations):
    noise = np.random.default_rng(2).normal(size=PLACES).astype(np.float32)
    (match,) = match_units(activations, {"noise": noise})
    assert abs(match.correlation) < 0.1 and match.chance == pytest.approx(abs(match.correlation), rel=0.6)


@pytest.mark.filterwarnings("error")
def test_what_never_changes_is_no_match(activations):
    activations[:, 0] = 1.0
    assert match_units(activations, {"constant": np.ones(PLACES, np.float32)}) == []
    feature = np.linspace(0, 1, PLACES, dtype=np.float32)
    assert match_units(activations[:, :1], {"line": feature})[0].correlation == 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("connection", ["plain", "residual"])
def test_activations_are_those_of_the_state_after_each_token(cell, connection):
    torch.manual_seed(0)
    options = LanguageDecoderOptions(
        cell=cell, layers=3, hidden_size=5, embedding_size=4, connection=connection, dropout=0.5
    )
    decoder = LanguageDecoder(9, options).eval()
    tokens = [4, 8, 5, 5, 6, 7, 4]
    activations = unit_activations(decoder, tokens)
    assert activations.shape == (7, 15) and np.abs(activations).max() < 1
    state = decoder.init_state(1)
    for token, row in zip(tokens, activations, strict=True):
        with torch.no_grad():
            _, state, _ = decoder.step(torch.tensor([token]), state)
        if cell == "lstm":  # h of layer 1, c of layer 1, h of layer 2, ...
            wanted = torch.cat([c.tanh() for c in state.recurrent[1::2]], dim=1)
        else:
            wanted = torch.cat(state.recurrent, dim=1)
        assert np.allclose(row, wanted[0], atol=1e-6)
    assert unit_activations(decoder, []).shape == (0, 15)

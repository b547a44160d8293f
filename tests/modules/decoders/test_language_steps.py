"""Weights in 8 bits to write with: how near they are to float32, and where they are not used."""

import pytest
import torch

from modules.decoders import language_steps
from modules.decoders.language import LanguageDecoder, LanguageDecoderOptions
from modules.decoders.language_steps import LanguageSteps, multiplies_int8, product

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not multiplies_int8(torch.zeros(1)), reason="this processor has no kernel for 8 bits"),
]
V = 13
VARIANTS = {
    "lstm": {},
    "rnn, one-hot": {"cell": "rnn", "embedding_size": 0},
    "gru, residual": {"cell": "gru", "connection": "residual", "layers": 3},
    "highway": {"connection": "highway"},
    "dense": {"connection": "dense"},
    "layer norm": {"layer_norm": True},
    "jordan": {"cell": "jordan"},
    "vectors not looked up": {"layers": 1, "hidden_size": 4, "embedding_size": 40},
}


@pytest.fixture
def in_8_bits(monkeypatch):
    """Small matrices are worth it too."""
    monkeypatch.setattr(language_steps, "INT8_FROM", 1)


def decoder(**options) -> LanguageDecoder:
    torch.manual_seed(0)
    sizes = {"layers": 2, "embedding_size": 24, "hidden_size": 32, **options}
    return LanguageDecoder(V, LanguageDecoderOptions(**sizes)).eval()


def logits_of(steps: LanguageSteps, tokens: torch.Tensor) -> torch.Tensor:
    """What follows each unit (N, T, V)."""
    state, found = steps.init_state(len(tokens)), []
    for column in tokens.unbind(1):
        logits, state, _ = steps.step(column, state)
        found.append(logits)
    return torch.stack(found, 1)


def tokens(rows: int, length: int = 30) -> torch.Tensor:
    return torch.randint(4, V, (rows, length), generator=torch.Generator().manual_seed(0))


def test_a_product_in_8_bits_is_as_near_as_its_steps_are_fine_and_overflows_nowhere(in_8_bits):
    weight, bias = torch.randn(40, 96, generator=torch.Generator().manual_seed(0)), torch.arange(40.0)
    weight[0], weight[1], weight[2] = 1.0, -1.0, 0.0
    x = torch.rand(4, 96, generator=torch.Generator().manual_seed(1)) * 4 - 2
    x[0], x[1] = 2.0, -2.0  # the sums of pairs are as large as they get
    found = product(weight, bias, bound=2.0)(x)
    of_weight, of_input = weight.abs().amax(1) / 127, 2.0 / language_steps.LEVELS  # what 1 stands for
    # each factor is half a step off at most
    allowed = (
        x.abs().sum(1, keepdim=True) * of_weight / 2
        + weight.abs().sum(1) * of_input / 2
        + 96 * of_weight * of_input / 4
    )
    assert ((found - (x @ weight.T + bias)).abs() <= allowed + 1e-4).all()
    assert not torch.allclose(found, x @ weight.T + bias, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_in_8_bits_say_nearly_what_steps_in_float32_say(in_8_bits, variant):
    made, text = decoder(**VARIANTS[variant]), tokens(3)
    with torch.inference_mode():
        exact, near = (logits_of(made.for_steps(weights), text) for weights in ("float32", "auto"))
    assert torch.equal(exact.isinf(), near.isinf())  # markers keep probability 0
    difference = (exact - near)[..., 3:].abs()
    assert 0 < difference.mean() < 0.02 and difference.max() < 0.1


def test_texts_written_together_do_not_touch_each_other(in_8_bits):
    steps, text = decoder().for_steps("auto"), tokens(5)
    with torch.inference_mode():
        assert torch.equal(logits_of(steps, text)[2:3], logits_of(steps, text[2:3]))


@pytest.mark.parametrize(
    "options", [{"activation": "relu", "layer_norm": True}, {"activation": "identity", "cell": "rnn"}]
)
def test_states_without_bounds_are_read_in_float32(in_8_bits, options):
    made, text = decoder(**options), tokens(2)
    with torch.inference_mode():
        assert torch.equal(*(logits_of(made.for_steps(weights), text) for weights in ("float32", "auto")))


def test_small_matrices_stay_in_float32():
    made, text = decoder(), tokens(2)
    with torch.inference_mode():
        assert torch.equal(*(logits_of(made.for_steps(weights), text) for weights in ("float32", "auto")))

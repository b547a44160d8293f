"""The temperature that suits a text best, and what dividing by it changes."""

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from modules.decoders.language import LanguageDecoderOptions, UnitScores
from modules.errors import InputError
from modules.language.author_model import AuthorModel
from modules.language.calibration import TEMPERATURES, TemperatureSearch, divide_logits
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions


@pytest.fixture
def too_sure():
    """Returns an output layer, states, and units drawn with its logits divided by 1.3."""
    torch.manual_seed(0)
    output = UnitScores(8, 12, unknown=True)
    with torch.no_grad():
        output.weight.normal_()
        output.bias.normal_()
        h = torch.randn(5, 400, 8)
        units = torch.distributions.Categorical(logits=output(h) / 1.3).sample()
    return output, h, units


def nats(output, h, units, temperature):
    return F.cross_entropy((output(h) / temperature).flatten(0, 1), units.flatten(), reduction="sum").item()


def test_the_temperature_is_that_of_fewest_nats(too_sure):
    output, h, units = too_sure
    search = TemperatureSearch(output)
    search.add(h, units)
    best = minimize_scalar(lambda t: nats(output, h, units, t), bounds=(0.7, 1.6), method="bounded").x
    assert abs(best - 1.3) < 0.1 and abs(search.temperature - best) <= 0.011
    for found, temperature in zip(search.nats, TEMPERATURES, strict=True):
        assert found.item() == pytest.approx(nats(output, h, units, temperature), rel=1e-5)


def test_a_text_may_come_in_parts(too_sure):
    output, h, units = too_sure
    whole, parts = TemperatureSearch(output), TemperatureSearch(output)
    whole.add(h, units)
    for at in range(0, 400, 100):
        parts.add(h[:, at : at + 100], units[:, at : at + 100])
    torch.testing.assert_close(parts.nats, whole.nats, rtol=1e-6, atol=0)


def test_dividing_leaves_nothing_to_divide_and_ranks_as_they_were(too_sure):
    output, h, units = too_sure
    search, before = TemperatureSearch(output), output(h)
    search.add(h, units)
    divide_logits(output, search.temperature)
    after = output(h)
    torch.testing.assert_close(after, before / search.temperature)
    assert after.argmax(2).equal(before.argmax(2))
    again = TemperatureSearch(output)
    again.add(h, units)
    assert again.temperature == pytest.approx(1.0, abs=0.021)


def test_without_a_text_nothing_is_divided():
    assert TemperatureSearch(UnitScores(8, 12, unknown=True)).temperature == 1.0


@pytest.mark.parametrize(
    ("model", "decoder", "says"),
    [
        (LanguageModel, LanguageDecoderOptions(tied=True), "model.decoder.tied"),
        (AuthorModel, LanguageDecoderOptions(), "calibrated anyway"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(model, decoder, says):
    with pytest.raises(InputError, match=says):
        model(decoder=decoder, training=LanguageTrainingOptions(calibrate=True))

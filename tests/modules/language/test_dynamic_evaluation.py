"""Dynamic evaluation: honest, the same in any pieces, and better on a text that repeats itself."""

import copy

import pytest
import torch

from modules.language.dynamic_evaluation import CLIP, SEGMENT, DynamicReader
from modules.language.surprise import SurpriseReader, opening
from tests.modules.language.test_surprise import make_model

pytestmark = pytest.mark.usefixtures("one_thread")
TEXT = "to be or not to be, that is the question. " * 12


def said(model, ids, rate, pieces=10**6):
    reader = DynamicReader(model.decoder, opening(model.codec), rate)
    parts = [reader.read(ids[at : at + pieces]).log_probs for at in range(0, len(ids), pieces)]
    return torch.cat(parts), reader


@pytest.mark.parametrize("options", [{}, {"kind": "fixed_window", "window": 3}], ids=str)
def test_without_a_rate_it_is_a_plain_reader(options):
    model = make_model(text=TEXT, **options)
    ids = model.codec.encode(TEXT)
    plain = SurpriseReader(model.decoder, opening(model.codec)).read(ids).log_probs
    torch.testing.assert_close(said(model, ids, 0.0)[0], plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pieces", [1, 7, 64, 100])
def test_pieces_change_nothing(pieces):
    model = make_model(text=TEXT)
    ids = model.codec.encode(TEXT)
    torch.testing.assert_close(
        said(model, ids, 0.5, pieces)[0], said(model, ids, 0.5)[0], atol=1e-4, rtol=1e-4
    )


def test_a_unit_is_scored_before_it_is_learnt():
    """What comes later in the text changes nothing of what was said before, nor the model itself."""
    model = make_model(text=TEXT)
    ids = model.codec.encode(TEXT)
    before = copy.deepcopy(model.decoder.state_dict())
    first, _ = said(model, ids[:100], 0.5)
    whole, _ = said(model, [*ids[:100], *reversed(ids)], 0.5)
    assert torch.equal(whole[:100], first)
    assert all(torch.equal(value, before[name]) for name, value in model.decoder.state_dict().items())


def test_a_text_that_repeats_itself_gets_more_probable():
    model = make_model(text=TEXT)
    ids = model.codec.encode(TEXT)
    learning, kept = said(model, ids, 0.3)[0], said(model, ids, 0.0)[0]
    assert torch.allclose(learning[:SEGMENT], kept[:SEGMENT], atol=1e-5)
    assert learning[-SEGMENT:].mean() > kept[-SEGMENT:].mean() + 0.5


def test_the_first_step_is_that_of_gradient_descent():
    model = make_model(text=TEXT)
    ids = model.codec.encode(TEXT)[:SEGMENT]
    _, reader = said(model, ids, 0.5)
    expected = copy.deepcopy(model.decoder)
    given = torch.tensor([[opening(model.codec), *ids]])
    h, _ = expected.read(given[:, :-1], expected.init_state(1))
    nats, units = expected.output.nats(h, given[:, 1:])
    (nats / units).backward()
    learnt = [p for p in expected.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(learnt, CLIP)
    assert norm > CLIP
    for parameter, found in zip(learnt, reader.parameters, strict=True):
        torch.testing.assert_close(found, parameter - 0.5 * parameter.grad, atol=1e-5, rtol=1e-4)

"""The language decoders by themselves: steps and sequences, causality, gradients, texts without end."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from modules.decoders.fixed_window import FixedWindowDecoder
from modules.decoders.language import LanguageDecoder, LanguageDecoderOptions, UnitScores
from modules.decoding import DecoderState, DecodingOptions, sample_stream
from modules.errors import InputError
from modules.language.language_model import DECODERS

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = LanguageDecoderOptions(layers=2, embedding_size=6, hidden_size=8)
V = 13
VARIANTS = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "one-hot rnn": {"cell": "rnn", "embedding_size": 0, "layers": 1},
    "jordan": {"cell": "jordan"},
    "the lecture's gru, dense": {"cell": "gru_reset_before", "connection": "dense"},
    "highway, layer norm": {"connection": "highway", "layer_norm": True},
    "tied": {"tied": True, "embedding_size": 8},
    "window": {"kind": "fixed_window", "window": 4},
    "window of one": {"kind": "fixed_window", "window": 1},
}


def decoder(**options) -> LanguageDecoder | FixedWindowDecoder:
    torch.manual_seed(0)
    options = replace(SMALL, **options)
    return DECODERS[options.kind](V, options).eval()


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(4, V, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_say_what_forward_says_in_one_piece_and_in_several(variant):
    made, text = decoder(**VARIANTS[variant]), tokens(3, 7)
    whole, end = made(text, made.init_state(3))  # (3, 7, V)
    first, state = made(text[:, :4], made.init_state(3))
    second, _ = made(text[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-6, rtol=1e-5)
    state = made.init_state(3)
    for t in range(7):
        logits, state, alpha = made.step(text[:, t], state)
        assert alpha is None
        torch.testing.assert_close(logits, whole[:, t], atol=1e-6, rtol=1e-5)
    for left, right in zip(state.recurrent, end.recurrent, strict=True):
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_of_a_batch_know_nothing_of_one_another(variant):
    made, text = decoder(**VARIANTS[variant]), tokens(3, 5)
    together, _ = made(text, made.init_state(3))
    alone, _ = made(text[1:2], made.init_state(1))
    torch.testing.assert_close(together[1:2], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_unit_sees_its_successor(variant):
    made, text = decoder(**VARIANTS[variant]), tokens(1, 6)
    before, _ = made(text, made.init_state(1))
    text[0, 4] = 4 + (text[0, 4] - 3) % (V - 4)
    after, _ = made(text, made.init_state(1))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_trained_parameter(variant):
    made = decoder(**VARIANTS[variant]).train()
    # two chunks, so that recurrent weights of a first step from zeros matter, and all units
    text = torch.arange(4, V).repeat(2, 3)
    logits, _ = made(text[:, :-1], made.init_state(2))
    F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten()).backward()
    frozen = {name for name, parameter in made.named_parameters() if not parameter.requires_grad}
    assert all(name.endswith("bias_hh") for name in frozen)
    for name, parameter in made.named_parameters():
        if name not in frozen:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_lstm_decoder_is_pytorchs_lstm_between_two_tables():
    made, text = decoder(), tokens(2, 9)
    lstm = nn.LSTM(6, 8, 2, batch_first=True)
    for layer, cell in enumerate(made.rnn.cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(lstm, f"{name}_l{layer}").data.copy_(getattr(cell, name))
    h, _ = lstm(made.embedding(text))
    expected = h @ made.output.weight.T + made.output.bias
    found, _ = made(text, made.init_state(2))
    torch.testing.assert_close(found[..., 3:], expected[..., 3:], atol=1e-6, rtol=1e-5)


def test_one_hot_vectors_that_are_never_made_give_the_same_states_and_gradients():
    made, text = decoder(cell="rnn", layers=1, embedding_size=0).double(), tokens(3, 7)
    before = torch.randn(3, 8, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    found = []
    for run in (made._one_hot, lambda text, before: made.rnn(made.vectors(text), (before,))):
        begun = before.clone().requires_grad_()
        h, last = run(text, begun)
        (h.sin().sum() + last[0].cos().sum()).backward()
        cell = made.rnn.cells[0]
        weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih]
        found.append([h.detach(), last[0].detach(), begun.grad, *(w.grad.clone() for w in weights)])
        made.zero_grad()
    for written_out, recorded in zip(*found, strict=True):
        torch.testing.assert_close(written_out, recorded, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rows", [1, 5])
def test_a_decoder_made_for_steps_says_what_forward_says(variant, rows):
    made, text = decoder(**VARIANTS[variant]).double(), tokens(rows, 9)
    with torch.no_grad():
        for parameter in made.parameters():  # biases of zero would hide one that is left out
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        whole, end = made(text, made.init_state(rows))
        quick = made.for_steps()
        state = quick.init_state(rows)
        for t in range(9):
            logits, state, _ = quick.step(text[:, t], state)
            torch.testing.assert_close(logits, whole[:, t], atol=1e-10, rtol=0)
    for left, right in zip(state.recurrent, end.recurrent, strict=True):
        torch.testing.assert_close(left, right, atol=1e-10, rtol=0)
    # and the decoder itself can go on training
    assert made.output.weight.is_contiguous() and made.output.weight.requires_grad


def test_inputs_are_looked_up_only_where_that_takes_less_memory_than_the_weights():
    assert decoder().for_steps().looked_up.shape == (V, 4 * 8)
    assert decoder(hidden_size=2, layers=1).for_steps().looked_up.shape == (V, 6)


def test_the_fixed_window_is_a_network_over_concatenated_vectors():
    made, text = decoder(kind="fixed_window", window=3), tokens(1, 6)
    found, _ = made(text, made.init_state(1))
    for t in range(6):
        window = [0] * max(0, 2 - t) + text[0, max(0, t - 2) : t + 1].tolist()  # PAD before the text
        e = made.embedding(torch.tensor(window))  # (3, E)
        # the columns of W stand vector element by vector element, the places of the window side by side
        h = torch.tanh(e.T.flatten() @ made.hidden.weight.T + made.hidden.bias)
        torch.testing.assert_close(found[0, t, 4:], (h @ made.output.weight.T + made.output.bias)[4:])


def test_the_fixed_window_forgets_what_left_the_window():
    made, text = decoder(kind="fixed_window", window=3), tokens(1, 8)
    before, _ = made(text, made.init_state(1))
    text[0, 2] = 4 + (text[0, 2] - 3) % (V - 4)
    after, _ = made(text, made.init_state(1))
    assert torch.equal(before[:, 5:], after[:, 5:])
    assert not torch.equal(before[:, 4], after[:, 4])


@pytest.mark.parametrize("unknown", [True, False])
def test_markers_have_no_probability(unknown):
    made = decoder(unknown=unknown)
    logits, _ = made(tokens(2, 3), made.init_state(2))
    impossible = (logits == -torch.inf).all(0).all(0).nonzero().flatten().tolist()
    assert impossible == [0, 1, 2] + [3] * (not unknown)
    assert made.output.possible == V - len(impossible)
    assert logits.softmax(-1).sum(-1).allclose(torch.ones(2, 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 0}, "model.decoder.hidden_size is 0"),
        ({"dropout": 1.0}, "model.decoder.dropout is 1.0"),
        ({"kind": "fixed_window", "embedding_size": 0}, "fixed_window needs vectors"),
        ({"tied": True, "embedding_size": 6}, "it has to be the same"),
        ({"tied": True, "embedding_size": 0}, "tied weights need vectors"),
    ],
)
def test_options_out_of_range_are_named(options, words):
    with pytest.raises(InputError, match=words):
        decoder(**options)


# ---- texts without end


def test_sampled_tokens_have_the_frequencies_of_the_distribution_and_banned_ones_none():
    logits = torch.tensor([9.0, 9.0, 9.0, 9.0, 2.0, 1.0, 0.0])

    def step(tokens, state):
        return logits.expand(len(tokens), -1), state, None

    rows = 4000
    stream = sample_stream(
        step, DecoderState((), ()), torch.full((rows,), 4), DecodingOptions("sample"), banned=range(4)
    )
    drawn = torch.cat([next(stream), next(stream)])
    shares = torch.bincount(drawn, minlength=7) / len(drawn)
    expected = F.pad(logits[4:].softmax(0), (4, 0))
    assert (shares - expected).abs().max() < 4 * math.sqrt(0.25 / len(drawn))
    assert not shares[:4].any()


def test_a_text_depends_on_its_seed_alone_and_goes_on_past_a_block_of_random_numbers():
    made = decoder()
    options = DecodingOptions("sample", temperature=2.0, seed=5)

    def written(seeds, length):
        begun = torch.full((len(seeds),), 5)
        stream = sample_stream(made.step, made.init_state(len(seeds)), begun, options, seeds=seeds)
        return torch.stack([next(stream) for _ in range(length)], 1)

    together, alone = written([0, 1, 2], 300), written([1], 300)
    assert torch.equal(together[1:2], alone)
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(alone[0, :44], alone[0, 256:])  # the second block is not the first again


def test_hidden_states_that_lie_time_first_in_memory_have_the_same_loss_and_gradients():
    torch.manual_seed(0)
    scores = UnitScores(6, 9, unknown=True)
    h, targets = torch.randn(3, 5, 6), torch.randint(3, 9, (3, 5))
    targets[1, 3:] = 0
    batch_first = h.clone().requires_grad_()
    time_first = h.transpose(0, 1).contiguous().requires_grad_()
    found = [scores.nats(view, targets) for view in (batch_first, time_first.transpose(0, 1))]
    assert [units.item() for _, units in found] == [13, 13]
    torch.testing.assert_close(found[1][0], found[0][0])
    (found[0][0] + found[1][0]).backward()
    torch.testing.assert_close(time_first.grad.transpose(0, 1), batch_first.grad)

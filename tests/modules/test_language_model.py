"""The language decoders and the LightningModule by themselves: mathematics, state, losses, checkpoints."""

import math
from dataclasses import asdict, replace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from modules.decoders.language import LanguageDecoder, LanguageDecoderOptions
from modules.decoding import DecoderState, DecodingOptions, sample_stream
from modules.errors import InputError
from modules.fixed_window import FixedWindowDecoder
from modules.language_model import DECODERS, LanguageModel, LanguageTrainingOptions, SplitSize
from modules.text_batch import TextBatch
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*", "ignore:.*treespec.*"),
]
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


def model(text: str = "the cat sat on the mat. ", **options) -> LanguageModel:
    training = {name: options.pop(name) for name in list(options) if hasattr(LanguageTrainingOptions, name)}
    made = LanguageModel(replace(SMALL, **options), LanguageTrainingOptions(**training))
    made.use_codec(TextCodec.build("character", [text]))
    return made


def batches(made: LanguageModel, text: str, streams: int, length: int) -> list[TextBatch]:
    ids = torch.tensor(made.codec.encode(text))
    each = (len(ids) - 1) // streams
    given, wanted = ids[: each * streams].view(streams, -1), ids[1 : each * streams + 1].view(streams, -1)
    return [
        TextBatch(given[:, at : at + length], wanted[:, at : at + length], torch.full((streams,), at == 0))
        for at in range(0, each, length)
    ]


def trainer(**options) -> pl.Trainer:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(accelerator="cpu", enable_model_summary=False, **silent, **options)


# ---- decoders


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


# ---- the LightningModule


def test_the_loss_at_the_start_is_that_of_equally_probable_units():
    made = model(initial_deviation=0.001)
    batch = batches(made, "the cat sat on the mat.", 1, 10)[0]
    nats, units, _ = made.losses(batch, made.decoder.init_state(1))
    assert (nats / units).item() == pytest.approx(math.log(made.decoder.output.possible), abs=1e-3)


def test_padding_counts_nothing():
    made = model()
    batch = batches(made, "the cat sat on the mat.", 1, 10)[0]
    nats, units, _ = made.losses(batch, made.decoder.init_state(1))
    pad = torch.zeros(1, 5, dtype=torch.long)
    padded = TextBatch(torch.cat([batch.tokens, pad], 1), torch.cat([batch.targets, pad], 1), batch.resets)
    padded_nats, padded_units, _ = made.losses(padded, made.decoder.init_state(1))
    assert padded_nats.item() == pytest.approx(nats.item()) and int(padded_units) == int(units) == 10


def test_unknown_units_are_left_out_where_they_have_no_probability():
    made = model(unknown=False)
    ids = torch.tensor([made.codec.encode("the zat")])
    assert Vocabulary.UNK in ids
    nats, units, _ = made.losses(
        TextBatch(ids[:, :-1], ids[:, 1:], torch.tensor([True])), made.decoder.init_state(1)
    )
    assert nats.isfinite() and int(units) == 5


def test_the_state_is_carried_detached_and_reset_stream_by_stream():
    made = model()
    first, second = batches(made, "the cat sat on the mat. " * 2, 2, 8)[:2]
    _, _, state = made.losses(first, made.decoder.init_state(2))
    assert not any(tensor.requires_grad for tensor in state.recurrent)
    gone_on = made.continued(state, second, first=False)
    assert all(torch.equal(a, b) for a, b in zip(gone_on.recurrent, state.recurrent, strict=True))
    reset = made.continued(state, second._replace(resets=torch.tensor([False, True])), first=False)
    for before, after in zip(state.recurrent, reset.recurrent, strict=True):
        assert torch.equal(before[0], after[0]) and not after[1].any()
    for anew in (made.continued(state, second, first=True), made.continued(None, second, first=False)):
        assert not any(tensor.any() for tensor in anew.recurrent)


def test_training_in_chunks_sees_what_evaluation_in_one_piece_sees():
    """With a learning rate of nothing the mean training loss is that of the text read once through."""
    made = model(learning_rate=1e-30)
    text = "the cat sat on the mat. " * 4
    losses = []

    class Keep(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            losses.append(float(trainer.callback_metrics["train/loss"]) * batch.tokens.numel())

    parts = batches(made, text, 2, 5)
    trainer(max_epochs=1, callbacks=[Keep()]).fit(made, DataLoader(parts, batch_size=None))
    whole = batches(made, text, 2, 10**6)[0]
    nats, units, _ = made.losses(whole, made.decoder.init_state(2))
    assert sum(losses) == pytest.approx(float(nats), rel=1e-5)
    results = trainer().validate(made, DataLoader(parts, batch_size=None), verbose=False)[0]
    assert results["val/loss"] == pytest.approx(float(nats / units), rel=1e-5)
    assert results["val/perplexity"] == pytest.approx(math.exp(float(nats / units)), rel=1e-4)
    assert results["val/bits_per_char"] == pytest.approx(float(nats / units) / math.log(2), rel=1e-5)
    # a split of 10 units, 40 characters, and 20 bits to spell what is unknown
    made.sizes["test"] = SplitSize(10, 40, 20.0)
    results = trainer().test(made, DataLoader(parts, batch_size=None), verbose=False)[0]
    bits = float(nats / units) / math.log(2)
    assert results["test/bits_per_char"] == pytest.approx(bits * 10 / 40 + 20 / 40, rel=1e-5)


def test_one_batch_is_learnt_by_heart_and_written_back():
    text = "pack my box with five dozen jugs; "
    made = model(text, learning_rate=0.03, warmup_steps=0, hidden_size=32, layers=1)
    parts = batches(made, text, 1, 100)
    trainer(max_steps=150, gradient_clip_val=1.0).fit(made, DataLoader(parts, batch_size=None))
    made.eval()
    given = parts[0].tokens[0]
    stream = sample_stream(
        made.decoder.step, made.decoder.init_state(1), given[:1], DecodingOptions("greedy"), banned=range(4)
    )
    written = [int(next(stream)) for _ in range(len(given))]
    assert made.codec.decode([int(given[0]), *written]) == text


@pytest.mark.parametrize("optimizer", ["adamw", "adagrad"])
def test_both_optimisers_step(optimizer):
    made = model(optimizer=optimizer)
    before = [parameter.clone() for parameter in made.parameters()]
    parts = batches(made, "the cat sat on the mat. " * 2, 2, 8)
    trainer(max_steps=2, gradient_clip_val=0.1, gradient_clip_algorithm="value").fit(
        made, DataLoader(parts, batch_size=None)
    )
    moved = [not torch.equal(a, b) for a, b in zip(before, made.parameters(), strict=True)]
    assert moved == [parameter.requires_grad for parameter in made.parameters()]


def test_dropout_follows_the_step_number_alone():
    weights = []
    for drawn_before in (0, 5):
        torch.manual_seed(7)
        torch.rand(drawn_before)
        made = model(dropout=0.5)
        parts = batches(made, "the cat sat on the mat. " * 2, 2, 8)
        trainer(max_steps=4).fit(made, DataLoader(parts, batch_size=None))
        weights.append(torch.cat([p.flatten() for p in made.parameters()]))
    assert torch.equal(*weights)


def test_a_checkpoint_is_read_without_running_code_and_predicts_the_same(tmp_path):
    made = model(kind="recurrent", connection="residual").eval()
    parts = batches(made, "the cat sat on the mat. " * 2, 2, 8)
    _, _, made.carried = made.losses(parts[0], made.decoder.init_state(2))
    checkpoint = {"state_dict": made.state_dict(), "hyper_parameters": dict(made.hparams)}
    made.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "x.ckpt")
    loaded = LanguageModel.load(tmp_path / "x.ckpt")
    assert loaded.codec == made.codec and asdict(loaded.decoder_options) == asdict(made.decoder_options)
    given = parts[0].tokens
    expected, _ = made.decoder(given, made.decoder.init_state(2))
    found, _ = loaded.decoder(given, loaded.decoder.init_state(2))
    assert torch.equal(found, expected) and not loaded.training
    loaded.on_load_checkpoint(torch.load(tmp_path / "x.ckpt", weights_only=True))
    assert isinstance(loaded.carried, DecoderState)
    for before, after in zip(made.carried.recurrent, loaded.carried.recurrent, strict=True):
        assert torch.equal(before, after)


def test_damaged_checkpoints_and_those_of_another_text_are_refused(tmp_path):
    made = model()
    checkpoint = {"state_dict": {}, "hyper_parameters": dict(made.hparams)}
    made.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="damaged checkpoint"):
        LanguageModel.load(tmp_path / "x.ckpt")
    torch.save(checkpoint | {"task": "caption"}, tmp_path / "y.ckpt")
    with pytest.raises(InputError, match="task 'caption'"):
        LanguageModel.load(tmp_path / "y.ckpt")
    with pytest.raises(InputError, match="resume with the data"):
        made.use_codec(TextCodec.build("character", ["another text"]))


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

"""The language model's LightningModule by itself: losses, carried state, evaluation, checkpoints."""

import math
from dataclasses import asdict, replace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from modules.decoders.language import LanguageDecoderOptions
from modules.decoding import DecoderState, DecodingOptions, sample_stream
from modules.errors import InputError
from modules.language.batch import TextBatch
from modules.language.calibration import TEMPERATURES, TemperatureSearch
from modules.language.language_model import LanguageModel, SplitSize
from modules.language.options import LanguageTrainingOptions
from modules.text_codec import TextCodec
from modules.vocabulary import Vocabulary

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*", "ignore:.*treespec.*"),
]
SMALL = LanguageDecoderOptions(layers=2, embedding_size=6, hidden_size=8)


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


def test_the_loss_at_the_start_is_that_of_equally_probable_units():
    made = model(initial_deviation=0.001)
    batch = batches(made, "the cat sat on the mat.", 1, 10)[0]
    nats, units, _ = made.losses(batch, made.decoder.init_state(1))
    assert (nats / units).item() == pytest.approx(math.log(made.decoder.output.possible), abs=1e-3)


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_dropped_recurrent_weights_are_those_of_a_whole_window(cell):
    made = model(cell=cell, layers=2, weight_dropout=0.5)
    tokens = torch.tensor([made.codec.encode("the cat sat on")])
    state = made.decoder.init_state(1)
    weights = [cell.weight_hh for cell in made.decoder.rnn.cells]
    made.train()
    torch.manual_seed(3)
    h, _ = made.decoder.read(tokens, state)
    h.sum().backward()
    torch.manual_seed(3)
    masks = [torch.nn.functional.dropout(torch.ones_like(weight), 0.5) for weight in weights]
    for weight, mask in zip(weights, masks, strict=True):  # what is dropped learns nothing
        assert ((weight.grad == 0) == (mask == 0)).float().mean() > 0.99
    by_hand = model(cell=cell, layers=2)
    by_hand.load_state_dict(made.state_dict())
    with torch.no_grad():
        for own, mask in zip(by_hand.decoder.rnn.cells, masks, strict=True):
            own.weight_hh.mul_(mask)
    torch.testing.assert_close(h, by_hand.decoder.read(tokens, state)[0])
    # nothing is dropped where a text is scored or written
    made.eval()
    by_hand.load_state_dict(made.state_dict())
    torch.testing.assert_close(made.decoder.read(tokens, state)[0], by_hand.decoder.read(tokens, state)[0])


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
    assert sum(losses) == pytest.approx(nats.item(), rel=1e-5)
    results = trainer().validate(made, DataLoader(parts, batch_size=None), verbose=False)[0]
    assert results["val/loss"] == pytest.approx((nats / units).item(), rel=1e-5)
    assert results["val/perplexity"] == pytest.approx(math.exp((nats / units).item()), rel=1e-4)
    assert results["val/bits_per_char"] == pytest.approx((nats / units).item() / math.log(2), rel=1e-5)
    # a split of 10 units, 40 characters, and 20 bits to spell what is unknown
    made.sizes["test"] = SplitSize(10, 40, 20.0)
    results = trainer().test(made, DataLoader(parts, batch_size=None), verbose=False)[0]
    bits = (nats / units).item() / math.log(2)
    assert results["test/bits_per_char"] == pytest.approx(bits * 10 / 40 + 20 / 40, rel=1e-5)


def test_a_validation_that_tries_temperatures_reads_each_batch_once(monkeypatch):
    made = model().eval()
    made.temperatures, read, batch = (
        TemperatureSearch(made.decoder.output),
        [],
        batches(made, "the cat sat on the mat. ", 2, 8)[0],
    )
    reading = made.decoder.read
    monkeypatch.setattr(made.decoder, "read", lambda *given: read.append(given) or reading(*given))
    with torch.no_grad():
        made.evaluate(batch, 0)
    assert len(read) == 1
    at_one = made.temperatures.nats[TEMPERATURES.index(1.0)].item()
    assert at_one == pytest.approx(made.nats, rel=1e-5)


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


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_relu_that_diverges_is_told_what_it_needs(activation):
    made = model(activation=activation)
    torch.nn.init.constant_(made.decoder.output.weight, torch.nan)
    parts = batches(made, "the cat sat on the mat. " * 2, 2, 8)
    trainer(max_steps=2).fit(made, DataLoader(parts, batch_size=None))
    assert made.divergence is not None
    assert ("relu needs --model.decoder.layer_norm true" in made.divergence) == (activation == "relu")


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

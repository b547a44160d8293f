"""Fits whose steps are CUDA graphs beside those without.

Without a GPU a stand-in records: it keeps a step's memory and fills it anew at every replay, as a graph does.
"""

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from modules.decoders import graphed_step
from modules.decoders.graphed_step import GraphedStep
from modules.decoding import DecoderState
from modules.language.batch import TextBatch
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.text_codec import TextCodec
from tests.modules.language.graphed_steps import SMALL, TEXT, Watch, batches, fit, model
from tests.modules.recording import stand_in

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings(
        "ignore:.*no `val_dataloader`.*",
        "ignore:.*treespec.*",
        "ignore:RNN module weights are not part.*",  # cuDNN, of what modules/recurrent.py does on purpose
    ),
]
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=on_gpu)]
MIN_CHAR_RNN = Path(__file__).resolve().parents[3] / "configs" / "text" / "min_char_rnn.yaml"


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Names the device; on a CPU the stand-in records."""
    if request.param == "cpu":
        monkeypatch.setattr(graphed_step, "record", stand_in)
        monkeypatch.setattr(graphed_step, "obstacle", lambda model: None)
    return str(request.param)


def both(
    device: str, decoder: dict[str, Any] | None = None, parts: list[TextBatch] | None = None, **options: Any
) -> tuple[tuple[Watch, LanguageModel], tuple[Watch, LanguageModel]]:
    """Returns what is left of a fit without and of one with graphs, else alike."""
    left = []
    training = {"learning_rate": 0.01, "warmup_steps": 0} | options.pop("training", {})
    for graphs in (False, True):
        made = model(decoder, cuda_graphs=graphs, **training)
        # dropout is drawn alike only where both draw it between layers themselves
        made.decoder.rnn.own_dropout = True
        left.append((fit(made, parts or batches(made), device, **options), made.cpu()))
    return left[0], left[1]


def assert_alike(
    device: str, plain: tuple[Watch, LanguageModel], graphed: tuple[Watch, LanguageModel]
) -> None:
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if device == "cuda" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(graphed[0].losses, plain[0].losses, **tolerance)
    torch.testing.assert_close(graphed[1].state_dict(), plain[1].state_dict(), **tolerance)


def test_no_kernel_draws_dropout_in_a_fit_with_graphs(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, kernel = [], torch._VF.lstm

    def watched(*arguments: Any) -> Any:
        drawn.append(arguments[5])
        return kernel(*arguments)

    monkeypatch.setattr(torch._VF, "lstm", watched)
    made = model({"dropout": 0.4}, cuda_graphs=True)
    fit(made, batches(made), device, max_steps=3)
    assert drawn and not any(drawn)


@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.4}, {"cell": "rnn", "embedding_size": 0}],
    ids=str,
)
def test_fits_agree(device: str, options: dict[str, Any]) -> None:
    plain, graphed = both(device, options)
    assert len(plain[0].losses) == 10 and graphed[0].replayed == len(plain[0].losses) - 2
    assert_alike(device, plain, graphed)


def test_min_char_rnn_agrees(device: str) -> None:
    config = yaml.safe_load(MIN_CHAR_RNN.read_text())["model"]
    value = {"gradient_clip_val": 5.0, "gradient_clip_algorithm": "value", "max_epochs": 3}
    parts = batches(model(), 1, 25)
    plain, graphed = both(device, config["decoder"], parts, training=config["training"], **value)
    assert graphed[0].replayed == len(plain[0].losses) - 2
    assert_alike(device, plain, graphed)
    smooth = [each.smooth_loss.item() for _, each in (plain, graphed) if each.smooth_loss is not None]
    assert smooth[1] == pytest.approx(smooth[0], rel=1e-4)


def test_fits_in_mixed_precision_agree(device: str) -> None:
    plain, graphed = both(device, {"cell": "gru_reset_before"}, precision="bf16-mixed", max_epochs=1)
    assert graphed[0].replayed == len(plain[0].losses) - 2
    torch.testing.assert_close(graphed[0].losses, plain[0].losses, rtol=0, atol=0.02)


def test_accumulated_gradients_agree(device: str) -> None:
    plain, graphed = both(device, accumulate_grad_batches=3)
    assert graphed[0].replayed == len(plain[0].losses) - 2
    assert_alike(device, plain, graphed)


@on_gpu
def test_a_fit_with_dropout_learns() -> None:
    made = model({"dropout": 0.2, "hidden_size": 32}, learning_rate=0.02, warmup_steps=0, cuda_graphs=True)
    watch = fit(made, batches(made), "cuda", max_epochs=40)
    assert watch.replayed == len(watch.losses) - 2
    assert sum(watch.losses[-5:]) < 0.7 * sum(watch.losses[:5])


def test_batches_of_another_shape_take_the_plain_step(device: str) -> None:
    parts = batches(model(), 3, 7)
    odd = [
        part._replace(tokens=part.tokens[:, :length], targets=part.targets[:, :length])
        for part, length in zip(parts[2:5], (4, 4, 3), strict=True)
    ]
    plain, graphed = both(device, {}, [odd[0], *parts[:3], *odd[1:], *parts[3:]], max_epochs=1)
    # each shape's first comes alone, and its second is recorded; of one there is no second
    assert graphed[0].replayed == len(parts) - 2
    assert_alike(device, plain, graphed)


def test_no_more_shapes_are_recorded_than_there_is_memory_for(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphed_step, "MOST", 1)
    made = model().to(device).train()
    part = TextBatch(*(tensor.to(device) for tensor in batches(made)[0]))
    short = part._replace(tokens=part.tokens[:, :4], targets=part.targets[:, :4])
    made.graphed = GraphedStep()
    for each in (part, short, part, short, short):
        made._graphed_losses(each, made.decoder.init_state(3))
    assert [key[:2] for key in made.graphed.recorded] == [("losses", part.tokens.shape)]


def test_seeds_are_those_of_the_steps(device: str) -> None:
    """Two steps of one seed drop the same, those of other seeds do not, and the loss stays as it was."""
    made = model({"dropout": 0.5}).to(device).train()
    made.decoder.rnn.own_dropout = True
    batch = TextBatch(*(tensor.to(device) for tensor in batches(made)[0]))
    made.graphed, state, losses = GraphedStep(), made.decoder.init_state(3), []
    for seed in (1, 1, 2, 1, 1):
        torch.manual_seed(seed)
        losses.append(made._graphed_losses(batch, state)[0].detach())
    assert made.graphed.recorded
    values = torch.stack(losses).tolist()
    assert values[1] == pytest.approx(values[0], rel=1e-5) and values[3] == values[4] == values[1]
    assert abs(values[2] - values[1]) > 1e-3


def test_outputs_outlive_the_next_step(device: str) -> None:
    made = model().to(device).train()
    parts = [TextBatch(*(tensor.to(device) for tensor in part)) for part in batches(made)]
    made.graphed, state = GraphedStep(), made.decoder.init_state(3)
    kept, copies = [], []
    for part in parts[:4]:
        nats, units, state = made._graphed_losses(part, state)
        made.zero_grad()
        nats.backward()
        gradients = [p.grad for p in made.parameters() if p.grad is not None]
        kept.append([nats, units, *state.recurrent, *gradients])
        copies.append([tensor.detach().clone() for tensor in kept[-1]])
        assert not any(tensor.requires_grad for tensor in (units, *state.recurrent))
    assert made.graphed.recorded
    for old, copied in zip(kept, copies, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(old, copied, strict=True))


def test_evaluation_and_moved_weights_take_the_plain_step(device: str) -> None:
    made = model({"dropout": 0.5}).to(device).train()
    batch = TextBatch(*(tensor.to(device) for tensor in batches(made)[0]))
    made.graphed, state = GraphedStep(), made.decoder.init_state(3)
    for _ in range(2):
        made._graphed_losses(batch, state)
    ((shapes, recorded),) = made.graphed.recorded.items()
    replays = []
    made.graphed.recorded[shapes] = recorded._replace(replay=lambda: replays.append(1))
    made.eval()
    assert torch.equal(made._graphed_losses(batch, state)[0], made.losses(batch, state)[0])
    made.train()
    made._graphed_losses(batch, state)
    assert len(replays) == 1
    weight = made.decoder.output.weight
    weight.data = weight.data.clone()
    made._graphed_losses(batch, state)
    assert len(replays) == 1


def test_a_resumed_fit_goes_on_alike(device: str, tmp_path: Path) -> None:
    class Keep(pl.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    def made() -> LanguageModel:
        return model({"dropout": 0.4}, cuda_graphs=True, schedule="constant")

    parts = batches(made())
    whole = fit(made(), parts, device, callbacks=[Keep()])
    resumed = fit(made(), parts, device, ckpt_path=tmp_path / "0.ckpt")
    torch.testing.assert_close(resumed.losses, whole.losses[len(parts) :], rtol=1e-4, atol=1e-5)


def test_copies_and_checkpoints_have_no_graph(device: str, tmp_path: Path) -> None:
    class Keep(pl.Callback):
        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, number: int
        ) -> None:
            if number == 3:
                assert pl_module.graphed.recorded
                for copied in (copy.copy, copy.deepcopy, lambda step: pickle.loads(pickle.dumps(step))):
                    assert not copied(pl_module.graphed).recorded
                trainer.save_checkpoint(tmp_path / "last.ckpt")

    made = model(cuda_graphs=True)
    fit(made, batches(made), device, callbacks=[Keep()], max_epochs=1)
    assert made.graphed is None  # its memory is free again
    assert LanguageModel.load(tmp_path / "last.ckpt").graphed is None


class Waiting(LanguageModel):
    """Asks for a value in every step, which cannot be recorded."""

    def losses(self, batch: Any, state: DecoderState) -> Any:
        nats, units, after = super().losses(batch, state)
        return nats * (1.0 if units.item() else 2.0), units, after


def test_a_recording_that_fails_is_told_once(
    device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(run: Any, device: Any, pool: Any) -> Any:
        torch.rand(3)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    if device == "cpu":
        monkeypatch.setattr(graphed_step, "record", fail)
    found = []
    for graphs in (False, True):
        made = Waiting(replace(SMALL, dropout=0.4), LanguageTrainingOptions(cuda_graphs=graphs))
        made.use_codec(TextCodec.build("character", [TEXT]))
        made.decoder.rnn.own_dropout = True  # type: ignore[union-attr]
        found.append(fit(made, batches(made), device).losses)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0 if device == "cpu" else 1e-4)
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("note: cuda_graphs has no effect: the step cannot")

"""A captioner's step as a CUDA graph: what is added to a batch counts nothing, and fits with graphs agree.

Without a GPU a stand-in records, as in the tests of language models.
"""

from dataclasses import replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from modules.captioning.batch import CaptionBatch
from modules.captioning.captioner import Captioner
from modules.captioning.graphed_losses import WORDS_APART, captioner_obstacle, graphed_losses
from modules.captioning.options import CaptioningTrainingOptions
from modules.captioning.reinforcement import self_critical_sum
from modules.decoders import graphed_step
from modules.decoders.captions import DECODERS, DecoderOptions
from modules.decoders.graphed_step import GraphedStep
from modules.encoders.image import EncoderOptions
from modules.vocabulary import Vocabulary
from tests.modules.recording import OnlyMeta, stand_in

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*", "ignore:.*treespec.*"),
]
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=on_gpu)]
WORDS = Vocabulary.build([f"word{number}" for number in range(12)] for _ in range(2))
ENCODER = EncoderOptions("mobilenetv3_small_050", image_size=64, weights="none")
SMALL = DecoderOptions(embedding_size=6, hidden_size=8, attention_size=5, dropout=0.0)
KINDS: list[dict[str, Any]] = [
    *({"kind": kind} for kind in DECODERS),
    {"context_size": 7, "attention": "multiplicative", "layers": 2},
    {"cell": "gru", "gate": False, "deep_output": False},
    {"kind": "att2in", "maxout": True, "context_size": 7},
]


def captioner(decoder: dict[str, Any] | None = None, encoder: EncoderOptions = ENCODER, **training: Any):
    made = Captioner(encoder, replace(SMALL, **decoder or {}), CaptioningTrainingOptions(**training))
    made.use_vocabulary(WORDS)
    return made.train()


def batch(made: Captioner, images: int, captions: int, words: int, weighted: bool = False) -> CaptionBatch:
    """Returns captions of up to so many words, some shorter, of images of which each has one at least."""
    random = torch.Generator().manual_seed(1000 * captions + words)
    annotations = torch.rand(images, made.encoder.locations, made.encoder.annotation_size, generator=random)
    tokens = torch.randint(4, len(WORDS), (captions, words + 2), generator=random)
    tokens[:, 0] = Vocabulary.BOS
    for row in range(captions):
        end = words + 1 - row % 3
        tokens[row, end], tokens[row, end + 1 :] = Vocabulary.EOS, Vocabulary.PAD
    index = torch.arange(captions) % images
    weights = torch.rand(captions, generator=random) if weighted else None
    return CaptionBatch(
        annotations, index, tokens, [str(n) for n in range(images)], [["a"]] * images, weights
    )


def moved(given: CaptionBatch, device: str) -> CaptionBatch:
    return CaptionBatch(*(part.to(device) if isinstance(part, torch.Tensor) else part for part in given))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_what_is_added_to_a_batch_counts_nothing(decoder: dict[str, Any], weighted: bool) -> None:
    made = captioner(decoder).double()
    given = batch(made, 3, 5, 6, weighted)
    given = given._replace(inputs=given.inputs.double())
    found = []
    for each in (given, given.padded(WORDS_APART)):
        made.zero_grad()
        losses = made.losses(each, each.inputs)
        losses[0].backward()
        gradients = [p.grad.clone() for p in made.parameters() if p.grad is not None]
        found.append(([loss.detach() for loss in losses], gradients))
    padded = given.padded(WORDS_APART)
    assert padded.inputs.shape[0] == 5 and padded.tokens.shape == (5, 9)
    torch.testing.assert_close(found[1], found[0])


def test_a_batch_of_such_a_shape_stays_as_it_is() -> None:
    made = captioner()
    given = batch(made, 4, 4, 7)  # 8 words are read
    padded = given.padded(WORDS_APART)
    assert torch.equal(padded.tokens, given.tokens) and torch.equal(padded.inputs, given.inputs)


@pytest.mark.parametrize("decoder", [{"dropout": 0.4} | kind for kind in KINDS], ids=str)
def test_nothing_that_is_recorded_waits_for_the_device(decoder: dict[str, Any]) -> None:
    """A meta tensor has no values: whatever asks for one, or for a shape that depends on values, fails."""
    made = captioner(decoder)
    meta = moved(batch(made, 4, 4, 7, weighted=True), "meta")
    made.to("meta")
    with OnlyMeta():
        losses = made.losses(meta, meta.inputs)
        sampled = self_critical_sum(made.decoder, meta.inputs, meta.tokens, meta.weights.unsqueeze(1))
        for total in (losses[0], sampled[0]):
            torch.autograd.grad(total, [p for p in made.parameters() if p.requires_grad])
    assert all(loss.device.type == "meta" for loss in (*losses, *sampled))


class Losses(pl.Callback):
    """Keeps the loss of every step, and the shapes that were recorded."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.recorded: set[Any] = set()
        self.read: set[Any] = set()  # shapes of steps of sampling

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))
        if pl_module.graphed is not None:
            self.recorded |= pl_module.graphed.recorded.keys()
            self.read |= pl_module.graphed_decoder.recorded.keys()


class Batches(pl.LightningDataModule):
    """Batches, and what rewards of sampled captions are counted from."""

    def __init__(self, batches: list[CaptionBatch]) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    def training_words(self) -> Vocabulary:
        return WORDS

    def training_sentences(self) -> dict[str, list[list[int]]]:
        sentences: dict[str, list[list[int]]] = {}
        for part in self.batches:
            for image, ids in zip(part.image_index.tolist(), part.tokens.tolist(), strict=True):
                said = [number for number in ids[1:] if number != Vocabulary.PAD]
                sentences.setdefault(part.names[image], []).append(said)
        return sentences


def fit(made: Captioner, batches: list[CaptionBatch], device: str = "cpu", **options: Any) -> Losses:
    watch = Losses()
    trainer = pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        callbacks=[watch],
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2} | options,
    )
    trainer.fit(made, datamodule=Batches(batches))
    return watch


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Names the device; on a CPU the stand-in records."""
    if request.param == "cpu":
        monkeypatch.setattr(graphed_step, "record", stand_in)
        monkeypatch.setattr(graphed_step, "obstacle", lambda model: None)
    return str(request.param)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", DECODERS)
def test_fits_agree(device: str, kind: str, weighted: bool) -> None:
    left = []
    for graphs in (False, True):
        made = captioner({"kind": kind}, cuda_graphs=graphs, learning_rate=0.01, warmup_steps=0)
        batches = [batch(made, 4, 6, words, weighted) for words in (7, 6, 5, 9, 8, 11)]
        watch = fit(made, batches, device)
        left.append((watch.losses, made.decoder.cpu().state_dict()))
        assert made.graphed is made.graphed_reader is made.graphed_decoder is None  # memory is free again
    assert len({tokens for _, _, _, tokens, *_ in watch.recorded}) == 2  # of 8 and of 12 words
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if device == "cuda" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(left[1], left[0], **tolerance)


def test_self_critical_fits_agree(device: str) -> None:
    left = []
    for graphs in (False, True):
        made = captioner(
            cuda_graphs=graphs,
            learning_rate=0.01,
            warmup_steps=0,
            reinforce_epochs=2,
            reinforce_learning_rate=0.01,
            reinforce_samples=3,
            reinforce_cross_entropy=0.5,
        )
        batches = [batch(made, 3, 6, words) for words in (7, 6, 8)]
        watch = fit(made, batches, device, max_epochs=3)
        left.append((watch.losses, made.decoder.cpu().state_dict()))
    assert {name for name, *_ in watch.recorded} == {"losses", "self_critical_sum"}
    assert len(watch.read) == 1
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if device == "cuda" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(left[1], left[0], **tolerance)


def test_two_steps_before_one_backward_pass_have_gradients_of_their_own(device: str) -> None:
    """Graphs share memory: as a graph runs, what another wrote there may be gone."""
    made = captioner().to(device)
    given = [moved(batch(made, 4, 4, words), device) for words in (7, 11)]
    graphed = GraphedStep()
    for _ in range(2):
        for each in given:
            graphed_losses(made, graphed, each)
    first, second = graphed.recorded.values()
    made.zero_grad()
    losses = [graphed_losses(made, graphed, each)[0] for each in given]
    for recorded in (first, second):  # what another graph writes there
        for gradient in recorded.made.gradients:
            gradient.fill_(99)
    sum(losses).backward()
    found = [p.grad.clone() for p in made.decoder.parameters()]
    made.zero_grad()
    sum(made.losses(each, each.inputs)[0] for each in given).backward()
    torch.testing.assert_close(found, [p.grad for p in made.decoder.parameters()], rtol=1e-4, atol=1e-5)


def test_dropout_is_drawn_anew_at_every_step(device: str) -> None:
    made = captioner({"dropout": 0.5}).to(device)
    given = moved(batch(made, 4, 4, 7), device)
    graphed, losses = GraphedStep(), []
    for seed in (1, 1, 2, 1):
        torch.manual_seed(seed)
        losses.append(graphed_losses(made, graphed, given)[0].item())
    assert graphed.recorded
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and losses[3] == losses[1]
    assert abs(losses[2] - losses[1]) > 1e-3


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: captioner(encoder=replace(ENCODER, finetune_from=-1)), "the encoder is fine-tuned"),
        (lambda: captioner({"hard": True}), "hard attention moves"),
        (lambda: captioner(own_words=0.2), "model.training.own_words are drawn"),
        (captioner, None),
    ],
    ids=["fine-tuned", "hard", "own words", "none"],
)
def test_what_stands_in_the_way(made: Any, why: str | None) -> None:
    found = captioner_obstacle(made())
    assert (found or "").startswith(why or "") and (found is None) == (why is None)


def test_a_cpu_says_so_once_and_trains_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for graphs in (False, True):
        made = captioner({"dropout": 0.4}, cuda_graphs=graphs)
        losses.append(fit(made, [batch(made, 4, 6, words) for words in (7, 6, 8)]).losses)
    assert losses[0] == losses[1] and len(losses[0]) == 6
    said = capsys.readouterr().err.strip().splitlines()
    why = "the fit runs on cpu, and only NVIDIA GPUs have CUDA graphs"
    assert said == [f"note: cuda_graphs has no effect: {why}"]

"""Steering models: an epoch over overlapping windows, and one frame after the other on one core.

python -m pytest tests/benchmarks/test_steering_speed.py -m benchmark -s
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from data_prep.driving.features import DriveFeatures
from data_prep.driving.sampling import ShuffledClips
from modules.decoders.steering import SteeringDecoderOptions, WindowDecoder
from modules.steering.batch import ClipBatch
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.options import SteeringTrainingOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringPredictor, SteeringStream
from modules.training import clip_gradients
from tests.benchmarks.ratio_table import show
from tests.unchecked import unchecked

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "steer"
pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread", "no_shape_checks")]
FRAMES, COMPARED, REPEATS = 256, 2, 3  # of the drive; windows encoded afresh, a round; rounds
CLIP_WINDOWS, CLIPS = 32, 8  # windows that share their frames; a step has as many as the configuration's
PROMISED_EPOCH = 20.0
CAMERA_MS = 50.0  # 20 frames a second
ROUNDS, STEPS = 6, 30
# share of the time between two frames that a step may take; where there is no limit it is stated alone
MOST_SHARE = {"pilotnet": 0.1, "transfer": 0.1, "komanda": 0.5, "chauffeur": None, "road": None}


@pytest.fixture
def no_shape_checks() -> Iterator[None]:
    """Who steers does not check the shapes of annotations at every call, as tests do."""
    with unchecked():
        yield


def configured(name: str) -> tuple[Steerer, dict]:
    """Returns the model of a configuration, untrained, and the configuration."""
    options = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    given = [tuples(options["model"][group]) for group in ("frames", "encoder", "decoder", "training")]
    kinds = (FramePreprocessing, SteeringEncoderOptions, SteeringDecoderOptions, SteeringTrainingOptions)
    model = Steerer(*(kind(**group) for kind, group in zip(kinds, given, strict=True)))
    model.use_target_statistics(torch.tensor([0.02, 0.0, 15.0]), torch.tensor([0.3, 1.0, 4.0]))
    return model, options


def tuples(options: dict) -> dict:
    """Returns the options with tuples for lists, as the command line makes them of YAML."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def core_seconds(run: Callable[[], object]) -> float:
    """Returns what one core takes: on a busy machine the clock on the wall counts others' work, too."""
    started = time.process_time()
    run()
    return time.process_time() - started


def encoded_afresh(model: Steerer, windows: Tensor) -> Tensor:
    """Returns Chauffeur's outputs (N, 1) for windows and their context (N, left_context + W, 3, H, W)."""
    decoder = model.decoder
    assert isinstance(decoder, WindowDecoder)
    cell = decoder.rnn.cells[0]
    with torch.no_grad():  # the CNN is frozen, as it is when features are computed once
        features = torch.cat([model.encode(window.unsqueeze(0)) for window in windows])  # (N, W, D)
    weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
    start = [features.new_zeros(1, len(features), cell.hidden_size)] * 2
    h, _, _ = torch.lstm(features, start, weights, True, 1, 0.0, True, False, True)  # (N, W, H)
    return decoder.output(torch.relu(decoder.dense(h.flatten(1))))


class Epoch:
    """The steps of an epoch over one drive: features once, then clips."""

    def __init__(self, model: Steerer, options: dict, drive: Tensor, targets: Tensor) -> None:
        self.model, self.drive, self.targets = model, drive, targets
        series = [np.arange(len(drive))]
        self.clips = ShuffledClips(series, CLIP_WINDOWS, model.feature_context, CLIPS, stride=CLIP_WINDOWS)
        self.clip_gradients = options["trainer"]["gradient_clip_val"]
        self.optimizer = torch.optim.AdamW(model.decoder.parameters(), 1e-5, fused=True)

    def learn(self, error: Tensor) -> None:
        self.optimizer.zero_grad()
        error.backward()
        clip_gradients(self.optimizer, self.clip_gradients, "norm")
        self.optimizer.step()

    def batches(self) -> list[ClipBatch]:
        """Encodes every frame once and returns the clips of features."""
        stream = SteeringStream(self.model)
        encoded = [stream.encode(piece.unsqueeze(0))[0].numpy() for piece in self.drive.split(16)]
        self.model.train()
        features = DriveFeatures([0], [np.concatenate(encoded)])
        found = []
        for plan in self.clips:
            rows, resets = torch.from_numpy(plan.rows), torch.from_numpy(plan.resets)
            predicted = rows[:, -self.clips.length :]
            clips = torch.from_numpy(np.stack([features.read(row) for row in plan.rows]))
            valid = torch.ones(predicted.shape, dtype=torch.bool)
            found.append(ClipBatch(clips, self.targets[predicted], valid, resets, predicted))
        return found

    def run(self) -> None:
        for batch in self.batches():
            ((errors, count),) = self.model.errors(batch)
            self.learn((errors / count).sum())

    def run_afresh(self, rows: np.ndarray) -> None:
        """Steps once on the windows that end at these rows, each encoded by itself."""
        self.learn(self.loss_afresh(rows))

    def loss_afresh(self, rows: np.ndarray) -> Tensor:
        back = np.arange(1 - self.model.decoder_options.window - self.model.left_context, 1)
        windows = self.drive[(rows[:, None] + back).clip(min=0)]
        targets = (self.targets[rows, :1] - self.model.target_mean[:1]) / self.model.target_std[:1]
        return (encoded_afresh(self.model, windows) - targets).square().mean()


def test_an_epoch_over_overlapping_windows_encodes_every_frame_once() -> None:
    chauffeur, options = configured("chauffeur")
    model = Steerer(
        chauffeur.preprocessing,
        chauffeur.encoder_options,
        replace(chauffeur.decoder_options, dropout=0.0),
        chauffeur.training_options,
    )
    model.train()
    random = torch.Generator().manual_seed(0)
    height, width = model.preprocessing.height, model.preprocessing.width
    drive = torch.randint(0, 256, (FRAMES, 3, height, width), dtype=torch.uint8, generator=random)
    targets = torch.randn(FRAMES, 3, generator=random)
    epoch = Epoch(model, options, drive, targets)

    batch = epoch.batches()[0]
    rows = batch.rows[0].numpy()  # the windows that end in the first clip's frames
    one = ClipBatch(*(tensor[:1] for tensor in batch))
    ((errors, count),) = model.errors(one)
    shared, afresh = float(errors / count), float(epoch.loss_afresh(rows))

    times: dict[str, list[float]] = {"each window encoded afresh": [], "features once, windows as views": []}
    for _ in range(REPEATS):  # taking turns, so that a busy machine slows both
        times["each window encoded afresh"].append(
            core_seconds(lambda: epoch.run_afresh(rows[:COMPARED])) / COMPARED
        )
        times["features once, windows as views"].append(core_seconds(epoch.run) / FRAMES)
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = medians["each window encoded afresh"]
    losses = dict(zip(times, (afresh, shared), strict=True))
    show(
        f"Chauffeur: windows of {model.decoder_options.window} frames at stride 1, {CLIP_WINDOWS} a clip",
        ("path", "loss", "frames a second", "ratio"),
        [(name, f"{losses[name]:.6f}", f"{1 / s:.1f}", f"{plain / s:.1f}") for name, s in medians.items()],
    )
    assert shared == pytest.approx(afresh, rel=1e-4)
    assert plain / medians["features once, windows as views"] >= PROMISED_EPOCH


def test_a_step_of_the_stream_leaves_the_camera_time() -> None:
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (8, 480, 640, 3), dtype=np.uint8)
    predictors = {name: SteeringPredictor(configured(name)[0]) for name in MOST_SHARE}
    rounds: dict[str, list[float]] = {name: [] for name in predictors}

    def steps(predictor: SteeringPredictor) -> float:
        return statistics.median(
            core_seconds(lambda n=n: predictor.step(frames[n % len(frames)])) for n in range(STEPS)
        )

    for _ in range(ROUNDS):
        for name, predictor in predictors.items():
            rounds[name].append(1000 * steps(predictor))
    best = {name: min(values) for name, values in rounds.items()}  # of the least disturbed round
    show(
        "Steering frame by frame, 480x640 RGB, one core",
        ("configuration", "ms a frame", "share of the 50 ms", "at most"),
        [
            (name, f"{ms:.1f}", f"{ms / CAMERA_MS:.1%}", f"{share:.0%}" if share else "-")
            for (name, ms), share in zip(best.items(), MOST_SHARE.values(), strict=True)
        ],
    )
    for name, share in MOST_SHARE.items():
        assert share is None or best[name] <= share * CAMERA_MS, name

"""Tiny steering models of every kind, and frames for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.batch import ClipBatch
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.options import SteeringTrainingOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer

CLIP = SteeringEncoderOptions(
    kind="clip",
    channels=4,
    kernels=(3, 3, 3, 3),
    strides=(2, 2, 1, 1),
    pool=(1, 4),
    dense_sizes=(16, 16, 16),
    feature_size=8,
)
KINDS = {
    "pilotnet": (
        FramePreprocessing(66, 66, colours="yuv"),
        SteeringEncoderOptions(kind="pilotnet"),
        SteeringDecoderOptions(kind="frame"),
    ),
    "komanda": (
        FramePreprocessing(24, 32, crop_top=0.1),
        CLIP,
        SteeringDecoderOptions(kind="autoregressive", outputs=3, hidden_size=8, projection_size=6),
    ),
    "chauffeur": (
        FramePreprocessing(32, 64, crop_top=0.5, colours="yuv", equalise=True),
        SteeringEncoderOptions(kind="chauffeur"),
        SteeringDecoderOptions(kind="window", hidden_size=8, window=5, dense_size=8),
    ),
    "transfer": (
        FramePreprocessing(42, 80),
        SteeringEncoderOptions(
            kind="pretrained",
            name="mobilenetv3_small_050",
            stage=1,
            weights="none",
            pool=(2, 4),
            downscale=2,
            flow=(2, 3),
            flow_refinements=0,
        ),
        SteeringDecoderOptions(kind="recurrent", cell="gru", layers=2, hidden_size=8, dense_size=16),
    ),
    "clip_recurrent": (
        FramePreprocessing(24, 32),
        CLIP,
        SteeringDecoderOptions(kind="recurrent", dense_size=0),
    ),
}


def steerer(kind: str, outputs: int | None = None, **training: object) -> Steerer:
    """Returns a model of that kind, of the same weights each time, that says something in its range."""
    frames, encoder, decoder = KINDS[kind]
    if outputs:
        decoder = SteeringDecoderOptions(**{**vars(decoder), "outputs": outputs})
    model = Steerer(frames, encoder, decoder, SteeringTrainingOptions(**training))
    model.use_target_statistics(torch.tensor([0.05, 1.0, 10.0]), torch.tensor([0.3, 0.5, 4.0]))
    return model


def lively_steerer(kind: str) -> Steerer:
    """Returns a model in evaluation mode whose angles move: those of deep untrained ones hardly do."""
    model = steerer(kind).eval()
    if kind in ("pilotnet", "chauffeur"):
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.mul_(2.5 if parameter.dim() > 1 else 1.0)
    return model


def camera_frames(count: int, seed: int = 0, height: int = 40, width: int = 64) -> np.ndarray:
    """Returns RGB bytes (N, Hh, Ww, 3) of blobs that move: no frame is like the next."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    frames = np.zeros((count, height, width, 3))
    for colour in range(3):
        place, pace = random.uniform(0, width), random.uniform(2, 5)
        for n in range(count):
            across = (place + pace * n) % width
            blob = np.exp(-((x - across) ** 2 + (y - height * random.uniform(0.5, 0.8)) ** 2) / 120)
            frames[n, ..., colour] = 40 + 200 * blob
    return (frames + random.uniform(-10, 10, frames.shape)).clip(0, 255).astype(np.uint8)


def prepared(model: Steerer, frames: np.ndarray) -> torch.Tensor:
    """Returns the frames (N, 3, H, W) as the model's preprocessing gives them."""
    return torch.stack([model.preprocessing(frame) for frame in frames])


def whole_drives(model: Steerer, frames: torch.Tensor, starts: Sequence[int]) -> np.ndarray:
    """Returns the outputs (N, O) at prepared frames, each drive seen from its start in one forward pass."""
    found = []
    for drive in torch.tensor_split(frames, list(starts[1:])):
        clip = torch.cat([drive[:1]] * model.left_context + [drive])
        with torch.no_grad():
            outputs, _ = model.decoder(model.encode(clip.unsqueeze(0)), model.decoder.init_state(1))
        many = outputs.shape[-1]
        found.append((outputs * model.target_std[:many] + model.target_mean[:many])[0].numpy())
    return np.concatenate(found)


def batch(model: Steerer, rows: int = 2, steps: int = 4, seed: int = 0) -> ClipBatch:
    """Returns a batch of whole little drives: context is the first frame, targets are numbers."""
    random = np.random.default_rng(seed)
    clips = []
    for row in range(rows):
        frames = prepared(model, camera_frames(steps, seed=100 * seed + row))
        clips.append(torch.cat([frames[:1]] * model.left_context + [frames]))
    targets = random.normal([0.05, 1.0, 10.0], [0.3, 0.5, 4.0], size=(rows, steps, 3))
    return ClipBatch(
        torch.stack(clips),
        torch.tensor(targets, dtype=torch.float32),
        torch.ones(rows, steps, dtype=torch.bool),
        torch.ones(rows, dtype=torch.bool),
        torch.arange(rows * steps).view(rows, steps),
    )

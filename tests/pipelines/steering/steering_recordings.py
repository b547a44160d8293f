"""Recordings as people have them, and tiny untrained checkpoints whose angles move."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch

from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer

START_NS = 1479425441182877835
CLIP = SteeringEncoderOptions(
    kind="clip", channels=4, kernels=(3, 3, 3, 3), strides=(2, 2, 1, 1), pool=(1, 4), dense_sizes=(16, 16),
    feature_size=8,
)  # fmt: skip
FROZEN = SteeringEncoderOptions(
    kind="pretrained", name="mobilenetv3_small_050", stage=1, weights="none", pool=(2, 4), flow=(2, 3),
)  # fmt: skip
# of different frame sizes and contexts: six frames of 3D convolution; single frames, flow and an LSTM
MODELS = {
    "komanda": (
        FramePreprocessing(24, 32, crop_top=0.2),
        CLIP,
        SteeringDecoderOptions(kind="autoregressive", outputs=3, hidden_size=8, projection_size=6),
    ),
    "transfer": (
        FramePreprocessing(32, 64, crop_bottom=0.1, colours="yuv"),
        FROZEN,
        SteeringDecoderOptions(kind="recurrent", hidden_size=8, dense_size=16),
    ),
}


def write_checkpoint(kind: str, path: Path) -> Path:
    """Writes a checkpoint of that kind, of the same weights each time."""
    model = Steerer(*MODELS[kind])
    model.use_target_statistics(torch.tensor([0.05, 1.0, 10.0]), torch.tensor([0.3, 0.5, 4.0]))
    return save(model, path)


def save(model: Steerer, path: Path) -> Path:
    """Writes the checkpoint of a model."""
    checkpoint = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


def camera_frame(number: int, height: int = 60, width: int = 96) -> np.ndarray:
    """Returns RGB bytes of a blob that moves to the right over stripes."""
    y, x = np.mgrid[:height, :width]
    blob = 150 * np.exp(-((x - 5 * number % width) ** 2 + (y - 35) ** 2) / 150)
    grey = 60 + 30 * np.sin((x + 3 * number) / 4) + blob
    return np.stack([grey, grey + number % 7, 255 - grey], -1).clip(0, 255).astype(np.uint8)


def write_frames(root: Path, names: Iterable[str]) -> None:
    """Writes frame 0, 1, 2 ... under these names."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), camera_frame(number)[..., ::-1])


def stamps(*steps: int) -> list[str]:
    """Returns times in nanoseconds, as these many twentieths of a second after the first."""
    return [str(START_NS + 50_000_000 * step) for step in steps]

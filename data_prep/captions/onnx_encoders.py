"""Frozen encoders in ONNX Runtime, where it is faster: each is a graph in CACHE/encoders, made once."""

from __future__ import annotations

import random
from contextlib import suppress
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8
from rich.console import Console
from torch import Tensor

from data_prep.cache import cache_root, in_turn, writing_in
from data_prep.captions.scenes.drawing import draw_picture
from data_prep.captions.scenes.layout import draw_scene
from modules.encoders.eight_bits import multiplies_eight_bits
from modules.encoders.image import ImageEncoder
from modules.errors import InputError
from modules.precision import fast_dtype

# so many pixels repay the seconds of making a graph: 600 images of 224 px; one that is there is always used
REPAID_BY = 30_000_000
CALIBRATED_ON = 64  # drawn scenes, which set the scales of 8 bits


def hasten(
    encoder: ImageEncoder, images: int, device: torch.device | str, *, eight_bits: bool = False
) -> None:
    """Lets a frozen encoder run in ONNX Runtime, which halves its time on a CPU without bfloat16.

    Annotations stay the same to 1e-5. A backbone that cannot be exported stays with PyTorch.

    Args:
        encoder: on the device.
        images: how many it is about to encode.
        device: where it runs.
        eight_bits: Multiply 8 bits where the processor has instructions for it, bfloat16 or not.
    """
    cpu = torch.device("cpu")
    if torch.device(device).type != "cpu" or not encoder.is_frozen:
        return
    eight_bits = eight_bits and multiplies_eight_bits(device)
    if fast_dtype(cpu) != torch.float32 and not eight_bits:
        return
    folder = cache_root() / "encoders"
    file = folder / f"{encoder.fingerprint(cpu)[:16]}{'-8bits' if eight_bits else ''}.onnx"
    if not file.exists() and images * encoder.image_size**2 < REPAID_BY:
        return
    calibration = partial(_drawn_images, encoder.image_size) if eight_bits else None
    status = Console(stderr=True).status("preparing the encoder for this processor, once")
    with suppress(InputError), writing_in(folder, "an encoder"), in_turn(folder / "lock", folder), status:
        encoder.use_onnx(file, calibration)


def _drawn_images(size: int) -> UInt8[Tensor, "N 3 S S"]:
    """Returns drawn scenes: always the same, and scales by them are as good as by photographs."""
    pictures = []
    for number in range(CALIBRATED_ON):
        scene = draw_scene("train", number, random.Random(number))
        pictures.append(draw_picture(scene, size, np.random.default_rng(number)))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()

"""The language model of a checkpoint, as the commands that read or write text use it."""

from pathlib import Path

import torch

from modules.language.language_model import LanguageModel
from pipelines.devices import chosen_device


def load_model(ckpt_path: Path, device: str) -> LanguageModel:
    """Returns the language model of a checkpoint, ready to read, on the device that `--device` names."""
    # there cuDNN would round what a recurrent layer multiplies to 11 bits (TF32): scores are those of a CPU
    torch.backends.cudnn.allow_tf32 = False
    return LanguageModel.load(ckpt_path).to(chosen_device(device))

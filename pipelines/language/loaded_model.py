"""The language model of a checkpoint, and the prompt, as the commands that read or write text use them."""

from pathlib import Path

import torch

from data_prep.input_files import read_text
from modules.errors import InputError
from modules.language.language_model import LanguageModel
from modules.text_codec import normalised
from pipelines.devices import chosen_device


def load_model(ckpt_path: Path, device: str) -> LanguageModel:
    """Returns the language model of a checkpoint, ready to read, on the device that `--device` names."""
    # there cuDNN would round what a recurrent layer multiplies to 11 bits (TF32): scores are those of a CPU
    torch.backends.cudnn.allow_tf32 = False
    return LanguageModel.load_forward(ckpt_path).to(chosen_device(device))


def given_prompt(prompt: str, prompt_file: Path | None) -> tuple[str, str]:
    """Returns the prompt, normalised as training texts are, and what a complaint calls it.

    The line break at the end of a file is left away: editors write it unasked. InputError where the file
    cannot be read or both are given.
    """
    if prompt_file is None:
        return normalised(prompt), "--prompt"
    if prompt:
        raise InputError(f"--prompt and --prompt_file {prompt_file} are both given; leave one of them away")
    return normalised(read_text(prompt_file)).removesuffix("\n"), str(prompt_file)

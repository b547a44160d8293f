"""Language models of a few dozen weights, for tests of the commands that read their checkpoints."""

from pathlib import Path

import torch

from modules.decoders.language import LanguageDecoderOptions
from modules.language.language_model import LanguageModel
from modules.text_codec import Level, TextCodec
from modules.vocabulary import Vocabulary

TEXT = 'def f(x):\n    return "a b" + x  # no\n\nThe cat sat, and the dog ran.\nAh <b> é!\n'


def tiny_model(text: str = TEXT, level: Level = "character", seed: int = 0, **options) -> LanguageModel:
    """A model of the text's units whose weights are random and large enough to prefer some."""
    settings = {"hidden_size": 7, "embedding_size": 5, "layers": 2} | options
    model = LanguageModel(LanguageDecoderOptions(**settings))
    model.use_codec(TextCodec.build(level, [text]))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model.eval()


def save(model: LanguageModel, path: Path) -> Path:
    """The path of a checkpoint as a fit leaves it."""
    checkpoint = {"hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return path


def never_known(level: Level, folder: Path) -> Path:
    """The path of a checkpoint whose model takes the mark of unknown units for by far the most probable."""
    model = tiny_model(level=level)
    with torch.no_grad():
        model.decoder.output.bias[Vocabulary.UNK] = 60.0
    return save(model, folder / "model.ckpt")

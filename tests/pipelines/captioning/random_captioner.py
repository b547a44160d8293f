"""A captioner that was never trained, where a test needs one of a certain kind and no sense."""

from pathlib import Path

import torch

from modules.captioning.captioner import Captioner
from modules.decoders.captions import DecoderOptions
from modules.decoding import DecodingOptions
from modules.encoders.image import EncoderOptions
from modules.vocabulary import Vocabulary


def random_captioner(decoder: DecoderOptions, path: Path) -> Path:
    """Writes a checkpoint of a small captioner that was never trained; returns its path."""
    decoder.embedding_size = decoder.hidden_size = decoder.attention_size = 8
    model = Captioner(EncoderOptions("resnet10t", image_size=64, weights="none"), decoder)
    model.use_vocabulary(Vocabulary(["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(20))]))
    model.decoding = DecodingOptions(beam_size=2, min_length=3, max_length=8)
    stored = {"hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    model.on_save_checkpoint(stored)
    torch.save(stored, path)
    return path

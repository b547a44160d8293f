"""A gallery of pictures as people have them, its rows, and a captioner without sense."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from modules.captioning.captioner import Captioner
from modules.decoders.captions import DecoderOptions
from modules.decoding import DecodingOptions
from modules.encoders.image import EncoderOptions
from modules.vocabulary import Vocabulary

GOOD = {
    "COCO_val2014_000000000042.jpg",
    "DOG.JPEG",
    "cmyk.jpg",
    "deep/animated.gif",
    "deep/er/000000000007.png",
    "deep/rotated.jpg",
    "deep/sixteen.png",
    "deep/upright.png",
    "grey.png",
    "new\nline.png",
    "palette.png",
    "rgba.png",
    "two words 'and' \"quotes\", 犬 é.png",
}
BAD = {"cut.jpg", "deep/empty.png", "notes.txt", "x.jpg"}


def picture(seed, mode="RGB"):
    """A smooth coloured picture, so that JPEG keeps it and every seed looks different."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((72, 56), Image.Resampling.BICUBIC).convert(mode)


def rows_of(path):
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else text


def by_name(rows):
    return {row["image"]: row for row in rows}


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

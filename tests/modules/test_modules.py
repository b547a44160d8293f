"""The names that `modules` offers: each imports by itself, and the examples in their docstrings hold."""

import doctest
import io
import subprocess
import sys

import pytest
import torch
from PIL import Image

import modules
from modules.captioning.batch import CaptionBatch
from modules.captioning.captioner import Captioner
from modules.decoders.captions import DecoderOptions
from modules.encoders.image import EncoderOptions
from modules.house_numbers.batch import encode
from modules.house_numbers.number_reader import NumberReader
from modules.house_numbers.options import ReaderOptions, ReadingTrainingOptions
from modules.house_numbers.preprocessing import NumberPictures
from modules.steering.steerer import Steerer
from modules.vocabulary import Vocabulary

CLASSES = [name for name in modules.__all__ if name != "InputError"]
COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220)}


@pytest.fixture
def files_of_examples(name, tmp_path, monkeypatch):
    """The files that the examples of a class name, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for called, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(f"{called}.png")
    Image.new("RGB", (64, 48), "white").save("door.jpg")
    saved = {"Captioner": save_captioner, "SteeringPredictor": save_steerer, "NumberReader": save_reader}
    if name in saved:
        saved[name]()


def save_captioner() -> None:
    """Writes captioner.ckpt, which has learnt both pictures by heart."""
    encoder = EncoderOptions("mobilenetv3_small_050", image_size=64, weights="none")
    torch.manual_seed(0)
    model = Captioner(encoder, DecoderOptions(embedding_size=16, hidden_size=32, attention_size=16))
    vocabulary = Vocabulary([*Vocabulary.MARKERS, "a", "square", *COLOURS])
    model.use_vocabulary(vocabulary)
    names = list(COLOURS)
    pixels = torch.tensor(list(COLOURS.values()), dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 64, 64)
    sentences = [["<bos>", "a", name, "square", "<eos>"] for name in names]
    tokens = torch.tensor([[vocabulary.words.index(word) for word in words] for words in sentences])
    batch = CaptionBatch(model.annotate(pixels), torch.arange(2), tokens, names, [["a"], ["a"]])
    optimizer = torch.optim.Adam(model.decoder.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        model.losses(batch, batch.inputs)[0].backward()
        optimizer.step()
    save(model, "captioner.ckpt")


def save_steerer() -> None:
    """Writes steerer.ckpt, which knows no more than the mean angle."""
    model = Steerer()
    model.target_mean.fill_(0.25)
    model.target_std.zero_()
    save(model, "steerer.ckpt")


def save_reader() -> None:
    """Writes reader.ckpt, which has learnt a white door by heart."""
    options = ReaderOptions(points=8, scales=1, hidden_size=16)
    model = NumberReader(NumberPictures(32), options, ReadingTrainingOptions(seed=0)).eval()
    images, digits = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8), encode(["1247"] * 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    for _ in range(50):
        optimizer.zero_grad()
        logits = model(images)[0].logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), digits.flatten()).backward()
        optimizer.step()
    save(model, "reader.ckpt")


def save(model: Captioner | Steerer | NumberReader, name: str) -> None:
    checkpoint = {"hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, name)


@pytest.mark.parametrize("name", CLASSES)
def test_the_examples_hold(name, files_of_examples):
    examples = doctest.DocTestParser().get_doctest(getattr(modules, name).__doc__, {}, name, None, None)
    told = io.StringIO()
    results = doctest.DocTestRunner(verbose=False).run(examples, out=told.write)
    assert results.attempted and not results.failed, told.getvalue()


def test_nothing_heavy_is_imported_before_a_name_is_asked_for():
    code = "import modules, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Captoiner'"):
        _ = modules.Captoiner

"""Captioners that come with the package: they load, caption, fit into a wheel and survive a round trip."""

import numpy as np
import pytest
import torch

from modules import Captioner, InputError
from modules.captioning.captioner import CaptioningTrainingOptions
from modules.captioning.pretrained import NAMES, PRETRAINED, pretrained_path, write_weights
from modules.decoders.captions import DecoderOptions
from modules.encoders.image import EncoderOptions
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def ready_made():
    return Captioner.pretrained()


def picture():
    """Grass below sky, and something brown on it."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[:60], image[60:] = (140, 190, 240), (60, 140, 50)
    image[50:90, 60:110] = (130, 80, 40)
    return image


def test_it_captions_at_once_in_words_it_has_learnt(ready_made):
    (caption,) = ready_made.caption_images([picture()])
    assert len(caption.words) >= 4 and set(caption.words) <= set(ready_made.vocabulary.words)
    assert {"dog", "man", "red", "snow", "running"} <= set(ready_made.vocabulary.words)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_small_and_has_a_model_card(name):
    path = pretrained_path(name)
    assert 1_000_000 < path.stat().st_size <= 16_000_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    for said in ("Hodosh", "research", "BLEU-4", "CIDEr-D", "python pipelines/caption.py"):
        assert said in card


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="flickr8k"):
        Captioner.pretrained("flickr9k")


def trained(finetune_from):
    encoder = EncoderOptions("efficientnet_lite0", image_size=64, finetune_from=finetune_from)
    small = DecoderOptions(embedding_size=8, hidden_size=8, attention_size=8)
    model = Captioner(encoder, small, CaptioningTrainingOptions(seed=3)).eval()
    model.use_vocabulary(Vocabulary([*Vocabulary.MARKERS, "a", "dog", "naïve"]))
    with torch.no_grad():
        for parameter in model.encoder.finetuned_parameters():
            parameter.mul_(1.5)
    return model


@pytest.mark.parametrize("finetune_from", [None, -1])
def test_what_is_written_is_read_again(finetune_from, tmp_path):
    model, path = trained(finetune_from), tmp_path / "mine.safetensors"
    write_weights(model, tmp_path / "first.safetensors")
    # also of a captioner that was itself loaded
    write_weights(Captioner.load(tmp_path / "first.safetensors"), path)
    again = Captioner.load(path)
    assert again.vocabulary == model.vocabulary and again.decoding == model.decoding
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight, rtol=1e-3, atol=1e-5, msg=name)
    # the frozen part of the encoder comes from its package
    everything = sum(weight.numel() for weight in model.state_dict().values())
    tuned = sum(weight.numel() for weight in model.encoder.finetuned_parameters())
    decoder = sum(weight.numel() for weight in model.decoder.state_dict().values())
    assert path.stat().st_size < 2 * (decoder + 1.1 * tuned) + 40_000 < everything
    assert {file.name for file in tmp_path.iterdir()} == {"first.safetensors", "mine.safetensors"}


@pytest.mark.parametrize("damage", ["cut", "foreign", "absent"])
def test_a_damaged_file_is_one_line(damage, tmp_path):
    path = tmp_path / "mine.safetensors"
    if damage == "cut":
        path.write_bytes(PRETRAINED.read_bytes()[:100_000])
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"mine\.safetensors"):
        Captioner.load(path)

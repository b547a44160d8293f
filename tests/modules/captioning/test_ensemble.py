"""Captioners that write one caption together."""

from types import SimpleNamespace

import pytest
import torch

from modules.captioning import writing
from modules.captioning.captioner import Captioner
from modules.captioning.ensemble import CaptionerEnsemble
from modules.captioning.options import CaptioningTrainingOptions
from modules.decoders.captions import DecoderOptions
from modules.encoders.image import EncoderOptions
from modules.errors import InputError
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = Vocabulary.build([["a", "red", "blue", "square", "circle"]] * 2, 1, None)


def captioner(seed, words=WORDS, size=64, mirrored=False, encoder_seed=0, stage="last"):
    torch.manual_seed(encoder_seed)
    model = Captioner(
        EncoderOptions("efficientnet_lite0", stage, image_size=size, weights="none", mirrored=mirrored),
        DecoderOptions(embedding_size=8, hidden_size=16, attention_size=8),
        CaptioningTrainingOptions(seed=seed),
    )
    model.use_vocabulary(words)
    return model.eval()


def pixels(images=3, size=64):
    return torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8)


def test_members_of_one_frozen_encoder_share_its_annotations(monkeypatch):
    members = [captioner(0), captioner(1), captioner(2, encoder_seed=5)]
    ensemble = CaptionerEnsemble(members)
    views = ensemble.views(pixels())
    assert views[0] is views[1] and not torch.equal(views[0], views[2])
    ensemble.mirrored = True
    assert ensemble.mirrored and ensemble.views(pixels())[1].shape[1] == 2
    captions = ensemble.caption(ensemble.views(pixels()), ["1", "2", "3"], keep_alpha=True)
    assert len(captions) == 3 and captions[0].alpha.shape[1] == views[0].shape[1]


@pytest.mark.parametrize("stage", [[4], [3, 4]])
def test_members_that_read_one_encoder_at_other_stages_have_annotations_of_their_own(stage):
    members = [captioner(0, stage=4), captioner(1, stage=stage)]
    ensemble, images = CaptionerEnsemble(members), pixels()
    for views, member in zip(ensemble.views(images), members, strict=True):
        torch.testing.assert_close(views, member.views(images), rtol=0, atol=0)
    assert len(ensemble.caption(ensemble.views(images), list("abc"))) == 3


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"words": Vocabulary.build([["a", "red"]], 1, None)}, "trained on the same captions"),
        ({"size": 96}, "reads images of 96 px"),
    ],
)
def test_members_that_do_not_fit_are_refused_by_name(other, said):
    with pytest.raises(InputError, match=said) as error:
        CaptionerEnsemble([captioner(0), captioner(1, **other)], ["a.ckpt", "b.ckpt"])
    assert str(error.value).startswith("b.ckpt: ")


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_weights_of_another_number_type_are_refused_as_by_one_captioner(precision):
    for model in (captioner(0), CaptionerEnsemble([captioner(0), captioner(1)])):
        model.trainer = SimpleNamespace(precision=precision)
        with pytest.raises(InputError, match=f"trainer.precision is {precision}; a captioner keeps its"):
            model.setup("predict")


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("asked", "dtype", "expected"),
    [
        (True, torch.bfloat16, torch.bfloat16),
        (True, torch.float32, torch.float32),
        (False, torch.bfloat16, torch.float32),
    ],
)
def test_words_are_scored_in_bfloat16_if_asked_for_and_fast(monkeypatch, alone, asked, dtype, expected):
    monkeypatch.setattr(writing, "fast_dtype", lambda _: dtype)
    members = [captioner(0), captioner(1)]
    model = members[0] if alone else CaptionerEnsemble(members)
    seen = set()
    for member in members:
        member.decoder.output.register_forward_hook(lambda _, __, logits: seen.add(logits.dtype))
    model.reduced_precision = asked
    model.caption(model.views(pixels()), list("abc"))
    assert seen == {expected}

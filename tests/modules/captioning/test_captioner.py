"""The LightningModule by itself: what trains, what is clipped, what evaluation says, what is refused."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from modules.captioning.batch import CaptionBatch
from modules.captioning.captioner import Captioner
from modules.checkpoints import read_checkpoint
from modules.decoders.captions import DecoderOptions
from modules.decoding import DecodingOptions
from modules.encoders.image import EncoderOptions
from modules.errors import InputError
from modules.training import TrainingOptions
from modules.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    [*Vocabulary.MARKERS, "a", "dog", "cat", "runs", "sits", "on", "grass", "the", "red", "ball"]
)


def captioner(**encoder) -> Captioner:
    options = {"name": "mobilenetv3_small_050", "image_size": 64, "weights": "none", **encoder}
    decoder = DecoderOptions(embedding_size=16, hidden_size=16, attention_size=16, dropout=0.0)
    torch.manual_seed(0)
    model = Captioner(EncoderOptions(**options), decoder, TrainingOptions(seed=3))
    model.use_vocabulary(VOCABULARY)
    return model


def batch(images: int = 3) -> CaptionBatch:
    torch.manual_seed(1)
    pixels = torch.randint(0, 256, (images, 3, 64, 64), dtype=torch.uint8)
    tokens = torch.randint(4, len(VOCABULARY), (images * 2, 7))
    tokens[:, 0], tokens[:, -1] = Vocabulary.BOS, Vocabulary.EOS
    names = [f"{i}.jpg" for i in range(images)]
    return CaptionBatch(
        pixels, torch.arange(images).repeat_interleave(2), tokens, names, [["a dog"]] * images
    )


def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one():
    model = captioner(finetune_from=-1).train()
    smoothed, _, attention, words = model.losses(batch())
    ((smoothed + attention) / words).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        if parameter.requires_grad:
            assert parameter.grad.abs().sum() > 0, name
    assert sum(p.requires_grad for p in model.encoder.parameters()) > 0


def test_a_frozen_encoder_stays_in_evaluation_mode_and_out_of_the_optimiser():
    model = captioner().train()
    assert not any(module.training for module in model.encoder.trunk.modules())
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


@pytest.mark.parametrize(("algorithm", "limit"), [("norm", 0.5), ("value", 0.01), (None, 0.5)])
def test_gradients_are_clipped(algorithm, limit):
    model = captioner().train()
    model._trainer = SimpleNamespace(precision="32-true")
    model._fabric = None
    smoothed, *_ = model.losses(batch())
    (100 * smoothed).backward()
    parameters = list(model.decoder.parameters())
    before = torch.cat([p.grad.flatten() for p in parameters])
    model.configure_gradient_clipping(torch.optim.SGD(parameters, 0.1), limit, algorithm)
    after = torch.cat([p.grad.flatten() for p in parameters])
    expected = before.clamp(-limit, limit) if algorithm == "value" else before * (limit / before.norm())
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-7)


def test_decoding_is_float32_under_any_precision_and_independent_of_the_batch():
    model = captioner().eval()
    for parameter in model.decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    given = batch(5)
    annotations = model.annotate(given.inputs)
    options = DecodingOptions(beam_size=3, max_length=8)
    together = model.caption(annotations, given.names, options)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.caption(annotations, given.names, options)
    alone = [
        model.caption(annotations[i : i + 1], given.names[i : i + 1], options)[0]
        for i in range(len(given.names))
    ]
    assert [c.words for c in mixed] == [c.words for c in together] == [c.words for c in alone]
    assert [c.score for c in mixed] == [c.score for c in together]
    assert len({tuple(c.words) for c in together}) > 1


def test_initial_weights_depend_on_the_seed_alone():
    first = captioner()
    torch.rand(17)
    second = captioner()
    for (name, one), (_, two) in zip(
        first.decoder.named_parameters(), second.decoder.named_parameters(), strict=True
    ):
        assert torch.equal(one, two), name


def test_another_vocabulary_is_refused_with_both_sizes():
    with pytest.raises(InputError, match=r"14 words.*5 words"):
        captioner().use_vocabulary(Vocabulary([*Vocabulary.MARKERS, "dog"]))


def test_a_checkpoint_of_another_task_is_refused(tmp_path):
    path = tmp_path / "text.ckpt"
    torch.save({"task": "text", "state_dict": {}}, path)
    with pytest.raises(InputError, match=r"text.ckpt.*'text'.*'caption'"):
        read_checkpoint(path, "caption")


def test_a_mirrored_captioner_says_the_same_of_an_image_and_its_mirror_image():
    model = captioner(mirrored=True).eval()
    for parameter in model.decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    pixels, names = batch(4).inputs, [f"{i}.jpg" for i in range(4)]
    views = model.views(pixels)
    assert views.shape == (4, 2, model.encoder.locations, model.encoder.annotation_size)
    torch.testing.assert_close(views, model.views(pixels.flip(-1)).flip(1))
    options = DecodingOptions(max_length=8)
    captions = [caption.words for caption in model.caption(views, names, options)]
    mirrored = [caption.words for caption in model.caption(model.views(pixels.flip(-1)), names, options)]
    assert captions == mirrored
    # what a model that reads the image alone does not
    model.mirrored = False
    assert [caption.words for caption in model.caption(views[:, 0], names, options)] != captions

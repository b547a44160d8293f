"""The LightningModule by itself: what trains, what is clipped, what evaluation says, what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from modules.captioning.batch import CaptionBatch
from modules.captioning.captioner import Captioner
from modules.captioning.options import CaptioningTrainingOptions
from modules.checkpoints import read_checkpoint
from modules.decoders.captions import DecoderOptions
from modules.decoding import DecodingOptions
from modules.encoders.image import EncoderOptions
from modules.errors import InputError
from modules.vocabulary import Vocabulary
from tests.unchecked import unchecked

VOCABULARY = Vocabulary(
    [*Vocabulary.MARKERS, "a", "dog", "cat", "runs", "sits", "on", "grass", "the", "red", "ball"]
)


def captioner(hard: bool = False, **encoder) -> Captioner:
    options = {"name": "mobilenetv3_small_050", "image_size": 64, "weights": "none", **encoder}
    decoder = DecoderOptions(embedding_size=16, hidden_size=16, attention_size=16, dropout=0.0, hard=hard)
    torch.manual_seed(0)
    model = Captioner(EncoderOptions(**options), decoder, CaptioningTrainingOptions(seed=3))
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


@pytest.mark.parametrize("hard", [False, True])
def test_every_trained_parameter_gets_a_gradient_and_no_frozen_one(hard):
    model = captioner(hard, finetune_from=-1).train()
    loss, _, words = model.losses(batch(), model.annotate(batch().inputs))
    (loss / words).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        if parameter.requires_grad:
            assert parameter.grad.abs().sum() > 0, name
    assert sum(p.requires_grad for p in model.encoder.parameters()) > 0


def test_no_attention_term_draws_weight_from_a_sentinel():
    terms = []
    for kind in ("att2in", "adaptive"):
        options = DecoderOptions(kind, embedding_size=8, hidden_size=8, attention_size=8)
        encoder = EncoderOptions("mobilenetv3_small_050", image_size=64, weights="none")
        model = Captioner(encoder, options, CaptioningTrainingOptions(label_smoothing=0.0)).eval()
        model.use_vocabulary(VOCABULARY)
        model.decoder.eval()
        loss, plain, _ = model.losses(batch(), model.annotate(batch().inputs))
        terms.append((loss - plain).item())
    assert terms[0] > 0 and terms[1] == 0


def test_hard_attention_draws_in_training_alone_and_its_checkpoint_keeps_the_baseline():
    model, given = captioner(hard=True).train(), batch()
    annotations = model.annotate(given.inputs)
    for own_words in (0.0, 0.5):
        model._trainer = SimpleNamespace(world_size=1, global_rank=0)
        losses = [model.losses(given, annotations, own_words) for _ in range(2)]
        assert losses[0][1] != losses[1][1]
    baseline = model.location_loss.baseline.item()
    assert baseline < -1
    model.eval()
    losses = [model.losses(given, annotations) for _ in range(2)]
    assert losses[0] == losses[1] and model.location_loss.baseline.item() == baseline
    assert {"location_loss.baseline"} == model.state_dict().keys() - captioner().state_dict().keys()
    caption = model.caption(annotations, given.names, keep_alpha=True)[0]
    assert (caption.alpha.max(1).values == 1).all() and (caption.alpha.sum(1) == 1).all()


def test_self_critical_training_of_hard_attention_is_refused():
    options = DecoderOptions(hard=True), CaptioningTrainingOptions(reinforce_epochs=1)
    with pytest.raises(InputError, match=r"reinforce_epochs is given: .* take --model\.decoder\.hard false"):
        Captioner(EncoderOptions("mobilenetv3_small_050", image_size=64, weights="none"), *options)


def test_a_frozen_encoder_stays_in_evaluation_mode_and_out_of_the_optimiser():
    model = captioner().train()
    assert not any(module.training for module in model.encoder.trunk.modules())
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


@pytest.mark.parametrize(("algorithm", "limit"), [("norm", 0.5), ("value", 0.01), (None, 0.5)])
def test_gradients_are_clipped(algorithm, limit):
    model = captioner().train()
    model._trainer = SimpleNamespace(precision="32-true")
    model._fabric = None
    smoothed, *_ = model.losses(batch(), model.annotate(batch().inputs))
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


def talkative(**encoder) -> Captioner:
    """A captioner of large random weights: every picture has its own caption."""
    model = captioner(**encoder).eval()
    for parameter in model.decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    with torch.no_grad():
        model.decoder.initial.weight.mul_(100)  # an untrained encoder says little
    model.decoding = DecodingOptions(max_length=8)
    return model


def pictures(count: int) -> list[np.ndarray]:
    colours = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    return list(colours.repeat(20, axis=1).repeat(28, axis=2))


def test_captions_of_images_depend_neither_on_the_batch_nor_on_who_decodes_the_file(tmp_path):
    model, arrays = talkative(), pictures(5)
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array).save(path)
    together = model.caption_images(arrays)
    assert len({caption.text for caption in together}) > 1
    assert together[0].words[0] in VOCABULARY.words and together[0].alpha is None
    for batch_size in (1, 2, 5):
        captions = model.caption_images(iter(arrays), batch_size)
        assert captions == model.caption_images([*map(str, paths[:2]), *paths[2:]], batch_size)
        assert [caption.words for caption in captions] == [caption.words for caption in together]
        scores = [caption.score for caption in together]
        assert [caption.score for caption in captions] == pytest.approx(scores, rel=1e-5)
    kept = model.caption_images(arrays[:1], keep_alpha=True)[0]
    assert kept.alpha is not None and kept.alpha.shape == (len(kept.words), model.encoder.locations)
    assert model.caption_images([]) == []


def test_sampled_captions_of_arrays_depend_on_their_place_alone():
    model, array = talkative(), pictures(1)[0]
    model.decoding = DecodingOptions("sample", max_length=8)
    captions = model.caption_images([array] * 4, batch_size=4)
    in_threes = model.caption_images([array] * 4, batch_size=3)
    assert [caption.words for caption in captions] == [caption.words for caption in in_threes]
    assert len({caption.text for caption in captions}) > 1


def test_grey_and_transparent_arrays_are_read_as_their_files_are(tmp_path):
    model = talkative()
    colours = pictures(1)[0]
    grey, transparent = colours[..., 0], np.dstack([colours, colours[..., 0]])
    paths = [tmp_path / "grey.png", tmp_path / "transparent.png"]
    Image.fromarray(grey).save(paths[0])
    Image.fromarray(transparent).save(paths[1])
    assert model.caption_images([grey, transparent]) == model.caption_images(paths)


def test_what_is_no_image_is_refused_with_its_name(tmp_path):
    model, (good,) = talkative(), pictures(1)
    (tmp_path / "notes.txt").write_text("no picture")
    for images, message in [
        ([good, tmp_path / "notes.txt"], r"notes\.txt: is no image"),
        ([tmp_path / "absent.jpg"], r"absent\.jpg: No such file"),
        ([good, good.astype(np.float32)], r"images\[1\]: is float32 \(40, 56, 3\); uint8 RGB"),
        ([good[..., :2]], r"images\[0\]: is uint8 \(40, 56, 2\)"),
        ([good[:0]], r"images\[0\]: is uint8 \(0, 56, 3\)"),
        ("dog.jpg", r"images is one image; put it in a list"),
        (tmp_path / "dog.jpg", r"images is one image; put it in a list"),
        (good, r"images is one image; put it in a list"),
    ]:
        with unchecked(), pytest.raises(InputError, match=message):
            model.caption_images(images)
    with pytest.raises(InputError, match="batch_size is 0"):
        model.caption_images([good], batch_size=0)

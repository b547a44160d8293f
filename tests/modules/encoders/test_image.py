"""Backbones as encoders: the golden photograph, shapes, freezing, the fast path and its fingerprint."""

import copy
import pickle
import urllib.error
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import timm
import torch
from torch import nn

from modules.encoders.backbones import load_backbone
from modules.encoders.image import ImageEncoder
from modules.encoders.inference import FastPath, fold_batch_norms
from modules.encoders.stages import to_annotations
from modules.errors import InputError

ESPRESSO = 967


def photograph(name: str, size: int) -> torch.Tensor:
    """A photograph that ships in scikit-image, as (1, 3, size, size) uint8 RGB."""
    path = Path(skimage.__file__).parent / "data" / name
    pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    square = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(square).permute(2, 0, 1)[None].contiguous()


def pixels(count: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def lite() -> ImageEncoder:
    return ImageEncoder("efficientnet_lite0")


@pytest.mark.parametrize(("name", "size"), [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)])
def test_the_classifier_sees_an_espresso(name: str, size: int) -> None:
    classifier, preprocessing = load_backbone(name)
    assert preprocessing.image_size == size
    images = photograph("coffee.png", size).float()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    with torch.no_grad():
        probabilities = classifier.eval()((images - mean) / std).softmax(1)
    assert probabilities.argmax().item() == ESPRESSO
    assert probabilities[0, ESPRESSO] > 0.5


def test_annotations_are_the_classifiers_last_feature_map(lite: ImageEncoder) -> None:
    classifier, _ = load_backbone("efficientnet_lite0")
    classifier.eval()
    images = photograph("coffee.png", 224)
    annotations = lite(images)
    assert annotations.shape == (1, 49, 1280)
    assert lite.grid == (7, 7)
    with torch.no_grad():
        features = classifier.forward_features((images.float() - 127) / 128)
        logits = classifier.classifier(lite.encode(images).mean(1))
    torch.testing.assert_close(annotations[0, 7 * 2 + 5], features[0, :, 2, 5])
    assert logits.argmax().item() == ESPRESSO


SWEEP = [
    ("efficientnet_lite0", "last", (2, 2), 1280),
    ("efficientnet_lite0", 3, (4, 4), 112),
    ("timm/resnet18", "last", (2, 2), 512),
    ("resnet18", 2, (8, 8), 128),
    ("mobilenetv3_small_050", "last", (2, 2), 288),
    ("mobilenetv3_small_050", 0, (32, 32), 16),
    ("convnext_atto", "last", (2, 2), 320),
    ("vit_tiny_patch16_224", "last", (4, 4), 192),
    ("vit_tiny_patch16_224", 1, (4, 4), 192),
    ("swin_tiny_patch4_window7_224", 1, (8, 8), 192),
    ("torchvision/resnet18", "last", (2, 2), 512),
    ("torchvision/resnet18", "layer3", (4, 4), 256),
    ("torchvision/mobilenet_v3_small", "last", (2, 2), 576),
    ("torchvision/squeezenet1_1", "last", (3, 3), 512),
    ("torchvision/shufflenet_v2_x0_5", "last", (2, 2), 1024),
    ("torchvision/densenet121", "features.denseblock1", (16, 16), 256),
]


@pytest.mark.parametrize(("name", "stage", "grid", "width"), SWEEP)
def test_backbones_give_annotations(name: str, stage: int | str, grid: tuple[int, int], width: int) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(name, stage, image_size=64, weights="none")
    images = pixels(2, 64)
    annotations = encoder(images)
    assert encoder.grid == grid
    assert (encoder.locations, encoder.annotation_size) == (grid[0] * grid[1], width)
    assert annotations.shape == (2, encoder.locations, encoder.annotation_size)
    assert not annotations.requires_grad
    assert encoder.is_frozen and encoder.finetuned_parameters() == []
    fast = encoder.encode(images)
    assert fast.dtype == torch.float32
    # bfloat16 rounds in every layer: directions agree, digits do not
    similarity = torch.cosine_similarity(fast.flatten(), annotations.flatten(), dim=0)
    assert similarity > 0.98
    assert str(width) in encoder.describe()


@pytest.mark.parametrize(
    ("name", "norms"),
    [("resnet18", 0), ("torchvision/resnet18", 0), ("densenet121", 62), ("mobilenetv3_small_050", 0)],
)
def test_folding_batch_norms_changes_no_feature(name: str, norms: int) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(name, image_size=64, weights="none")
    for module in encoder.trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    probe = torch.randn(2, 3, 64, 64)
    folded = fold_batch_norms(encoder.trunk, encoder.read, probe)
    with torch.no_grad():
        expected = encoder.read(encoder.trunk, probe)
        torch.testing.assert_close(encoder.read(folded, probe), expected, rtol=1e-3, atol=1e-4)
    # a densely connected block normalises concatenations, which belong to no convolution
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == norms


class Branching(nn.Module):
    """A convolution whose output is used with and without its batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        nn.init.constant_(self.norm.weight, 3.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        y = self.conv(images)
        return y + self.norm(y)


def test_a_batch_norm_that_cannot_be_folded_is_kept() -> None:
    probe = torch.randn(1, 3, 8, 8)
    network = Branching().eval()
    folded = fold_batch_norms(network, lambda module, x: to_annotations(module(x))[0], probe)
    with torch.no_grad():
        torch.testing.assert_close(folded(probe), network(probe))


def test_annotations_do_not_depend_on_the_batch(lite: ImageEncoder) -> None:
    images = pixels(19, 224)
    together = lite.encode(images)
    alone = torch.cat([lite.encode(image[None]) for image in images[15:18]])
    assert torch.equal(together[15:18], alone)
    assert torch.equal(together[5:16], lite.encode(images[5:16]))
    assert lite.encode(images[:0]).shape == (0, 49, 1280)


def test_encoding_works_in_inference_mode_and_leaves_the_threads_alone() -> None:
    encoder = ImageEncoder("resnet18", image_size=64, weights="none")
    images = pixels(20, 64)
    threads = torch.get_num_threads()
    with torch.inference_mode():
        first = encoder.encode(images.clone())
    with torch.autocast("cpu", torch.bfloat16):
        second = encoder.encode(images)
    assert torch.equal(first, second)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(threads + 1)
    assert torch.equal(encoder.encode(images), second)
    torch.set_num_threads(threads)
    nn.Linear(512, 2)(second).sum().backward()  # annotations are ordinary inputs of a decoder that trains


def test_layouts_of_features() -> None:
    maps = torch.arange(2 * 5 * 3 * 3).float().view(2, 5, 3, 3)
    expected = maps.flatten(2).transpose(1, 2)
    tokens = torch.cat([torch.full((2, 1, 5), -1.0), expected], dim=1)
    for features in (maps, maps.permute(0, 2, 3, 1), expected, tokens):
        annotations, grid = to_annotations(features)
        assert grid == (3, 3)
        assert torch.equal(annotations, expected)


def statistics(encoder: ImageEncoder) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in encoder.trunk.state_dict().items() if "running" in k}


@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_a_frozen_encoder_learns_nothing_also_when_copied(name: str) -> None:
    encoder = ImageEncoder(name, image_size=64, weights="none")
    encoder.encode(pixels(1, 64))
    for twin in (encoder, copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        before = statistics(twin)
        nn.Sequential(twin).train()
        twin(pixels(2, 64))
        assert all(torch.equal(before[key], value) for key, value in statistics(twin).items())
        assert not any(parameter.requires_grad for parameter in twin.parameters())
        assert torch.equal(twin(pixels(1, 64)), encoder(pixels(1, 64)))
        assert torch.equal(twin.encode(pixels(1, 64)), encoder.encode(pixels(1, 64)))


FINETUNED = [
    ("resnet18", "last", "layer4", "layer4.0.conv1.weight"),
    ("resnet18", "last", -1, "layer4.0.conv1.weight"),
    ("mobilenetv3_small_050", "last", "blocks.4", "blocks.4.0.conv_pw.weight"),
    ("mobilenetv3_small_050", "last", 0, "conv_stem.weight"),
    ("efficientnet_lite0", 3, "blocks.3", "blocks.3.0.conv_pw.weight"),
    ("vit_tiny_patch16_224", "last", 0, "cls_token"),
    ("torchvision/mobilenet_v3_small", "last", 9, "features.9.block.0.0.weight"),
]


@pytest.mark.parametrize(("name", "stage", "start", "first"), FINETUNED)
def test_finetuning_starts_at_a_block(name: str, stage: int | str, start: int | str, first: str) -> None:
    encoder = ImageEncoder(name, stage, image_size=64, weights="none", finetune_from=start)
    assert not encoder.is_frozen
    for twin in (encoder, pickle.loads(pickle.dumps(encoder)).train()):
        parameters = dict(twin.trunk.named_parameters())
        tuned = [key for key, parameter in parameters.items() if parameter.requires_grad]
        assert tuned == list(parameters)[list(parameters).index(first) :]
        assert len(twin.finetuned_parameters()) == len(tuned)
        before = statistics(twin)
        twin(pixels(3, 64)).sum().backward()
        # distributed training waits for ever for a gradient that does not come
        assert all(parameter.grad is not None for parameter in twin.finetuned_parameters())
        for key, value in statistics(twin).items():
            norm = key.rpartition(".")[0]
            assert torch.equal(value, before[key]) != (f"{norm}.weight" in tuned)


def test_the_head_is_not_kept(lite: ImageEncoder) -> None:
    names = [key for key, _ in lite.trunk.named_parameters()]
    assert not any("classifier" in key for key in names)
    assert names[-1] == "bn2.bias"
    early = ImageEncoder("efficientnet_lite0", stage=1, image_size=64, weights="none")
    assert {key.split(".")[0] for key, _ in early.trunk.named_parameters()} == {"conv_stem", "bn1", "blocks"}
    assert max(int(key.split(".")[1]) for key, _ in early.trunk.named_parameters() if "blocks" in key) == 1


def test_the_fast_copy_follows_the_weights_and_is_no_part_of_the_state() -> None:
    torch.manual_seed(0)
    encoder, other = (ImageEncoder("resnet18", image_size=64, weights="none") for _ in range(2))
    images = pixels(2, 64)
    keys = set(encoder.state_dict())
    first = encoder.encode(images)
    assert set(encoder.state_dict()) == keys
    assert sum(1 for _ in encoder.modules()) == sum(1 for _ in other.modules())
    nn.ModuleDict({"encoder": encoder}).load_state_dict(nn.ModuleDict({"encoder": other}).state_dict())
    second = encoder.encode(images)
    assert torch.equal(second, other.encode(images))
    assert not torch.equal(first, second)
    encoder.train()
    assert torch.equal(encoder.encode(images), second)
    assert not encoder.encode(images).is_inference()


def test_the_fingerprint_tells_encoders_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder("mobilenetv3_small_050", image_size=64, weights="none")
    same = copy.deepcopy(encoder)
    assert encoder.fingerprint() == same.fingerprint() == encoder.fingerprint("cpu")
    prints = {encoder.fingerprint()}
    with torch.no_grad():
        next(same.trunk.parameters())[0, 0, 0, 0] += 1e-3
    prints.add(same.fingerprint())
    for change in ({"image_size": 32}, {"stage": 3}):
        options = {**encoder.options, **change}
        variant = ImageEncoder(**options)
        variant.trunk.load_state_dict(encoder.trunk.state_dict(), strict=False)
        prints.add(variant.fingerprint())
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr("modules.encoders.image.fast_dtype", lambda device, dtype=dtype: dtype)
        prints.add(encoder.fingerprint())
    assert len(prints) == 5


def test_float32_where_the_processor_has_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modules.encoders.inference.fast_dtype", lambda device: torch.float32)
    encoder = ImageEncoder("resnet18", image_size=64, weights="none")
    fast = FastPath(encoder.trunk, encoder.read, encoder.mean, encoder.std, 64)
    torch.testing.assert_close(fast(pixels(3, 64)), encoder(pixels(3, 64)), rtol=1e-3, atol=1e-3)


def test_weights_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = timm.create_model("mobilenetv3_small_050", pretrained=False)
    torch.save(classifier.state_dict(), tmp_path / "weights.pt")
    encoder = ImageEncoder("mobilenetv3_small_050", image_size=64, weights=str(tmp_path / "weights.pt"))
    torch.testing.assert_close(encoder.trunk.conv_stem.weight, classifier.conv_stem.weight)
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"conv_stem.weight": torch.zeros(3)}, tmp_path / "foreign.pt")
    messages = {
        "absent.pt": "no such file",
        "text.pt": "not a state dict",
        "text.safetensors": "no such file",
        "foreign.pt": "not the weights of 'mobilenetv3_small_050'",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message) as caught:
            load_backbone("mobilenetv3_small_050", str(tmp_path / name))
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_names_say_what_would_be_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong: list[tuple[dict, str]] = [
        ({"name": "eficientnet_lite0"}, "efficientnet_lite0"),
        ({"name": "timm/resnt18"}, "resnet18"),
        ({"name": "torchvision/resnet_18"}, "resnet18"),
        ({"name": "resnet18", "stage": 5}, "0 to 4"),
        ({"name": "resnet18", "stage": "layer3"}, "'last', a number"),
        ({"name": "torchvision/resnet18", "stage": "layer9"}, "layer"),
        ({"name": "resnet18", "finetune_from": "layer9"}, "layer1, layer2, layer3, layer4"),
        ({"name": "resnet18", "finetune_from": 40}, "0 to 5"),
    ]
    for options, message in wrong:
        with pytest.raises(InputError, match=message) as caught:
            ImageEncoder(**{"weights": "none", "image_size": 64, **options})
        assert "\n" not in str(caught.value)

    def offline(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"no route to host.*efficientnet_lite0"):
        load_backbone("torchvision/squeezenet1_1")


def test_options_rebuild_the_encoder(lite: ImageEncoder) -> None:
    twin = ImageEncoder(**{**lite.options, "weights": "none"})
    twin.load_state_dict(lite.state_dict())
    image = photograph("chelsea.png", 224)
    assert np.array_equal(twin(image).numpy(), lite(image).numpy())
    assert twin.fingerprint() == lite.fingerprint()

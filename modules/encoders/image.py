"""Any image backbone as an encoder: a photograph becomes a grid of annotation vectors."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from modules.encoders.backbones import load_backbone, resolve_backbone
from modules.encoders.eight_bits import write_eight_bits
from modules.encoders.inference import FastPath, OnnxPath
from modules.encoders.stages import (
    Stage,
    StageReader,
    block_names,
    cut_classifier,
    drop_unused_modules,
    probe,
    to_annotations,
)
from modules.errors import InputError, check_ranges
from modules.onnx_graphs import Graph, write_graph
from modules.parameters import parameters_of
from modules.precision import fast_dtype


@dataclass
class EncoderOptions:
    """The CNN that reads the image.

    Args:
        name: efficientnet_lite0, 1 or 2 (real ImageNet weights, no download), any timm name, or
            torchvision/NAME.
        stage: Whose output are the annotations: last, the number of a timm stage, several such as [3, 4]
            joined on the coarsest grid, or a torchvision node.
        image_size: Height and width in pixels; by default the backbone's own.
        weights: imagenet, none, or the path of a state dict.
        finetune_from: First block that is trained; by default the encoder stays frozen.
        resize: How an image becomes square: squash, crop its middle, or pad.
        mirrored: Read its mirror image too: training sees either of them, a caption comes from both. It helps
            with photographs, at twice the encoder's and decoder's work; not where left and right matter.
    """

    name: str = "efficientnet_lite0"
    stage: Stage = "last"
    image_size: int | None = None
    weights: str = "imagenet"
    finetune_from: int | str | None = None
    resize: Literal["squash", "crop", "pad"] = "squash"
    mirrored: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "model.encoder", positive=("image_size",))


class ImageEncoder(nn.Module):
    """Annotations a = {a_1, ..., a_L}, each of width D, of a batch of images (Xu et al. 2015, section 3.1.1).

    Images are RGB bytes 0..255; the normalisation the weights expect happens inside. Frozen, the backbone is
    always in eval mode (batch-norm statistics included) and takes no gradients. The classifier's head and
    every layer behind the chosen stage are dropped.

    Args:
        name: backbone: `efficientnet_lite0|1|2` (ImageNet weights installed), any timm name or any
            torchvision classification name; `timm/NAME` or `torchvision/NAME` says which is meant.
        stage: "last" for the final feature map; a number for that feature stage of a timm backbone, counted
            from 0, or several (`join_stages`); the name of a node, such as layer3, of a torchvision backbone.
        image_size: side of the square input in pixels; the backbone's own where it is not given.
        weights: "imagenet", "none" (a random start, or weights that a checkpoint is about to bring), or the
            path of a state dict of the classifier.
        finetune_from: fine-tune from this top-level block on, given by name (blocks.5, layer4) or number
            (-1 is the last); the blocks before it stay frozen. Not given: the whole backbone is frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str = "efficientnet_lite0",
        stage: Stage = "last",
        image_size: int | None = None,
        weights: str = "imagenet",
        finetune_from: int | str | None = None,
    ):
        super().__init__()
        self.options: dict[str, Any] = {
            "name": name,
            "stage": stage,
            "image_size": image_size,
            "weights": weights,
            "finetune_from": finetune_from,
        }
        classifier, preprocessing = load_backbone(name, weights)
        self.image_size = image_size or preprocessing.image_size
        if image_size and hasattr(classifier, "set_input_size"):
            classifier.set_input_size(img_size=(image_size, image_size))  # type: ignore[operator]
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), persistent=False)

        source, _ = resolve_backbone(name)
        self.trunk = cut_classifier(classifier, name, source, stage, self.image_size)
        self.read = StageReader(stage)
        self._used_parameters, annotations, self.grid = self._trace()
        self.locations, self.annotation_size = annotations.shape[1], annotations.shape[2]
        self._frozen_blocks = self._freeze_up_to(finetune_from)
        self._fast: tuple[tuple, FastPath | OnnxPath] | None = None
        self.train(self.training)

    @torch.enable_grad()
    def _trace(self) -> tuple[set[str], Tensor, tuple[int, int]]:
        """Runs one image, drops what it does not reach; gives the parameters used, annotations and grid."""
        called: set[nn.Module] = set()
        hooks = [
            module.register_forward_pre_hook(lambda module, _: called.add(module))
            for module in self.trunk.modules()
        ]
        self.trunk.requires_grad_(True)
        features = probe(
            lambda pixels: self.read.features(self.trunk, pixels), self.options["name"], self.image_size
        )
        for hook in hooks:
            hook.remove()
        annotations, grid = to_annotations(features)
        return drop_unused_modules(self.trunk, annotations, called), annotations.detach(), grid

    def _freeze_up_to(self, finetune_from: int | str | None) -> list[str]:
        """Switches gradients on from a block on and names the modules before it, which stay frozen."""
        self.trunk.requires_grad_(False)
        if finetune_from is None:
            return []
        blocks = block_names(self.trunk)
        first = finetune_from
        if isinstance(first, int) and -len(blocks) <= first < len(blocks):
            first = blocks[first]
        names = [name for name, _ in self.trunk.named_modules()]
        parameters = [name for name, _ in self.trunk.named_parameters()]
        starts = [i for i, name in enumerate(parameters) if name.startswith(f"{first}.")]
        if first not in names or not starts:
            raise InputError(
                f"finetune_from {finetune_from!r}: {self.options['name']!r} has the blocks 0 to "
                f"{len(blocks) - 1}: {', '.join(blocks)}"
            )
        # the first block brings what stands before all blocks, such as position embeddings, with it
        start = 0 if first == blocks[0] else starts[0]
        for name in parameters[start:]:
            self.trunk.get_parameter(name).requires_grad_(name in self._used_parameters)
        return names[: names.index(str(first))]

    def forward(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        """Annotations (B, L, D), row by row of the grid; with gradients only where blocks are fine-tuned."""
        pixels = (images.to(self.mean.dtype) - self.mean) / self.std
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
            return self.read(self.trunk, pixels)

    def encode(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        """Annotations (B, L, D) in float32 without gradients, fast: the path for caches and inference.

        By `FastPath`, or after `use_onnx` by `OnnxPath`. Both work in micro-batches of one fixed size, so an
        image's annotations do not depend on its batch. Images may lie on another device.
        """
        version = self._weights_version()
        if self._fast is None or self._fast[0] != version:
            with torch.inference_mode(False):  # folding reads tensors' versions, which that mode lacks
                self._fast = version, FastPath(self.trunk, self.read, self.mean, self.std, self.image_size)
        return self._fast[1](images)

    def use_onnx(self, file: Path, calibration: Callable[[], UInt8[Tensor, "N 3 S S"]] | None = None) -> None:
        """Lets `encode` run in ONNX Runtime on the CPU, until a weight changes: twice as fast as PyTorch.

        Args:
            file: the encoder as an ONNX graph. It is made where it is absent or damaged, in some ten seconds.
            calibration: gives images by which the graph is brought to 8 bits. It is twice as fast again on
                processors that have instructions for it; annotations are some 17 % away.

        Raises:
            InputError: PyTorch cannot export this backbone, or what it exports computes something else.
        """
        path = OnnxPath.load(file)
        if path is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f".{os.getpid()}-{file.name}")
            try:
                shape = (2, 3, self.image_size, self.image_size)
                images = calibration() if calibration else torch.randint(0, 256, shape, dtype=torch.uint8)
                graph = Graph("encoder", self, (images[:2],), ["images"], ["annotations"], strict=False)
                write_graph(graph, unfinished)
                if calibration is not None:
                    write_eight_bits(unfinished, images, unfinished)
                path = OnnxPath.load(unfinished)
                with torch.no_grad():
                    expected = self(images[:2])
                if path is None or not _agree(path(images[:2]), expected, exactly=calibration is None):
                    raise InputError(f"{self.options['name']!r}: its ONNX graph computes something else")
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
        self._fast = self._weights_version(), path

    def _weights_version(self) -> tuple:
        """What changes with every weight: in place it gets a new version, replaced or moved a new address."""
        weights = [*self.trunk.parameters(), *self.trunk.buffers()]
        return tuple((weight.data_ptr(), weight._version, weight.device) for weight in weights)

    @property
    def is_frozen(self) -> bool:
        """True if no parameter is fine-tuned."""
        return self.options["finetune_from"] is None

    def finetuned_parameters(self) -> list[nn.Parameter]:
        """The parameters that take gradients, each of which gets one; none for a frozen encoder."""
        return [parameter for parameter in self.trunk.parameters() if parameter.requires_grad]

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Switches the fine-tuned blocks; the frozen ones stay in eval mode."""
        super().train(mode)
        if self.is_frozen:
            self.trunk.eval()
        else:
            for name in self._frozen_blocks:
                self.trunk.get_submodule(name).training = False
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fast": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # a traced torchvision network forgets its mode when it is copied
        self.train(self.training)

    def fingerprint(self, device: torch.device | str | None = None) -> str:
        """A sha256 of all that decides the annotations `encode` gives: the key of a cache of them.

        It covers the backbone, stage, image size, normalisation, every weight and the number type.

        Args:
            device: where the encoding will happen; where the weights are now if not given.
        """
        dtype = fast_dtype(torch.device(device) if device is not None else self.mean.device)
        digest = hashlib.sha256()
        facts = [
            self.options["name"],
            self.options["stage"],
            self.image_size,
            self.mean.flatten().tolist(),
            self.std.flatten().tolist(),
            str(dtype),
        ]
        digest.update(json.dumps(facts).encode())
        for name, weight in self.trunk.state_dict().items():
            digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
            digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def describe(self) -> str:
        """One line: backbone, stage, sizes, what is frozen."""
        height, width = self.grid
        tuned = sum(parameter.numel() for parameter in self.finetuned_parameters())
        state = "frozen"
        if not self.is_frozen:
            state = f"{tuned / 1e6:.1f} M of them fine-tuned from {self.options['finetune_from']} on"
        total = parameters_of(self.trunk)
        return (
            f"{self.options['name']} (weights {self.options['weights']}), stage {self.options['stage']}, "
            f"{self.image_size} px -> {height}x{width} annotations of {self.annotation_size}; "
            f"{total / 1e6:.1f} M parameters, {state}"
        )


def _agree(found: Tensor, expected: Tensor, *, exactly: bool) -> bool:
    """Returns whether annotations are the same to 1e-3 of the largest, or else to a third of their length."""
    if exactly:
        return bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())
    return bool((found - expected).norm() <= expected.norm() / 3)

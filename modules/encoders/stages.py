"""Cutting a classifier at a stage, and reading its features there as annotations."""

import difflib
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from modules.errors import InputError

# what torchvision calls the part of a classifier behind the last feature map
HEADS = {"avgpool", "classifier", "dropout", "fc", "flatten", "head", "heads"}
# what both libraries call the run of blocks in the middle, whose members count as blocks of their own
SEQUENCES = {"blocks", "features", "layers", "stages"}


Stage = int | list[int] | str


class StageReader:
    """Calls a cut network on normalised images and gives annotations (B, L, D).

    Args:
        stage: "last", the number of a timm feature stage, or several, which are joined (see `join_stages`); a
            torchvision network knows its own.
    """

    def __init__(self, stage: Stage):
        self.stage = stage

    def __call__(self, network: nn.Module, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        return to_annotations(self.features(network, pixels))[0]

    def features(self, network: nn.Module, pixels: Float[Tensor, "B 3 S S"]) -> Tensor:
        """The features as the network gives them: (B, D, h, w), (B, h, w, D) or (B, L, D)."""
        if isinstance(network, fx.GraphModule):
            return network(pixels)["annotations"]
        if isinstance(self.stage, str):
            return network.forward_features(pixels)  # type: ignore[operator]
        numbers = [self.stage] if isinstance(self.stage, int) else self.stage
        maps = network.forward_intermediates(  # type: ignore[operator]
            pixels, indices=numbers, stop_early=True, intermediates_only=True
        )
        return maps[0] if isinstance(self.stage, int) else join_stages(maps)


def join_stages(maps: Sequence[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B D h w"]:
    """Returns the feature maps (B, C, H, W) of several stages as one, on the grid of the coarsest.

    What a classifier's last stage has forgotten, such as colours and textures, an earlier one still holds. A
    finer map is folded: the cells that share a coarse cell stand side by side in its channels. At every
    location each stage's vector gets mean 0 and variance 1, so that no stage drowns another.
    """
    height, width = min((m.shape[-2:] for m in maps), key=math.prod)
    joined = []
    for features in maps:
        times = round(features.shape[-1] / width)
        # a grid that does not divide evenly is resampled to one that does
        features = F.adaptive_avg_pool2d(features, (height * times, width * times))
        cells = F.pixel_unshuffle(features, times).movedim(1, -1)  # (B, h, w, C times^2)
        joined.append(F.layer_norm(cells.float(), cells.shape[-1:]).to(cells.dtype))
    return torch.cat(joined, -1).movedim(-1, 1)


def to_annotations(features: Tensor) -> tuple[Float[Tensor, "B L D"], tuple[int, int]]:
    """Annotations (B, L, D), row by row of the grid, and the grid (h, w), from any layout of features.

    Images are square, so grids are: of the channel and the two spatial axes the equal ones are spatial. What
    a token sequence holds beyond a square (class and register tokens, which stand first) is cut off.
    """
    if features.dim() == 3:
        side = math.isqrt(features.shape[1])
        return features[:, features.shape[1] - side * side :], (side, side)
    _, first, second, third = features.shape
    if first == second != third:
        return features.flatten(1, 2), (first, second)
    return features.flatten(2).transpose(1, 2), (second, third)


def cut_classifier(classifier: nn.Module, name: str, source: str, stage: Stage, size: int) -> nn.Module:
    """The classifier in eval mode up to the chosen stage; a stage it does not have raises InputError.

    Args:
        classifier: the network with its head.
        name: what to call it in errors.
        source: "lite", "timm" or "torchvision".
        stage: "last", the number or numbers of timm feature stages, or the name of a torchvision node.
        size: side of the images in pixels.
    """
    classifier.eval()
    if source != "torchvision":
        stages = len(classifier.feature_info)  # type: ignore[arg-type]
        numbers = stage if isinstance(stage, list) else [stage]
        known = numbers and all(isinstance(n, int) and 0 <= n < stages for n in numbers)
        if stage != "last" and not (known and sorted(set(numbers)) == numbers):  # type: ignore[type-var]
            raise InputError(
                f"stage {stage!r} of {name!r}: give 'last', a number from 0 to {stages - 1}, or several, "
                "rising, such as [3, 4]"
            )
        return classifier
    if isinstance(stage, list):
        raise InputError(f"stage {stage!r} of {name!r}: several stages can be joined of a timm backbone only")
    train_nodes, nodes = get_graph_node_names(classifier, suppress_diff_warning=True)
    if stage == "last":
        stage = _last_feature_map(classifier, name, [n for n in nodes if n in set(train_nodes)], size)
    elif not any(node == stage or node.startswith(f"{stage}.") for node in nodes):
        near = difflib.get_close_matches(str(stage), nodes, n=4, cutoff=0.3) or nodes[-4:]
        raise InputError(f"stage {stage!r} of {name!r}: no such node; try 'last' or {', '.join(near)}")
    return _extractor(classifier, {str(stage): "annotations"})


def _extractor(classifier: nn.Module, nodes: dict[str, str]) -> nn.Module:
    """A module giving the named nodes' outputs as a dictionary; one graph serves training and evaluation."""
    both = create_feature_extractor(classifier, nodes, suppress_diff_warning=True)
    # the pair of graphs forgets its mode when it is copied and loses one of the two when it is pickled
    return fx.GraphModule(both, both.eval_graph).eval()  # type: ignore[arg-type]


def _last_feature_map(classifier: nn.Module, name: str, nodes: list[str], size: int) -> str:
    """The last node before the head that still gives several vectors an image."""
    candidates = [node for node in nodes if node.split(".")[0] not in HEADS][-12:]
    extractor = _extractor(classifier, {node: node for node in candidates})
    with torch.no_grad():
        outputs = probe(extractor, name, size)
    for node in reversed(candidates):
        output = outputs[node]
        if output.dim() > 2 and math.prod(to_annotations(output)[1]) > 1:
            return node
    raise InputError(f"{name!r}: no feature map found before its head; name a node as stage")


def probe(network: Any, name: str, size: int) -> Any:
    """What a network gives for one blank image; a size it does not take raises InputError."""
    try:
        return network(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(f"{name!r} takes no images of {size} px: leave image_size out") from error


def drop_unused_modules(trunk: nn.Module, features: Tensor, called: set[nn.Module]) -> set[str]:
    """Names of the parameters the features depend on; other modules are replaced by nothing.

    A trainable parameter without a gradient would stop distributed training.

    Args:
        trunk: the network, changed in place; its parameters must require gradients.
        features: what it gave for some input.
        called: the modules that ran in doing so.
    """
    names, parameters = zip(*trunk.named_parameters(), strict=True)
    gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
    used = {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # sliced or looked into: only emptied
    dropped: tuple[str, ...] = ()
    for name, module in list(trunk.named_modules()):
        own = {f"{name}.{parameter}" for parameter, _ in module.named_parameters()}
        is_used = not own or module in called or not used.isdisjoint(own)
        if name and not is_used and not isinstance(module, containers) and not name.startswith(dropped):
            parent, _, child = name.rpartition(".")
            setattr(trunk.get_submodule(parent), child, nn.Identity())
            dropped += (f"{name}.",)
    return used


def block_names(trunk: nn.Module) -> list[str]:
    """Names of the top-level blocks with weights, in order."""
    names = []
    for name, child in trunk.named_children():
        blocks = [name]
        if name in SEQUENCES:
            blocks = [f"{name}.{member}" for member, _ in child.named_children()]
        names += [
            block for block in blocks if next(trunk.get_submodule(block).parameters(), None) is not None
        ]
    return names

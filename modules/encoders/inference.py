"""The fast ways through a frozen backbone, in batches of one fixed size.

`FastPath` is PyTorch: batch norms folded away, channels last, bfloat16 where the processor has it. On a CPU
without bfloat16 `OnnxPath` gives the same annotations, to 1e-5, in half the time.
"""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from modules.precision import fast_dtype

# An image's annotations must not depend on the batch it came in, so every batch has the same size: kernels
# are chosen by shape. Eight is also the fastest size on CPUs (the activations stay in the cache).
CPU_MICRO_BATCH = 8
CUDA_MICRO_BATCH = 64


def fold_batch_norms(
    network: nn.Module, run: Callable[[nn.Module, Tensor], Tensor], probe: Tensor
) -> nn.Module:
    """A copy of the network in eval mode whose batch norms are folded into the convolutions before them.

    y = gamma (W x + b - mu) / sqrt(var + eps) + beta is itself a convolution. Which convolution feeds which
    batch norm is read from one forward pass; a batch norm with an activation inside (timm) leaves that
    activation. If the folded network does not give the same features, the copy is returned unfolded.

    Args:
        network: the network; it is left as it is.
        run: calls a network on an input.
        probe: an input for `run`.
    """
    plain = copy.deepcopy(network).float().eval().requires_grad_(False)
    produced: dict[int, tuple[nn.Conv2d, Tensor, int]] = {}
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: dict[nn.Module, int] = {}

    def after_convolution(module: nn.Conv2d, _: tuple, output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        # holding the tensor keeps its id from being reused, its version tells of in-place changes
        produced[id(output)] = (module, output, output._version)

    def before_norm(module: nn.BatchNorm2d, inputs: tuple) -> None:
        calls[module] = calls.get(module, 0) + 1
        source = produced.get(id(inputs[0]))
        if source is not None and source[2] == inputs[0]._version:
            pairs.append((source[0], module))

    hooks = []
    for module in plain.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(after_convolution))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before_norm))
    with torch.no_grad():
        expected = run(plain, probe)
    for hook in hooks:
        hook.remove()

    replacements: dict[str, nn.Module] = {}
    names = {module: name for name, module in plain.named_modules()}
    for convolution, norm in pairs:
        if calls[convolution] == calls[norm] == 1 and norm.running_mean is not None:
            replacements[names[convolution]] = fuse_conv_bn_eval(convolution, norm)
            replacements[names[norm]] = copy.deepcopy(getattr(norm, "act", nn.Identity()))
    folded = copy.deepcopy(plain)
    for name, module in replacements.items():
        parent, _, child = name.rpartition(".")
        setattr(folded.get_submodule(parent), child, module)
    folded.eval()
    with torch.no_grad():
        deviation = (run(folded, probe) - expected).abs().max()
    return folded if deviation <= 1e-2 * expected.abs().max() else plain


@contextmanager
def one_thread() -> Iterator[int]:
    """Lets each operation run on one core, in this thread and those it starts; gives the number before.

    One core a micro-batch instead of all cores an operation: no core ever waits for another, which on a busy
    machine is twenty times as fast. The order of summation never depends on the number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


class FastPath:
    """A folded, channels-last copy of a backbone that encodes in micro-batches of one fixed size.

    Args:
        network: the backbone; it is copied.
        run: calls a backbone on normalised images and gives annotations (B, L, D).
        mean: per channel, shape (1, 3, 1, 1), on the scale of the pixels.
        std: the same for the standard deviation.
        image_size: side of the images in pixels.
    """

    def __init__(
        self,
        network: nn.Module,
        run: Callable[[nn.Module, Tensor], Tensor],
        mean: Tensor,
        std: Tensor,
        image_size: int,
    ):
        device = mean.device
        self.dtype = fast_dtype(device)
        self.micro_batch = CUDA_MICRO_BATCH if device.type == "cuda" else CPU_MICRO_BATCH
        self.run = run
        self.mean, self.std = mean, std
        probe = torch.linspace(-1, 1, 3 * image_size**2, device=device).reshape(1, 3, image_size, image_size)
        with one_thread():
            folded = fold_batch_norms(network, run, probe)
        self.network = folded.to(memory_format=torch.channels_last).to(self.dtype)

    def __call__(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        """Annotations in float32, on the device of the backbone."""
        if self.mean.device.type == "cpu":
            return in_micro_batches(self._encode, images)
        return torch.cat([self._encode(chunk) for chunk in images.split(self.micro_batch)])

    @torch.no_grad()
    def _encode(self, images: UInt8[Tensor, "b 3 S S"]) -> Float[Tensor, "b L D"]:
        batch = padded(images.to(self.mean.device), self.micro_batch)
        pixels = batch.float().to(memory_format=torch.channels_last)
        normalised = ((pixels - self.mean) / self.std).to(self.dtype)
        # an autocast around the caller would undo the choice of type made here
        with torch.autocast(self.mean.device.type, enabled=False):
            return self.run(self.network, normalised)[: len(images)].float()


class OnnxPath:
    """An encoder as an ONNX graph in ONNX Runtime, on a CPU.

    Args:
        session: of the graph: "images" uint8 (b, 3, S, S) to "annotations" float32 (b, L, D).
    """

    def __init__(self, session: Any):
        self.session = session

    @classmethod
    def load(cls, file: Path) -> "OnnxPath | None":
        """Returns the graph of a file, None where it is absent or damaged."""
        import onnxruntime  # only who encodes needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a core a micro-batch
        try:
            return cls(onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]))
        except Exception:  # its complaints have no class of their own
            return None

    def __call__(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        """Annotations in float32."""
        return in_micro_batches(self._encode, images)

    def _encode(self, images: UInt8[Tensor, "b 3 S S"]) -> Float[Tensor, "b L D"]:
        batch = padded(images.cpu(), CPU_MICRO_BATCH).numpy()
        return torch.from_numpy(self.session.run(None, {"images": batch})[0])[: len(images)]


def padded(images: UInt8[Tensor, "b 3 S S"], size: int) -> UInt8[Tensor, "size 3 S S"]:
    """Returns the images and black ones behind them, as many as a micro-batch has."""
    batch = images.new_zeros(size, *images.shape[1:])
    batch[: len(images)] = images
    return batch


def in_micro_batches(
    encode: Callable[[Tensor], Tensor], images: UInt8[Tensor, "B 3 S S"]
) -> Float[Tensor, "B L D"]:
    """Encodes on a CPU, a micro-batch on each core at a time."""
    chunks = images.split(CPU_MICRO_BATCH)
    with one_thread() as threads, ThreadPoolExecutor(min(threads, len(chunks))) as pool:
        return torch.cat(list(pool.map(encode, chunks)))

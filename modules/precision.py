"""Which precision a device computes fast in, and which ones would change the weights."""

from __future__ import annotations

import torch

from modules.errors import InputError


def fast_dtype(device: torch.device) -> torch.dtype:
    """Returns bfloat16 where the device computes in it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    if device.type != "cpu" or not torch.backends.mkldnn.enabled:
        return torch.float32
    if torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        # oneDNN "supports" bfloat16 on every AVX-512 machine by emulation, which is slower than float32
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def keep_weights(precision: str, what: str) -> None:
    """Raises InputError where a trainer would turn weights into another number type.

    Args:
        precision: The trainer's.
        what: Of which the weights are, such as "a captioner".
    """
    if precision in ("16-true", "bf16-true", "64-true"):
        raise InputError(
            f"trainer.precision is {precision}; {what} keeps its weights in 32 bits: "
            "choose bf16-mixed, 16-mixed or 32-true"
        )

"""Which precision a device computes fast in."""

from __future__ import annotations

import torch


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

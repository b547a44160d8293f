"""bfloat16 is chosen by what the processor computes in, whatever its make; weights stay in 32 bits."""

from types import SimpleNamespace

import pytest
import torch

from modules.errors import InputError
from modules.house_numbers.number_reader import NumberReader
from modules.house_numbers.painter import Painter
from modules.precision import fast_dtype
from modules.steering.steerer import Steerer


@pytest.mark.parametrize("is_fast", [True, False])
@pytest.mark.parametrize("capability", ["AVX512", "SVE256", "DEFAULT"])
def test_what_is_only_emulated_is_not_chosen(capability, is_fast, monkeypatch):
    is_intel = capability.startswith("AVX")
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_intel and is_fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    # emulated on every machine with AVX-512
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: is_intel or is_fast)
    assert fast_dtype(torch.device("cpu")) == (torch.bfloat16 if is_fast else torch.float32)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
@pytest.mark.parametrize(
    ("kind", "what"), [(Steerer, "a steering model"), (NumberReader, "a reader"), (Painter, "a painter")]
)
def test_a_precision_that_would_change_the_weights_is_refused(kind, what, precision):
    model = kind()
    model.trainer = SimpleNamespace(precision=precision)
    with pytest.raises(InputError, match=f"trainer.precision is {precision}; {what} keeps its weights in 32"):
        model.setup("fit")

"""The precision of a fit."""

import pytest
import torch

from pipelines.cli import fast_precision


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
@pytest.mark.parametrize(("kind", "precision"), [(torch.bfloat16, "bf16-mixed"), (torch.float32, "32-true")])
def test_a_fit_is_as_precise_as_a_frozen_encoder(accelerator, kind, precision, monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.cli.fast_dtype", lambda device: asked.append(device.type) or kind)
    assert fast_precision(accelerator) == precision
    assert accelerator == "auto" or asked == ["cpu"]

"""The short form of the trainer's options."""

import pytest
import torch
from jsonargparse import Namespace

from modules.errors import InputError
from pipelines import devices
from pipelines.devices import check_strategy, fast_precision, take_device


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setattr(devices, "chosen_device", lambda name: name)
    return Namespace(device=None, trainer=Namespace(accelerator="auto", devices="auto"))


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        (None, ("auto", "auto")),
        ("auto", ("auto", "auto")),
        ("cpu", ("cpu", "auto")),
        ("cuda", ("cuda", "auto")),
        ("cuda:1", ("cuda", [1])),
    ],
)
def test_it_stands_for_the_trainers_options(config, device, wanted):
    config.device = device
    take_device(config, ["fit"])
    assert (config.trainer.accelerator, config.trainer.devices) == wanted
    assert "device" not in config


@pytest.mark.parametrize(
    ("device", "option", "value"),
    [("cpu", "accelerator", "gpu"), ("auto", "accelerator", "cpu"), ("cuda:1", "devices", "2")],
)
def test_what_differs_from_it_is_refused(config, device, option, value):
    config.device = device
    with pytest.raises(InputError) as raised:
        take_device(config, ["fit", f"--trainer.{option}", value])
    assert str(raised.value) == f"--device {device} and --trainer.{option} {value} differ; leave one out"


@pytest.mark.parametrize(
    ("device", "given"),
    [
        ("cpu", "--trainer.accelerator=cpu"),
        ("cuda", "--trainer.accelerator=gpu"),
        ("cuda:1", "--trainer.devices=[1]"),
        ("cpu", "--trainer.devices=2"),
    ],
)
def test_what_agrees_with_it_may_stand_beside_it(config, device, given):
    config.device = device
    take_device(config, ["fit", given])
    assert config.trainer.accelerator == device.partition(":")[0]


@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
@pytest.mark.parametrize(("kind", "precision"), [(torch.bfloat16, "bf16-mixed"), (torch.float32, "32-true")])
def test_a_fit_is_as_precise_as_a_frozen_encoder(accelerator, kind, precision, monkeypatch):
    asked = []
    monkeypatch.setattr("pipelines.devices.fast_dtype", lambda device: asked.append(device.type) or kind)
    assert fast_precision(accelerator) == precision
    assert accelerator == "auto" or asked == ["cpu"]


@pytest.mark.parametrize("name", ["fsdp", "fsdp_cpu_offload", "deepspeed_stage_2"])
def test_a_strategy_that_cuts_the_model_is_refused(name):
    with pytest.raises(InputError, match=f"trainer.strategy is {name}.*take ddp"):
        check_strategy(name)
    with pytest.raises(InputError, match="FSDPStrategy"):
        check_strategy(Namespace(class_path="pytorch_lightning.strategies.FSDPStrategy"))
    check_strategy("auto")
    check_strategy(Namespace(class_path="ray.train.lightning.RayDDPStrategy"))

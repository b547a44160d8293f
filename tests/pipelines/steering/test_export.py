"""ONNX exports of steering models, and the DonkeyCar part beside them in a stub of the vehicle's loop."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modules.decoders.steering import SteeringDecoderOptions
from modules.encoders.flow import ImageFlow
from modules.steering.exported_step import describe, step_graph
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from pipelines.steer import main
from pipelines.steering.donkeycar import donkey_part
from tests.modules.steering.steering_models import KINDS, steerer
from tests.pipelines.steering.steering_recordings import MODELS, write_checkpoint

FRAMES = np.random.default_rng(0).integers(0, 256, (9, 60, 80, 3), np.uint8)


class Vehicle:
    """What DonkeyCar's `dk.vehicle.Vehicle` does with a part in its loop: run it with inputs by name."""

    def __init__(self, memory: dict[str, Any]) -> None:
        self.memory, self.parts = memory, []

    def add(self, part: Any, inputs: list[str], outputs: list[str], run_condition: str | None = None) -> None:
        self.parts.append((part, inputs, outputs, run_condition))

    def loop(self) -> None:
        for part, inputs, outputs, condition in self.parts:
            if condition is None or self.memory.get(condition):
                said = part.run(*(self.memory[name] for name in inputs))
                self.memory.update(zip(outputs, said, strict=True))

    def stop(self) -> None:
        for part, *_ in self.parts:
            part.shutdown()


class Session:
    """Stands for ONNX Runtime's session: runs the module that is exported."""

    def __init__(self, model: Steerer) -> None:
        self.graph = step_graph(model)

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert list(inputs) and names == self.graph.outputs and set(inputs) == set(self.graph.inputs)
        with torch.no_grad():
            said = self.graph.module(*(torch.from_numpy(inputs[name]) for name in self.graph.inputs))
        return [tensor.numpy() for tensor in said]


@pytest.fixture
def pilot_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Returns a function that gives the part of a model, without ONNX."""

    def pilot(model: Steerer, **options: float) -> Any:
        about = describe(model, step_graph(model))
        (tmp_path / "steer.json").write_text(json.dumps(about))
        runtime = donkey_part.onnxruntime
        monkeypatch.setattr(runtime, "InferenceSession", lambda *_, **__: Session(model))
        return donkey_part.SeqsightPilot(tmp_path, **{"pause_s": 60, **options})

    return pilot


def donkey(kind: str, outputs: int = 1) -> Steerer:
    """Returns a small model that has learnt from a DonkeyCar, whose angles are not all near zero."""
    frames, encoder, decoder = KINDS[kind]
    options = {**vars(decoder), "outputs": outputs} if outputs > 1 else vars(decoder)
    model = Steerer(frames, encoder, SteeringDecoderOptions(**options)).eval()
    model.recorder = "donkeycar"
    return model


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"chauffeur"}))
def test_the_part_says_what_the_model_says_frame_by_frame(kind: str, pilot_of: Callable[..., Any]) -> None:
    model = donkey(kind)
    pilot, stream = pilot_of(model), SteeringStream(model)
    for frame in FRAMES:
        assert -pilot.run(frame)[0] == pytest.approx(float(stream.step(frame[None])[0]), abs=2e-5)
    stream.reset(), pilot.reset()
    assert -pilot.run(FRAMES[3])[0] == pytest.approx(float(stream.step(FRAMES[3][None])[0]), abs=2e-5)


def test_a_vehicle_drives_by_angle_and_throttle(pilot_of: Callable[..., Any]) -> None:
    model = donkey("transfer", outputs=2)
    model.target_mean.copy_(torch.tensor([0.0, 0.4]))
    vehicle = Vehicle({"run_pilot": True})
    vehicle.add(pilot_of(model), ["cam/image_array"], ["pilot/angle", "pilot/throttle"], "run_pilot")
    stream = SteeringStream(model)
    for number, frame in enumerate(FRAMES):
        vehicle.memory["cam/image_array"] = frame
        vehicle.loop()
        clip = stream.clip(model.preprocessing(frame)[None, None])
        said, _ = model.drive(clip, stream.state)
        stream.step(frame[None])
        angle, throttle = vehicle.memory["pilot/angle"], vehicle.memory["pilot/throttle"]
        assert (-angle, throttle) == pytest.approx(tuple(said[0, -1].tolist()), abs=2e-5), number
    vehicle.memory["cam/image_array"] = None  # a camera that has not begun
    vehicle.loop()
    assert vehicle.memory["pilot/throttle"] == 0.0
    vehicle.stop()


def test_a_pause_starts_afresh_and_a_model_without_throttle_says_the_given_one(
    pilot_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(donkey_part.time, "monotonic", lambda: now[0])
    pilot = pilot_of(donkey("transfer"), throttle=0.3, pause_s=0.5)
    first = pilot.run(FRAMES[0])
    assert first[1] == 0.3
    now[0] += 0.05
    assert pilot.run(FRAMES[1]) != first
    now[0] += 0.6
    assert pilot.run(FRAMES[0]) == first


def test_the_parts_flow_is_the_models() -> None:
    flow = ImageFlow((3, 5), refinements=0)
    before, after = (torch.from_numpy(FRAMES[n].transpose(2, 0, 1).copy()) for n in (0, 1))
    wanted = flow(torch.stack([before, after])[None])[0].numpy()
    model = steerer("transfer")
    model.flow = flow
    about = describe(model, step_graph(steerer("pilotnet")))["flow"]
    said = donkey_part.flow_by_cell(before.numpy(), after.numpy(), about)
    np.testing.assert_allclose(said, wanted, atol=1e-4)


def test_what_cannot_be_exported_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    model = steerer("chauffeur")
    stored = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(stored)
    checkpoint = tmp_path / "chauffeur.ckpt"
    torch.save(stored, checkpoint)
    assert main(["export", "--ckpt_path", str(checkpoint), "--output", str(tmp_path / "out")]) == 2
    assert "equalise is true; ONNX has no histogram equalisation" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_an_exported_part_runs_without_pytorch(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    checkpoint = write_checkpoint(kind, tmp_path / "model.ckpt")
    assert main(["export", "--ckpt_path", str(checkpoint), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert float(said.partition("on random frames: ")[2].split()[0]) < 1e-4
    program = (
        "import sys; sys.modules['torch'] = None; sys.path.insert(0, '.'); import donkey_part, numpy;"
        "part = donkey_part.SeqsightPilot('.'); print(*part.run(numpy.zeros((120, 160, 3), numpy.uint8)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert len(done.stdout.split()) == 2

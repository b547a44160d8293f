"""Steering models that come with the package: they load, steer, fit into a wheel and survive a round trip."""

import numpy as np
import pytest
import torch

from modules import InputError, SteeringPredictor
from modules.steering.pretrained import NAMES, pretrained_path, write_weights
from modules.steering.ridge_baseline import RidgeWeights
from modules.steering.steerer import Steerer
from tests.modules.steering.steering_models import steerer


def road(shear: float) -> np.ndarray:
    """Grey asphalt on green land below a bright sky, whose white edges lean to the left where shear > 0."""
    picture = np.full((80, 160, 3), (90, 120, 70), np.uint8)
    picture[:30] = (170, 195, 225)
    for row in range(30, 80):
        middle, half = 80 - shear * (80 - row) ** 2 / 40, 1.3 * (row - 28)
        left, right = int(np.clip(middle - half, 0, 159)), int(np.clip(middle + half, 1, 160))
        picture[row, left:right] = 105
        picture[row, left : left + 2] = picture[row, max(right - 2, 0) : right] = 235
    return picture


def test_the_ready_made_model_steers_to_where_a_road_bends():
    predictor, said = SteeringPredictor.pretrained(), []
    for shear in (1.0, -1.0):
        predictor.reset()
        said.append([predictor.step(road(shear)) for _ in range(8)][-1])
    assert said[0] > 0.05 > -0.05 > said[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_small_and_has_a_model_card(name):
    path = pretrained_path(name)
    assert path.stat().st_size < 1_000_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    for said in ("RMSE", "autonomy", "drawn", "python pipelines/steer.py fit", "real"):
        assert said in card
    model = Steerer.load(path)
    # what a test of it needs: the drives it knows, and what stands beside its scores
    assert model.recorder == "road" and len(model.drives["marks"]) > 1000
    assert sorted(model.ridges) == ["ridge_on_image_shifts", "ridge_on_optical_flow"]


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="no ready-made model 'raod'; there are road"):
        SteeringPredictor.pretrained("raod")


def test_what_is_written_is_read_again(tmp_path):
    model, path = steerer("komanda"), tmp_path / "mine.safetensors"
    model.recorder, model.ridges = "donkeycar", {"ridge": RidgeWeights([0.1, -0.2], 0.3)}
    model.drives = {"marks": torch.arange(4), "spans": torch.rand(2, 4, dtype=torch.float64)}
    write_weights(model, path)
    again = Steerer.load(path)
    assert again.recorder == "donkeycar" and again.ridges == model.ridges
    assert all(torch.equal(again.drives[name], model.drives[name]) for name in ("marks", "spans"))
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], weight, rtol=1e-3, atol=1e-5, msg=name)
    assert torch.equal(again.target_mean, model.target_mean)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.safetensors"]

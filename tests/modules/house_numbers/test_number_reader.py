"""The reader of house numbers: it learns, every parameter, and a row knows nothing of its batch."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modules.errors import InputError
from modules.house_numbers.batch import NumberBatch, encode
from modules.house_numbers.control import DigitCNN, multiply_adds
from modules.house_numbers.networks import Reading
from modules.house_numbers.number_reader import NumberReader, reinforced_sum
from modules.house_numbers.options import ReaderOptions, ReadingTrainingOptions
from modules.house_numbers.preprocessing import NumberPictures
from modules.house_numbers.scoring import read_terms

SMALL = ReaderOptions(points=8, scales=2, hidden_size=24)
NUMBERS = ["7", "31", "905", "2468", "13579", "42"]


def reader(options: ReaderOptions = SMALL, **training: float) -> NumberReader:
    torch.manual_seed(0)
    return NumberReader(NumberPictures(32), options, ReadingTrainingOptions(**training))


def batch() -> NumberBatch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 255, (len(NUMBERS), 3, 32, 32), generator=generator, dtype=torch.uint8)
    return NumberBatch(images, encode(NUMBERS), [f"{number}.png" for number in NUMBERS])


def loss_of(model: NumberReader) -> torch.Tensor:
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return model.training_step(batch(), 0)


KINDS = {
    "window": SMALL,
    "filterbank": replace(SMALL, reading="filterbank"),
    "reinforce": replace(SMALL, kind="reinforce"),
    "backward": replace(SMALL, backward=True, glimpses=2, cell="gru"),
    "centre": replace(SMALL, kind="centre"),
    "cnn": replace(SMALL, kind="cnn"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind: str) -> None:
    model = reader(KINDS[kind])
    loss_of(model).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None] == []
    still = [name for name, p in trained.items() if not p.grad.abs().sum().item() > 0]
    assert still == (["network.glimpse.where.0.weight"] if kind == "centre" else [])  # the place is 0
    # what is earned is expected by the reinforced reader alone
    frozen = [name for name, _ in model.named_parameters() if name not in trained]
    assert all(".expect." in name for name in frozen) or kind == "centre"
    assert bool(frozen) == (kind not in ("reinforce", "cnn"))


def test_nothing_moves_a_nailed_window() -> None:
    model = reader(replace(SMALL, kind="centre"))
    (reading,) = model.eval()(batch().images)
    assert reading.places.abs().max() == 0
    loss_of(model.train()).backward()
    assert all(p.grad is None for name, p in model.named_parameters() if ".place." in name)


def test_reinforced_places_are_tried_in_training_alone_and_learn_from_what_they_earn() -> None:
    model = reader(KINDS["reinforce"])
    tried, again = (model(batch().images, noise=0.1)[0] for _ in range(2))
    assert not tried.places.equal(again.places) and not tried.places.requires_grad
    read, once_more = (model.eval()(batch().images)[0].places for _ in range(2))
    assert read.equal(once_more)
    plain = reader(KINDS["reinforce"], reinforce_weight=0.0, baseline_weight=0.0)
    loss_of(plain).backward()
    place = {name: p for name, p in plain.named_parameters() if ".place." in name}
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in place.values())


def test_places_are_drawn_from_the_gaussian_whose_density_is_learnt() -> None:
    model = reader(KINDS["reinforce"])
    (tried,) = model(batch().images, noise=1.0)
    drawn = tried.places - tried.means.detach()  # (B, M, 2)
    assert tried.places.abs().max() > 1  # not cut off at the rim
    assert abs(float(drawn.mean())) < 0.3 and 0.7 < float(drawn.std()) < 1.3


def test_what_is_expected_of_a_place_does_not_know_what_was_found_there() -> None:
    model = reader(KINDS["reinforce"]).eval()
    one, other = (model(batch().images, noise=0.5)[0] for _ in range(2))
    assert not one.logits[:, 0].equal(other.logits[:, 0])
    assert one.baselines[:, 0].equal(other.baselines[:, 0])
    assert not one.baselines[:, 1].equal(other.baselines[:, 1])


def test_the_loss_of_reinforce_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    numbers = ["31", "905", "24680"]
    digits, glimpses = encode(numbers), 2
    logits = rng.normal(size=(3, 5, 11))
    places, means = rng.normal(size=(3, 10, 2)), rng.normal(size=(3, 10, 2))
    baselines = rng.normal(size=(3, 5))
    for row, number in enumerate(numbers):  # some classes are right
        logits[row, 0, int(number[0])] += 9
    options = ReadingTrainingOptions(noise=0.3, reinforce_weight=0.7, baseline_weight=0.2)
    wanted, gradient = 0.0, np.zeros_like(means)
    for row, number in enumerate(numbers):
        steps = min(len(number) + 1, 5)
        classes = [*map(int, number), 10][:steps]
        right = [float(logits[row, step].argmax() == classes[step]) for step in range(steps)]
        for step in range(steps):
            advantage = sum(right[step:]) - baselines[row, step]
            for place in range(step * glimpses, (step + 1) * glimpses):
                away = places[row, place] - means[row, place]
                wanted += 0.7 * advantage * (away**2).sum() / (2 * 0.3**2)
                gradient[row, place] = -0.7 * advantage * away / 0.3**2
            wanted += 0.2 * advantage**2
    tensors = [torch.from_numpy(part) for part in (logits, places, means, baselines)]
    reading = Reading(tensors[0], tensors[1], tensors[2].requires_grad_(), tensors[3])
    loss = reinforced_sum(reading, digits, read_terms(digits), options)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(wanted)
    assert np.allclose(tensors[2].grad, gradient)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cnn"])
def test_steps_that_do_not_count_are_not_computed_and_change_nothing(kind: str) -> None:
    model = reader(KINDS[kind]).eval()
    steps = torch.tensor([4, 3, 1])
    whole, counted = model(batch().images[:3]), model(batch().images[:3], steps=steps)
    for one, other in zip(whole, counted, strict=True):
        assert one.places.shape == other.places.shape
        for row, count in enumerate(steps.tolist()):
            assert torch.allclose(one.logits[row, :count], other.logits[row, :count], atol=1e-6)
            assert not other.logits[row, count:].any()


def test_the_first_guess_goes_on_in_the_direction_of_reading() -> None:
    forward, backward = reader(KINDS["backward"]).eval()(batch().images)
    assert (forward.places[:, :3, 0].diff(dim=1) > 0).all() and (
        backward.places[:, :3, 0].diff(dim=1) < 0
    ).all()


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart() -> None:
    model = reader(replace(SMALL, hidden_size=48))
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    first = float(loss_of(model).detach())
    for _ in range(50):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1 * first
    read = model.eval().read_batch(batch().images)
    assert [each.number for each in read] == NUMBERS


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_knows_nothing_of_its_batch(kind: str) -> None:
    model = reader(KINDS[kind]).eval()
    together = model.read_batch(batch().images)
    for row, image in enumerate(batch().images):
        (alone,) = model.read_batch(image.unsqueeze(0))
        assert alone.number == together[row].number
        assert alone.probability == pytest.approx(together[row].probability, abs=1e-6)
        assert np.allclose(alone.places, together[row].places, atol=1e-6)


def test_a_checkpoint_reads_as_the_model_did(tmp_path: Path) -> None:
    model = reader(KINDS["backward"]).eval()
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.6.0",
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "a.ckpt")
    loaded = NumberReader.load(tmp_path / "a.ckpt")
    assert loaded.read_batch(batch().images) == model.read_batch(batch().images)
    pictures = [np.zeros((1, 1, 3), np.uint8), np.full((50, 9, 3), 200, np.uint8)]
    assert all(1 <= len(read.number) <= 5 for read in loaded.read_images(pictures))


def test_the_controls_are_as_large_as_the_reader() -> None:
    model = NumberReader(NumberPictures(64))
    sizes = {kind: sum(p.numel() for p in model.control(kind).parameters()) for kind in ("cnn", "centre")}
    own = sum(p.numel() for p in model.parameters())
    assert sizes["centre"] == own and abs(sizes["cnn"] / own - 1) < 0.01


@pytest.mark.parametrize("side", [32, 256, 512, 1024])
def test_the_cnn_has_as_many_parameters_whatever_the_size_of_the_picture(side: int) -> None:
    assert abs(sum(p.numel() for p in DigitCNN(side, side, 860_000).parameters()) / 860_000 - 1) < 0.05


def test_a_larger_picture_costs_the_reader_no_more_and_the_cnn_four_times_as_much() -> None:
    model = NumberReader(NumberPictures(128))
    counts, control = model.operations(), model.control("cnn").operations()
    assert counts["64"] == counts["128"] == counts["256"]
    assert counts["128"] < control["128"] / 3
    assert 3.5 < control["128"] / control["64"] < 4.5


def test_multiply_adds_are_those_of_the_formulas() -> None:
    network = DigitCNN(32, 32, 200_000)
    channels = [1, 16, 32, 64, 128]
    wanted = sum(
        side**2 * 3**2 * before * after
        for side, before, after in zip([32, 16, 8, 4], channels[:-1], channels[1:], strict=True)
    )
    wide = network.joint[0].out_features
    wanted += 2 * 2 * 128 * wide + wide * 55
    assert multiply_adds(network, torch.zeros(1, 1, 32, 32)) == wanted


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"points": 10}, "points is 10"),
        ({"window": 1.5}, "window is 1.5"),
        ({"glimpses": 0}, "glimpses is 0"),
        ({"scales": 8}, r"scales is 8; a window of 0\.25 can have at most 7"),
        ({"scales": 5000}, "scales is 5000"),
        ({"window": 1e-3}, r"window is 0\.001; its 16 points would need a picture"),
    ],
)
def test_options_out_of_range_are_named(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=rf"model\.reader\.{message}"):
        ReaderOptions(**wrong)


def test_many_large_pictures_are_not_held_in_memory_together(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (1500, 1500)).save(path)  # 7 MB once it is decoded
    model = reader()
    tracemalloc.start()
    try:
        assert len(model.read_images([path] * 20)) == 20
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()

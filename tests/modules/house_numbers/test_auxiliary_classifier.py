"""The classifier beside a painter: who learns from what, and that the painter hears the number by it."""

from dataclasses import asdict, replace

import pytest
import torch
from torch.nn import functional as F

from modules.errors import InputError
from modules.house_numbers.auxiliary_classifier import AuxiliaryClassifier
from modules.house_numbers.batch import NumberBatch, encode
from modules.house_numbers.painter import Painter
from modules.house_numbers.painter_options import PainterOptions
from modules.house_numbers.preprocessing import NumberPictures

pytestmark = pytest.mark.usefixtures("one_thread")

DIGITS = encode(["7", "48", "1247", "56019"])
TOLD = PainterOptions(
    height=16, width=32, embedding_size=4, hidden_size=16, latent_size=3, steps=3, read_size=4, write_size=4
)


def pictures(rows: int = 4, colours: int = 1) -> torch.Tensor:
    return torch.rand(rows, colours, 16, 32, generator=torch.Generator().manual_seed(0))


def painter(**options) -> Painter:
    made = Painter(NumberPictures(32), PainterOptions(**asdict(TOLD) | options))
    made.log = lambda *_, **__: None  # outside of a trainer
    return made


def batch() -> NumberBatch:
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return NumberBatch(images, DIGITS, ["a", "b", "c", "d"])


def test_what_paintings_say_reaches_the_paintings_alone():
    classifier = AuxiliaryClassifier(16, 32).train()
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    painted = pictures().requires_grad_()
    nats = classifier.on_paintings(painted, DIGITS)
    nats.sum().backward()
    assert painted.grad is not None and painted.grad.flatten(1).any(1).all()
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.state_dict().items())
    assert classifier.network.training
    logits = classifier.eval().network(painted - 0.5)
    wanted = [F.cross_entropy(logits[row], DIGITS[row], reduction="sum") for row in range(4)]
    torch.testing.assert_close(nats, torch.stack(wanted))


def test_the_classifier_learns_from_pictures():
    classifier = AuxiliaryClassifier(16, 32).train()
    classifier.on_pictures(pictures(colours=3), DIGITS).sum().backward()
    assert not [name for name, p in classifier.named_parameters() if p.grad is None or not p.grad.any()]


def test_a_step_teaches_painter_and_classifier():
    made = painter(reading_weight=50.0, modulated=True)
    for parameter in made.network.parameters():  # priors and beginnings start at 0, where much is equal
        parameter.data += 0.1 * torch.randn_like(parameter)
    made.training_step(batch(), 0).backward()
    assert not [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_weight_scales_what_is_misread_alone():
    losses = []
    for weight in (1.0, 2.0, 3.0):
        torch.manual_seed(0)
        losses.append(painter(reading_weight=weight).training_step(batch(), 0).item())
    assert losses[1] > losses[0]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


def test_without_a_weight_there_is_no_classifier():
    assert not [name for name in painter().state_dict() if "classifier" in name]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"conditional": False}, "is for a painter that is told the number; give --model.painter"),
        ({"height": 8}, "are 8 and 32; the classifier of model.painter.reading_weight needs at least 16"),
        ({"reading_weight": -1.0}, "reading_weight is -1.0; it has to be 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        replace(TOLD, **{"reading_weight": 1.0} | options)


@pytest.mark.slow
def test_a_painter_hears_the_number_by_the_verdict_and_not_without_it():
    """Bright left or right half, by the number: with random noise over all, the bound hardly needs it."""

    def heard(weight: float) -> float:
        torch.manual_seed(0)
        made = painter(reading_weight=weight, steps=2)
        optimizer = torch.optim.Adam(made.parameters(), 3e-3)
        for _ in range(300):
            digits = encode([("1", "2")[int(one)] for one in torch.randint(2, (32,))])
            images = torch.randint(120, 136, (32, 3, 32, 32), dtype=torch.uint8)
            right = digits[:, 0] == 2
            images[right, :, 12:20, 20:28] += 12
            images[~right, :, 12:20, 4:12] += 12
            loss = made.training_step(NumberBatch(images, digits, [""] * 32), 0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        painted = made.eval().paint(["1", "2"] * 100, range(200))[-1].picture  # (200, 1, 16, 32)
        brighter = painted[:, 0, 4:12, 20:28].mean((1, 2)) > painted[:, 0, 4:12, 4:12].mean((1, 2))
        return float((brighter == torch.tensor([False, True] * 100)).float().mean())

    assert heard(50.0) > 0.95
    assert heard(50.0) > heard(0.0) + 0.2

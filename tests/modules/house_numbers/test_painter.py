"""The painter as a system: which pixels count, noise of each picture's own, the logged bound."""

import math
from dataclasses import asdict

import pytest
import torch

from modules.errors import InputError
from modules.house_numbers.batch import NumberBatch, encode
from modules.house_numbers.painter import Painter
from modules.house_numbers.painter_options import PainterOptions
from modules.house_numbers.preprocessing import NumberPictures

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = PainterOptions(
    height=16, width=32, embedding_size=4, hidden_size=8, latent_size=3, steps=2, read_size=4, write_size=3
)


def batch(rows: int = 4) -> NumberBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (rows, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return NumberBatch(
        images, encode(["7", "48", "1247", "56019"][:rows]), [f"{row}.png" for row in range(rows)]
    )


def painter(**options) -> Painter:
    return Painter(NumberPictures(32), PainterOptions(**asdict(TINY) | options)).eval()


def evaluated(made: Painter, sizes: list[int], monkeypatch) -> dict[str, float]:
    logged: dict[str, float] = {}
    monkeypatch.setattr(made, "log", lambda name, value, **_: logged.__setitem__(name, value))
    whole, start = batch(), 0
    made.begin_evaluation()
    with torch.no_grad():
        for number, size in enumerate(sizes):
            part = slice(start, start + size)
            made.evaluate(NumberBatch(*(field[part] for field in whole[:3])), number)
            start += size
    made.conclude_evaluation("val")
    return logged


def test_the_middle_is_cut_out_in_levels_of_grey():
    images = batch().images
    middle = painter().middle(images)
    assert middle.shape == (4, 1, 16, 32)
    levels = middle * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    grey = images[0, :, 8, 0].float() @ torch.tensor([0.299, 0.587, 0.114])
    assert levels[0, 0, 0, 0].item() == pytest.approx(grey.round().item(), abs=1e-3)
    assert torch.equal(painter(colours=3).middle(images) * 255, images[:, :, 8:24].float())


def test_the_bound_depends_on_the_pictures_and_not_on_their_batches(monkeypatch):
    made = painter()
    whole = evaluated(made, [4], monkeypatch)
    for sizes in ([1, 1, 1, 1], [3, 1]):
        assert evaluated(made, sizes, monkeypatch) == pytest.approx(whole, rel=1e-5)
    assert whole["val/bits_per_pixel"] == pytest.approx(
        (whole["val/pixel_bits"] + whole["val/kl_bits"]) / 512
    )
    assert whole["val/kl_bits"] == pytest.approx(whole["val/kl_bits_01"] + whole["val/kl_bits_02"])
    assert made.kl_bits == pytest.approx([whole["val/kl_bits_01"], whole["val/kl_bits_02"]])
    # nothing is learnt yet, so a pixel costs about as many bits as it has
    assert 6 < whole["val/bits_per_pixel"] < 11


def test_a_pixel_has_the_bits_of_all_its_colours(monkeypatch):
    colours = evaluated(painter(colours=3), [4], monkeypatch)
    whole = colours["val/pixel_bits"] + colours["val/kl_bits"]
    assert colours["val/bits_per_pixel"] == pytest.approx(whole / 512)
    assert 18 < colours["val/bits_per_pixel"] < 33


def test_the_training_loss_is_the_bound(monkeypatch):
    made = painter()
    monkeypatch.setattr(made, "log", lambda *_, **__: None)
    torch.manual_seed(0)
    loss = made.training_step(batch(), 0).item()
    torch.manual_seed(0)
    bound = made.bound(batch(), torch.randn(4, 2, 3))
    assert loss == pytest.approx(bound.total().mean().item() / 512)
    assert loss / math.log(2) == pytest.approx(8, abs=3)


def test_each_painting_is_of_its_own_seed():
    made = painter()
    one = made.paint(["1247"], [5])[-1].picture
    beside = made.paint(["3", "1247"], [4, 5])[-1].picture
    torch.testing.assert_close(one[0], beside[1])
    assert not torch.equal(made.paint(["1247"], [6])[-1].picture, one)
    calm = [made.paint(["1247"] * 2, [5, 6], 0.0)[-1].picture]
    assert torch.equal(calm[0][0], calm[0][1])


def test_a_checkpoint_paints_the_same(tmp_path):
    made = painter(kind="vae")
    checkpoint = {"state_dict": made.state_dict(), "hyper_parameters": dict(made.hparams)}
    made.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "x.ckpt")
    loaded = Painter.load(tmp_path / "x.ckpt")
    assert torch.equal(loaded.paint(["7"], [0])[-1].picture, made.paint(["7"], [0])[-1].picture)
    torch.save(checkpoint | {"task": "house_numbers"}, tmp_path / "y.ckpt")
    with pytest.raises(InputError, match="task 'house_numbers'; this command needs one of 'painter'"):
        Painter.load(tmp_path / "y.ckpt")


def test_a_painting_lies_within_the_pictures():
    with pytest.raises(InputError, match=r"squares of 32 pixels \(model\.pictures\.size\)"):
        painter(width=33)

"""The control without recurrence: as many parameters, the same bits."""

from dataclasses import replace

import pytest
import torch

from modules.house_numbers.batch import encode
from modules.house_numbers.draw import DrawPainter
from modules.house_numbers.painter_options import PainterOptions
from modules.house_numbers.vae import VariationalAutoencoder, control_options
from modules.parameters import parameters_of

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = PainterOptions(
    kind="vae", height=8, width=12, embedding_size=4, hidden_size=16, latent_size=3, steps=4
)


@pytest.mark.parametrize("options", [PainterOptions(), PainterOptions(conditional=False, attention=False)])
def test_the_control_has_as_many_parameters(options):
    wanted = parameters_of(DrawPainter(options))
    control = control_options(options, wanted)
    assert control.kind == "vae" and control.steps == options.steps
    assert parameters_of(VariationalAutoencoder(control)) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("conditional", [True, False])
def test_gradients_reach_every_parameter_and_rows_do_not_see_one_another(conditional):
    torch.manual_seed(0)
    made = VariationalAutoencoder(replace(TINY, conditional=conditional))
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    digits, images, noise = encode(["7", "1247"]), torch.rand(2, 1, 8, 12), torch.randn(2, 4, 3)
    bound = made(images, digits, noise)
    bound.total().sum().backward()
    assert bound.kl.shape == (2, 1)
    assert not [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()]
    torch.testing.assert_close(made(images[1:], digits[1:], noise[1:]).total(), bound.total()[1:])
    (stroke,) = made.paint(digits, noise)
    assert stroke.picture.shape == images.shape
    assert stroke.boxes[0].tolist() == [1, 1, 12, 8]

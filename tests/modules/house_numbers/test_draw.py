"""DRAW: its equations, gradients, rows that do not see one another, and learning."""

from dataclasses import replace

import pytest
import torch

from modules.errors import InputError
from modules.house_numbers.batch import encode
from modules.house_numbers.bound import means
from modules.house_numbers.draw import DrawPainter
from modules.house_numbers.painter_options import PainterOptions

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = PainterOptions(
    height=8, width=12, embedding_size=4, hidden_size=16, latent_size=3, steps=4, read_size=4, write_size=3
)
PLAIN = replace(TINY, conditional=False, attention=False, prior="standard")
NUMBERS = encode(["7", "1247", "56019"])


def painter(options: PainterOptions = TINY) -> DrawPainter:
    torch.manual_seed(0)
    made = DrawPainter(options)
    for parameter in made.parameters():  # learned beginnings and priors start at 0, where much is equal
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def inputs(options: PainterOptions = TINY, rows: int = 3):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (rows, options.colours, options.height, options.width), generator=generator)
    return (
        images / 255,
        NUMBERS[:rows],
        torch.randn(rows, options.steps, options.latent_size, generator=generator),
    )


MODULATED = replace(TINY, modulated=True)


@pytest.mark.parametrize(
    "options",
    [TINY, PLAIN, replace(TINY, colours=3), replace(TINY, conditional=False), MODULATED],
)
def test_gradients_reach_every_parameter(options):
    made = painter(options)
    images, digits, noise = inputs(options)
    made(images, digits, noise).total().sum().backward()
    assert not [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()]


def test_a_step_without_windows_is_the_papers_equations():
    made, (images, _, noise) = painter(replace(PLAIN, steps=2)), inputs(replace(PLAIN, steps=2))
    c = made.first_canvas.expand(3, -1, -1, -1)
    enc, dec = ((s[0].expand(3, -1), s[1].expand(3, -1)) for s in (made.first_encoder, made.first_decoder))
    kl = []
    for t in range(2):
        missing = images - torch.sigmoid(c[:, :1])  # eq. 3
        r = torch.cat([images.flatten(1), missing.flatten(1)], 1)  # eq. 17
        enc = made.encoder(torch.cat([r, dec[0]], 1), enc)  # eq. 5
        mu, log_sigma = made.posterior(enc[0]).split(3, 1)  # eq. 1-2
        kl.append(0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma).sum(1) - 3 / 2)  # eq. 11
        dec = made.decoder(mu + log_sigma.exp() * noise[:, t], dec)  # eq. 6-7
        c = c + made.write(dec[0]).view(3, 2, 8, 12)  # eq. 8, 18
    bound = made(images, None, noise)
    torch.testing.assert_close(bound.kl, torch.stack(kl, 1))
    torch.testing.assert_close(made.paint(None, noise)[0].picture.shape, images.shape)


@pytest.mark.parametrize("options", [TINY, PLAIN, MODULATED])
def test_pictures_are_painted_and_measured_each_by_itself(options):
    made = painter(options)
    images, digits, noise = inputs(options)
    together, painted = made(images, digits, noise), made.paint(digits, noise)
    for row in range(3):
        own = slice(row, row + 1)
        alone = made(images[own], digits[own], noise[own])
        torch.testing.assert_close(alone.total(), together.total()[own])
        stroke = made.paint(digits[own], noise[own])[-1]
        for part, of_all in zip(stroke, painted[-1], strict=True):
            torch.testing.assert_close(part, of_all[own])


def test_painting_goes_through_a_canvas_that_keeps_what_is_on_it():
    made = painter()
    _, digits, noise = inputs()
    strokes = made.paint(digits, noise)
    assert len(strokes) == TINY.steps
    assert strokes[0].picture.shape == (3, 1, 8, 12) and strokes[0].boxes.shape == (3, 4)
    canvas = torch.logit(strokes[-2].picture)
    _, _, decoder = made.beginning(3)
    a = made.annotations(digits)
    for e in noise.unbind(1):
        context = made.context(a, decoder[0])
        z = made.prior_of(decoder[0], context).sample(e)
        decoder = made.decoder(torch.cat([z, context], 1), decoder)
    shown = means(torch.cat([canvas, canvas], 1) + made.stroke(decoder[0], context))
    torch.testing.assert_close(shown, strokes[-1].picture, rtol=0, atol=1e-5)
    left, top, right, bottom = strokes[-1].boxes.unbind(1)
    assert (right > left).all() and (bottom > top).all()


def test_a_modulated_stroke_is_scaled_and_shifted_by_the_digit():
    made = painter(replace(MODULATED, attention=False))
    h, context = torch.randn(3, 16), torch.randn(3, made.number.output_size)
    gamma, beta = (context @ made.modulation.weight.T + made.modulation.bias).chunk(2, 1)
    hidden = ((1 + gamma) * (h @ made.mix.weight.T + made.mix.bias) + beta).clamp(min=0)
    wanted = hidden @ made.write.weight.T + made.write.bias
    torch.testing.assert_close(made.stroke(h, context).flatten(1), wanted)


def test_what_is_painted_depends_on_the_number():
    made = painter()
    _, _, noise = inputs()
    same = noise[:1].expand(2, -1, -1)
    one, other = made.paint(encode(["17", "71"]), same)[-1].picture
    assert not torch.allclose(one, other)


def test_the_grid_of_options_has_edges():
    for name in ("height", "latent_size", "steps"):
        with pytest.raises(InputError, match=f"model.painter.{name} is 0"):
            replace(TINY, **{name: 0})
    with pytest.raises(InputError, match=r"model\.painter\.write_size is 1"):
        replace(TINY, write_size=1)


def learnt(strokes: int) -> list[float]:
    """Returns the bounds of two squares far apart, at places of each picture's own, in nats a pixel."""
    images = torch.full((4, 1, 8, 12), 51 / 255)
    for row in range(4):
        images[row, 0, row : row + 3, row : row + 3] = images[row, 0, 5 - row : 8 - row, 8:11] = 204 / 255
    options = replace(TINY, conditional=False, hidden_size=32, read_size=6, write_size=5, steps=strokes)
    made = painter(options)
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(400):
        noise = torch.randn(4, options.steps, options.latent_size, generator=generator)
        loss = made(images, None, noise).total().mean() / 96
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
def test_a_batch_is_learnt_and_more_strokes_learn_it_better():
    once, often = learnt(1), learnt(5)
    assert sum(often[-50:]) / 50 < sum(once[-50:]) / 50 - 0.1
    assert sum(often[-50:]) / 50 < often[0] - 2.5

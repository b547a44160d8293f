"""Where a steering model looks: the pixels that would change its angle.

For every frame t it is the squared gradient of the predicted angle with respect to the pixels of its clip. It
is averaged over a few slightly noisy copies of them, so that no single kink decides (SmoothGrad, Smilkov et
al. 2017, arXiv 1706.03825; squared as in Hooker et al. 2019, arXiv 1806.10758):

    s_t = sqrt( sum over the clip's frames and colours of 1/n sum_k (d angle_t / d x)^2 at x = x_t + noise_k )

It depends on every weight between pixels and angle, the recurrent network's too, where methods that retrace
the activations alone do not (Adebayo et al. 2018, arXiv 1810.03292).

What it covers: the pixels of the current clip, which is one frame, or six of a 3D convolution. The decoder's
state before the frame, with all it remembers of earlier frames, is held fixed. So is the optical flow
(`model.encoder.flow`), through which no gradient passes: of a model that reads it the map shows what the CNN
alone contributes.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from modules.recurrent import State
from modules.steering.steerer import Steerer


def steering_saliency(
    model: Steerer,
    clip: UInt8[Tensor, "S 3 H W"],
    state: State,
    samples: int = 4,
    noise: float = 0.05,
    at_once: int = 8,
) -> Float[np.ndarray, "T H W"]:
    """Returns how much the angle at each of T frames depends on each pixel, in radians a grey value.

    The result does not depend on how a drive is cut into pieces, and calling again gives it again.

    Args:
        model: A model in evaluation mode; frozen encoders are looked through, too.
        clip: RGB bytes as the model's `preprocessing` gives them, S = left_context + T.
        state: Of the decoder, before the first of the T frames.
        samples: Noisy copies n.
        noise: Their standard deviation, as a share of the range of a byte.
        at_once: Frames whose gradients are computed at once.
    """
    clip = clip.to(model.device)
    states = _states_before(model, clip, state)
    context, encoder_context = model.left_context, model.encoder.left_context
    seen = model.preprocessing.recolour(clip[context - encoder_context :]).float()
    windows = seen.unfold(0, encoder_context + 1, 1).movedim(-1, 1)  # (T, L + 1, 3, H, W)
    flow = None
    if model.flow is not None:
        flow = model.flow(clip[context - 1 :].unsqueeze(0))[0].unsqueeze(1)  # (T, 1, K)
    # one noise for all frames: the picture does not flicker, nor depend on the frame it began with
    draws = torch.Generator().manual_seed(0)
    noises = 255 * noise * torch.randn(samples, *windows.shape[1:], generator=draws).to(model.device)
    maps = []
    for first in range(0, len(windows), at_once):
        part = slice(first, first + at_once)
        own = tuple(tensor[part] for tensor in states)
        moved = None if flow is None else flow[part]
        squares = [squared_gradient(model, windows[part] + each, moved, own) for each in noises]
        maps.append(torch.stack(squares).mean(0).sqrt())
    return torch.cat(maps).cpu().numpy()


def _states_before(model: Steerer, clip: Tensor, state: State) -> State:
    """Returns the decoder's state before each of T frames, one a row."""
    with torch.no_grad():
        features = model.encode(clip.unsqueeze(0))  # (1, T, D)
        states = []
        for t in range(features.shape[1]):
            states.append(state)
            _, state = model.decoder(features[:, t : t + 1], state)
    return tuple(torch.cat(parts) for parts in zip(*states, strict=True))


def squared_gradient(
    model: Steerer,
    windows: Float[Tensor, "n L 3 H W"],
    flow: Float[Tensor, "n 1 K"] | None,
    states: State,
) -> Float[Tensor, "n H W"]:
    """Returns the squared gradient of each row's angle by its own pixels, over frames and colours.

    Args:
        model: In evaluation mode.
        windows: What the encoder sees, in its colours, with one step to steer at.
        flow: Of the frame since the one before, where the model reads it.
        states: Of the decoder, before each row's step.
    """
    with torch.enable_grad():
        features = model.encoder(windows.requires_grad_())  # (n, 1, D)
        if flow is not None:
            features = torch.cat([features, flow], dim=-1)
        outputs, _ = model.decoder(features, states)
        angle_rad = outputs[:, 0, 0] * model.target_std[0]
        # rows are independent: the gradient of the sum holds that of each
        gradient = torch.autograd.grad(angle_rad.sum(), windows)[0]
    return gradient.square().sum((1, 2))

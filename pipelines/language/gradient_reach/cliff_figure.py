"""Draws the cliff: the loss surface of a recurrent network of one unit, and gradient descent at its edge."""

from __future__ import annotations

import io
import textwrap

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from modules.language.scalar_rnn import TARGET, TIME_STEPS, Descent, descend, scalar_loss
from pipelines.language.gradient_reach.gradient_figure import INK, STYLE

# from here gradient descent comes down to the edge in some twenty updates
START, UPDATES, LEARNING_RATE, CLIP_NORM = (5.0, -2.0), 60, 0.3, 0.1
W, B = (3.6, 6.0), (-3.4, -1.0)  # what is drawn of the surface
FINE = 4000  # values of b among which the edge is looked for
LINES = 90  # of the surface: so many values of w, and of b on either side of the edge
COLOURS = ("#d55e00", "#0072b2")  # without clipping, with it


def cliff_figure() -> bytes:
    """Returns the PNG: the same surface and start twice, without and with clipping by norm."""
    paths = [descend(START, UPDATES, LEARNING_RATE, limit) for limit in (None, CLIP_NORM)]
    with matplotlib.rc_context(STYLE | {"grid.color": "#dddddd", "axes.titlelocation": "center"}):
        figure = Figure(figsize=(9.6, 5), layout="constrained")
        for number, (name, path, colour) in enumerate(
            zip(("a  Without clipping", "b  With clipping"), paths, COLOURS, strict=True), start=1
        ):
            axes = figure.add_subplot(1, 2, number, projection="3d", computed_zorder=False)
            _draw_surface(axes)
            _draw_path(axes, path, colour)
            axes.set_title(f"{name}: J = {float(path.losses[-1]):.2g} after {UPDATES} updates", y=0.96)
        figure.supxlabel(
            textwrap.fill(caption(*paths), 142), x=0.01, ha="left", fontsize=8.5, linespacing=1.35
        )
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=160)
        return png.getvalue()


def caption(free: Descent, clipped: Descent) -> str:
    """Returns what the two panels show, in words."""
    steepest = int(free.gradient_norms.argmax())
    norms = [float(path.gradient_norms.max()) for path in (free, clipped)]
    return (
        f"Loss J of x_t = w sigmoid(x_t-1) + b, {TIME_STEPS} steps from x_0 = 0.5, target {TARGET} "
        f"(Pascanu et al. 2013, figure 6; Goodfellow et al. 2016, figure 10.17). Gradient descent from "
        f"w = {START[0]:g}, b = {START[1]:g} (white) at a rate of {LEARNING_RATE:g} in both. Without "
        f"clipping the gradient at the edge (norm {norms[0]:.2g}, update {steepest + 1}) throws "
        f"the weights back up the slope. Clipped to a norm of {CLIP_NORM:g} they stay at the edge, "
        f"although gradients there reach {norms[1]:.2g}, and go on downhill."
    )


def surface() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns w, b and J to draw, each (LINES, 2 LINES), with a line on either side of the edge."""
    w = torch.linspace(*W, LINES, dtype=torch.float64)[:, None]
    fine = torch.linspace(*B, FINE, dtype=torch.float64).expand(LINES, FINE)
    edge = scalar_loss(w.expand(LINES, FINE), fine).diff(dim=1).abs().argmax(dim=1, keepdim=True)
    below, above = (fine.gather(1, (edge + side).clamp(0, FINE - 1)) for side in (-2, 3))
    part = torch.linspace(0, 1, LINES, dtype=torch.float64)
    b = torch.cat([B[0] + (below - B[0]) * part, above + (B[1] - above) * part], dim=1)
    w = w.expand_as(b)
    return w.numpy(), b.numpy(), scalar_loss(w, b).numpy()


def _draw_surface(axes: Axes3D) -> None:
    axes.plot_surface(
        *surface(),
        cmap="Greys",
        vmin=-0.15,
        vmax=0.7,
        rcount=LINES,
        ccount=2 * LINES,
        linewidth=0,
        antialiased=False,
        zorder=1,
    )
    axes.set(xlabel="w", ylabel="b", zlabel="J", xlim=W, ylim=B, zlim=(0, 0.45))
    axes.set(xticks=(4, 4.5, 5, 5.5), yticks=(-3, -2.5, -2, -1.5), zticks=(0, 0.1, 0.2, 0.3, 0.4))
    axes.zaxis.labelpad = -5  # or the figure's edge would cut it
    axes.view_init(elev=32, azim=35)
    axes.set_box_aspect((1, 1, 0.6), zoom=0.95)


def _draw_path(axes: Axes3D, path: Descent, colour: str) -> None:
    w, b = path.weights.numpy().T
    inside = (w >= W[0]) & (w <= W[1]) & (b >= B[0]) & (b <= B[1])
    above = np.where(inside, path.losses.numpy() + 0.004, np.nan)  # or the surface would cover it
    axes.plot(w, b, above, color=colour, marker="o", ms=2.2, lw=1, zorder=3)
    axes.plot(w[:1], b[:1], above[:1], color=INK, marker="o", ms=6, mfc="white", zorder=4)
    axes.plot(w[-1:], b[-1:], above[-1:], color=INK, marker="o", ms=6, mfc=colour, zorder=4)

"""A chart as inline SVG that takes its text colour and its font from the page around it."""

import io
import re
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

# legible on white and on near-black
SYSTEM, REFERENCE, CONSTANT, SHUFFLED = "#3f7fd9", "#d98032", "#8a8f98", "#b06fc4"
# of several runs in one chart
RUNS = (SYSTEM, REFERENCE, SHUFFLED, "#3d9970", "#c9485b", "#9a8a2e", "#2fa6b5", "#a0674b")
# stands for the page's own text colour until the SVG is written
INK = "#010203"
STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "savefig.dpi": 200,  # of what is drawn as pixels
    "svg.fonttype": "none",
    # names are no mathematics
    "text.parse_math": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def new_figure(width: float = 3.7, height: float = 2.6) -> tuple[Figure, Axes]:
    """A figure of one pair of axes; draw within `matplotlib.rc_context(STYLE)`."""
    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def as_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an SVG element; `name` makes its ids unique within a page."""
    drawn = io.StringIO()
    # savefig draws a figure that has a layout twice; an SVG has 72 points per inch
    FigureCanvasSVG(figure)
    figure.dpi = 72
    ConstrainedLayoutEngine().execute(figure)
    with matplotlib.rc_context({"svg.hashsalt": name}):
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", transparent=True, metadata=metadata)
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f"{name}-", svg)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1))

"""Renders a report's template into one self-contained HTML file."""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modules.whole_files import write_whole


def fit_within(
    image: UInt8[np.ndarray, "Hh Ww 3"], width: int, height: int
) -> UInt8[np.ndarray, "Hh2 Ww2 3"]:
    """Returns the picture scaled, with its proportions kept, to just fit into width x height pixels."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def jpeg_uri(image: UInt8[np.ndarray, "Hh Ww 3"], quality: int = 80) -> str:
    """The RGB picture as a `data:` address, so that the page needs no other file."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def render(template: Path, **values: Any) -> str:
    """Returns a page; every value that is no Markup is escaped.

    Args:
        template: File of a template; it may extend and include those beside it and beside this module.
        values: What the template shows; a name it uses and is not given is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template(template.name).render(**values)
    # a lone surrogate from a broken file name must not cost the page
    return html.encode("utf-8", errors="replace").decode("utf-8")


def write_page(path: Path, template: Path, **values: Any) -> Path:
    """Path of the page of `render`, written whole or not at all.

    Args:
        path: The file to write.
        template: File of a template.
        values: What the template shows.
    """
    return write_whole(path, render(template, **values).encode("utf-8"))


def duration(seconds: float) -> str:
    """A time span for people: 8.2 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"

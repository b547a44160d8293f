"""One self-contained page of photographs, as `find` and `match` show what they found."""

from __future__ import annotations

import hashlib
import os
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.cache import cache_root, writing_in
from modules.images import UnreadableImage, read_as_shown
from pipelines.captioning.photographs.caption_index import Parts
from pipelines.reports.page import fit_within, jpeg_uri, write_page

THUMBNAIL = 320, 240  # pixels


@dataclass
class Photo:
    """A photograph on the page.

    Attributes:
        name: As its captions' file or its folder names it.
        path: Where it lies.
        captions: Its captions in pieces, those that were looked for marked as true.
        note: What else is said of it.
    """

    name: str
    path: Path
    captions: list[Parts] = field(default_factory=list)
    note: str = ""

    def thumbnail(self) -> str:
        """Returns the picture as a `data:` address; empty where it cannot be read."""
        try:
            return jpeg_uri(fit_within(read_as_shown(self.path, max(THUMBNAIL))[0], *THUMBNAIL))
        except (UnreadableImage, OSError, ValueError):
            return ""


def write_photo_page(title: str, said: str, photos: Sequence[Photo]) -> Path:
    """Returns the path of the page in the cache; the same title has the same page.

    Args:
        title: What was looked for.
        said: One line below it.
        photos: Best first.
    """
    folder = cache_root() / "pages"
    name = hashlib.sha256(repr((title, photos)).encode("utf-8", "replace")).hexdigest()[:16]
    with writing_in(folder, "the page"):
        return write_page(
            folder / f"{name}.html",
            Path(__file__).with_name("photos.html.jinja"),
            title=title,
            said=said,
            photos=photos,
        )


def show(page: Path) -> None:
    """Shows a page in a browser with a window; does nothing where there is none."""
    has_windows = sys.platform in ("darwin", "win32") or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}
    if has_windows:  # a browser of the terminal would take it over
        webbrowser.open(page.resolve().as_uri())

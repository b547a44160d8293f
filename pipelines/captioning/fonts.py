"""A font that has the characters of a caption: matplotlib's own, or one that is installed on the machine."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from modules.errors import tell

OWN = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")  # Latin, Greek, Cyrillic, Arabic and more
_found: dict[frozenset[str], Path] = {}  # by the scripts that OWN lacks


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns the font to draw a text with; one line on stderr says where no font has its characters.

    Args:
        text: To draw, in any script.
        size: In pixels.
    """
    return _opened(_path_for(text), size)


@cache
def _opened(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


def _path_for(text: str) -> Path:
    missing = "" if text.isascii() else "".join(dict.fromkeys(c for c in text if ord(c) not in _own()))
    if not missing:
        return OWN
    # one font a script: a search through hundreds of files for every caption would take longer than drawing
    scripts = frozenset(unicodedata.name(c, "").partition(" ")[0] for c in missing)
    if scripts not in _found:
        _found[scripts] = _search(missing)
    return _found[scripts]


@cache
def _own() -> frozenset[int]:
    return frozenset(FT2Font(str(OWN)).get_charmap())


def _search(missing: str) -> Path:
    best, has = OWN, 0
    for path in installed_fonts():
        try:
            font = FT2Font(str(path))
            having = sum(font.get_char_index(ord(c)) > 0 for c in missing)
        except (OSError, RuntimeError):  # a font's file can be broken, too
            continue
        if having > has:
            best, has = path, having
        if has == len(missing):
            return best
    tell(
        f"note: no font on this machine has {missing[:10]!r}, which pictures show as boxes; install one, "
        "such as Noto Sans CJK for Chinese, Japanese and Korean"
    )
    return best


def installed_fonts() -> list[Path]:
    """Returns the files of all fonts of the machine, regular ones first."""
    # it looks through folders when it is imported
    from matplotlib.font_manager import findSystemFonts

    files = [Path(file) for file in findSystemFonts()]
    return sorted(files, key=lambda file: ("regular" not in file.name.lower(), file.name, file))

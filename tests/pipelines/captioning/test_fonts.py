"""Captions are drawn in a font that has their characters, and where there is none one line says so."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from pipelines.captioning import fonts
from pipelines.captioning.attention import draw_attention


@pytest.fixture(autouse=True)
def nothing_found_yet(monkeypatch):
    monkeypatch.setattr(fonts, "_found", {})


def triangles(path, characters):
    """A font of a few characters, each a triangle."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    pen.lineTo((500, 700))
    pen.lineTo((900, 0))
    pen.closePath()
    names = [".notdef", *(f"c{ord(character):x}" for character in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"c{ord(c):x}" for c in characters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()) | {".notdef": TTGlyphPen(None).glyph()})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Triangles", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def drawn(caption):
    alpha = np.full((1, 4), 0.25, np.float32)
    return draw_attention(np.zeros((40, 60, 3), np.uint8), [caption], alpha, (2, 2), caption)


def test_a_caption_is_drawn_in_the_font_that_has_its_characters(tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    some, all_of_it = triangles(tmp_path / "some.ttf", "狗"), triangles(tmp_path / "all.ttf", "狗跑")
    monkeypatch.setattr(fonts, "installed_fonts", list)
    boxes = drawn("狗跑")
    assert "note: no font on this machine has '狗跑'" in capsys.readouterr().err
    drawn("跑狗")
    assert not capsys.readouterr().err  # once is enough
    fonts._found.clear()
    monkeypatch.setattr(fonts, "installed_fonts", lambda: [broken, some, all_of_it])
    assert fonts.font_for("狗跑", 16).path == str(all_of_it)
    assert not np.array_equal(drawn("狗跑"), boxes)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("text", ["a dog", "größer", "собака", "σκύλος"])
def test_no_font_is_searched_for_what_the_own_one_has(text, monkeypatch):
    monkeypatch.delattr(fonts, "installed_fonts")
    assert fonts.font_for(text, 12).path == str(fonts.OWN)

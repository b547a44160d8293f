"""Attention pictures: the weights end up where they belong, for every caption and picture shape."""

import cv2
import numpy as np
import pytest

from modules.captioning.captioner import Captioner
from modules.captioning.ensemble import CaptionerEnsemble
from modules.decoders.captions import DecoderOptions
from modules.encoders.image import EncoderOptions
from modules.errors import InputError
from modules.vocabulary import Vocabulary
from pipelines.captioning.attention import (
    attention_panels,
    draw_attention,
    upsample_attention,
    write_attention,
)
from pipelines.captioning.predict import PredictionOptions, instruct
from pipelines.reports.page import fit_within


def photograph(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def weights(words: int, cells: int) -> np.ndarray:
    return np.random.default_rng(1).dirichlet(np.full(cells, 0.3), words).astype(np.float32)


def one_cell(cell: int, cells: int) -> np.ndarray:
    return np.eye(cells, dtype=np.float32)[[cell]]


@pytest.mark.parametrize("grid", [(1, 1), (7, 7), (14, 14), (3, 9)])
def test_upsampling_moves_attention_but_neither_adds_nor_removes_any(grid):
    alpha = weights(5, grid[0] * grid[1])
    alpha[2] *= 0.5  # weights that do not sum to one keep their smaller sum
    maps = upsample_attention(alpha, grid, (90, 150))
    assert maps.shape == (5, 90, 150) and maps.min() >= 0
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), [1, 1, 0.5, 1, 1], rtol=1e-4)


def test_a_word_without_attention_gives_an_empty_map():
    assert upsample_attention(np.zeros((1, 49), np.float32), (7, 7), (40, 40)).max() == 0


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 4), (2, 1), (3, 3)])
def test_the_peak_lies_in_the_attended_cell(row, column):
    smooth = upsample_attention(one_cell(row * 5 + column, 20), (4, 5), (80, 100))[0]
    y, x = np.unravel_index(smooth.argmax(), smooth.shape)
    assert (y // 20, x // 20) == (row, column)


def test_rows_of_the_grid_come_first():
    grid = (2, 4)
    bright = (
        attention_panels(np.full((100, 200, 3), 90, np.uint8), one_cell(3, 8), grid).overlays[0].sum(axis=2)
    )
    height, width = bright.shape
    top_right = bright[: height // 2, width * 3 // 4 :].mean()
    assert top_right > 2 * bright[height // 2 :, : width // 2].mean()


def test_words_share_one_scale_on_which_even_attention_stays_dark():
    alpha = np.concatenate([one_cell(24, 49), np.full((1, 49), 1 / 49, np.float32)])
    panels = attention_panels(photograph(), alpha, (7, 7))
    sharp, even = (overlay.astype(int) for overlay in panels.overlays)
    assert sharp.max() > even.max()
    alone = attention_panels(photograph(), alpha[1:], (7, 7))
    assert alone.peak == 4 and panels.peak > 10


def test_the_photograph_keeps_its_proportions():
    assert fit_within(photograph(400, 1000), 200, 300).shape == (80, 200, 3)
    assert fit_within(photograph(1000, 100), 200, 300).shape == (300, 30, 3)
    assert fit_within(photograph(1, 5000), 200, 300).shape == (1, 200, 3)


@pytest.mark.parametrize("words", [0, 1, 2, 10, 40])
@pytest.mark.parametrize("size", [(120, 160), (600, 80), (40, 900)])
def test_every_panel_is_drawn(words, size):
    image = np.full((*size, 3), 128, np.uint8)
    captions = [f"w{i}" for i in range(words)]
    sheet = draw_attention(image, captions, weights(words, 9), (3, 3), " ".join(captions))
    assert sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3
    panel = fit_within(image, 216, 302)
    drawn = (sheet != 255).any(axis=2).sum()
    assert drawn >= (words + 1) * panel.shape[0] * panel.shape[1]
    assert max(sheet.shape) < 4000


@pytest.mark.parametrize(
    "word", ["größer", "собака", "犬", "naïve\u0301", "", "two\nlines", "\ud800", "x" * 300, "$a_1$", "<b>"]
)
def test_any_word_can_be_drawn(word):
    sheet = draw_attention(photograph(), [word, "dog"], weights(2, 9), (3, 3), f"{word} dog")
    assert sheet.shape[1] < 1500


def test_different_words_and_captions_show():
    alpha = weights(1, 9)
    dog = draw_attention(photograph(), ["dog"], alpha, (3, 3), "dog")
    assert not np.array_equal(dog, draw_attention(photograph(), ["cat"], alpha, (3, 3), "dog"))
    assert not np.array_equal(dog, draw_attention(photograph(), ["dog"], alpha, (3, 3), "cat"))


def test_a_mismatch_is_an_error():
    with pytest.raises(ValueError, match="2 words but 3 rows"):
        draw_attention(photograph(), ["a", "b"], weights(3, 9), (3, 3), "a b")
    with pytest.raises(ValueError, match="grid of 4 x 3"):
        draw_attention(photograph(), ["a"], weights(1, 9), (4, 3), "a")


def test_writing_makes_the_folder_and_leaves_only_the_picture(tmp_path):
    words, alpha = ["a", "dog"], weights(2, 9)
    sheet = draw_attention(photograph(), words, alpha, (3, 3), "a dog")
    exact = write_attention(tmp_path / "deep" / "a.png", photograph(), words, alpha, (3, 3), "a dog")
    close = write_attention(tmp_path / "deep" / "a.JPG", photograph(), words, alpha, (3, 3), "a dog")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["a.JPG", "a.png"]
    np.testing.assert_array_equal(cv2.imread(str(exact))[..., ::-1], sheet)
    assert np.abs(cv2.imread(str(close))[..., ::-1].astype(int) - sheet).mean() < 8


def test_a_failed_write_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(type(path), "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_attention(path, photograph(), ["a"], weights(1, 9), (3, 3), "a")
    assert path.read_bytes() == b"old"


def test_attention_of_captions_that_have_none_is_refused(tmp_path):
    def captioner(kind="show_attend_tell", stage="last"):
        encoder = EncoderOptions("mobilenetv3_small_050", stage, image_size=64, weights="none")
        model = Captioner(encoder, DecoderOptions(kind, embedding_size=4, hidden_size=4, attention_size=4))
        model.use_vocabulary(Vocabulary.build([["a", "dog"]]))
        return model.eval()

    asked = PredictionOptions(["DIR"], attention=tmp_path)
    looking, blind, finer = captioner(), captioner("show_and_tell"), captioner(stage=2)
    for model in (looking, CaptionerEnsemble([looking, captioner()])):
        instruct(model, asked)
    for model in (blind, CaptionerEnsemble([looking, blind]), CaptionerEnsemble([looking, finer])):
        with pytest.raises(InputError, match="attention: these captions have none to draw"):
            instruct(model, asked)

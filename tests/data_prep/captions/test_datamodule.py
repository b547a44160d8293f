"""What the DataModule of captions says of its data before anything is trained."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.captions.datamodule import CaptionDataModule
from data_prep.captions.scenes import dataset as scenes
from modules.captioning.captioner import Captioner
from modules.encoders.image import EncoderOptions
from modules.errors import InputError


def picture(path, number):
    """A picture of which no two numbers are alike."""
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def folder(root, captions, copies=()):
    """A captioned folder, its last two images in val; an image of `copies` is the first again."""
    rows = ["image,caption,split"]
    for number, caption in enumerate(captions):
        picture(root / f"{number}.png", 0 if number in copies else number)
        rows.append(f'{number}.png,"{caption}",{"train" if number < len(captions) - 2 else "val"}')
    (root / "captions.csv").write_text("\n".join(rows))
    return root


def test_a_negative_seed_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.seed is -1; it has to be at least 0"):
        CaptionDataModule(tmp_path, seed=-1)


@pytest.mark.parametrize(
    "captions, min_count, message",
    [
        (["one", "two", "three", "four"], 2, r"no word .* occurs 2 times; --data.min_count 1"),
        (["red red", "red", "green", "green"], 5, r"no word .* occurs 5 times; --data.min_count 3"),
        (["...", "?!", "a dog", "a cat"], 1, r"no word in its training captions"),
        (["...", "?!", "a dog", "a cat"], 3, r"no word in its training captions"),
        (["😀", "👨\u200d👩", "a dog", "a cat"], 1, r"punctuation and emoji are none"),
        (["❤", "☺ ❤", "a dog", "a cat"], 1, r"punctuation and emoji are none"),
        (["สุนัขกำลังวิ่งบนหญ้า", "แมวนอนอยู่บนโซฟา", "a", "b"], 1, r"Thai captions .* segment them"),
        (["one two", "a dog", "a dog"], 2, r"--data.min_count 1"),
    ],
)
def test_an_empty_vocabulary_is_refused_before_training(tmp_path, captions, min_count, message):
    data = CaptionDataModule(folder(tmp_path, captions), min_count=min_count)
    with pytest.raises(InputError, match=message):
        data.training_words()


def test_pictures_that_stand_in_two_splits_are_counted(tmp_path, capsys):
    CaptionDataModule(folder(tmp_path, ["a dog"] * 6, copies=(4, 5))).read()
    said = capsys.readouterr().out
    assert (
        "warning" in said and "1 picture(s) stand in two splits or more" in said and "0.png (train)" in said
    )


def test_a_folder_without_copies_is_read_in_silence(tmp_path, capsys):
    CaptionDataModule(folder(tmp_path, ["a dog"] * 6)).read()
    (said,) = capsys.readouterr().out.splitlines()
    assert "scores of so few say little" in said


def test_coco_files_that_share_an_image_are_refused(tmp_path):
    picture(tmp_path / "images" / "1.png", 1)
    coco = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"image_id": 1, "caption": "a dog"}],
    }
    for split in ("train", "val"):
        (tmp_path / f"captions_{split}.json").write_text(json.dumps(coco))
    with pytest.raises(InputError, match=r"1\.png .*train.*val"):
        CaptionDataModule(tmp_path).read()


def test_annotations_are_cached_as_the_option_says(tmp_path):
    model = Captioner(EncoderOptions("mobilenetv3_small_050", image_size=32, weights="none"))
    for dtype, suffix in (("float16", "f16"), ("float8", "f8")):
        cache = tmp_path / dtype
        data = CaptionDataModule(folder(tmp_path / "data", ["a dog"] * 6), cache=cache, cache_dtype=dtype)
        data.trainer = SimpleNamespace(
            lightning_module=model, strategy=SimpleNamespace(root_device=torch.device("cpu"))
        )
        data.setup("validate")
        assert [path.name for path in cache.glob("features/*/annotations.*")] == [f"annotations.{suffix}"]
        cache = data.inputs["val"].cache
        assert cache._rows is None and not cache._files, "an index of every photograph is kept"
        assert data.inputs["val"]([1, 0]).shape == (2, model.encoder.locations, model.encoder.annotation_size)


def test_drawn_scenes_are_said_to_be_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path))
    scenes.generate(tmp_path / "scenes", images=60, size=32)
    CaptionDataModule().read()
    assert "data: drawn scenes; --data.root DIR" in capsys.readouterr().out
    CaptionDataModule(root=tmp_path / "scenes").read()
    assert "data: drawn" not in capsys.readouterr().out

"""A tiny captioned folder, and one finished run on it, shared by the tests of the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.captions.scenes import dataset as scenes
from modules.vocabulary import Vocabulary
from pipelines.caption import main
from tests.pipelines.captioning.gallery import picture, rows_of
from tests.pipelines.golden import recorded

ROOT = Path(__file__).resolve().parents[3]
DEBUG = ROOT / "configs" / "debug" / "caption.yaml"


@pytest.fixture(scope="session")
def captioned_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioned") / "scenes"
    scenes.generate(root, images=60, size=64)
    rows = [json.loads(line) for line in (root / "captions.jsonl").read_text().splitlines()]
    # a folder of one's own has no scenes.json
    (root / "scenes.json").unlink()
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    return root


@pytest.fixture
def fit(captioned_folder):
    """Returns a function that fits into a folder and returns RUN."""

    def run(runs, *arguments):
        given = ["fit", "--config", str(DEBUG), "--data.root", str(captioned_folder), "--runs", str(runs)]
        assert main([*given, *arguments]) == 0
        return max((Path(runs) / "caption" / "debug").glob("version_*"))

    return run


@pytest.fixture(scope="session")
def finished_run(captioned_folder, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    arguments = ["--config", str(DEBUG), "--data.root", str(captioned_folder), "--runs", str(runs)]
    assert recorded(main, ["fit", *arguments], runs / "printed.txt") == 0
    return runs / "caption" / "debug" / "version_0"


@pytest.fixture(scope="session")
def gallery(tmp_path_factory):
    root = tmp_path_factory.mktemp("gallery")
    (root / "deep" / "er").mkdir(parents=True)
    picture(1, "L").save(root / "grey.png")
    picture(2, "P").save(root / "palette.png", transparency=3)
    picture(3, "CMYK").save(root / "cmyk.jpg")
    rgba = picture(4, "RGBA")
    rgba.putalpha(picture(5, "L"))
    rgba.save(root / "rgba.png")
    Image.fromarray(np.asarray(picture(6, "L")).astype(np.uint16) * 257).save(root / "deep" / "sixteen.png")
    frames = [picture(seed) for seed in (7, 8, 9)]
    frames[0].save(root / "deep" / "animated.gif", save_all=True, append_images=frames[1:])
    picture(10).save(root / "DOG.JPEG")
    picture(11).save(root / "two words 'and' \"quotes\", 犬 é.png")
    picture(12).save(root / "new\nline.png")
    picture(13).save(root / "COCO_val2014_000000000042.jpg")
    picture(14).save(root / "deep" / "er" / "000000000007.png")
    # orientation 6: the camera was held upright, the picture is to be turned clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(15).save(root / "deep" / "rotated.jpg", exif=exif)
    stored = np.asarray(Image.open(root / "deep" / "rotated.jpg"))
    Image.fromarray(np.rot90(stored, -1)).save(root / "deep" / "upright.png")

    (root / "x.jpg").write_text("no picture")
    (root / "deep" / "empty.png").write_bytes(b"")
    (root / "cut.jpg").write_bytes((root / "DOG.JPEG").read_bytes()[:500])
    (root / "notes.txt").write_text("what I did in the holidays")
    (root / ".hidden.jpg").write_bytes((root / "DOG.JPEG").read_bytes())
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "a.jpg").write_bytes((root / "DOG.JPEG").read_bytes())
    return root


@pytest.fixture(scope="session")
def talkative(finished_run, tmp_path_factory):
    """A decoder of large random weights in place of the barely trained: every picture has its own caption."""
    stored = torch.load(finished_run / "checkpoints" / "best.ckpt", weights_only=True)
    generator = torch.Generator().manual_seed(0)
    weights = {name.removeprefix("decoder."): weight for name, weight in stored["state_dict"].items()}
    for name in stored["state_dict"]:
        weight = weights[name.removeprefix("decoder.")]
        if name.startswith("decoder.") and weight.dim() > 1:
            weight.normal_(0, 2 * weight.shape[-1] ** -0.5, generator=generator)
    weights["initial.weight"].mul_(100)  # an untrained encoder says little
    weights["output.bias"][Vocabulary.EOS] = 1
    path = tmp_path_factory.mktemp("checkpoint") / "talkative.ckpt"
    torch.save(stored, path)
    return path


@pytest.fixture
def predict(gallery, talkative):
    """Returns a function that captions the gallery into a file and returns the file's rows."""

    def run(output, *arguments, images=gallery, checkpoint=talkative, workers="0"):
        given = ["--images", str(images), "--ckpt_path", str(checkpoint), "--output", str(output)]
        assert main(["predict", *given, "--num_workers", workers, *arguments]) == 0
        return rows_of(output)

    return run

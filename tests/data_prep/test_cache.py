"""One root for everything that is cached, whatever the task; keys that do not change with the code."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from data_prep.cache import cache_root, stated_options
from data_prep.captions.datamodule import CaptionDataModule
from data_prep.captions.features import FeatureCache
from data_prep.captions.scenes import dataset as scenes
from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.features import _fingerprint, compute_features
from data_prep.driving.road import dataset as road
from data_prep.text.encoded import Units, _key, encode_text
from data_prep.text.files import find_text
from modules.captioning.preprocessing import EvalTransform
from modules.encoders.image import ImageEncoder
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer

BACKBONE = "mobilenetv3_small_050"


def test_all_that_is_cached_lies_inside_the_named_folder_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "outer" / "named"
    monkeypatch.setenv("SEQSIGHT_CACHE", str(cache))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for module, small in ((scenes, {"IMAGES": 60, "SIZE": 32}), (road, {"DRIVES": 3, "SECONDS": 1.0})):
        for name, value in small.items():
            monkeypatch.setattr(module, name, value)

    captions = CaptionDataModule()
    captions.read()
    images = [record.path for record in captions.splits["val"]]
    encoder, transform = ImageEncoder(BACKBONE, image_size=32, weights="none"), EvalTransform(32)
    FeatureCache.open(encoder, transform).fill(images, encoder, transform, progress=False)
    frozen = SteeringEncoderOptions(kind="pretrained", name=BACKBONE, stage=1, weights="none")
    steerer = Steerer(FramePreprocessing(32, 64), frozen)
    drives = SteerDataModule().prepare(steerer)
    compute_features(drives.table, drives.frames, drives.stored, steerer)
    (tmp_path / "story.txt").write_text("The cat sees the dog.\n" * 60)
    encode_text(find_text(tmp_path / "story.txt"), Units("character"))

    kinds = {"features", "frames", "drive_features", "text", "scenes", "road"}
    assert {path.name for path in cache.iterdir() if path.is_dir()} == kinds
    assert all(any((cache / kind).iterdir()) for kind in kinds)
    assert [path.name for path in cache.parent.iterdir()] == ["named"]
    assert not (tmp_path / "home").exists()


def test_the_root_is_the_users_where_the_environment_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQSIGHT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "seqsight"


def test_a_new_option_leaves_keys_alone_until_it_is_used() -> None:
    @dataclass
    class Options:
        new: int = 3
        size: int = 1
        kind: str = "a"

    assert list(stated_options(Options(), ("kind", "size")).items()) == [("kind", "a"), ("size", 1)]
    assert stated_options(Options(new=4), ("kind", "size")) == {"kind": "a", "size": 1, "new": 4}


def test_keys_of_texts_and_drives_are_what_they_were() -> None:
    """Whoever changes them makes every user compute all of them anew."""
    assert _key("content", Units("word", 2, 1000)) == "b8fc0da48194d51c"
    assert _key("content", Units("byte")) == "f523e68ae641cdb3"
    steerer = Steerer(FramePreprocessing(66, 200, 0.25, colours="yuv"), SteeringEncoderOptions(pool=(2, 4)))
    for weights in steerer.encoder.state_dict().values():
        weights.zero_()
    expected = "95892050e35b002c808f84f41995d52c469006dc0badb6b7e2da4b84e34c4364"
    assert _fingerprint(steerer) == expected

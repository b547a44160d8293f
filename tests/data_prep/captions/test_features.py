"""The feature cache: encoded once, whatever is killed, repeated, renamed or run twice."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.captions.features import FeatureCache, _identity
from modules.captioning.preprocessing import EvalTransform, MirrorTransform
from modules.errors import InputError
from modules.images import read_image
from tests.data_prep.captions.feature_caches import SIZE, TRANSFORM, SmallEncoder, fill, write_images


def test_annotations_come_back_as_encoded(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder
) -> None:
    paths = write_images(tmp_path / "images", 70)
    report = fill(opened, paths, encoder)
    assert (report.encoded, report.reused, report.unreadable) == (70, 0, [])
    assert len(opened) == 70
    chosen = [paths[i] for i in (69, 3, 3, 40)]
    rows = opened.rows(chosen)
    assert rows.dtype == np.int64
    annotations = opened.read(rows)
    assert annotations.dtype == torch.float32
    assert annotations.shape == (4, encoder.locations, encoder.annotation_size)
    images = torch.stack([TRANSFORM(read_image(path)) for path in chosen])
    assert torch.equal(annotations, encoder.encode(images).half().float())
    assert opened.store._map is None, "resident memory would seem to grow to the file's size"
    assert opened.read(rows[:0]).shape == (0, *opened.store.shape)
    meta = json.loads((opened.folder / "meta.json").read_text())
    assert meta["shape"] == list(opened.store.shape) and "mobilenetv3_small_050" in meta["encoder"]


def test_nothing_is_encoded_or_even_read_twice(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_images(tmp_path / "images", 5)
    shutil.copy(paths[0], tmp_path / "images" / "copy.png")
    paths.append(tmp_path / "images" / "copy.png")
    report = fill(opened, [*paths, *paths], encoder)
    assert (report.encoded, report.reused, encoder.encoded) == (5, 1, 5)
    assert opened.rows(paths)[5] == opened.rows(paths)[0]

    again = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read again"))
        report = fill(again, paths, encoder)
    assert (report.encoded, report.reused, encoder.encoded) == (0, 6, 5)

    moved = (tmp_path / "images").rename(tmp_path / "elsewhere")
    report = fill(again, sorted(moved.iterdir()), encoder)
    assert (report.encoded, report.reused, encoder.encoded) == (0, 6, 5)
    assert "6 reused" in report.summary()


def test_changed_content_is_encoded_again(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder
) -> None:
    paths = write_images(tmp_path / "images", 3)
    fill(opened, paths, encoder)
    before = opened.read(opened.rows(paths))
    shutil.copy(write_images(tmp_path / "others", 1, start=9)[0], paths[1])
    with pytest.raises(InputError, match=r"00001\.png: no annotations"):
        opened.rows(paths)
    report = fill(opened, paths, encoder)
    assert (report.encoded, report.reused) == (1, 2)
    after = opened.read(opened.rows(paths))
    assert [torch.equal(x, y) for x, y in zip(before, after, strict=True)] == [True, False, True]


def test_another_encoder_or_transform_has_another_folder(tmp_path: Path, encoder: SmallEncoder) -> None:
    other = SmallEncoder()
    with torch.no_grad():
        other.trunk.conv_stem.weight.mul_(2)
    caches = [
        FeatureCache.open(encoder, TRANSFORM, root=tmp_path),
        FeatureCache.open(other, TRANSFORM, root=tmp_path),
        FeatureCache.open(encoder, EvalTransform(SIZE, "crop"), root=tmp_path),
    ]
    assert len({cache.folder for cache in caches}) == 3
    assert FeatureCache.open(SmallEncoder(), EvalTransform(SIZE), root=tmp_path).folder == caches[0].folder
    with pytest.raises(ValueError, match="another encoder"):
        fill(caches[0], [], other)


def test_a_cache_in_eight_bits_lies_beside_the_old_one_and_goes_on_after_a_kill(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder
) -> None:
    paths = write_images(tmp_path / "images", 5)
    fill(opened, paths, encoder)
    exact = opened.read(opened.rows(paths))

    small = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache", dtype="float8")
    fill(small, paths[:3], encoder)
    with small.store.data.open("ab") as stream:  # what a kill leaves
        stream.write(b"\x01" * 9)
    again = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache", dtype="float8")
    report = fill(again, paths, encoder)
    assert (report.encoded, report.reused) == (2, 3)
    rounded = again.read(again.rows(paths))
    assert (rounded.dtype, rounded.shape) == (torch.float32, exact.shape)
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.04
    bytes_of = {cache.dtype: cache.store.data.stat().st_size for cache in (opened, again)}
    assert bytes_of == {"float16": 2 * exact.numel(), "float8": exact.numel() + 4 * len(paths)}
    assert json.loads((again.folder / "meta.json").read_text())["dtype"] == "float8"

    assert again.folder != opened.folder
    old = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache")
    assert fill(old, paths, encoder).reused == 5 and torch.equal(old.read(old.rows(paths)), exact)
    with pytest.raises(InputError, match=r"annotations\.f8: holds 5 annotated images, not row 5"):
        again.read(np.array([5]))


def test_unreadable_files_are_reported_and_left_out(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = write_images(Path("images"), 3)
    Path("images/text.png").write_text("no picture")
    os.mkfifo("images/pipe.png")
    bad = [Path("images/text.png"), Path("images/absent.png"), Path("images/pipe.png"), Path("images")]
    report = fill(opened, [bad[0], paths[0], bad[1], paths[1], bad[2], paths[2], bad[3]], encoder)
    assert report.encoded == 3
    assert [path for path, _ in report.unreadable] == bad
    assert all(reason for _, reason in report.unreadable)
    assert list(opened.rows(paths)) == [0, 1, 2]
    with pytest.raises(InputError, match=r"text\.png"):
        opened.rows(bad[:1])


def test_values_beyond_float16_are_clamped(tmp_path: Path) -> None:
    huge = SmallEncoder(scale=1e9)
    cache = FeatureCache.open(huge, TRANSFORM, root=tmp_path / "cache")
    paths = write_images(tmp_path / "images", 2)
    fill(cache, paths, huge)
    annotations = cache.read(cache.rows(paths))
    assert annotations.isfinite().all()
    assert annotations.abs().max() == torch.finfo(torch.float16).max


def test_a_full_disk_or_a_wrong_folder_is_said_in_one_line(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_images(tmp_path / "images", 2)
    (tmp_path / "file").write_text("in the way")
    blocked = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot be written .* SEQSIGHT_CACHE") as caught:
        fill(blocked, paths, encoder)
    assert "\n" not in str(caught.value)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=opened.store.row_bytes))
    with pytest.raises(InputError, match=r"2 annotated images need .* GB free"):
        fill(opened, paths, encoder)
    assert len(opened) == 0


def test_annotations_from_before_the_folder_of_features_are_read_and_extended(
    tmp_path: Path, encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_images(tmp_path / "images", 3)
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "room"))
    fresh = FeatureCache.open(encoder, TRANSFORM)
    assert fresh.folder.parent == tmp_path / "room" / "features"
    fill(fresh, paths[:2], encoder)
    former = fresh.folder.rename(tmp_path / "room" / fresh.folder.name)  # where it once lay
    cache = FeatureCache.open(encoder, TRANSFORM)
    report = fill(cache, paths, encoder)
    assert (cache.folder, report.encoded, report.reused) == (former, 1, 2)


def test_keys_are_what_they_were(tmp_path: Path, encoder: SmallEncoder) -> None:
    """Whoever changes them makes every user compute all annotations anew."""
    for transform, stated in [
        (EvalTransform(224), "data_prep.transforms.EvalTransform [('resize', 'squash'), ('size', 224)]"),
        (
            MirrorTransform(64, "pad"),
            "data_prep.transforms.MirrorTransform [('resize', 'pad'), ('size', 64)]",
        ),
    ]:
        assert _identity(transform) == stated
    said = hashlib.sha256(f"{encoder.fingerprint('cpu')} {_identity(TRANSFORM)}".encode()).hexdigest()
    assert FeatureCache.open(encoder, TRANSFORM, root=tmp_path).key == said
    assert FeatureCache.open(encoder, TRANSFORM, root=tmp_path, dtype="float8").key != said

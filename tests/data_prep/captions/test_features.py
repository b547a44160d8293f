"""The feature cache: encoded once, whatever is killed, repeated, renamed or run twice."""

import json
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from data_prep.captions.features import FeatureCache, _identity
from modules.captioning.preprocessing import EvalTransform, MirrorTransform
from modules.encoders.image import ImageEncoder
from modules.errors import InputError
from modules.images import read_image

SIZE = 32


class SmallEncoder(ImageEncoder):
    """A small random backbone, the same in every process, that counts the images it encodes."""

    def __init__(self, delay_s: float = 0.0, scale: float = 1.0):
        torch.manual_seed(0)
        super().__init__("mobilenetv3_small_050", image_size=SIZE, weights="none")
        self.encoded = 0
        self.delay_s = delay_s
        self.scale = scale

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(self.delay_s)
        self.encoded += len(images)
        return self.scale * super().encode(images)


TRANSFORM = EvalTransform(SIZE)


def write_images(folder: Path, count: int, start: int = 0, side: int = 40, suffix: str = "png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(start, start + count):
        image = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
        path = folder / f"{i:05d}.{suffix}"
        cv2.imwrite(str(path), image)
        paths.append(path)
    return paths


def fill(cache: FeatureCache, paths: list[Path], encoder: ImageEncoder):
    return cache.fill(paths, encoder, TRANSFORM, progress=False)


@pytest.fixture(scope="module")
def encoder() -> SmallEncoder:
    return SmallEncoder()


@pytest.fixture
def opened(tmp_path: Path, encoder: SmallEncoder) -> FeatureCache:
    encoder.encoded = 0
    return FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache")


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
    assert annotations.dtype == np.float16
    assert annotations.shape == (4, encoder.locations, encoder.annotation_size)
    images = torch.stack([TRANSFORM(read_image(path)) for path in chosen])
    assert np.array_equal(annotations, encoder.encode(images).half().numpy())
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
    assert [np.array_equal(x, y) for x, y in zip(before, after, strict=True)] == [True, False, True]


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
    assert np.isfinite(annotations).all()
    assert np.abs(annotations.astype(np.float32)).max() == np.finfo(np.float16).max


def forked(work: Callable[..., object], *arguments: object) -> multiprocessing.Process:
    """A started process of its own that can be killed; forked, because importing torch takes seconds.

    With a GPU autograd has threads of its own, which no fork survives.
    """
    context = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    process = context.Process(target=_alone, args=(work, *arguments))
    process.start()
    return process


def _alone(work: Callable[..., object], *arguments: object) -> None:
    torch.set_num_threads(1)  # the threads of the parent did not come along
    work(*arguments)


def fill_slowly(paths: list[Path], root: Path, name: str, delay_s: float = 0.1) -> None:
    """Fills a cache, writes what the user would see to NAME.log and the counts to NAME.json."""
    with (root / f"{name}.log").open("w") as sys.stderr:
        encoder = SmallEncoder(delay_s)
        cache = FeatureCache.open(encoder, TRANSFORM, root=root)
        report = cache.fill(paths, encoder, TRANSFORM)
    (root / f"{name}.json").write_text(json.dumps([report.encoded, report.reused]))


def data_of(cache: FeatureCache) -> tuple[bytes, bytes]:
    return (cache.folder / "annotations.f16").read_bytes(), (cache.folder / "index.jsonl").read_bytes()


def test_a_killed_run_is_continued_to_the_same_bytes(tmp_path: Path, encoder: SmallEncoder) -> None:
    paths = write_images(tmp_path / "images", 500)
    root = tmp_path / "killed"
    root.mkdir()
    process = forked(fill_slowly, paths, root, "killed")
    deadline = time.monotonic() + 60
    committed = stored = 0
    while not 0 < committed < stored:  # rows on disk that no index line names yet: between two commits
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
        cache = FeatureCache.open(encoder, TRANSFORM, root=root)
        data = cache.folder / "annotations.f16"
        committed = len(cache)
        stored = data.stat().st_size // cache.store.row_bytes if data.exists() else 0
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    cache = FeatureCache.open(encoder, TRANSFORM, root=root)
    assert len(cache) * cache.store.row_bytes < len(data_of(cache)[0])
    kept = cache.read(cache.rows(paths[:committed]))

    report = fill(cache, paths, encoder)
    assert (report.encoded, report.reused) == (500 - committed, committed)
    whole = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "whole")
    fill(whole, paths, encoder)
    assert data_of(cache) == data_of(whole)
    assert np.array_equal(kept, whole.read(whole.rows(paths[:committed])))


@pytest.mark.parametrize("tail", [b'{"sha256": "ab', b'{"sha256": "ab", "row": 3}\n', b"\x00\x00\n", b"7\n"])
def test_a_torn_index_and_surplus_rows_are_cut_off(
    tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder, tail: bytes
) -> None:
    paths = write_images(tmp_path / "images", 6)
    fill(opened, paths[:3], encoder)
    clean = opened.read(opened.rows(paths[:3]))
    for name, garbage in (("annotations.f16", b"\x01" * 9), ("index.jsonl", tail), ("files.jsonl", tail)):
        with (opened.folder / name).open("ab") as stream:
            stream.write(garbage)
    fresh = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache")
    assert len(fresh) == 3
    assert np.array_equal(fresh.read(fresh.rows(paths[:3])), clean)
    report = fill(fresh, paths, encoder)
    assert (report.encoded, report.reused) == (3, 3)
    whole = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "whole")
    fill(whole, paths, encoder)
    assert data_of(fresh) == data_of(whole)


def test_lost_rows_are_not_trusted(tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder) -> None:
    paths = write_images(tmp_path / "images", 4)
    fill(opened, paths, encoder)
    expected = opened.read(opened.rows(paths))
    os.truncate(opened.folder / "annotations.f16", 2 * opened.store.row_bytes + 5)
    fresh = FeatureCache.open(encoder, TRANSFORM, root=tmp_path / "cache")
    report = fill(fresh, paths, encoder)
    assert (report.encoded, report.reused) == (2, 2)
    assert np.array_equal(fresh.read(fresh.rows(paths)), expected)
    with pytest.raises(InputError, match="holds 4 annotated images, not row 4"):
        fresh.read(np.array([4]))


def test_two_processes_share_the_work(tmp_path: Path, encoder: SmallEncoder) -> None:
    paths = write_images(tmp_path / "images", 300)
    processes = [forked(fill_slowly, paths, tmp_path, name) for name in ("one", "two")]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    counts = sorted(json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert counts == [[0, 300], [300, 0]]
    logs = (tmp_path / "one.log").read_text() + (tmp_path / "two.log").read_text()
    assert logs.count("waiting for another process") == 1
    cache = FeatureCache.open(encoder, TRANSFORM, root=tmp_path)
    assert sorted(cache.rows(paths)) == list(range(300))


def test_workers_read_the_same(tmp_path: Path, opened: FeatureCache, encoder: SmallEncoder) -> None:
    paths = write_images(tmp_path / "images", 8)
    fill(opened, paths, encoder)
    rows = opened.rows(paths)
    expected = opened.read(rows)
    loader = torch.utils.data.DataLoader(
        Rows(opened, rows), batch_size=4, num_workers=2, multiprocessing_context="fork"
    )
    assert np.array_equal(torch.cat(list(loader)).numpy(), expected)
    sent = pickle.dumps(opened)  # what a spawned worker gets
    assert len(sent) < 2000
    assert np.array_equal(pickle.loads(sent).read(rows), expected)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(read, expected) for read in pool.map(opened.read, [rows] * 8))


class Rows(torch.utils.data.Dataset):
    def __init__(self, cache: FeatureCache, rows: np.ndarray):
        self.cache, self.rows = cache, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.from_numpy(self.cache.read(self.rows[i : i + 1])[0])


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    few = write_images(tmp_path / "few", 140, side=LARGE, suffix="bmp")
    many = [path for k in range(3) for path in variants(few, tmp_path / f"many{k}", k)]
    process = forked(measure_growth, few, many, tmp_path)
    process.join(60)
    assert process.exitcode == 0
    # the decoder is faster than this encoder: half a megabyte an image would pile up to 200 MB
    assert float((tmp_path / "grown_mb").read_text()) < 60


LARGE = 400


class CornerEncoder(SmallEncoder):
    """Takes large images but looks at a corner of each only."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return super().encode(images[:, :, :SIZE, :SIZE])


def measure_growth(few: list[Path], many: list[Path], folder: Path) -> None:
    """Writes by how many MB filling with many images exceeds the peak of filling with few."""
    encoder, transform = CornerEncoder(delay_s=0.15), EvalTransform(LARGE)
    cache = FeatureCache.open(encoder, transform, root=folder / "cache")
    peaks = []
    for paths in (few, many):
        assert cache.fill(paths, encoder, transform, progress=False).encoded == len(paths)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    (folder / "grown_mb").write_text(str((peaks[1] - peaks[0]) / 1024))


def variants(paths: list[Path], folder: Path, k: int) -> list[Path]:
    """Copies with a different tail behind the image: other contents, the same picture."""
    folder.mkdir()
    copies = []
    for path in paths:
        copies.append(folder / path.name)
        copies[-1].write_bytes(path.read_bytes() + bytes([k]))
    return copies


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


def test_keys_are_what_they_were() -> None:
    """Whoever changes them makes every user compute all annotations anew."""
    for transform, stated in [
        (EvalTransform(224), "data_prep.transforms.EvalTransform [('resize', 'squash'), ('size', 224)]"),
        (
            MirrorTransform(64, "pad"),
            "data_prep.transforms.MirrorTransform [('resize', 'pad'), ('size', 64)]",
        ),
    ]:
        assert _identity(transform) == stated

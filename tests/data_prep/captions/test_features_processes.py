"""The feature cache under kills, torn files, several processes and many images."""

import gc
import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.captions.features import FeatureCache
from modules.captioning.preprocessing import EvalTransform
from modules.errors import InputError
from tests.data_prep.captions.feature_caches import SIZE, TRANSFORM, SmallEncoder, fill, write_images


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
        return self.cache.read(self.rows[i : i + 1])[0]


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    few = write_images(tmp_path / "few", 70, side=LARGE, suffix="bmp")
    many = [path for k in range(6) for path in variants(few, tmp_path / f"many{k}", k)]
    alive = Alive()
    encoder, transform = WatchedEncoder(alive), WatchedTransform(alive)
    cache = FeatureCache.open(encoder, transform, root=tmp_path / "cache")
    assert cache.fill(many, encoder, transform, progress=False).encoded == len(many)
    # 192 images of half a megabyte wait or are being encoded; the decoder is faster, so all 420 would pile up
    assert 10 < alive.most_mb < 110
    gc.collect()
    assert alive.mb == 0


LARGE = 400


class Alive:
    """Counts the bytes of tensors that somebody holds: the memory of a process has other users, too."""

    def __init__(self) -> None:
        self.mb = self.most_mb = 0.0
        self.lock = threading.RLock()  # a finalizer may run within it

    def watch(self, tensor: torch.Tensor) -> torch.Tensor:
        self.change(tensor.nbytes / 1e6)
        weakref.finalize(tensor, self.change, -tensor.nbytes / 1e6)
        return tensor

    def change(self, mb: float) -> None:
        with self.lock:
            self.mb = round(self.mb + mb, 6)
            self.most_mb = max(self.most_mb, self.mb)


class WatchedEncoder(SmallEncoder):
    """Takes large images but looks at a corner of each only, slowly."""

    def __init__(self, alive: Alive) -> None:
        super().__init__(delay_s=0.1)
        self.alive = alive

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return super().encode(self.alive.watch(images)[:, :, :SIZE, :SIZE])


class WatchedTransform(EvalTransform):
    def __init__(self, alive: Alive) -> None:
        super().__init__(LARGE)
        self.watch = alive.watch

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        return self.watch(super().__call__(image))


def variants(paths: list[Path], folder: Path, k: int) -> list[Path]:
    """Copies with a different tail behind the image: other contents, the same picture."""
    folder.mkdir()
    copies = []
    for path in paths:
        copies.append(folder / path.name)
        copies[-1].write_bytes(path.read_bytes() + bytes([k]))
    return copies

"""Frames are decoded once, cropped and resized as the model wants; a killed or second process is harmless."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_prep.driving import frame_sources
from data_prep.driving import frames as frames_module
from data_prep.driving.frames import FrameCache
from data_prep.driving.table import DriveTable
from modules.errors import InputError
from modules.images import UnreadableImage, read_image
from modules.steering.preprocessing import FramePreprocessing
from tests.data_prep.driving.driving_folders import draw, drive, numbered, put

SMALL = FramePreprocessing(height=6, width=8, crop_top=0.5)


def opened(root: Path, preprocessing: FramePreprocessing = SMALL) -> FrameCache:
    return FrameCache(root, preprocessing, root / "cache")


def fill(cache: FrameCache, table: DriveTable):
    return cache.fill(table, progress=False)


def test_frames_come_back_as_the_model_wants_them(tmp_path: Path) -> None:
    table = drive(tmp_path, 30, drawn=True)
    # a frame with a structure, so that crop, size and the order of channels can be seen
    gradient = np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3)
    Image.fromarray(gradient).save(tmp_path / table.file[7])
    cache = opened(tmp_path)
    rows, report = fill(cache, table)
    assert (report.decoded, report.reused, report.unreadable) == (30, 0, [])
    read = cache.read(rows[[7, 29, 7]])
    assert read.dtype == np.uint8 and read.shape == (3, 3, 6, 8)
    for image, number in zip(read, (7, 29, 7), strict=True):
        expected = SMALL(read_image(tmp_path / table.file[number])).numpy()
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(read[1, :, 0, 0], numbered(29)[0, 0])
    meta = json.loads((cache.folder / "meta.json").read_text())
    assert meta["shape"] == [3, 6, 8] and str(tmp_path) in meta["frames"]


def test_neighbours_are_a_view_and_clips_a_copy(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    rows, _ = fill(cache, drive(tmp_path, 10, drawn=True))
    stretch = cache.read(rows[2:8])
    assert isinstance(stretch, np.memmap) and not stretch.flags.owndata
    np.testing.assert_array_equal(stretch, cache.read(rows[[2, 3, 4, 5, 6, 7, 7]])[:6])
    assert cache.read(rows.reshape(2, 5)).shape == (2, 5, 3, 6, 8)
    with pytest.raises(InputError, match=r"frames.u8: holds 10 frames, not row 10; fill it again"):
        cache.read(np.array([10]))


def test_nothing_is_decoded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = drive(tmp_path, 8, drawn=True)
    rows, _ = fill(opened(tmp_path), table)
    with monkeypatch.context() as patch:
        patch.setattr("data_prep.driving.frame_sources.read_image", lambda path: pytest.fail(f"{path} again"))
        again, report = fill(opened(tmp_path), table.select(slice(None, None, -1)))
    assert (report.decoded, report.reused) == (0, 8) and again.tolist() == rows[::-1].tolist()
    # colours are set later; crop and size are not
    assert opened(tmp_path, FramePreprocessing(6, 8, 0.5, colours="yuv")).folder == opened(tmp_path).folder
    assert opened(tmp_path, FramePreprocessing(6, 8, 0.4)).folder != opened(tmp_path).folder
    assert opened(tmp_path, FramePreprocessing(7, 8, 0.5)).folder != opened(tmp_path).folder


def test_changed_and_new_files_are_decoded_again(tmp_path: Path) -> None:
    table = drive(tmp_path, 6, drawn=True)
    first, _ = fill(opened(tmp_path), table.select(slice(0, 5)))
    draw(tmp_path, ["images/00003.png"])  # now shows number 0
    os.utime(tmp_path / "images/00003.png", ns=(1, 1))
    cache = opened(tmp_path)
    rows, report = fill(cache, table)
    assert (report.decoded, report.reused) == (2, 4)
    assert rows[[0, 1, 2, 4]].tolist() == first[[0, 1, 2, 4]].tolist()
    np.testing.assert_array_equal(cache.read(rows[[3]])[0, :, 0, 0], numbered(0)[0, 0])
    # and what was replaced does not confuse the next run
    again, report = fill(opened(tmp_path), table)
    assert report.decoded == 0 and again.tolist() == rows.tolist()


def test_unreadable_frames_are_reported_with_the_reason(tmp_path: Path) -> None:
    table = drive(tmp_path, 6, drawn=True)
    data = (tmp_path / "images/00002.png").read_bytes()
    put(tmp_path, "images/00002.png", data[: len(data) // 2])
    put(tmp_path, "images/00004.png", "")
    (tmp_path / "images/00005.png").unlink()
    for expected_decoded in (3, 0):
        rows, report = fill(opened(tmp_path), table)
        assert rows.tolist() == [0, 1, -1, 2, -1, -1] and report.decoded == expected_decoded
        (first, truncated), (_, empty), (_, absent) = report.unreadable
        assert first == 2 and "is damaged" in truncated
        assert empty == "the file is empty" and absent == "No such file or directory"
    put(tmp_path, "images/00002.png", data)
    rows, report = fill(opened(tmp_path), table)
    assert rows[2] == 3 and report.decoded == 1 and "2 unreadable" in report.summary()


def test_a_killed_run_loses_only_what_was_not_yet_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_module, "_GROUP", 4)
    table = drive(tmp_path, 20, drawn=True)
    cache = opened(tmp_path)

    def killed(image: np.ndarray):
        if image[0, 0, 0] >= 10:
            raise KeyboardInterrupt
        return SMALL(image)

    cache.preprocessing = killed  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        fill(cache, table)
    # and torn ends, as after a power cut
    with (cache.folder / "frames.u8").open("ab") as stream:
        stream.write(b"half a frame")
    with (cache.folder / "index.jsonl").open("ab") as stream:
        stream.write(b'{"file": "images/0001')
    cache = opened(tmp_path)
    rows, report = fill(cache, table)
    assert report.decoded + report.reused == 20 and report.reused == 8
    assert sorted(rows.tolist()) == list(range(20))
    np.testing.assert_array_equal(cache.read(rows)[:, 0, 0, 0], np.arange(20))


def _fill_in_a_process(root: Path, queue) -> None:
    rows, report = fill(opened(root), drive(root, 60))
    queue.put((rows.tolist(), report.decoded))


def test_two_processes_at_once_share_the_work(tmp_path: Path) -> None:
    drive(tmp_path, 60, drawn=True)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_fill_in_a_process, args=(tmp_path, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    (one, decoded), (other, reused) = queue.get(timeout=60), queue.get(timeout=60)
    for worker in workers:
        worker.join()
    assert one == other and sorted((decoded, reused)) == [0, 60]


def test_folders_that_cannot_hold_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = drive(tmp_path, 3, drawn=True)
    put(tmp_path, "file")
    cache = FrameCache(tmp_path, SMALL, tmp_path / "file")
    with pytest.raises(InputError, match=r"the cache of frames cannot be written .*SEQSIGHT_CACHE"):
        fill(cache, table)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(InputError, match=r"3 frames need 0.0 GB, the disk has 0.0 GB free"):
        fill(opened(tmp_path), table)


def test_keys_are_what_they_were() -> None:
    """Whoever changes them makes every user decode all frames anew."""
    geometry = FramePreprocessing(48, 128, 0.35, colours="yuv")
    cache = FrameCache(Path("/root/.cache/seqsight/road"), geometry, Path("root"))
    assert cache.folder == Path("root/frames/826d046609d4bf85")


def test_a_frame_that_becomes_readable_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As once permission is there: the file itself has not changed."""
    table = drive(tmp_path, 4, drawn=True)
    plain = frame_sources.read_image

    def refused(path: Path) -> np.ndarray:
        if Path(path).name == Path(table.file[1]).name:
            raise UnreadableImage(str(path), "Permission denied")
        return plain(path)

    monkeypatch.setattr(frame_sources, "read_image", refused)
    assert fill(opened(tmp_path), table)[0].tolist() == [0, -1, 1, 2]
    monkeypatch.undo()
    rows, report = fill(opened(tmp_path), table)
    assert rows.tolist() == [0, 3, 1, 2] and (report.decoded, report.reused) == (1, 3)


def test_a_folder_whose_name_is_no_utf8_is_as_good_as_any(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"caf\xe9")
    cache = opened(root)
    rows, _ = fill(cache, table := drive(root, 3, drawn=True))
    assert rows.tolist() == [0, 1, 2] and cache.identity(table.file)

"""Frames of videos and their times, in any container that FFmpeg reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from data_prep.progress import counting_bar
from modules.errors import InputError

_RAW_SUFFIXES = (".h264", ".264", ".h265", ".265", ".hevc")
_TELLS = 0.5  # a share of the frames after which time goes on
SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", *_RAW_SUFFIXES)


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(f"{path}: is no video that can be read")
    return capture


def raw_stream_notes(path: Path) -> list[str]:
    """Returns what is to be said of a video without a container, which tells no times; nothing of others."""
    if path.suffix.lower() not in _RAW_SUFFIXES:
        return []
    capture = _open(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return [
        f"{path}: a raw stream tells no times; {rate:g} frames a second are assumed; for others, convert it: "
        f"ffmpeg -r RATE -i {path.name} -c copy {path.stem}.mp4"
    ]


def frame_times(path: Path) -> np.ndarray:
    """Returns the time of each frame from the first (N,), as the video has it.

    The whole video is gone through: containers announce a number of frames and a constant rate, and often
    neither holds.
    """
    capture = _open(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    times = []
    with counting_bar("frames", announced > 500) as bar:
        task = bar.add_task(f"reading {path.name}", total=max(announced, 0) or None)
        while capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            bar.advance(task)
    capture.release()
    if not times:
        raise InputError(f"{path}: holds no frame that can be read")
    found = np.array(times)
    # some containers tell no times: FFmpeg then gives zeros
    if len(found) > 1 and (np.diff(found) > 0).mean() < _TELLS:
        if not 0 < rate < 1000:
            raise InputError(f"{path}: has neither times of frames nor their rate; convert it to mp4")
        found = np.arange(len(found)) / rate
    found = np.maximum.accumulate(found)  # rounded, two can be the same: that is no reason to doubt all
    return found - found[0]


class Frames:
    """Frames of an open video by their ascending numbers.

    Args:
        path: The video; InputError where it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._capture = path, _open(path)
        self._next = 0  # seeking is not exact in most containers, going forward is

    def frame(self, number: int) -> np.ndarray | str:
        """Returns a frame as (Hh, Ww, 3) RGB bytes, or why it cannot be read; a smaller number costs time."""
        if number < self._next:
            self._capture.release()
            self._capture, self._next = _open(self.path), 0
        while self._next < number and self._capture.grab():
            self._next += 1
        done, image = self._capture.read() if self._next == number else (False, None)
        if not done or image is None:
            return f"frame {number} cannot be read"
        self._next += 1
        return np.ascontiguousarray(image[:, :, ::-1])


def frames(path: Path, numbers: Sequence[int]) -> Iterator[np.ndarray | str]:
    """Yields the frames of these ascending numbers as (Hh, Ww, 3) RGB bytes, or why one cannot be read."""
    opened = Frames(path)
    for number in numbers:
        yield opened.frame(number)

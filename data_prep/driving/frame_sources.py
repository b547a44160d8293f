"""Frames decoded from wherever they are: image files, videos, HDF5 files, bags."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import numpy as np

from data_prep.driving.table import split_reference
from modules.errors import InputError
from modules.images import UnreadableImage, read_image

Result = TypeVar("Result")

_HDF5 = (".h5", ".hdf5")


def container_of(file: str) -> str:
    """Returns the file to look at on disk: the container of a frame inside one, else the file itself."""
    reference = split_reference(file)
    return file if reference is None else reference[0]


def decode_frames(
    root: Path, files: Sequence[str], prepare: Callable[[np.ndarray], Result], ahead: int = 64
) -> Iterator[tuple[int, Result | str]]:
    """Yields the place of each file in the list, and what `prepare` makes of its image or why it has none.

    Image files come in their order, decoded in threads; then frames of containers, each container gone
    through once from beginning to end.

    Args:
        root: folder that the files are relative to.
        files: image files, and frames in containers as `CONTAINER#NUMBER`.
        prepare: what to do with (Hh, Ww, 3) RGB bytes.
        ahead: images to hold ready at most.
    """
    images: list[int] = []
    containers: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for place, file in enumerate(files):
        reference = split_reference(file)
        if reference is None:
            images.append(place)
        else:
            container, topic, number = reference
            containers.setdefault((container, topic), []).append((number, place))

    def decode(place: int) -> Result | str:
        try:
            return prepare(read_image(root / files[place]))
        except UnreadableImage as error:
            return error.reason

    pending: deque[tuple[int, Future[Result | str]]] = deque()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 2)) as pool:
        try:
            for place in images:
                pending.append((place, pool.submit(decode, place)))
                if len(pending) > ahead:
                    first, done = pending.popleft()
                    yield first, done.result()
            while pending:
                first, done = pending.popleft()
                yield first, done.result()
        finally:
            # an interrupted run need not wait for what nobody will use
            pool.shutdown(wait=False, cancel_futures=True)
    for (container, topic), wanted in containers.items():
        wanted.sort()
        found = _container_frames(root / container, topic, [number for number, _ in wanted])
        for (_, place), image in zip(wanted, found, strict=True):
            yield place, image if isinstance(image, str) else prepare(image)


def camera_shape(root: Path, file: str) -> tuple[int, int]:
    """Returns rows and columns of a frame as the camera gave it; InputError where it cannot be read."""
    for _, shape in decode_frames(root, [file], lambda image: image.shape[:2]):
        if not isinstance(shape, str):
            return shape[0], shape[1]
    raise InputError(f"{root / file}: the frame cannot be read any more")


def decode_in_order(
    root: Path, files: Sequence[str], prepare: Callable[[np.ndarray], Result], ahead: int = 64
) -> Iterator[Result | str]:
    """Yields what `prepare` makes of each file's image, or why it has none, in the order of the list.

    A container is gone through once where its frames follow one another in the list, in rising order; once
    more each time they do not. The arguments are those of `decode_frames`.
    """
    first = 0
    for place in range(1, len(files) + 1):
        if place == len(files) or not _follows(files[place - 1], files[place]):
            for _, found in decode_frames(root, files[first:place], prepare, ahead):
                yield found
            first = place


def _follows(before: str, after: str) -> bool:
    """Whether one pass gives both frames in this order."""
    one, other = split_reference(before), split_reference(after)
    if one is None or other is None:
        return one is other
    return one[:2] == other[:2] and one[2] < other[2]


def _container_frames(path: Path, topic: str, numbers: Sequence[int]) -> Iterator[np.ndarray | str]:
    # imported when asked for: these need packages that not everyone has
    if not path.exists():
        return iter(["is absent"] * len(numbers))
    name = "driving.formats.ros_bag" if topic else "videos"
    if path.suffix.lower() in _HDF5:
        name = "driving.formats.comma"
    reader = import_module(f"data_prep.{name}")
    found: Iterator[np.ndarray | str] = reader.frames(path, *([topic] if topic else []), numbers)
    return found

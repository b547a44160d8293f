"""Image files read, hashed, decoded and transformed in threads, a bounded number ahead of their use."""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from data_prep.progress import counting_bar
from modules.images import UnreadableImage, decode_image

Transform = Callable[[np.ndarray], Tensor]


@dataclass
class PreparedImage:
    """A file that was read, and decoded if its content is new.

    Args:
        name: path of the file.
        size: bytes it had before it was read.
        mtime_ns: time of its last change before it was read, in nanoseconds.
        sha256: hash of its content.
        image: (3, S, S) uint8; none for known content and for what is no image.
        reason: why it is no readable image; empty for one that is.
    """

    name: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    image: Tensor | None = None
    reason: str = ""

    def file_line(self) -> dict[str, str | int]:
        """What tells later whether the file is still the one that was read."""
        return {"path": self.name, "size": self.size, "mtime_ns": self.mtime_ns, "sha256": self.sha256}


def prepare_all(
    names: Sequence[str], transform: Transform, known: Container[str], ahead: int
) -> Iterator[PreparedImage]:
    """Prepared images in the order of the names.

    Args:
        names: image files.
        transform: RGB bytes (Hh, Ww, 3) to a uint8 tensor (3, S, S).
        known: hashes of contents that need no decoding.
        ahead: images to hold ready at most.
    """
    threads = min(8, os.cpu_count() or 2)
    pending: deque[Future[PreparedImage]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for name in names:
                pending.append(pool.submit(_prepare, name, transform, known))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            # an interrupted run need not wait for what nobody will use
            pool.shutdown(wait=False, cancel_futures=True)


def unreadable_images(
    paths: Sequence[Path], transform: Transform, progress: bool = True
) -> list[tuple[Path, str]]:
    """Returns the files that are no readable image, each with the reason; every file is decoded once.

    Args:
        paths: image files.
        transform: what will be made of them.
        progress: show a progress bar.
    """
    found = []
    with counting_bar("images", progress) as bar:
        task = bar.add_task("checking images", total=len(paths))
        prepared = prepare_all([str(path) for path in paths], transform, known=(), ahead=64)
        for path, image in zip(paths, prepared, strict=True):
            bar.advance(task)
            if image.reason:
                found.append((path, image.reason))
    return found


def _prepare(name: str, transform: Transform, known: Container[str]) -> PreparedImage:
    path = Path(name)
    try:
        status = path.stat()
        # opening a named pipe would wait for ever
        if not stat.S_ISREG(status.st_mode):
            return PreparedImage(name, reason="is no regular file")
        content = path.read_bytes()
    except OSError as error:
        return PreparedImage(name, reason=error.strerror or str(error))
    sha256 = hashlib.sha256(content).hexdigest()
    prepared = PreparedImage(name, status.st_size, status.st_mtime_ns, sha256)
    if sha256 not in known:
        try:
            image = decode_image(content, name, getattr(transform, "minimum_size", None))
        except UnreadableImage as error:
            return PreparedImage(name, reason=error.reason)
        prepared.image = transform(image)
    return prepared

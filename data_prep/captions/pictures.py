"""Pictures to caption, wherever people have them: folders, files, lists of files, archives, videos."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.captions.archives import DAMAGED, Archive, is_archive, not_readable, pictures_among
from data_prep.input_files import list_undrawn, read_text
from data_prep.videos import SUFFIXES as VIDEO_SUFFIXES
from data_prep.videos import Frames, frame_times
from modules.errors import InputError
from modules.images import UnreadableImage, decode_as_shown, read_as_shown, rgb_image

LIST_SUFFIX = ".txt"
ATTENTION_SUFFIX = ".attention.jpg"  # of what `predict --attention` draws, which is no photograph


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: In the rows of captions.
        file: That holds it: the picture's own, an archive or a video.
        member: Its name in an archive.
        frame: Its number in a video.
        time: Of the frame, in seconds from the first.
    """

    name: str
    file: Path
    member: str | None = None
    frame: int | None = None
    time: float | None = None


def list_pictures(inputs: Sequence[Path], every: float = 1.0) -> list[Picture]:
    """Returns all pictures, each once, in the order of the inputs; those of a folder by their names.

    Names are those within the folder or archive. Where there are several inputs they begin with the input,
    those of a list with its folder. Pictures of attention that lie in a folder are left out; named singly
    they are taken.

    Args:
        inputs: Folders, walked recursively; picture files; text files with a path a line, from the list's own
            folder; zip and tar archives; videos.
        every: Seconds between the frames of a video.

    Raises:
        InputError: An input is missing, empty, or cannot be read.
    """
    if not inputs:
        raise InputError("images: nothing to caption; name a folder, files, an archive or a video")
    if not every > 0:
        raise InputError(f"every is {every}; it has to be above 0 seconds")
    found: dict[str, Picture] = {}
    for path in inputs:
        for picture in _pictures_of(path, every, alone=len(inputs) == 1):
            found.setdefault(picture.name, picture)
    return list(found.values())


def _pictures_of(path: Path, every: float, alone: bool) -> Iterator[Picture]:
    if path.is_dir():
        for file in list_undrawn(path, ATTENTION_SUFFIX):
            yield Picture(file.relative_to(path).as_posix() if alone else file.as_posix(), file)
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder")
    elif path.suffix.lower() == LIST_SUFFIX:
        for name in names_listed(read_text(path), str(path)):
            file = path.parent / name
            yield Picture(name if alone else file.as_posix(), file)
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        times = frame_times(path)
        # the first frame at or after each moment; times are rounded to less than this
        moments = np.arange(0.0, times[-1] + 1e-3, every)
        for number in np.unique(np.searchsorted(times, moments - 1e-3).clip(max=len(times) - 1)).tolist():
            time = round(float(times[number]), 3)
            name = path.name if alone else path.as_posix()
            yield Picture(f"{name}#{_clock(time)}", path, frame=number, time=time)
    elif is_archive(path.name):
        for member in _members(path):
            yield Picture(member if alone else f"{path.as_posix()}/{member}", path, member)
    else:
        if alone:  # of many files one that is no picture is a row's error
            read_as_shown(path, 1)
        yield Picture(path.name if alone else path.as_posix(), path)


def names_listed(text: str, where: str) -> list[str]:
    """Returns the paths of a list of pictures, a line each without remarks; InputError where it has none."""
    lines = [line.strip() for line in text.splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise InputError(f"{where}: names no picture; a list has a path a line")
    if any("\0" in name for name in names):
        raise InputError(f"{where}: holds zero bytes, which no path can; save the list as text")
    return names


def _clock(seconds: float) -> str:
    """Returns hours, minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{rest:06.3f}"


def _members(path: Path) -> list[str]:
    """Returns the pictures in an archive, in its order."""
    try:
        if not zipfile.is_zipfile(path) and not tarfile.is_tarfile(path):
            raise InputError(f"{path}: is no zip or tar archive that can be read")
        members = ((name, None) for name in Archive(path).names())
        names = [name for name, _ in pictures_among(members)]
    except DAMAGED as error:
        raise InputError(f"{path}: a damaged archive ({error})") from None
    if not names:
        raise InputError(f"{path}: the archive holds no file")
    return names


class PictureReader:
    """Reads pictures; an archive or a video stays open for the next one. Each process opens its own."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._opened: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": None, "_opened": None}  # a worker process opens its own

    def read(self, picture: Picture, minimum_size: int | None = None) -> tuple[np.ndarray, str]:
        """Returns the picture as (Hh, Ww, 3) RGB bytes, and what is wrong with it, if anything.

        Args:
            picture: Of `list_pictures`.
            minimum_size: As in `read_image`.

        Raises:
            UnreadableImage: There is no picture to see.
        """
        if picture.frame is not None:
            frame = self._open(picture.file, Frames).frame(picture.frame)
            if isinstance(frame, str):
                raise UnreadableImage(picture.name, frame)
            return rgb_image(frame, picture.name), ""
        if picture.member is None:
            try:
                return read_as_shown(picture.file, minimum_size)
            except UnreadableImage:
                if picture.file.suffix.lower() not in VIDEO_SUFFIXES:
                    raise
                raise UnreadableImage(picture.name, "is a video; --images VIDEO captions frames") from None
        try:
            data = self._open(picture.file, Archive).bytes_of(picture.member)
        except DAMAGED as error:
            raise UnreadableImage(picture.name, not_readable(error)) from None
        return decode_as_shown(data, picture.name, minimum_size)

    def _open(self, file: Path, kind: Any) -> Any:
        if self._file != file:
            self._file, self._opened = file, kind(file)
        return self._opened

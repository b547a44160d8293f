"""Which camera an image is of, where the names of files or folders tell it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

# what people call the cameras of a table
_WORDS = {
    "center": "center", "centre": "center", "middle": "center", "front": "center",
    "left": "left", "right": "right", "rear": "rear", "back": "rear",
}  # fmt: skip
_WORD = re.compile(rf"(?<![a-z])({'|'.join(_WORDS)})(?![a-z])", re.IGNORECASE)
_LEAST_SHARE = 0.5


def drives_of(videos: Sequence[str]) -> list[tuple[str, str]]:
    """Returns drive and camera of each video: `left.mp4` and `center.mp4` are cameras of one drive.

    Where names tell no cameras each video is a drive of its own, called as its file.

    Args:
        videos: names of the files of one folder.
    """
    told = cameras_of(videos)
    if told is None:
        return [(PurePath(name).stem, "center") for name in videos]
    rests = [PurePath(rest).stem.strip("_- ") if PurePath(rest).suffix else "" for rest in told[1]]
    return [(rest or "drive", camera) for rest, camera in zip(rests, told[0], strict=True)]


def cameras_of(files: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Returns the camera of each file, and its name without the camera; none where names tell no cameras.

    They tell them where each has the word of one camera in it, and there are several: `left/1.jpg`,
    `center_1.jpg`, `1-right.jpg`. A word in the file's own name counts where the cameras have the rest of
    most names in common. The left and right turns of one camera have not.

    Args:
        files: paths of images or videos.
    """
    cameras, rests, in_folder = [], [], True
    for file in files:
        found = list(_WORD.finditer(file))
        if not found:
            return None
        word = found[-1]
        cameras.append(_WORDS[word[1].lower()])
        start, end = word.span()
        in_folder = in_folder and "/" in file[end:]
        # the separator goes with the word
        rest = (
            file[:start].rstrip("_- ") + "_" + file[end:].lstrip("_- ")
            if start
            else file[end:].lstrip("_- /")
        )
        rests.append(rest.strip("_"))
    kinds = set(cameras)
    if len(kinds) < 2:
        return None
    if not in_folder:
        shown = [
            {rest for rest, camera in zip(rests, cameras, strict=True) if camera == kind} for kind in kinds
        ]
        shown.sort(key=len)
        if any(len(part & shown[-1]) < _LEAST_SHARE * len(part) for part in shown):
            return None
    return cameras, rests

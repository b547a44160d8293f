"""What pictures of driving are drawn with: a steering wheel, text, and the mp4 that they become."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from modules.errors import InputError

Colour = tuple[int, int, int]
WHITE, GREEN, RED, YELLOW, BLUE = (
    (240, 240, 240),
    (80, 220, 100),
    (235, 60, 50),
    (250, 200, 60),
    (80, 170, 255),
)


def draw_wheel(
    picture: np.ndarray, angle_rad: float, middle: tuple[int, int], radius: int = 32, colour: Colour = WHITE
) -> None:
    """Draws a steering wheel turned by an angle, left positive, into an RGB picture."""
    cv2.circle(picture, middle, radius, (24, 24, 26), 7, cv2.LINE_AA)
    cv2.circle(picture, middle, radius, colour, 2, cv2.LINE_AA)
    for spoke in (np.pi / 2, -np.pi / 6, 7 * np.pi / 6):
        turned = spoke + angle_rad
        tip = (middle[0] + radius * np.cos(turned), middle[1] - radius * np.sin(turned))
        marked = YELLOW if spoke == np.pi / 2 else colour
        cv2.line(picture, middle, (round(tip[0]), round(tip[1])), marked, 3, cv2.LINE_AA)


def draw_front_wheels(
    picture: np.ndarray, wheels_rad: float, middle: tuple[int, int], radius: int = 32, colour: Colour = WHITE
) -> None:
    """Draws a car without a steering wheel from above, its front wheels turned, left positive."""
    x, y = middle

    def box(at: tuple[float, float], size: tuple[float, float], turned: float, shade: Colour) -> None:
        corners = cv2.boxPoints((at, size, -float(np.degrees(turned))))
        cv2.fillPoly(picture, [np.round(corners * 16).astype(np.int32)], shade, cv2.LINE_AA, shift=4)

    box((x, y), (0.8 * radius, 1.9 * radius), 0.0, (74, 74, 80))
    for side in (-1, 1):
        box((x + side * 0.55 * radius, y + 0.6 * radius), (0.26 * radius, 0.6 * radius), 0.0, (150, 150, 156))
        box((x + side * 0.55 * radius, y - 0.6 * radius), (0.26 * radius, 0.6 * radius), wheels_rad, colour)


def write_text(picture: np.ndarray, text: str, at: tuple[int, int], colour: Colour = WHITE) -> None:
    """Writes a line of text with a shadow, from the left end of its baseline on."""
    text = text.encode(errors="replace").decode()  # OpenCV crashes on the name of a file that is no UTF-8
    for shade, shift in (((0, 0, 0), 1), (colour, 0)):
        shifted = (at[0] + shift, at[1] + shift)
        cv2.putText(picture, text, shifted, cv2.FONT_HERSHEY_SIMPLEX, 0.46, shade, 1, cv2.LINE_AA)


def check_video(path: Path) -> None:
    """Raises InputError for a name that no video can have."""
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: videos are written as .mp4; name it {path.with_suffix('.mp4').name}")


def write_video(frames: Iterable[np.ndarray], path: Path, rate_hz: float = 20.0) -> Path:
    """Returns the path of an mp4 file with these RGB frames, written whole or not at all.

    Raises:
        InputError: There are no frames, or the file cannot be written.
    """
    check_video(path)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    writer = None
    # of a disk that is full it would warn at every frame
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            if writer is None:
                size = (frame.shape[1], frame.shape[0])
                # the codec takes no rate that is finer, above some 65 frames a second
                rate = max(0.01, round(rate_hz, 2))
                writer = cv2.VideoWriter(str(unfinished), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                if not writer.isOpened():
                    raise InputError(f"{path}: a video cannot be written there; give another file")
            # OpenCV says nothing of a disk that is full
            if shutil.disk_usage(path.parent).free < frame.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        if writer is None:
            raise InputError(f"{path}: there are no frames for a video")
        writer.release()
        if not _is_whole(unfinished):
            raise InputError(f"{path}: the video could not be written to its end; give another file")
        return unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); give another file") from None
    finally:
        if writer is not None:
            writer.release()
        unfinished.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Returns whether the boxes of an mp4 file end where it ends, the index of its frames among them."""
    size, at, kinds = path.stat().st_size, 0, set()
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(16)
            length = int.from_bytes(head[:4])
            length = int.from_bytes(head[8:]) if length == 1 else length
            if length < 8:
                return False
            kinds.add(head[4:8])
            at += length
    return at == size and b"moov" in kinds

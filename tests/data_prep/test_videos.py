"""Times of frames are those that a video tells, however uneven."""

import struct
from pathlib import Path

import cv2
import numpy as np

from data_prep.videos import frame_times


def with_steps(path: Path, steps: list[tuple[int, float]]) -> Path:
    """Writes an MP4 of frames that follow one another by so many frames of 0.1 s: (frames, steps) in turn."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for number in range(sum(count for count, _ in steps)):
        writer.write(np.full((48, 64, 3), 8 * number, np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") - 4  # the table of times: size, name, version, number of rows, rows
    size, unit = struct.unpack_from(">I", data, at)[0], struct.unpack_from(">I", data, at + 20)[0]
    rows = b"".join(struct.pack(">II", count, round(step * unit)) for count, step in steps)
    table = struct.pack(">I", len(steps)) + rows
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):  # those that hold it grow with it
        begin = data.index(box) - 4
        struct.pack_into(">I", data, begin, struct.unpack_from(">I", data, begin)[0] + len(table) + 12 - size)
    data[at + 12 : at + size] = table
    path.write_bytes(data)
    return path


def test_uneven_times_are_kept_where_two_are_the_same(tmp_path: Path) -> None:
    path = with_steps(tmp_path / "phone.mp4", [(4, 1.0), (1, 0.0), (3, 0.5), (2, 1.0)])
    expected = [0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.45, 0.5, 0.55, 0.65]
    np.testing.assert_allclose(frame_times(path), expected, atol=1e-3)

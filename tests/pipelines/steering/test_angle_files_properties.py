"""Whatever bytes a file of angles holds, it is read, or one line says what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.errors import InputError
from pipelines.steering.angle_files import FrameAngles, read_predicted_angles, read_true_angles

HEADERS = ["frame_id,steering_angle", "frame_id,steering_angle,public", "timestamp,filename,angle,frame_id",
           "frame,time_s,angle_rad,camera,drive"]  # fmt: skip
CELLS = ["frame_id", "steering_angle", "public", "", "1", "0.5", "0", "true", "1e400", "nan", "-inf", "x",
         "a.jpg", "٣", '"a\nb"', "9" * 18, "1" * 400, '"', "\0", "center", "²", "monday~2"]  # fmt: skip
separators = st.sampled_from([",", ";", "\n", "\r\n", "\r", "\t"])
loose = st.lists(st.one_of(st.sampled_from(CELLS), separators), max_size=30).map("".join)


@st.composite
def tables(draw: st.DrawFn) -> str:
    header = draw(st.sampled_from(HEADERS))
    width = header.count(",") + 1
    rows = draw(st.lists(st.lists(st.sampled_from(CELLS), min_size=width, max_size=width), max_size=4))
    return "\n".join([header, *(",".join(row) for row in rows)])


@pytest.mark.parametrize("read", [read_predicted_angles, read_true_angles])
@given(content=st.one_of(st.binary(), loose.map(str.encode), tables().map(str.encode)))
def test_any_bytes_are_read_or_refused(
    tmp_path: Path, read: Callable[[Path], FrameAngles], content: bytes
) -> None:
    path = tmp_path / "angles.csv"
    path.write_bytes(content)
    try:
        found = read(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        return
    assert len(found.frames) == len(found.lines) == len(found.angle_rad) > 0 and all(found.frames)
    assert not np.isinf(found.angle_rad).any()


@given(angles=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_angles_come_back(tmp_path: Path, angles: list[float]) -> None:
    path = tmp_path / "angles.csv"
    lines = ["frame_id,steering_angle", *(f"{place},{angle!r}" for place, angle in enumerate(angles))]
    path.write_text("\n".join(lines))
    assert read_predicted_angles(path).angle_rad.tolist() == angles

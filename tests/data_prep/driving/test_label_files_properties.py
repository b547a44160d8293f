"""Whatever bytes a file of labels holds, it is read, or one line says what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.driving import read_drives
from data_prep.driving.formats import challenge, simulator, sullychen, udacity
from data_prep.driving.label_files import nanoseconds, read_labels
from data_prep.driving.table import DriveTable, read_drive_csv, write_drive_csv
from modules.errors import InputError

CELLS = ["frame", "file", "time_s", "angle_rad", "torque", "speed_mps", "camera", "drive", "frame_id", "",
         "timestamp", "steering_angle", "1", "0.5", "-1e3", "1e400", "nan", "inf", "x", "a/b.jpg", "1_0", "٣",
         '"', '"a\nb"', "\0", "9" * 30, "\ufeff", "²", "center", "monday~2", "12#7"]  # fmt: skip
separators = st.sampled_from([",", ";", "\n", "\r\n", "\r", "\t", " "])
loose = st.lists(st.one_of(st.sampled_from(CELLS), separators), max_size=30).map("".join)


def table(header: str, width: int) -> st.SearchStrategy[str]:
    """Returns texts with that header, whose rows have as many cells as it."""
    rows = st.lists(
        st.lists(st.sampled_from(CELLS), min_size=width, max_size=width).map(",".join), max_size=4
    )
    return rows.map(lambda lines: "\n".join([header, *lines]))


def read_or_refuse(read: Callable[[Path], object], path: Path) -> object:
    try:
        return read(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
        return None


@given(content=st.one_of(st.binary(), loose.map(str.encode), table("a,timestamp", 2).map(str.encode)))
def test_any_bytes_are_labels_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    labels = read_or_refuse(read_labels, path)
    if labels is not None:
        assert len(labels) == len(labels.lines) and {len(row) for row in labels.rows} == {len(labels.header)}
        for name in labels.header:
            numbers = read_or_refuse(lambda _, name=name: labels.numbers(name), path)
            assert numbers is None or not np.isinf(numbers).any()
            read_or_refuse(lambda _, name=name: nanoseconds(labels, name), path)


@pytest.mark.parametrize(
    ("read", "name", "header"),
    [
        (read_drive_csv, "drive.csv", "file,time_s,angle_rad,camera,drive,frame"),
        (udacity.read, "interpolated.csv", "filename,timestamp,angle,frame_id,speed"),
        (challenge.read, "labels.csv", "frame_id,steering_angle"),
        (simulator.read, "driving_log.csv", "center,left,right,steering,throttle,brake,speed"),
        (sullychen.read, "data.txt", ""),
    ],
    ids=["drive", "udacity", "challenge", "simulator", "sullychen"],
)
@given(data=st.data())
def test_any_text_is_drives_or_refused(
    tmp_path: Path, data: st.DataObject, read: Callable[[Path], DriveTable], name: str, header: str
) -> None:
    text = data.draw(st.one_of(loose, table(header, header.count(",") + 1)))
    (tmp_path / name).write_bytes(text.encode())
    root = tmp_path / name if read is read_drive_csv else tmp_path
    found = read_or_refuse(read, root)
    if found is not None:
        assert len(found) and not np.isinf(found.targets()).any()


numbers = st.one_of(st.just(float("nan")), st.floats(allow_infinity=False))
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda t: t == t.strip())


@given(
    rows=st.lists(
        st.tuples(names, st.floats(allow_nan=False, allow_infinity=False), numbers), min_size=1, max_size=5
    )
)
def test_a_drive_csv_comes_back_as_written(tmp_path: Path, rows: list[tuple[str, float, float]]) -> None:
    files, times, angles = zip(*rows, strict=True)
    written = DriveTable.build(tmp_path, file=files, time_s=times, angle_rad=angles, drive='ä, "b"')
    write_drive_csv(written, tmp_path / "drive.csv")
    again = read_drives(tmp_path, "drive")
    for name, column in written.columns().items():
        if name not in ("source", "line"):
            np.testing.assert_array_equal(getattr(again, name), column)

"""A folder that is exported to is there whole or not at all, and nothing stays beside it."""

import os
import signal
from pathlib import Path

import pytest

from data_prep.terminal import run
from modules.errors import InputError
from pipelines.output_files import written_by_one
from pipelines.running.exports import new_folder


def write(output: Path, ended_by: int | None = None) -> None:
    with new_folder(output) as folder:
        (folder / "a.onnx").touch()
        if ended_by is not None:
            os.kill(os.getpid(), ended_by)


@pytest.mark.parametrize(("ended_by", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_export_that_is_stopped_leaves_nothing_behind(tmp_path, ended_by, status):
    before = {number: signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell lets it be ignored
    assert run(lambda: write(tmp_path / "new" / "out", ended_by)) == status
    for number, handler in before.items():
        signal.signal(number, handler)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_goes_with_the_next_of_its_name(tmp_path):
    for name in (".out.4711", ".out.new", ".other.4711"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half.onnx").touch()
    write(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.4711", ".out.new", "out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.onnx"]


def test_two_exports_do_not_write_one_folder(tmp_path):
    (tmp_path / ".out.4711").mkdir()
    with written_by_one(tmp_path / "out", "output"), pytest.raises(InputError, match="another command"):
        write(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [".out.4711"]

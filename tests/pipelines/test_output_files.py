"""Files that commands write: never on what is read, one command each, and one line where they cannot be."""

import os

import pytest

from modules.errors import InputError
from modules.whole_files import write_whole
from pipelines.front_door import run
from pipelines.output_files import drawn_path, outputs, written_by_one


@pytest.fixture
def read(tmp_path):
    """Returns a folder that a command reads, with a table in it."""
    folder = tmp_path / "read"
    folder.mkdir()
    (folder / "labels.csv").write_text("mine")
    return folder


def test_nothing_that_lies_in_what_is_read_is_replaced(read):
    said = r"labels.csv: lies in .*read, where nothing is replaced; .*--output"
    with pytest.raises(InputError, match=said), outputs({"output": read / "labels.csv"}, True, [read]):
        pass
    assert (read / "labels.csv").read_text() == "mine"
    with outputs({"output": read / "new.csv"}, overwrite=False, taken=[read]):
        pass
    assert [path.name for path in read.iterdir()] == ["labels.csv"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path, overwrite):
    os.mkfifo(tmp_path / "pipe")
    said = "pipe: is no regular file; choose another --output"
    with pytest.raises(InputError, match=said), outputs({"output": tmp_path / "pipe"}, overwrite):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_two_outputs_are_two_files(tmp_path):
    twice = {"per_token": tmp_path / "a", "html": tmp_path / "a"}
    with pytest.raises(InputError, match="choose another --"), outputs(twice, overwrite=True):
        pass


def test_an_output_is_held_and_let_go(tmp_path):
    path = tmp_path / "a"
    with (
        outputs({"output": path, "overlay": None}, overwrite=False),
        pytest.raises(InputError, match=f"process {os.getpid()}"),
        written_by_one(path, "output"),
    ):
        pass
    with written_by_one(path, "output"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("written", [False, True])
def test_a_folder_that_was_made_in_vain_goes_again(tmp_path, written):
    (tmp_path / "old").mkdir()
    files = {"midi": tmp_path / "new" / "deep" / "tune.mid", "wav": tmp_path / "old" / "tune.wav"}
    with pytest.raises(InputError, match="no model"), outputs(files, None):
        assert files["midi"].parent.is_dir()
        if written:
            write_whole(files["midi"], b"notes")
        raise InputError("no model")
    assert files["midi"].exists() == (tmp_path / "new").exists() == written
    assert (tmp_path / "old").is_dir()


def test_a_file_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "report.html").mkdir()
    assert run(lambda: bool(write_whole(tmp_path / "report.html", b"page"))) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'report.html'}: cannot be read or written (Is a directory)" in error
    assert error.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("suffix", [".attention.jpg", ".trace.png"])
def test_what_is_drawn_has_a_name_that_fits_and_stays_in_its_folder(tmp_path, suffix):
    dog = "犬" * 84
    for name in ("dog.jpg", f"{dog}.jpg", f"a/{dog}.j", "../../x.png", "/etc/x.png", "nul\0x.png"):
        path = drawn_path(tmp_path, name, suffix)
        assert path.is_relative_to(tmp_path) and ".." not in path.parts and path.name.endswith(suffix)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    assert drawn_path(tmp_path, f"{dog}1.j", suffix) != drawn_path(tmp_path, f"{dog}2.j", suffix)

"""Folders of files: what is listed, in which order, and what is refused; texts that are no JSON or YAML."""

from pathlib import Path

import pytest

from data_prep.input_files import list_files, list_undrawn, read_json, read_jsonl, read_yaml
from modules.errors import InputError


def test_list_files_walks_sorted_and_passes_over_what_is_hidden(tmp_path: Path) -> None:
    names = [
        "b.JPG",
        "a.png",
        "sub/deep/c.webp",
        "sub/a.tiff",
        ".hidden.jpg",
        ".cache/d.jpg",
        "notes.txt",
        "Z.heic",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub/again").symlink_to(tmp_path)
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "folder.jpg").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path)]
    in_the_folder = ["Z.heic", "a.png", "b.JPG", "broken.jpg", "circle.jpg", "notes.txt"]
    assert found == [*in_the_folder, "sub/a.tiff", "sub/deep/c.webp"]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_bytes(b"")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere")
    assert list_files(tmp_path / "here") == [tmp_path / "here/link/a.jpg"]


def test_wrong_folders_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    for folder, reason in (
        ("absent", "no such"),
        ("a.txt", "is a file"),
        ("empty", "is empty"),
    ):
        with pytest.raises(InputError, match=reason):
            list_files(tmp_path / folder)


def test_what_was_drawn_there_is_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("a.png", "sub/a.png.attention.jpg", "b.png.trace.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    kept = list_undrawn(tmp_path, ".attention.jpg")
    assert [path.name for path in kept] == ["a.png", "b.png.trace.gif"]
    assert capsys.readouterr().err == f"note: {tmp_path}: 1 drawn pictures (*.attention.jpg) are left out\n"
    assert list_undrawn(tmp_path, ".trace.gif", ".attention.jpg") == [tmp_path / "a.png"]
    with pytest.raises(InputError, match="holds only 1 drawn pictures"):
        list_undrawn(tmp_path / "sub", ".attention.jpg")


def test_sidecars_of_photographs_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("a.jpg", "a.jpg.xmp", "b.HEIC", "b.AAE", "b.XMP", "c.jpg.attention.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in list_undrawn(tmp_path, ".attention.jpg")] == ["a.jpg", "b.HEIC"]
    drawn, sidecars = capsys.readouterr().err.splitlines()
    assert "1 drawn pictures" in drawn
    assert sidecars == f"note: {tmp_path}: 3 sidecars of photographs (*.xmp, *.aae) are left out"


@pytest.mark.parametrize("read", [read_json, lambda path: list(read_jsonl(path)), read_yaml])
@pytest.mark.parametrize("value", ["9" * 5000, "[" * 50_000])
def test_what_a_parser_gives_up_on_is_one_line(tmp_path: Path, read, value: str) -> None:
    (tmp_path / "a").write_text(f'{{"a": {value}}}')
    with pytest.raises(InputError, match=f"{tmp_path}/a.*: is no (JSON|YAML)") as error:
        read(tmp_path / "a")
    assert "\n" not in str(error.value)


def test_a_date_that_is_none_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("day: 2024-13-45")
    with pytest.raises(InputError, match=r"is no YAML that can be read .*month"):
        read_yaml(tmp_path / "a")

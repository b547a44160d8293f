"""Folders of files: what is listed, in which order, and what is refused."""

from pathlib import Path

import pytest

from data_prep.input_files import list_files
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
    (tmp_path / "folder.jpg").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path)]
    assert found == ["Z.heic", "a.png", "b.JPG", "broken.jpg", "notes.txt", "sub/a.tiff", "sub/deep/c.webp"]


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

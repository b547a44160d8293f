"""What of an archive is a picture, and what only accompanies one."""

import io
import tarfile
import zipfile

import pytest

from data_prep.captions.archives import Archive, pictures_among


def taken(*names):
    return [name for name, _ in pictures_among((name, None) for name in names)]


def test_of_a_webdataset_sample_only_the_picture_is_taken():
    shard = ["000.cls", "000.jpg", "000.json", "000.txt", "001.json", "001.seg.png", "001.webp"]
    assert taken(*shard) == ["000.jpg", "001.seg.png", "001.webp"]


def test_what_has_no_name_is_no_picture():
    assert taken("", "/", "a.png") == ["a.png"]


def test_what_stands_beside_no_picture_of_its_name_keeps_its_row():
    assert taken("notes.txt", "a/0.jpg", "b/0.txt", "0.bin") == ["notes.txt", "a/0.jpg", "b/0.txt", "0.bin"]


def test_what_is_hidden_is_passed_over_and_what_comes_twice_is_one():
    assert taken("__MACOSX/a.png", ".b.png", "c.png", "d/.e/f.png", "c.png") == ["c.png"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_contents_come_in_one_pass(mode):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, data in {"a.png": b"one", "b.png": b""}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("c.png")
        link.type, link.linkname = tarfile.LNKTYPE, "a.png"
        tar.addfile(link)
    assert dict(Archive(stream).contents()) == {"a.png": b"one", "b.png": b"", "c.png": b"one"}


def test_a_tar_that_ends_in_a_zip_is_a_tar():
    inner, stream = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("inside.png", b"three")
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in {"a.png": b"one", "b.zip": inner.getvalue()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    assert list(Archive(stream).names()) == ["a.png", "b.zip"]
    assert list(Archive(inner).names()) == ["inside.png"]


def test_members_are_found_by_name_without_going_through_all_of_them(monkeypatch):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for data in (b"one", b"two"):  # of two of one name the last one counts, as when it is unpacked
            entry = tarfile.TarInfo("a.png")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    monkeypatch.setattr(tarfile.TarFile, "getmember", None)  # compares one name after the other
    archive = Archive(stream)
    assert archive.bytes_of("a.png") == b"two"
    with pytest.raises(KeyError):
        archive.bytes_of("b.png")

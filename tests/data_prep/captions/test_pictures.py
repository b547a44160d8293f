"""Pictures wherever they lie: each is found once, under a name of its own, and read as its file would be."""

import io
import pickle
import tarfile
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from data_prep.captions.pictures import Picture, PictureReader, list_pictures
from modules.errors import InputError
from modules.images import UnreadableImage


def png(grey):
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (grey,) * 3).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "album" / "deep").mkdir(parents=True)
    (tmp_path / "album" / "b.png").write_bytes(png(20))
    (tmp_path / "album" / "deep" / "a.png").write_bytes(png(10))
    return tmp_path / "album"


def greys(pictures):
    reader = PictureReader()
    return {picture.name: int(reader.read(picture)[0].mean()) for picture in pictures}


def test_a_folder_alone_names_its_pictures_from_itself(folder):
    assert greys(list_pictures([folder])) == {"b.png": 20, "deep/a.png": 10}


def test_several_inputs_keep_their_pictures_apart_and_name_each_once(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.png").write_bytes(png(30))
    found = greys(list_pictures([folder, other, folder / "b.png"]))
    assert found == {f"{folder}/b.png": 20, f"{folder}/deep/a.png": 10, f"{other}/b.png": 30}


def test_a_list_has_paths_from_its_own_folder(folder, tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_text(f"# mine\nalbum/b.png\n\n{folder}/deep/a.png\nalbum/none.png\n")
    pictures = list_pictures([listing])
    assert greys(pictures[:2]) == {"album/b.png": 20, f"{folder}/deep/a.png": 10}
    with pytest.raises(UnreadableImage, match="No such file"):
        PictureReader().read(pictures[2])


def test_two_lists_that_name_alike_what_lies_in_their_folders_lose_nothing(folder):
    (folder / "b.txt").write_text("b.png\n")
    (folder / "deep" / "b.png").write_bytes(png(30))
    (folder / "deep" / "b.txt").write_text("b.png\n")
    found = greys(list_pictures([folder / "b.txt", folder / "deep" / "b.txt"]))
    assert found == {f"{folder}/b.png": 20, f"{folder}/deep/b.png": 30}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_archives_are_read_in_any_order_and_in_other_processes(tmp_path, suffix):
    path = tmp_path / f"album{suffix}"
    members = {"two/b.png": png(20), "a.png": png(10), "broken.png": b"no picture"}
    hidden = {"__MACOSX/._a.png": b"?", ".DS_Store": b"?"}
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (members | hidden).items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as tar:
            for name, data in (members | hidden).items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    pictures = list_pictures([path])
    assert [picture.name for picture in pictures] == list(members)
    assert greys(pictures[1::-1]) == {"two/b.png": 20, "a.png": 10}
    reader = PictureReader()
    reader.read(pictures[0])
    assert int(pickle.loads(pickle.dumps(reader)).read(pictures[1])[0].mean()) == 10
    with pytest.raises(UnreadableImage, match="is no image"):
        reader.read(pictures[2])
    with pytest.raises(UnreadableImage, match="cannot be read from the archive"):
        reader.read(Picture("gone.png", path, "gone.png"))


def tar_of(members):
    """Returns an archive of files; of two equal ones the second is a link to the first, as in tar."""
    stream, first = io.BytesIO(), {}
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            if data in first:
                entry.type, entry.linkname = tarfile.LNKTYPE, first[data]
            else:
                entry.size, first[data] = len(data), name
            tar.addfile(entry, io.BytesIO(data) if entry.size else None)
    return stream.getvalue()


def test_a_picture_that_tar_stored_once_for_two_names_is_two(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_of({"a.png": png(10), "b.png": png(10)}))
    assert greys(list_pictures([tmp_path / "a.tar"])) == {"a.png": 10, "b.png": 10}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda data, second: data[:second] + b"x" * 9 + data[second + 9 :], "bad checksum"),
        (lambda data, second: data[: second + 99], "truncated header"),
        (lambda data, second: data[:second], "empty header"),
        (lambda data, second: data[: second + 560], "unexpected end of data"),
    ],
)
def test_a_tar_that_is_damaged_amid_is_not_taken_for_one_that_ends_there(tmp_path, harm, said):
    data = tar_of({"a.png": png(10), "b.png": png(20)})
    (tmp_path / "a.tar").write_bytes(harm(data, data.index(b"b.png")))
    with pytest.raises(InputError, match=f"a.tar: a damaged archive .*{said}"):
        list_pictures([tmp_path / "a.tar"])


def zip_of(method, *names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in names:
            archive.writestr(name, np.random.default_rng(0).bytes(3000) + bytes(3000))
    return stream.getvalue()


def test_a_zip_whose_names_are_damaged_is_one_line(tmp_path):
    names = zip_of(zipfile.ZIP_STORED, "é.png", "b.png").replace("é".encode(), b"\xff\xff")
    (tmp_path / "a.zip").write_bytes(names)
    with pytest.raises(InputError, match=r"a.zip: a damaged archive"):
        list_pictures([tmp_path / "a.zip"])


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_cannot_be_unpacked_is_one_picture_less(tmp_path, method):
    data = bytearray(zip_of(method, "a.png"))
    data[60:1000] = bytes(940)
    (tmp_path / "a.zip").write_bytes(data)
    (picture,) = list_pictures([tmp_path / "a.zip"])
    with pytest.raises(UnreadableImage, match=r"a.png: cannot be read from the archive"):
        PictureReader().read(picture)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_a_compressed_tar_that_is_damaged_is_one_line(tmp_path, mode):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name in ("a.png", "b.png"):
            entry = tarfile.TarInfo(name)
            entry.size = 90_000
            tar.addfile(entry, io.BytesIO(np.random.default_rng(0).bytes(entry.size)))
    data = bytearray(stream.getvalue())
    data[9000:60_000] = bytes(51_000)
    path = tmp_path / f"a.tar.{mode[2:]}"
    path.write_bytes(data)
    with pytest.raises(InputError, match="a damaged archive"):
        list_pictures([path])


def test_a_member_larger_than_any_picture_is_not_unpacked(tmp_path):
    entry = tarfile.TarInfo("a.png")
    # as a sparse file of 100 GB that holds nothing
    entry.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0"}
    entry.pax_headers |= {"GNU.sparse.size": str(10**11), "GNU.sparse.numblocks": "1"}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry)
    (picture,) = list_pictures([tmp_path / "a.tar"])
    with pytest.raises(UnreadableImage, match=r"a.png: cannot be read from the archive .*100,000,000,000"):
        PictureReader().read(picture)


def test_a_videos_frames_have_their_times(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (32, 32))
    for number in range(25):
        writer.write(np.full((32, 32, 3), number * 10, np.uint8))
    writer.release()
    pictures = list_pictures([path], every=1.0)
    assert [picture.time for picture in pictures] == [0.0, 1.0, 2.0]
    assert [picture.name for picture in pictures][1] == "clip.avi#00:00:01.000"
    found = list(greys(pictures[::-1]).values())
    assert np.allclose(found, [200, 100, 0], atol=4)
    assert len(list_pictures([path], every=0.01)) == 25
    assert len(list_pictures([path], every=100)) == 1
    with pytest.raises(UnreadableImage, match="is a video; --images VIDEO captions frames"):
        PictureReader().read(*list_pictures([tmp_path]))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.jpg", None, "no such file or folder"),
        ("empty.txt", b"# nothing\n", "names no picture"),
        ("zero.txt", b"a\0.jpg\n", "holds zero bytes"),
        ("album.zip", b"PK\x03\x04 cut", "no zip or tar archive"),
        ("album.tar.gz", b"\x1f\x8b", "a damaged archive"),
        ("clip.mp4", b"no video", "is no video that can be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        list_pictures([path])
    assert str(error.value).startswith(str(path))


def test_frames_need_a_time_between_them(tmp_path):
    with pytest.raises(InputError, match="every is 0"):
        list_pictures([tmp_path], every=0.0)

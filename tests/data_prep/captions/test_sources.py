"""Pictures on any file system: named as those of a folder here, and none is lost behind a damaged one."""

import io
import tarfile

import fsspec
import pytest
from PIL import Image

from data_prep.captions.pictures import list_pictures
from data_prep.captions.sources import list_sources, read_share
from modules.errors import InputError


def png(grey):
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (grey,) * 3).save(stream, "PNG")
    return stream.getvalue()


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture(params=["memory", "here"])
def place(request, tmp_path):
    """Returns a function that writes files below a root, and the root."""
    root = f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path)
    system, path = fsspec.core.url_to_fs(root)

    def write(files):
        for name, data in files.items():
            system.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
            system.pipe_file(f"{path}/{name}", data)
        return root

    yield write
    system.rm(path, recursive=True)


def read(sources, size=2):
    shares = sources.shares(size)
    assert all(len(share) <= size for share in shares)
    return [picture for share in shares for picture in read_share(share, None)]


def greys(pictures):
    return {p.name: int(p.image.mean()) for p in pictures if p.image is not None}


def test_a_folder_alone_names_its_pictures_from_itself(place):
    root = place({"b.png": png(20), "deep/a.png": png(10), ".hidden.png": png(1), "x.txt": b"words"})
    pictures = read(list_sources([root]))
    assert greys(pictures) == {"b.png": 20, "deep/a.png": 10}
    (wrong,) = (p for p in pictures if p.image is None)
    assert wrong.name == "x.txt" and "no image" in wrong.wrong and not wrong.is_archive


def test_several_inputs_keep_their_pictures_apart_and_name_each_once(place):
    root = place({"one/b.png": png(20), "two/b.png": png(30)})
    found = greys(read(list_sources([f"{root}/one", f"{root}/two", f"{root}/one/b.png"])))
    assert found == {f"{root}/one/b.png": 20, f"{root}/two/b.png": 30}


def test_a_list_names_pictures_and_archives_from_its_own_folder(place):
    root = place({"b.png": png(20), "s/0.tar": tar_of({"a.png": png(10)})})
    place({"list.txt": f"# mine\nb.png\n\ns/0.tar\n{root}/b.png\nnone.png\n".encode()})
    pictures = read(list_sources([f"{root}/list.txt"]))
    assert greys(pictures) == {"b.png": 20, f"{root}/b.png": 20, "s/0.tar/a.png": 10}
    (wrong,) = (p for p in pictures if p.image is None)
    assert wrong.name == "none.png" and wrong.wrong


def test_two_lists_that_name_alike_what_lies_in_their_folders_lose_nothing(place):
    lists = {"a/list.txt": "b.png\n0.tar\n".encode("utf-8-sig"), "c/list.txt": b"b.png\n0.tar\n"}
    root = place({**lists, "a/b.png": png(10), "c/b.png": png(20)})
    place({"a/0.tar": tar_of({"d.png": png(30)}), "c/0.tar": tar_of({"d.png": png(40)})})
    found = greys(read(list_sources([f"{root}/{name}" for name in lists])))
    wanted = {"a/b.png": 10, "c/b.png": 20, "a/0.tar/d.png": 30, "c/0.tar/d.png": 40}
    assert found == {f"{root}/{name}": grey for name, grey in wanted.items()}


def test_what_was_drawn_of_attention_is_no_picture_of_a_folder(place):
    root = place({"b.png": png(20), "b.png.attention.jpg": png(30)})
    assert greys(read(list_sources([root]))) == {"b.png": 20}


def test_shards_in_a_folder_are_read_as_if_they_were_named(place):
    members = {"000.jpg": png(10), "000.json": b"{}", "001.png": png(20)}
    root = place({"0.tar": tar_of(members), "1.tar": tar_of({"a.png": png(30)})})
    expected = {"0.tar/000.jpg": 10, "0.tar/001.png": 20, "1.tar/a.png": 30}
    assert greys(read(list_sources([root]))) == expected
    alone = greys(read(list_sources([f"{root}/0.tar"])))
    assert alone == {"000.jpg": 10, "001.png": 20}


def test_names_are_those_of_the_local_engine(tmp_path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "b.png").write_bytes(png(20))
    (tmp_path / "0.tar").write_bytes(tar_of({"a.png": png(10), "a.txt": b"words", "c.txt": b"words"}))
    for inputs in ([tmp_path / "album", tmp_path / "0.tar"], [tmp_path / "0.tar"], [tmp_path / "album"]):
        found = [picture.name for picture in read(list_sources([str(each) for each in inputs]))]
        assert sorted(found) == sorted(picture.name for picture in list_pictures(inputs))


def test_an_address_may_be_a_pattern():
    system = fsspec.filesystem("memory")
    for number in range(3):
        system.pipe_file(f"/shards/{number}.tar", tar_of({"a.png": png(number)}))
    try:
        found = list_sources(["memory://shards/*.tar"]).archives
        assert len(found) == 3 and all(place.endswith(".tar") for place in found.values())
        with pytest.raises(InputError, match="no such file"):
            list_sources(["memory://shards/*.zip"])
    finally:
        system.rm("/shards", recursive=True)


@pytest.mark.parametrize(
    "harm", [lambda data, at: data[:at], lambda data, at: data[:at] + b"x" * 9 + data[at + 9 :]]
)
def test_of_a_damaged_shard_all_before_the_damage_is_kept_and_the_shard_is_named(place, harm):
    data = tar_of({"a.png": png(10), "b.png": png(20), "c.png": png(30)})
    root = place({"0.tar": harm(data, data.index(b"c.png")), "1.tar": tar_of({"a.png": png(40)})})
    pictures = read(list_sources([root]))
    assert greys(pictures) == {"0.tar/a.png": 10, "0.tar/b.png": 20, "1.tar/a.png": 40}
    (damaged,) = (p for p in pictures if p.is_archive)
    assert damaged.name == f"{root}/0.tar" and "first 2 pictures" in damaged.wrong


@pytest.mark.parametrize("data", [b"", b"no archive", tar_of({})])
def test_a_shard_without_pictures_is_named(place, data):
    root = place({"0.tar": data, "a.png": png(10)})
    (damaged,) = (p for p in read(list_sources([root])) if p.is_archive)
    assert damaged.name == f"{root}/0.tar" and damaged.wrong


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("memory://nowhere", "no such file or folder"),
        ("/nowhere/at/all", "no such file or folder"),
        ("nosuch://bucket/a", "cannot be reached .*nosuch"),
        ("memory://films/a.mp4", "is a video"),
        ("memory://films/empty.txt", "names no picture"),
    ],
)
def test_what_cannot_be_read_is_named(given, said):
    system = fsspec.filesystem("memory")
    system.pipe_file("/films/a.mp4", b"film")
    system.pipe_file("/films/empty.txt", b"# nothing\n")
    try:
        with pytest.raises(InputError, match=f"^{given}: .*{said}"):
            list_sources([given])
    finally:
        system.rm("/films", recursive=True)

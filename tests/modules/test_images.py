"""Every kind of image people have decodes to what one sees; everything else is one clear line."""

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.images import CutImage, UnreadableImage, decode_image, read_as_shown, read_image


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture whose four corners differ, so that any turn or swap of channels shows."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    channels = [255 * y / height, 255 * x / width, 255 - 200 * y * x / (height * width)]
    return np.stack(channels, axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def close(image: np.ndarray, expected: np.ndarray, within: float = 6.0) -> bool:
    return (
        image.shape == expected.shape
        and image.dtype == np.uint8
        and float(np.abs(image.astype(int) - expected.astype(int)).mean()) < within
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "PPM"])
def test_formats_decode_to_the_picture(kind: str) -> None:
    image = Image.fromarray(picture())
    assert close(decode_image(encoded(image, kind), "x"), picture())


def test_grey_bilevel_palette_and_cmyk_become_rgb() -> None:
    image = Image.fromarray(picture())
    grey = np.repeat(np.asarray(image.convert("L"))[:, :, None], 3, axis=2)
    assert close(decode_image(encoded(image.convert("L"), "JPEG"), "x"), grey)
    assert close(decode_image(encoded(image.convert("P"), "PNG"), "x"), picture(), within=30)
    assert close(decode_image(encoded(image.convert("CMYK"), "JPEG", quality=95), "x"), picture())
    assert close(decode_image(encoded(image.convert("CMYK"), "TIFF"), "x"), picture())
    bilevel = decode_image(encoded(image.convert("1"), "PNG"), "x")
    assert bilevel.shape == (48, 64, 3) and set(np.unique(bilevel)) == {0, 255}


def test_transparency_is_composited_on_white() -> None:
    red = np.zeros((2, 2, 4), np.uint8)
    red[..., 0] = 200
    red[..., 3] = [[255, 0], [0, 128]]
    decoded = decode_image(encoded(Image.fromarray(red), "PNG"), "x")
    assert decoded[0, 0].tolist() == [200, 0, 0]
    assert decoded[0, 1].tolist() == [255, 255, 255]
    assert abs(int(decoded[1, 1, 1]) - 127) <= 1

    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    decoded = decode_image(encoded(palette, "PNG", transparency=1), "x")
    assert decoded[0].tolist() == [[10, 20, 30], [255, 255, 255]]

    grey_alpha = Image.fromarray(np.array([[[50, 255], [50, 0]]], np.uint8), "LA")
    assert decode_image(encoded(grey_alpha, "PNG"), "x")[0].tolist() == [[50] * 3, [255] * 3]


def test_sixteen_bits_keep_their_whole_range() -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    for kind in ("PNG", "TIFF", "PPM"):
        data = encoded(Image.fromarray(values), kind)
        assert decode_image(data, "x")[0, :, 0].tolist() == [0, 1, 128, 255], kind
    rgb16 = png_of_rgb16(np.array([[[65535, 0, 32768]]], np.uint16))
    assert decode_image(rgb16, "x")[0, 0].tolist() == [255, 0, 128]
    floats = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert decode_image(encoded(floats, "TIFF"), "x")[0, :, 1].tolist() == [0, 128, 255]


def png_of_rgb16(values: np.ndarray) -> bytes:
    """Pillow writes no 16-bit colour, so the file is made by hand."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert close(decode_image(data, "x"), np.full((8, 8, 3), (250, 0, 0), np.uint8))


# how a camera stores the upright picture under each orientation: the inverse of what the reader has to do
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_honoured(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](picture())))
    assert close(decode_image(encoded(stored, kind, exif=exif), "x"), picture())
    reduced = decode_image(encoded(stored, kind, exif=exif), "x", minimum_size=24)
    assert reduced.shape == ((24, 32, 3) if kind == "JPEG" else (48, 64, 3))


def test_turned_sixteen_bit_grey() -> None:
    values = np.linspace(0, 65535, 6).reshape(2, 3).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_image(encoded(Image.fromarray(np.rot90(values).copy()), "PNG", exif=exif), "x")
    assert decoded[..., 0].tolist() == np.rint(values / 257).astype(int).tolist()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # pytest undoes the filter of modules.images
def test_broken_exif_does_not_lose_the_picture() -> None:
    data = encoded(Image.fromarray(picture()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert close(decode_image(data, "x"), picture())


def test_minimum_size_keeps_the_short_side_at_least_that_long() -> None:
    data = encoded(Image.fromarray(picture(480, 720)), "JPEG", quality=95)
    for minimum, expected in ((480, (480, 720)), (241, (480, 720)), (240, (240, 360)), (50, (60, 90))):
        assert decode_image(data, "x", minimum_size=minimum).shape[:2] == expected
    assert close(decode_image(data, "x", minimum_size=60), picture(60, 90))


def test_path_and_bytes_agree(tmp_path: Path) -> None:
    data = encoded(Image.fromarray(picture()), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    assert np.array_equal(read_image(tmp_path / "a.jpg"), decode_image(data, "a.jpg"))
    assert read_image(str(tmp_path / "a.jpg")).flags.writeable


def bomb() -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


WHOLE_JPEG = encoded(Image.fromarray(picture(200, 300)), "JPEG")
WHOLE_PNG = encoded(Image.fromarray(picture()), "PNG")
UNREADABLE = {
    "empty": (b"", "empty"),
    "text": (b"this is no picture at all\n", "no image"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50, "HEIC"),
    "header only": (WHOLE_JPEG[:100], "damaged"),
    "half a jpeg": (WHOLE_JPEG[: len(WHOLE_JPEG) // 2], "truncated"),
    "jpeg less its end": (WHOLE_JPEG[:-40], "truncated"),
    "half a png": (WHOLE_PNG[: len(WHOLE_PNG) // 2], "damaged"),
    "bomb": (bomb(), "pixels"),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
        "PostScript",
    ),
}


def test_a_jpeg_that_lacks_its_end_is_what_viewers_show(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    for less, rows in ((1, 200), (2, 200), (len(WHOLE_JPEG) // 4, 96)):
        (tmp_path / "x.jpg").write_bytes(WHOLE_JPEG[:-less])
        shown, wrong = read_as_shown(tmp_path / "x.jpg")
        whole = decode_image(WHOLE_JPEG, "x")
        assert "truncated" in wrong and shown.shape == whole.shape
        assert np.array_equal(shown[:rows], whole[:rows])
        with pytest.raises(CutImage, match="truncated") as caught:
            read_image(tmp_path / "x.jpg")
        copy = pickle.loads(pickle.dumps(caught.value))
        assert np.array_equal(copy.image, shown) and copy.reason == wrong
    assert (shown[-8:] == shown[-1, -1]).all()
    # of a half there is no caption
    (tmp_path / "x.jpg").write_bytes(WHOLE_JPEG[: len(WHOLE_JPEG) // 3])
    with pytest.raises(UnreadableImage) as failed:
        read_as_shown(tmp_path / "x.jpg")
    assert not isinstance(failed.value, CutImage) and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_is_one_line_and_no_noise(case: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    data, reason = UNREADABLE[case]
    (tmp_path / "x.jpg").write_bytes(data)
    for read in (
        lambda: decode_image(data, "x.jpg"),
        lambda: read_image(tmp_path / "x.jpg", minimum_size=32),
    ):
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read()
        assert "x.jpg" in str(caught.value) and "\n" not in str(caught.value)
        assert "x.jpg" not in caught.value.reason
    assert capfd.readouterr() == ("", "")


def test_corrupt_middle_makes_no_noise(capfd: pytest.CaptureFixture) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 300, dtype=np.uint8).tobytes()
    middle = len(WHOLE_JPEG) // 2
    data = WHOLE_JPEG[:middle] + noise + WHOLE_JPEG[middle + 300 :]
    try:
        assert decode_image(data, "x").shape == (200, 300, 3)
    except UnreadableImage as error:
        assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_file_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, reason in (("folder.jpg", "folder"), ("pipe.jpg", "regular"), ("absent.jpg", "No such file")):
        with pytest.raises(UnreadableImage, match=reason):
            read_image(tmp_path / name)

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "private.jpg").write_bytes(WHOLE_JPEG)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableImage, match="Permission denied"):
        read_image(tmp_path / "private.jpg")


def test_failure_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "is\nbroken")))
    assert (str(error), error.reason) == ("a.jpg: is broken", "is broken")


def test_what_phones_write_is_read_where_the_package_for_it_is(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    upright = picture(64, 96)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.rot90(upright))
    heif.from_pillow(stored).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    found = read_image(tmp_path / "a.heic")
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 12

"""Any image file people have, as one array: (Hh, Ww, 3), uint8, RGB, upright.

Training and prediction both decode here, so that a photograph means the same numbers in both. Pillow does the
decoding: it handles every case below, fails cleanly on damaged files and writes nothing to stderr. OpenCV's
JPEG decoder, otherwise equal to the bit, leaves libjpeg's remarks on the terminal.
"""

import io
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from modules.errors import InputError

# remarks on broken metadata and large sizes: what matters is raised, the rest is noise on the terminal
warnings.filterwarnings("ignore", module=r"PIL\.")

# EXIF orientation -> what makes the picture upright (EXIF 2.32, tag 274)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_JPEG_BEGINS, _JPEG_ENDS = b"\xff\xd8", b"\xff\xd9"


class UnreadableImage(InputError):
    """A file is no image that can be shown; `reason` says why in one line, `str()` has the name too."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = " ".join(reason.split())

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class CutImage(UnreadableImage):
    """A JPEG lacks its end; `image` is what viewers show of it, where that is more than half."""

    def __init__(self, name: str, reason: str, image: np.ndarray) -> None:
        super().__init__(name, reason)
        self.args = (name, reason, image)
        self.image = image


def read_image(path: Path | str, minimum_size: int | None = None) -> np.ndarray:
    """Returns the image file as (Hh, Ww, 3) uint8 RGB, upright, composited on white, first frame.

    UnreadableImage for anything that cannot be decoded whole; CutImage for a JPEG of which most is there.

    Args:
        path: any file.
        minimum_size: for JPEG, decode at the smallest of 1/1, 1/2, 1/4, 1/8 of the size whose short side
            still has this many pixels; several times faster on large photographs.
    """
    path = Path(path)
    try:
        # opening a named pipe would wait for ever
        if path.exists() and not path.is_file():
            raise UnreadableImage(str(path), "is a folder" if path.is_dir() else "is no regular file")
        with path.open("rb") as stream:
            return _decode(stream, str(path), minimum_size)
    except OSError as error:
        raise UnreadableImage(str(path), error.strerror or str(error)) from None


def read_as_shown(path: Path | str, minimum_size: int | None = None) -> tuple[np.ndarray, str]:
    """Returns what `read_image` does, or what viewers show of a JPEG that lacks its end; and what is wrong.

    Args:
        path: any file.
        minimum_size: as in `read_image`.
    """
    try:
        return read_image(path, minimum_size), ""
    except CutImage as error:
        return error.image, error.reason


def decode_as_shown(data: bytes, name: str, minimum_size: int | None = None) -> tuple[np.ndarray, str]:
    """Returns what `read_as_shown` does, from the bytes of a file; `name` stands in a failure's message."""
    try:
        return decode_image(data, name, minimum_size), ""
    except CutImage as error:
        return error.image, error.reason


def decode_image(data: bytes, name: str, minimum_size: int | None = None) -> np.ndarray:
    """Returns what `read_image` does, from the bytes of a file; `name` stands in the message of a failure."""
    return _decode(io.BytesIO(data), name, minimum_size)


def rgb_image(pixels: np.ndarray, name: str) -> np.ndarray:
    """Returns a grey (Hh, Ww), RGB or RGBA (Hh, Ww, C) uint8 array as `read_image` does the file of it.

    UnreadableImage for an array of another shape or type.
    """
    is_image = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if not is_image or pixels.dtype != np.uint8 or not pixels.size:
        shape = tuple(pixels.shape)
        raise UnreadableImage(name, f"is {pixels.dtype} {shape}; uint8 RGB (height, width, 3) is needed")
    return _upright_rgb(Image.fromarray(pixels))


def _decode(stream: io.BufferedReader | io.BytesIO, name: str, minimum_size: int | None) -> np.ndarray:
    try:
        return _decode_whole(stream, name, minimum_size)
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(name, _what_it_is(stream)) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(name, f"has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels") from None
    except MemoryError:
        raise UnreadableImage(name, "needs more memory than there is") from None
    except Exception as error:
        # damaged files make decoders raise whatever comes up: OSError, SyntaxError, struct.error, ...
        reason = f"is damaged ({str(error) or type(error).__name__})"
        shown = _what_is_there(stream, name, minimum_size) if "truncated" in reason else None
        if shown is not None:
            raise CutImage(name, reason, shown) from None
        raise UnreadableImage(name, reason) from None


def _decode_whole(stream: io.BufferedReader | io.BytesIO, name: str, minimum_size: int | None) -> np.ndarray:
    if _is_heic(stream.read(12)):
        _learn_heic()
    stream.seek(0)
    with Image.open(stream) as image:
        if image.format == "EPS":
            # Pillow would start Ghostscript on it: no program is run on a picture's say
            raise UnreadableImage(name, "is PostScript, not a picture")
        if minimum_size is not None:
            image.draft(None, (minimum_size, minimum_size))
        image.load()
        return _upright_rgb(image)


def _what_is_there(
    stream: io.BufferedReader | io.BytesIO, name: str, minimum_size: int | None
) -> np.ndarray | None:
    """Returns a JPEG that lacks its end as viewers show it, grey below; None where that is half or more."""
    stream.seek(0)
    data = stream.read()
    if not data.startswith(_JPEG_BEGINS):
        return None
    try:
        with Image.open(io.BytesIO(data + _JPEG_ENDS)) as image:
            if minimum_size is not None:
                image.draft(None, (minimum_size, minimum_size))
            stored = np.asarray(image.convert("RGB"))
            rows = (stored != stored[-1, -1]).any(axis=(1, 2))
            return _upright_rgb(image) if rows.nonzero()[0].max(initial=-1) + 1 > len(rows) / 2 else None
    except Exception:  # as above
        return None


def _upright_rgb(image: Image.Image) -> np.ndarray:
    turn = _UPRIGHT.get(_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    if upright.mode == "F" or upright.mode.startswith("I"):
        grey = _eight_bit(np.asarray(upright))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        straight = upright.convert("LA") if upright.mode == "La" else upright
        alpha = straight.convert("RGBA")
        white = Image.new("RGBA", alpha.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, alpha)
    return np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    # asked after loading: Pillow turns TIFF itself and then drops the tag
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1  # broken EXIF says nothing; the picture itself is whole


def _eight_bit(values: np.ndarray) -> np.ndarray:
    """Returns grey values of any depth as uint8.

    16-bit integers span 0..65535 by their type. Where the type does not tell the range (32 bits, floats), the
    largest value does. The range is the smallest of 0..1 (floats), 0..255, 0..65535 that holds it, or else
    ends there.
    """
    if values.dtype.itemsize == 2:
        top = 65535.0
    else:
        ranges = [1.0, 255.0, 65535.0] if values.dtype.kind == "f" else [255.0, 65535.0]
        values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
        largest = float(values.max())
        top = next((limit for limit in ranges if largest <= limit), largest)
    return np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)


def _what_it_is(stream: io.BufferedReader | io.BytesIO) -> str:
    stream.seek(0)
    head = stream.read(12)
    if not head:
        return "the file is empty"
    if _is_heic(head):
        return "is HEIC, which needs one more package: pip install pillow-heif"
    return "is no image in a known format"


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1")


@cache
def _learn_heic() -> None:
    """Lets Pillow read what phones write, where the package for it is installed."""
    with suppress(ImportError):
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]

        pillow_heif.register_heif_opener()

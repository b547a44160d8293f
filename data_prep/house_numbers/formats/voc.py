"""Boxes of digits in the XML of Pascal VOC, as labelling programs write them.

    DIR/Annotations/*.xml       one a picture: <filename>, and an <object> with <name> and <bndbox> a digit
    DIR/JPEGImages/*            the pictures (or DIR/images, or DIR)

The digits of a picture are read from left to right. Pictures are divided 80/10/10 by a hash of their names.
"""

from pathlib import Path
from xml.etree import ElementTree

from data_prep.house_numbers.formats.svhn import Digit, finite, joined
from data_prep.house_numbers.records import NumberRecord, NumberTable, picture_files
from data_prep.image_names import assign_splits, image_name, locate_images
from modules.errors import InputError


def recognises(root: Path) -> bool:
    """Returns whether the folder has Annotations/*.xml."""
    return any((root / "Annotations").glob("*.xml"))


def read(root: Path) -> NumberTable:
    """Returns the table of a folder of pictures whose digits have boxes."""
    found = {}
    mentions: dict[str, str] = {}
    for path in sorted((root / "Annotations").glob("*.xml")):
        image, digits = read_annotation(path)
        if image in mentions:
            raise InputError(f"{path}: picture {image} was already in {mentions[image]}")
        mentions[image], found[image] = str(path), joined(digits)
    images = locate_images((root / "JPEGImages", root / "images", root), next(iter(found)))
    paths, splits = picture_files(images, mentions), assign_splits(found, root / "Annotations")
    return NumberTable(
        images, [NumberRecord(i, number, splits[i], paths[i], box) for i, (number, box) in found.items()]
    )


def read_annotation(path: Path) -> tuple[str, list[Digit]]:
    """Returns the picture's name and its digits; InputError names the file where something is wrong."""
    try:
        tree = ElementTree.parse(path).getroot()
    # LookupError: it names an encoding that there is none of
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        raise InputError(f"{path}: is no XML ({error})") from None
    image = image_name(tree.findtext("filename") or "", str(path))
    digits: list[Digit] = []
    for thing in tree.iter("object"):
        name = (thing.findtext("name") or "").strip()
        if name not in {str(digit) for digit in range(10)}:
            raise InputError(f"{path}: an object is called {name!r}; it has to be a digit from 0 to 9")
        try:
            left, top, right, bottom = (
                finite(thing.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError:
            raise InputError(f"{path}: the digit {name} has no bndbox of four numbers") from None
        digits.append((int(name), (left, top, right, bottom)))
    if not digits:
        raise InputError(f"{path}: holds no digit; label one or remove the file")
    return image, digits

"""COCO captions: the official layout, or your own images with one COCO captions JSON.

    DIR/annotations/captions_train2014.json     DIR/train2014/*.jpg (or DIR/images/train2014, DIR/images)
    DIR/annotations/captions_val2014.json       DIR/val2014/*.jpg

The file's name gives the split; an absent one leaves that split empty. One JSON without train, val or test in
its name (DIR/captions.json, say) is split 80/10/10 by image name. Images without captions are left out.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from data_prep.captions.files import caption_text, whole_id
from data_prep.captions.records import CaptionRecord, CaptionTable
from data_prep.image_names import assign_splits, image_name, locate_images, resolve_images
from data_prep.input_files import existing_folder, read_json
from modules.errors import InputError

_SPLIT_IN_NAME = re.compile(r"captions_(?P<folder>(?P<split>train|val|test)[^.]*)\.json")


@dataclass(frozen=True)
class CocoCaptions:
    """A COCO captions file: image id -> captions, image id -> file name; every captioned id has a file."""

    captions: dict[int | str, list[str]]
    files: dict[int | str, str]


def read_annotations(path: Path) -> CocoCaptions:
    """Returns the captions and file names of a COCO captions JSON; needs no image.

    InputError names the entry that lacks what it needs, or whose image is not among the file's images.
    """
    data = read_json(path)
    lists = data if isinstance(data, dict) else {}
    images, annotations = lists.get("images"), lists.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise InputError(f'{path}: is no COCO captions file; it needs the lists "images" and "annotations"')
    files: dict[int | str, str] = {}
    file = str(path)  # a path takes longer to write, which half a million entries show
    for number, entry in enumerate(images):
        where = f"{file}: images[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
            raise InputError(f'{where}: has no "file_name"')
        image_id = _image_id(entry, "id", where)
        if image_id in files:
            raise InputError(f"{where}: id {image_id} was already given to {files[image_id]}")
        files[image_id] = image_name(entry["file_name"], where)
    captions: dict[int | str, list[str]] = {}
    for number, entry in enumerate(annotations):
        where = f"{file}: annotations[{number}]"
        if not isinstance(entry, dict) or "caption" not in entry:
            raise InputError(f'{where}: has no "caption" (captions files have one, instances files do not)')
        image_id = _image_id(entry, "image_id", where)
        if image_id not in files:
            raise InputError(f"{where}: image_id {image_id} is not among the images of the file")
        captions.setdefault(image_id, []).append(caption_text(entry["caption"], where))
    if not captions:
        raise InputError(f"{path}: holds no captions")
    return CocoCaptions(captions, files)


def _image_id(entry: dict[str, object], key: str, where: str) -> int | str:
    value = whole_id(entry.get(key))
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f'{where}: has no "{key}" (a number or text)')
    return value


def _annotation_files(root: Path) -> list[Path]:
    """Returns the official captions files, or else the one captions*.json of the folder."""
    for folder in (root / "annotations", root):
        official = [
            path for path in sorted(folder.glob("captions_*.json")) if _SPLIT_IN_NAME.fullmatch(path.name)
        ]
        if official:
            return official
    own = [path for folder in (root, root / "annotations") for path in sorted(folder.glob("captions*.json"))]
    if len(own) > 1:
        raise InputError(
            f"{own[0]}: {own[1]} lies beside it; keep one, or name them captions_train/val/test.json"
        )
    return own


def recognises(root: Path) -> bool:
    """Returns whether the folder, or annotations/ in it, has a captions*.json."""
    return any(any(folder.glob("captions*.json")) for folder in (root, root / "annotations"))


def read(root: Path) -> CaptionTable:
    """Returns the table of a COCO folder; its root is DIR, so image names begin with train2014/ and so on."""
    existing_folder(root)
    sources = _annotation_files(root)
    if not sources:
        raise InputError(f"{root}: no captions_train*.json in it or in its annotations folder")
    records: list[CaptionRecord] = []
    seen: dict[str, Path] = {}
    for source in sources:
        match = _SPLIT_IN_NAME.fullmatch(source.name)
        split = match["split"] if match else None
        if split in seen:
            raise InputError(f"{source}: {seen[split].name} is a {split} split too; keep one of them")
        if split:
            seen[split] = source
        records += _records(root, source, split, match["folder"] if match else "images")
    split_of: dict[str, str] = {}
    for record in records:
        first = split_of.setdefault(record.image, record.split)
        if first != record.split:
            raise InputError(
                f"{root}: image {record.image} is in the {first} split and in the {record.split} split"
            )
    return CaptionTable(root, records)


def _records(root: Path, source: Path, split: str | None, folder: str) -> list[CaptionRecord]:
    """Returns the records of one captions file; `split` None divides them by name."""
    data = read_annotations(source)
    captions: dict[str, list[str]] = {}
    for image_id, texts in data.captions.items():
        captions.setdefault(data.files[image_id], []).extend(texts)
    candidates = (root / folder, root / "images" / folder, root / "images", root)
    images = locate_images(candidates, next(iter(captions)))
    paths = resolve_images(images, dict.fromkeys(captions, str(source)))
    prefix = "" if images == root else f"{images.relative_to(root).as_posix()}/"
    splits = dict.fromkeys(captions, split) if split else assign_splits(captions, source)
    return [
        CaptionRecord(f"{prefix}{image}", paths[image], tuple(texts), splits[image])
        for image, texts in captions.items()
    ]

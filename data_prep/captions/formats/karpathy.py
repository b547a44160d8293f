"""Karpathy's splits: dataset_coco.json, dataset_flickr8k.json or dataset_flickr30k.json beside the images.

    DIR/dataset_coco.json       DIR/train2014/*.jpg, DIR/val2014/*.jpg
    DIR/dataset_flickr8k.json   DIR/Flicker8k_Dataset/*.jpg (or DIR/images, DIR/Images, DIR itself, ...)

The split restval (COCO's validation images meant for training) counts as train. Images without sentences are
left out.
"""

from dataclasses import dataclass
from pathlib import Path

from data_prep.captions.files import caption_text
from data_prep.captions.records import CaptionRecord, CaptionTable
from data_prep.image_names import image_name, locate_images, resolve_images
from data_prep.input_files import existing_folder, read_json, split_name
from modules.errors import InputError

# fmt: off
_IMAGE_FOLDERS = (
    ".", "images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k_images", "flickr30k-images",
)
# fmt: on


@dataclass(frozen=True)
class KarpathyImage:
    """One image of the file; `image` is filepath/filename where the file gives a filepath."""

    image: str
    captions: tuple[str, ...]
    split: str
    where: str


def read_dataset(path: Path) -> list[KarpathyImage]:
    """Returns the captioned images of a dataset_*.json; needs no image.

    InputError names the entry that lacks filename, split or sentences.
    """
    data = read_json(path)
    entries = data.get("images") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise InputError(f'{path}: is no dataset_*.json of Karpathy\'s; it needs the list "images"')
    result: dict[str, KarpathyImage] = {}
    for number, entry in enumerate(entries):
        where = f"{path}: images[{number}]"
        image = _image(entry, where)
        if image.image in result:
            raise InputError(f"{where}: image {image.image} is listed twice")
        if image.captions:
            result[image.image] = image
    if not result:
        raise InputError(f"{path}: holds no captions")
    return list(result.values())


def _image(entry: object, where: str) -> KarpathyImage:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is no object with filename, split and sentences")
    name, folder, split = entry.get("filename"), entry.get("filepath", ""), entry.get("split")
    if not isinstance(name, str) or not isinstance(folder, str) or not isinstance(split, str):
        raise InputError(f'{where}: needs "filename" and "split"')
    sentences = entry.get("sentences")
    if not isinstance(sentences, list):
        raise InputError(f'{where}: needs the list "sentences"')
    captions = []
    for sentence in sentences:
        if not isinstance(sentence, dict) or "raw" not in sentence:
            raise InputError(f'{where}: a sentence has no "raw" text')
        captions.append(caption_text(sentence["raw"], where))
    image = image_name(f"{folder}/{name}" if folder else name, where)
    return KarpathyImage(image, tuple(captions), split_name(split, where), where)


def recognises(root: Path) -> bool:
    """Returns whether the folder has a dataset_*.json."""
    return any(root.glob("dataset_*.json"))


def read(root: Path) -> CaptionTable:
    """Returns the table of a folder with a dataset_*.json; its root is where its image names start from."""
    existing_folder(root)
    sources = sorted(root.glob("dataset_*.json"))
    if not sources:
        raise InputError(f"{root}: no dataset_coco.json, dataset_flickr8k.json or the like in this folder")
    if len(sources) > 1:
        raise InputError(f"{sources[0]}: {sources[1].name} lies beside it; keep one of them")
    entries = read_dataset(sources[0])
    images = locate_images((root / name for name in _IMAGE_FOLDERS), entries[0].image)
    paths = resolve_images(images, {entry.image: entry.where for entry in entries})
    return CaptionTable(
        images, [CaptionRecord(e.image, paths[e.image], e.captions, e.split) for e in entries]
    )

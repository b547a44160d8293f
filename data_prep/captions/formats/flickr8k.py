"""Flickr8k, and Flickr30k which is built alike.

    DIR/Flicker8k_Dataset/*.jpg                   (or Flickr8k_Dataset, Images, images, flickr30k_images)
    DIR/Flickr8k_text/Flickr8k.token.txt          NAME.jpg#0<tab>caption; text files may lie in DIR too
    DIR/Flickr8k_text/Flickr_8k.trainImages.txt   one image name a line; likewise devImages, testImages

The dev list is the val split. A dev or test list that is absent leaves that split empty, and captions of
images in no list are left out. Flickr30k's `results_20130124.token` and `results.csv` (`image| number|
caption`) and the `captions.txt` of the copies on Kaggle come without lists: their images are split 80/10/10
by name, unless `*trainImages.txt` and its like lie beside them.
"""

import re
from pathlib import Path

from data_prep.captions.files import caption_text
from data_prep.captions.formats import folder
from data_prep.captions.records import CaptionRecord, CaptionTable
from data_prep.csv_tables import is_csv
from data_prep.image_names import assign_splits, image_name, locate_images, resolve_images
from data_prep.input_files import existing_folder, read_text
from modules.errors import InputError

TOKEN_FILES = ("Flickr8k.token.txt", "results_20130124.token", "results.csv", "captions.txt")
_TEXT_FOLDERS = (".", "Flickr8k_text", "flickr30k_text", "flickr30k_images", "Flickr30k")
# fmt: off
_IMAGE_FOLDERS = (
    "Flicker8k_Dataset", "Flickr8k_Dataset", "Flickr8k_dataset", "Images", "images",
    "flickr30k_images", "flickr30k-images", "flickr30k_images/flickr30k_images",
)
# fmt: on
_LISTS = {"train": "*trainImages.txt", "val": "*devImages.txt", "test": "*testImages.txt"}

# NAME.jpg#0<tab>caption
_TOKEN_LINE = re.compile(r"(?P<image>[^\t]+)#\d+\t(?P<caption>.*)")
# NAME.jpg| 0| caption; one line of the published file lacks its second bar
_BAR_LINE = re.compile(r"(?P<image>[^|]+)\|\s*\d+\s*(\||\s)(?P<caption>.*)")


def read_tokens(path: Path) -> dict[str, list[str]]:
    """Returns image name -> captions of a Flickr token file, in file order; needs no image.

    Reads `NAME.jpg#0<tab>caption`, Flickr30k's `image| number| caption` and, by its header, `image,caption`.
    InputError names the line that is none of these or has an empty caption.
    """
    text = read_text(path)
    if is_csv(text):
        return folder.read_captions_file(path)
    lines = text.split("\n")
    header = lines[0].strip().lower()
    bars = header.startswith("image_name|")
    pattern = _BAR_LINE if bars else _TOKEN_LINE
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(lines[1 if bars else 0 :], start=2 if bars else 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        match = pattern.fullmatch(line.rstrip("\r"))
        if match is None:
            form = "NAME.jpg| 0| caption" if bars else "NAME.jpg#0, a tab, the caption"
            raise InputError(f"{where}: is no caption line ({form}): {line.strip()[:60]!r}")
        image = image_name(match["image"], where)
        captions.setdefault(image, []).append(caption_text(match["caption"], where))
    if not captions:
        raise InputError(f"{path}: holds no captions")
    return captions


def read_split_list(path: Path) -> dict[str, str]:
    """Returns image name -> "file:line" of a list of images, one name a line."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    names = {
        image_name(line, f"{path}:{number}"): f"{path}:{number}" for number, line in lines if line.strip()
    }
    if not names:
        raise InputError(f"{path}: lists no image")
    return names


def _token_file(root: Path) -> Path | None:
    candidates = [root / sub / name for name in TOKEN_FILES for sub in _TEXT_FOLDERS]
    return next((path for path in candidates if path.is_file()), None)


def _split_lists(tokens: Path) -> dict[str, Path]:
    """Returns split -> the list beside the token file."""
    found = {split: sorted(tokens.parent.glob(pattern)) for split, pattern in _LISTS.items()}
    for split, paths in found.items():
        if len(paths) > 1:
            raise InputError(f"{paths[0]}: {paths[1].name} is a {split} list too; keep one of them")
    return {split: paths[0] for split, paths in found.items() if paths}


def recognises(root: Path) -> bool:
    """Returns whether the folder has the token file of Flickr8k or Flickr30k."""
    tokens = _token_file(root)
    return tokens is not None and (tokens.name != "captions.txt" or "train" in _split_lists(tokens))


def read(root: Path) -> CaptionTable:
    """Returns the table of a Flickr8k or Flickr30k folder; its root is the folder of the images."""
    existing_folder(root)
    tokens = _token_file(root)
    if tokens is None:
        raise InputError(f"{root}: no {TOKEN_FILES[0]} in it or in its Flickr8k_text folder")
    captions = read_tokens(tokens)
    lists = _split_lists(tokens)
    if lists or tokens.name == TOKEN_FILES[0]:
        mentions, splits = _listed(tokens, captions, lists)
    else:
        mentions, splits = dict.fromkeys(captions, str(tokens)), assign_splits(captions, tokens)
    images = locate_images((root / name for name in _IMAGE_FOLDERS), next(iter(mentions)))
    paths = resolve_images(images, mentions)
    return CaptionTable(images, [CaptionRecord(i, paths[i], tuple(captions[i]), splits[i]) for i in mentions])


def _listed(
    tokens: Path, captions: dict[str, list[str]], lists: dict[str, Path]
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns image -> "file:line" and image -> split of the images in the split lists."""
    if "train" not in lists:
        raise InputError(
            f"{tokens.parent}: no Flickr_8k.trainImages.txt beside {tokens.name};"
            " add the official list, or one of your own (one image name a line)"
        )
    mentions: dict[str, str] = {}
    splits: dict[str, str] = {}
    for split, path in lists.items():
        for image, where in read_split_list(path).items():
            if image in mentions:
                raise InputError(
                    f"{where}: image {image} is also in {mentions[image]}; splits must not overlap"
                )
            if image not in captions:
                raise InputError(f"{where}: image {image} has no caption in {tokens}")
            mentions[image] = where
            splits[image] = split
    return mentions, splits

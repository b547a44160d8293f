"""Your own data: a folder of images with one caption file.

    DIR/captions.csv            columns image, caption and, if you like, split; one row a caption; between
                                them commas, semicolons or tabs
    DIR/captions.jsonl          {"image": ..., "caption": ...} or {"image": ..., "captions": [...]},
                                optionally with "split"
    DIR/a.jpg, DIR/dogs/b.jpg   the images beside the caption file, or all of them in DIR/images/

What `predict` wrote, as csv or jsonl, is such a caption file, too: of a file that it could not read it has an
error and no caption, and that row is passed over.

An image may have any number of captions, in any rows. Splits are train, val (dev, valid, validation) and
test. Without splits the images are divided 80/10/10 by a hash of their names: adding images never moves
another.
"""

from dataclasses import dataclass
from pathlib import Path

from data_prep.captions.files import caption_text
from data_prep.captions.records import CaptionRecord, CaptionTable
from data_prep.csv_tables import read_csv
from data_prep.image_names import assign_splits, image_name, locate_images, resolve_images
from data_prep.input_files import existing_folder, read_jsonl, split_name
from modules.errors import InputError

CAPTION_FILES = ("captions.csv", "captions.jsonl", "captions.txt")


@dataclass(frozen=True)
class CaptionRow:
    """One row of a caption file; `where` is its "file:line", `split` None where the row has none."""

    image: str
    captions: tuple[str, ...]
    split: str | None
    where: str


def read_rows(path: Path) -> list[CaptionRow]:
    """Returns the rows of a captions.csv or captions.jsonl (any other suffix means csv); needs no image.

    InputError with file and line: wrong columns, an empty caption, a path that leaves the folder, bad text.
    """
    rows = _jsonl_rows(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(path)
    if not rows:
        raise InputError(f"{path}: holds no captions")
    return rows


def read_captions_file(path: Path) -> dict[str, list[str]]:
    """Returns image name -> captions of a captions.csv or captions.jsonl, in file order; needs no image."""
    captions: dict[str, list[str]] = {}
    for row in read_rows(path):
        captions.setdefault(row.image, []).extend(row.captions)
    return captions


def _csv_rows(path: Path) -> list[CaptionRow]:
    rows: list[CaptionRow] = []
    for where, row in read_csv(path):
        if not row["caption"].strip() and row.get("error", "").strip():
            continue
        split = split_name(row["split"], where) if "split" in row else None
        image = image_name(row["image"], where)
        rows.append(CaptionRow(image, (caption_text(row["caption"], where),), split, where))
    return rows


def _jsonl_rows(path: Path) -> list[CaptionRow]:
    rows: list[CaptionRow] = []
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        if "error" in row and not {"caption", "captions"} & set(row):
            continue
        if "score" in row:  # of predict, whose other captions nobody has looked at
            row.pop("captions", None)
        image, split = row.get("image"), row.get("split")
        if not isinstance(image, str):
            raise InputError(f'{where}: has no "image"')
        if ("caption" in row) == ("captions" in row):
            raise InputError(f'{where}: needs either "caption" or "captions"')
        captions = row["captions"] if "captions" in row else [row["caption"]]
        if not isinstance(captions, list) or not captions:
            raise InputError(f'{where}: "captions" is no list of captions')
        if split is not None and not isinstance(split, str):
            raise InputError(f'{where}: "split" is no text')
        texts = tuple(caption_text(caption, where) for caption in captions)
        named = None if split is None else split_name(split, where)
        rows.append(CaptionRow(image_name(image, where), texts, named, where))
    return rows


def _caption_file(root: Path) -> Path | None:
    found = [root / name for name in CAPTION_FILES if (root / name).is_file()]
    if len(found) > 1:
        raise InputError(f"{found[0]}: {found[1].name} lies beside it; keep one of them")
    return found[0] if found else None


def recognises(root: Path) -> bool:
    """Returns whether the folder has a captions.csv, captions.jsonl or captions.txt."""
    return any((root / name).is_file() for name in CAPTION_FILES)


def read(root: Path) -> CaptionTable:
    """Returns the table of a folder of images with a caption file; its root is the folder of the images."""
    existing_folder(root)
    source = _caption_file(root)
    if source is None:
        raise InputError(f"{root}: none of {', '.join(CAPTION_FILES)} in this folder")
    rows = read_rows(source)
    captions: dict[str, list[str]] = {}
    mentions: dict[str, str] = {}
    for row in rows:
        captions.setdefault(row.image, []).extend(row.captions)
        mentions.setdefault(row.image, row.where)
    splits = _splits(rows) if any(row.split for row in rows) else assign_splits(captions, source)
    images = locate_images((root, root / "images", root / "Images"), rows[0].image)
    paths = resolve_images(images, mentions)
    return CaptionTable(
        images, [CaptionRecord(i, paths[i], tuple(texts), splits[i]) for i, texts in captions.items()]
    )


def _splits(rows: list[CaptionRow]) -> dict[str, str]:
    """Returns image -> split; InputError where a row has none or an image has two."""
    splits: dict[str, str] = {}
    for row in rows:
        if row.split is None:
            raise InputError(f"{row.where}: has no split, though other rows have one; name it in every row")
        if splits.setdefault(row.image, row.split) != row.split:
            raise InputError(f"{row.where}: image {row.image} is in {splits[row.image]} and in {row.split}")
    return splits

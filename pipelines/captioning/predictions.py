"""The captions of any system and the references to score them against, matched image by image.

Predictions: the jsonl or csv of `predict` (`image`, `caption` and, for an unreadable file, `error`), or COCO
results (`[{"image_id": 42, "caption": "a dog runs"}, ...]`). References: a Flickr token file, csv or jsonl,
COCO captions JSON, Karpathy's `dataset_*.json`.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from data_prep.captions.files import caption_text, whole_id
from data_prep.captions.formats import coco, flickr8k, folder, karpathy
from data_prep.csv_tables import read_csv
from data_prep.image_names import encodable, plain_name
from data_prep.input_files import read_json, read_jsonl, read_text
from modules.errors import InputError, first_five

# COCO's own file names end in the image id: COCO_val2014_000000000042.jpg, 000000000042.jpg
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?(\d{12})\.\w+")


@dataclass(frozen=True)
class Predictions:
    """One caption an image as the file names them, and all of an image that has several, the best first.

    `failed` are the images with an error instead.
    """

    source: Path
    captions: dict[str, str] = field(default_factory=dict)
    n_best: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class References:
    """Image -> its reference captions; `ids` leads from COCO's image ids to the images they number."""

    source: Path
    captions: dict[str, list[str]]
    ids: dict[str, str] = field(default_factory=dict)


def read_predictions(path: Path) -> Predictions:
    """Returns the captions of a predictions file (jsonl, csv or COCO results), and which images failed.

    InputError with file and line: a row without image or caption, an image captioned twice, broken text.
    """
    predictions = Predictions(path)
    lines: dict[str, str] = {}  # image -> where it was captioned
    repeated: dict[str, str] = {}
    for where, row in prediction_rows(path):
        image = image_of(row, where)
        if image in lines:
            repeated[image] = where
        lines.setdefault(image, where)
        error = row.get("error")
        # a row may have both: a caption, and a picture of its attention that could not be written
        if isinstance(error, str) and error.strip() and not row.get("caption"):
            predictions.failed.append(image)
        else:
            predictions.captions[image] = caption_of(row, where)
            if several := _several(row, where):
                predictions.n_best[image] = several
    if repeated:
        image, where = next(iter(repeated.items()))
        raise InputError(
            f"{where}: {first_five([image])} was already captioned in {lines[image]}; there are several"
            f" rows for {len(repeated)} of the images: {first_five(repeated)}; keep one row an image"
        )
    if not lines:
        raise InputError(f"{path}: holds no captions")
    return predictions


def read_references(path: Path) -> References:
    """Returns the captions of a Flickr token file, csv, jsonl, COCO captions JSON or dataset_*.json.

    The content decides, not the file's name. InputError with file and line where a line does not fit.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: is empty")
    ids: dict[str, str] = {}
    if not text.lstrip().startswith(("{", "[")):
        captions = flickr8k.read_tokens(path) if _is_token_file(text) else folder.read_captions_file(path)
    elif _is_jsonl(path, text):
        captions = _jsonl_references(path)
    elif '"annotations"' in text:
        annotations = coco.read_annotations(path)
        captions = {}
        for image_id, sentences in annotations.captions.items():
            captions.setdefault(annotations.files[image_id], []).extend(sentences)
            ids[str(image_id)] = annotations.files[image_id]
    else:
        captions = {image.image: list(image.captions) for image in karpathy.read_dataset(path)}
    for image in captions:
        number = coco_image_id(image)
        if number is not None:
            ids.setdefault(str(number), image)
    return References(path, captions, ids)


def match(
    predictions: Predictions, references: References, subset: Path | None = None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Returns one caption and the references of every image to score, both by the references' names.

    A predicted image is found by its exact name, else by its file name where that is unique. Else COCO's
    image id decides, or a name that differs in case, in composed accents or in spaces around it.

    InputError names what is missing, predicted twice or unknown to the references.

    Args:
        predictions: a system's captions.
        references: the captions to score against.
        subset: text file with one image name a line: score these images alone, whatever else is predicted.
    """
    resolve = resolver(references)
    wanted = references.captions if subset is None else _read_subset(subset, references, resolve)
    found: dict[str, list[str]] = {}
    unknown: list[str] = []
    for image in predictions.captions:
        target = resolve(image)
        if target is None:
            unknown.append(image)
        elif target in wanted:
            found.setdefault(target, []).append(image)
    if unknown and subset is None:
        raise InputError(
            f"{predictions.source}: {references.source} lacks {len(unknown)} of the"
            f" {len(predictions.captions)} captioned images: {first_five(unknown)}; remove them, or"
            " list the images to score with --subset LIST (one image name a line)"
        )
    twice = {target: images for target, images in found.items() if len(images) > 1}
    if twice:
        pairs = (f"{target} ({' and '.join(images)})" for target, images in twice.items())
        raise InputError(
            f"{predictions.source}: several captions for {len(twice)} of the images of"
            f" {references.source}: {first_five(pairs)}; keep one of them"
        )
    missing = [image for image in wanted if image not in found]
    if missing:
        failed = {resolve(image) for image in predictions.failed}.intersection(missing)
        because = f" ({len(failed)} with an error instead)" if failed else ""
        raise InputError(
            f"{predictions.source}: no caption for {len(missing)} of {len(wanted)} images{because}:"
            f" {first_five(missing)}; to score a part, give --subset LIST, a text file with one image name"
            " a line (such as Flickr_8k.devImages.txt)"
        )
    hypotheses = {target: predictions.captions[images[0]] for target, images in found.items()}
    return {i: hypotheses[i] for i in wanted}, {i: references.captions[i] for i in wanted}


def listed(predictions: Predictions, subset: Path) -> dict[str, str]:
    """Returns the captions of the images that a text file lists, one name a line."""
    names = References(predictions.source, {name: [] for name in predictions.captions})
    return {name: predictions.captions[name] for name in _read_subset(subset, names, resolver(names))}


def coco_image_id(image: str) -> int | None:
    """Returns the image id in an official COCO file name; None for any other name, whatever digits end it."""
    match = _COCO_NAME.fullmatch(PurePosixPath(image).name)
    return int(match[1]) if match else None


def prediction_rows(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yields ("file:line", row) of a predictions file."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if not start:
        raise InputError(f"{path}: is empty")
    if start == "[":
        entries = read_json(path)
        assert isinstance(entries, list)  # it begins with a bracket and is JSON
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise InputError(f'{path}: [{number}] is no {{"image_id": ..., "caption": ...}}')
            yield f"{path}: [{number}]", entry
    elif start == "{":
        for line, row in read_jsonl(path):
            yield f"{path}:{line}", row
    else:
        yield from read_csv(path)


def image_of(row: Mapping[str, object], where: str) -> str:
    """Returns the image a row is about, as a posix path or the text of a COCO image id."""
    value = whole_id(row.get("image", row.get("image_id")))
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(f'{where}: has no "image" (a file name) and no "image_id"')
    # a name can begin with a space, and be no UTF-8
    name = encodable(str(value), where, errors="surrogateescape").replace("\\", "/")
    if not name.strip():
        raise InputError(f"{where}: the image has no name")
    return str(PurePosixPath(name))


def caption_of(row: Mapping[str, object], where: str) -> str:
    """Returns the caption of a row on one line; a system may have nothing to say."""
    if "caption" not in row:
        raise InputError(f'{where}: has neither "caption" nor "error"; its keys are {first_five(row)}')
    if row["caption"] is None:
        raise InputError(f'{where}: the caption is null; write one, or an "error" in its place')
    if not isinstance(row["caption"], str):
        raise InputError(f"{where}: the caption is {type(row['caption']).__name__}, not text")
    return " ".join(encodable(row["caption"], where).split())


def _several(row: Mapping[str, object], where: str) -> list[str]:
    """Returns all captions of a row of `predict --captions`, of jsonl or csv; none where it has one."""
    listed = row.get("captions", [])
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise InputError(f'{where}: "captions" is no list of captions')
    columns = (row.get(f"caption_{number}") for number in range(2, len(row) + 1))
    more = [text for text in columns if isinstance(text, str) and text]
    captions = [encodable(text, where) for text in listed or [str(row["caption"]), *more]]
    return captions if len(captions) > 1 else []


def _is_token_file(text: str) -> bool:
    """A Flickr token file, told from csv by any of its lines: a bad first line is then named as such."""
    return text.startswith("image_name|") or re.search(r"^[^\t\n]+#\d+\t", text, re.MULTILINE) is not None


def _is_jsonl(path: Path, text: str) -> bool:
    """One object a line, told from one JSON document by its suffix, or by "image" in the first line."""
    first = text.lstrip().split("\n", 1)[0]
    return path.suffix.lower() in (".jsonl", ".ndjson") or re.search(r'"image"\s*:', first) is not None


def _jsonl_references(path: Path) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    for line, row in read_jsonl(path):
        where = f"{path}:{line}"
        sentences = row.get("captions", [row.get("caption")])
        if not isinstance(sentences, list) or not sentences:
            raise InputError(f'{where}: "captions" is no list of captions')
        texts = [caption_text(sentence, where) for sentence in sentences]
        captions.setdefault(image_of(row, where), []).extend(texts)
    return captions


def resolver(references: References) -> Callable[[str], str | None]:
    """Returns the function from a predicted image's name to the references' name of it, None if unknown."""
    unique = _unique(references.captions, lambda image: PurePosixPath(image).name)
    plain = _unique(references.captions, plain_name)
    plain_unique = _unique(references.captions, lambda image: plain_name(PurePosixPath(image).name))

    def resolve(image: str) -> str | None:
        if image in references.captions:
            return image
        number = coco_image_id(image)
        by_id = references.ids.get(image if number is None else str(number))
        name = PurePosixPath(image).name
        others = plain.get(plain_name(image)) or plain_unique.get(plain_name(name))
        return unique.get(name) or by_id or others

    return resolve


def _unique(images: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Returns images by a key, those whose key no other has."""
    images = list(images)
    counts = Counter(map(key, images))
    return {key(image): image for image in images if counts[key(image)] == 1}


def _read_subset(path: Path, references: References, resolve: Callable[[str], str | None]) -> Collection[str]:
    """The listed images by the references' names, each once and in their order."""
    listed = {name: resolve(name) for name in flickr8k.read_split_list(path)}
    unknown = [name for name, image in listed.items() if image is None]
    if unknown:
        raise InputError(
            f"{path}: {references.source} lacks {len(unknown)} of the {len(listed)} listed images:"
            f" {first_five(unknown)}; list images that have references"
        )
    return dict.fromkeys(image for image in listed.values() if image is not None)

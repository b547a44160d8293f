"""Music that is there without any data: the tunes in ABC notation that the package music21 carries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from data_prep.cache import cache_folder, in_turn, writing_in
from data_prep.input_files import SPLITS
from data_prep.text.abc_notation import BrokenTuneError, melody, simplified, split_tunes
from data_prep.text.files import TextFiles, find_text
from data_prep.text.near_duplicates import near_duplicates
from data_prep.text.splits import TRAIN, VAL, place
from modules.errors import InputError
from modules.text_codec import normalised
from modules.whole_files import write_whole

COLLECTIONS = ("airdsAirs", "essenFolksong", "oneills1850", "ryansMammoth")
_FORMAT = 1  # another number, another folder: for changes of what is written


def corpus_folder() -> Path:
    """Returns where music21 keeps its music; InputError where it is not installed."""
    # its location alone: importing it takes a second
    found = find_spec("music21")
    if found is None or found.origin is None:
        raise InputError('music needs the package music21: pip install -e ".[music]"')
    return Path(found.origin).parent / "corpus"


def find_tunes(root: Path | None = None, folder: Path | None = None) -> TextFiles:
    """Returns train.abc, val.abc and test.abc, tunes in the simple form with an empty line between them.

    Near-duplicates are in one split together. The files lie in the cache and are written where they are not.

    Args:
        root: Folder of all caches; by default $SEQSIGHT_CACHE, else ~/.cache/seqsight.
        folder: Of the collections; by default those of music21.
    """
    folder = corpus_folder() if folder is None else folder
    files = [path for name in COLLECTIONS for path in sorted((folder / name).glob("*.abc"))]
    if not files:
        raise InputError(f"{folder}: none of {', '.join(COLLECTIONS)} lies here; install music21 again")
    sizes = [f"{path.relative_to(folder)} {path.stat().st_size}" for path in files]
    key = hashlib.sha256(f"{_FORMAT}\n{sizes}".encode()).hexdigest()[:16]
    target = cache_folder("tunes", key, root)
    wanted = [target / f"{split}.abc" for split in SPLITS]
    if not all(path.is_file() for path in wanted):
        with writing_in(target, "the tunes"), in_turn(target / "lock", target):
            if not all(path.is_file() for path in wanted):  # by now another process may have written them
                for split, tunes in split_by_melody(list(_read(files))).items():
                    write_whole(target / f"{split}.abc", "\n".join(tunes).encode())
    return find_text(target, "*.abc")


def _read(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Yields name and simple form of every tune that has one."""
    for path in files:
        text = normalised(path.read_bytes().decode("utf-8", "replace"))
        for number, tune in enumerate(split_tunes(text)):
            try:
                yield f"{path.name}:{number}", simplified(tune.text)
            except BrokenTuneError:  # a few have two voices or change their key
                continue


def split_by_melody(tunes: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Returns the tunes of each split: 90, 5 and 5 % by a hash of the name of the first of its likes.

    Args:
        tunes: Name and simple form of each.
    """
    groups = near_duplicates(melody(tune) for _, tune in tunes)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for (_, tune), group in zip(tunes, groups, strict=True):
        at = place(tunes[group][0])
        splits["train" if at < TRAIN else "val" if at < TRAIN + VAL else "test"].append(tune)
    return splits

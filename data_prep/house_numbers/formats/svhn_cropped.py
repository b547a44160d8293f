"""Street View House Numbers, format 2: single digits, 32x32, in MATLAB's files (Netzer et al. 2011).

    DIR/train_32x32.mat, DIR/test_32x32.mat and, if it is there, DIR/extra_32x32.mat

SciPy reads them: X (32, 32, 3, N) bytes, y (N, 1) labels, of which 10 is the digit 0. Each picture is a
number of one digit; what stands beside it is a neighbour's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.house_numbers.formats.svhn import SPLIT_OF
from data_prep.house_numbers.records import NumberRecord, NumberTable
from modules.errors import InputError
from modules.house_numbers.preprocessing import NumberPictures


def recognises(root: Path) -> bool:
    """Returns whether the folder has a train_32x32.mat, test_32x32.mat or extra_32x32.mat."""
    return any((root / f"{name}_32x32.mat").is_file() for name in SPLIT_OF)


def read(root: Path) -> NumberTable:
    """Returns the table of SVHN's format 2."""
    images: dict[str, np.ndarray] = {}
    records: list[NumberRecord] = []
    for name, split in SPLIT_OF.items():
        path = root / f"{name}_32x32.mat"
        if not path.is_file():
            continue
        images[name], labels = read_mat(path)
        records += [
            NumberRecord(f"{name}/{row:06d}", str(int(label) % 10), split, source=(name, row))
            for row, label in enumerate(labels)
        ]

    def picture(record: NumberRecord, pictures: NumberPictures) -> np.ndarray:
        name, row = record.source
        return pictures(np.ascontiguousarray(images[name][..., row]))

    stamps = [
        ((root / f"{name}_32x32.mat").stat().st_mtime_ns, array.shape) for name, array in images.items()
    ]
    return NumberTable(root, records, picture, f"svhn_cropped {stamps}")


def read_mat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures, bytes (H, W, 3, N), and labels (N,); InputError where the file is no such table."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError(f'{path}: reading it needs scipy: pip install -e ".[svhn]"') from None
    try:
        content = loadmat(path)
        images, labels = content["X"], np.asarray(content["y"]).ravel()
    except Exception as error:  # scipy raises whatever comes up in a file that is none
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise InputError(f"{path}: is no table of SVHN's format 2 that can be read ({reason})") from None
    wanted = (*images.shape[:2], 3, len(labels))
    if images.dtype != np.uint8 or images.shape != wanted or 0 in images.shape[:2]:
        raise InputError(
            f"{path}: X is {images.dtype} {images.shape} for {len(labels)} labels; bytes (32, 32, 3, N) fit"
        )
    if labels.dtype.kind not in "iuf" or not np.isin(labels, np.arange(11)).all():
        raise InputError(f"{path}: y holds labels that are no digits; 1 to 10 are, and 10 is the digit 0")
    return images, labels

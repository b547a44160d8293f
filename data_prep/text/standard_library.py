"""The text that is there without any data: the source of Python's own standard library, as installed here."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from data_prep.text.files import TextFiles, find_text
from data_prep.text.splits import assign_by_hash, place
from modules.errors import InputError

# bytes of each split: as much as trains in minutes on two cores
BUDGET = {"train": 5_000_000, "val": 300_000, "test": 300_000}
# tests, other people's packages, the editor, and tables of character codes and help texts
_LEFT_OUT_FOLDERS = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "idlelib",
    "encodings",
    "pydoc_data",
    "lib2to3",
    "turtledemo",
}


def find_standard_library(folder: Path | None = None, budget: dict[str, int] = BUDGET) -> TextFiles:
    """Returns a choice of the library's files that depends on nothing but their names and sizes.

    Files are split by a hash of their names. Each split takes its files in the order of these hashes as long
    as they fit into its budget.

    Args:
        folder: The library; by default that of the running Python.
        budget: Most bytes of each split.

    Raises:
        InputError: There is no source on this machine.
    """
    folder = folder or Path(sysconfig.get_path("stdlib"))
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no source of the Python standard library here; name a text by --data.file FILE_OR_DIR"
        )
    found = find_text(folder, "*.py", without=_LEFT_OUT_FOLDERS)
    files = {
        # what building Python wrote down about this machine is no one's source
        file.name: file
        for file in found.files
        if not file.path.name.startswith("_sysconfigdata")
    }
    if len(files) < 2:
        raise InputError(f"{folder}: too few source files; name a text by --data.file FILE_OR_DIR")
    splits = assign_by_hash(files)
    left = dict(budget)
    chosen = []
    for name in sorted(files, key=lambda name: (place(name), name)):
        if files[name].size <= left[splits[name]]:
            left[splits[name]] -= files[name].size
            chosen.append(files[name])
    return TextFiles(folder, sorted(chosen, key=lambda file: file.name))

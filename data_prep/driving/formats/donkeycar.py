"""DonkeyCar's tub, version 2: records in catalogs, their images, and a manifest.

    DIR/manifest.json       JSON lines: inputs, types, metadata, sessions, and
                            {"paths": [catalogs], "deleted_indexes": [...], ...}
    DIR/catalog_0.catalog   {"_index": 0, "_session_id": ..., "_timestamp_ms": ..., "cam/image_array": ...,
                            "user/angle": ..., "user/throttle": ...} a line
    DIR/images/0_cam_image_array_.jpg

or several tubs in DIR. `user/angle` goes from -1 (full left) to 1 (full right) and has no unit: cars differ
in how far they steer. It is kept as it is but for the sign, left positive: one unit counts as one radian, so
a score in radians is one in shares of full lock. Throttle is no speed; the speed is unknown. A session is a
drive; deleted records are left out and cut it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.driving.cutting import cut_drives
from data_prep.driving.label_files import nested, read_text
from data_prep.driving.table import DriveTable, join_tables
from data_prep.input_files import read_jsonl
from modules.errors import InputError

MANIFEST = "manifest.json"


def recognises(root: Path) -> bool:
    """Returns whether the folder, or one in it, has a manifest.json of a tub."""
    return any("cam/image_array" in _first_line(path) for path in nested(root, MANIFEST))


def _first_line(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.readline(10_000).decode(errors="replace")


def read(root: Path) -> DriveTable:
    """Returns the frames of a tub, or of several; a drive is called as its session."""
    sources = nested(root, MANIFEST)
    if not sources:
        raise InputError(f"{root}: no {MANIFEST} in this folder, nor in one below it")
    return join_tables([_read_tub(path, root) for path in sources])


def _read_tub(manifest: Path, root: Path) -> DriveTable:
    catalogs, deleted = _read_manifest(manifest)
    below = manifest.parent.relative_to(root).as_posix()
    lead = "images/" if below == "." else f"{below}/images/"
    columns: dict[str, list[Any]] = {
        name: [] for name in ("file", "frame", "time_s", "angle_rad", "drive", "source", "line")
    }
    unusable = []
    for catalog in catalogs:
        for line, record in read_jsonl(catalog):
            where = f"{catalog}:{line}"
            image, index = record.get("cam/image_array"), record.get("_index")
            if not isinstance(image, str) or not image:
                raise InputError(f'{where}: has no "cam/image_array"')
            if not isinstance(index, int):
                raise InputError(f'{where}: has no "_index"')
            angle = _number(record, "user/angle", where)
            if abs(angle) > 1:
                raise InputError(f"{where}: user/angle is {angle:g}; it has to be from -1 to 1")
            milliseconds = _number(record, "_timestamp_ms", where)
            if np.isnan(milliseconds):
                raise InputError(f'{where}: has no "_timestamp_ms"')
            session = record.get("_session_id") or manifest.absolute().parent.name
            values = {
                "file": lead + image.replace("\\", "/"),
                "frame": str(index) if below == "." else f"{below}/{index}",
                "time_s": milliseconds / 1000,
                "angle_rad": 0.0 - angle,  # not -0.0, which would look odd
                "drive": f"{session}" if below == "." else f"{below}/{session}",
                "source": catalog,
                "line": line,
            }
            for name, value in values.items():
                columns[name].append(value)
            unusable.append(index in deleted)
    if not unusable:
        raise InputError(f"{manifest}: its catalogs hold no records")
    if all(unusable):
        raise InputError(f"{manifest}: all {len(unusable)} records are deleted")
    return cut_drives(DriveTable.build(root, **columns), np.array(unusable), at_gaps=False)


def _read_manifest(path: Path) -> tuple[list[Path], set[int]]:
    """Returns the catalogs of a tub and the indexes of its deleted records."""
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            part = json.loads(text)
        except (ValueError, RecursionError):
            raise InputError(f"{path}:{line}: is no JSON; a tub of version 2 has one value a line") from None
        if isinstance(part, dict) and "paths" in part:
            names, deleted = part["paths"], part.get("deleted_indexes", [])
            if not _is_list(names, str) or not _is_list(deleted, int):
                raise InputError(f'{path}:{line}: "paths" or "deleted_indexes" is no list')
            return [path.parent / name for name in names], set(deleted)
    raise InputError(f'{path}: has no "paths" of catalogs; only tubs of version 2 can be read')


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _number(record: dict[str, object], name: str, where: str) -> float:
    value = record.get(name)
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or np.isinf(value):
        raise InputError(f"{where}: {name} is {value!r}, which is no number")
    return float(value)

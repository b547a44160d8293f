"""DonkeyCar's tubs: records of a camera and of what the driver did, with their images.

    DIR/manifest.json       version 2. JSON lines: inputs, types, metadata, sessions, and
                            {"paths": [catalogs], "deleted_indexes": [...], ...}
    DIR/catalog_0.catalog   {"_index": 0, "_session_id": ..., "_timestamp_ms": ..., "cam/image_array": ...,
                            "user/angle": ..., "user/throttle": ...} a line
    DIR/images/0_cam_image_array_.jpg

    DIR/record_0.json       version 1: {"cam/image_array": ..., "user/angle": ..., "milliseconds": ...}
    DIR/0_cam-image_array_.jpg

or several tubs in DIR. `user/angle` goes from -1 (full left) to 1 (full right) and has no unit: cars differ
in how far they steer. It is kept as it is but for the sign, left positive: one unit counts as one radian, so
a score in radians is one in shares of full lock. Throttle is no speed; the speed is unknown. A session is a
drive; deleted records are left out and cut it. What a power failure cut off is left out and said: the last
line of a catalog, whole catalogs, a manifest. Without times 20 records a second are assumed.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.driving.clocks import in_seconds
from data_prep.driving.cutting import cut_drives
from data_prep.driving.label_files import commands, read_text
from data_prep.driving.table import DriveTable, join_tables
from data_prep.input_files import read_json
from modules.errors import InputError

MANIFEST = "manifest.json"
RECORDS_PER_SECOND = 20.0  # DonkeyCar's own
_RECORD = re.compile(r"record_(\d+)\.json")
_CATALOG = re.compile(r".*_(\d+)\.catalog")


@dataclass
class Records:
    """The records of one tub.

    Attributes:
        found: File and line of each, and what it holds.
        deleted: Their indexes that are marked as deleted.
        notes: What was left out, a line each.
    """

    found: list[tuple[Path, int, dict[str, Any]]] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def recognises(root: Path) -> bool:
    """Returns whether the folder is a tub, or one in it is."""
    return bool(_tubs(root))


def _tubs(root: Path) -> list[Path]:
    if not root.is_dir() or _is_tub(root):
        return [root] if root.is_dir() else []
    return [path for path in sorted(root.iterdir()) if path.is_dir() and _is_tub(path)]


def _is_tub(folder: Path) -> bool:
    manifest = folder / MANIFEST
    if manifest.is_file():
        with manifest.open("rb") as stream:
            if "cam/image_array" in stream.readline(10_000).decode(errors="replace"):
                return True
    return any(folder.glob("*.catalog")) or next(folder.glob("record_*.json"), None) is not None


def read(root: Path) -> DriveTable:
    """Returns the frames of a tub, or of several; a drive is called as its session."""
    tubs = _tubs(root) or [
        path.parent for path in sorted([*root.glob(MANIFEST), *root.glob(f"*/{MANIFEST}")])
    ]
    if not tubs:
        raise InputError(f"{root}: no {MANIFEST} in this folder, nor in one below it")
    return join_tables([_read_tub(path, root) for path in tubs])


def _read_tub(tub: Path, root: Path) -> DriveTable:
    is_first_version = not (tub / MANIFEST).exists() and not any(tub.glob("*.catalog"))
    records = _first_version(tub) if is_first_version else _second_version(tub)
    below = tub.relative_to(root).as_posix()
    lead = ("" if below == "." else f"{below}/") + ("" if is_first_version else "images/")
    columns: dict[str, list[Any]] = {
        name: [] for name in ("file", "frame", "time_s", "angle_rad", "throttle", "drive", "source", "line")
    }
    unusable = []
    for source, line, record in records.found:
        where = f"{source}:{line}"
        image, index = record.get("cam/image_array"), record.get("_index")
        if not isinstance(image, str) or not image:
            raise InputError(f'{where}: has no "cam/image_array"')
        if not isinstance(index, int):
            raise InputError(f'{where}: has no "_index"')
        milliseconds = _number(record, "_timestamp_ms", where)
        if np.isnan(milliseconds):
            raise InputError(f'{where}: has no "_timestamp_ms"')
        session = record.get("_session_id") or tub.absolute().name
        values = {
            "file": lead + image.replace("\\", "/"),
            "frame": str(index) if below == "." else f"{below}/{index}",
            "time_s": milliseconds,
            "angle_rad": _number(record, "user/angle", where),
            "throttle": _number(record, "user/throttle", where),
            "drive": f"{session}" if below == "." else f"{below}/{session}",
            "source": source,
            "line": line,
        }
        for name, value in values.items():
            columns[name].append(value)
        unusable.append(index in records.deleted)
    if not unusable:
        raise InputError(f"{tub / MANIFEST}: its catalogs hold no records")
    if all(unusable):
        raise InputError(f"{tub / MANIFEST}: all {len(unusable)} records are deleted")

    def where_of(row: int) -> str:
        return f"{columns['source'][row]}:{columns['line'][row]}"

    angles, beyond = commands(np.array(columns["angle_rad"]), "user/angle", where_of)
    times, said = in_seconds(np.array(columns["time_s"]), where_of(0), "milliseconds")
    columns["angle_rad"], columns["time_s"] = (
        list(0.0 - angles),
        list(times),
    )  # not -0.0, which would look odd
    notes = [*records.notes, *beyond, *said]
    return cut_drives(DriveTable.build(root, notes=notes, **columns), np.array(unusable), at_gaps=False)


def _second_version(tub: Path) -> Records:
    records = Records()
    catalogs, records.deleted = _read_manifest(tub, records.notes)
    absent = [path for path in catalogs if not path.is_file()]
    if absent and len(absent) == len(catalogs):
        raise InputError(f"{absent[0]}: no such file")
    if absent:
        lost = f"{len(absent)} of {len(catalogs)} catalogs are absent; their records are left out"
        records.notes.append(f"{absent[0]}: {lost}")
    for catalog in catalogs:
        if catalog not in absent:
            records.found += [(catalog, *record) for record in _catalog_records(catalog, records.notes)]
    return records


def _catalog_records(catalog: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields line and record; the last line may be cut off, any other has to be JSON."""
    try:
        lines = catalog.read_bytes().rstrip(b"\0 \r\n").split(b"\n")
    except OSError as error:
        raise InputError(f"{catalog}: cannot be read ({error.strerror})") from None
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            if line < len(lines):
                raise InputError(f"{catalog}:{line}: is no JSON") from None
            notes.append(f"{catalog}:{line}: the last record is cut off; it was left out")
            return
        if not isinstance(record, dict):
            raise InputError(f"{catalog}:{line}: is no JSON object, as every line has to be")
        yield line, record


def _first_version(tub: Path) -> Records:
    records = Records()
    numbered = sorted(
        (int(match[1]), path) for path in tub.iterdir() if (match := _RECORD.fullmatch(path.name))
    )
    broken = []
    for number, path in numbered:
        try:
            record = read_json(path)
        except InputError:
            broken.append(path)
            continue
        if not isinstance(record, dict):
            raise InputError(f"{path}: is no JSON object")
        records.found.append((path, 1, {"_index": number, **record}))
    if broken:
        if not records.found:
            raise InputError(f"{broken[0]}: is no JSON; no record can be read")
        cut = f"{len(broken):,} of {len(numbered):,} records are cut off and left out"
        records.notes.append(f"{broken[0]}: {cut}")
    if not all("milliseconds" in record for _, _, record in records.found):
        records.notes.append(
            f"{tub}: records have no milliseconds; {RECORDS_PER_SECOND:.0f} a second are assumed"
        )
        for _, _, record in records.found:
            record["milliseconds"] = 1000 * record["_index"] / RECORDS_PER_SECOND
    for _, _, record in records.found:
        record["_timestamp_ms"] = record["milliseconds"]
    return records


def _read_manifest(tub: Path, notes: list[str]) -> tuple[list[Path], set[int]]:
    """Returns the catalogs of a tub and the indexes of its deleted records."""
    path = tub / MANIFEST
    try:
        return _listed(path)
    except InputError as error:
        numbered = sorted((int(m[1]), p) for p in tub.iterdir() if (m := _CATALOG.fullmatch(p.name)))
        if not numbered:
            raise
        catalogs = [catalog for _, catalog in numbered]
        notes.append(
            f"{error}; all {len(catalogs)} catalogs beside it are read, none of their records as deleted"
        )
        return catalogs, set()


def _listed(path: Path) -> tuple[list[Path], set[int]]:
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
    raise InputError(f'{path}: has no "paths" of catalogs')


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _number(record: dict[str, object], name: str, where: str) -> float:
    value = record.get(name)
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or np.isinf(value):
        raise InputError(f"{where}: {name} is {value!r}, which is no number")
    return float(value)

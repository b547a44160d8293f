"""DonkeyCar's tubs: sessions, deleted records, several catalogs; every fault one line with file and row."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.driving import read_drives, recognise
from data_prep.driving.formats import donkeycar
from data_prep.driving.summary import prepared
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import draw, put


def tub(root: Path, records: list[dict], deleted: list[int], per_catalog: int = 5) -> None:
    catalogs = []
    for start in range(0, len(records), per_catalog):
        lines = [json.dumps(record) for record in records[start : start + per_catalog]]
        catalogs.append(put(root, f"catalog_{start // per_catalog}.catalog", "\n".join(lines)).name)
    manifest = [
        ["cam/image_array", "user/angle", "user/throttle"],
        ["image_array", "float", "float"],
        {},
        {"created_at": 1.0, "sessions": {}},
        {"paths": catalogs, "current_index": len(records), "max_len": 5, "deleted_indexes": deleted},
    ]
    put(root, "manifest.json", "\n".join(map(json.dumps, manifest)) + "\n")


def record(index: int, **more: object) -> dict:
    return {
        "_index": index,
        "_session_id": "a" if index < 8 else "b",
        "_timestamp_ms": 1709732482594 + 50 * index,
        "cam/image_array": f"{index}_cam_image_array_.jpg",
        "user/angle": index / 10,
        "user/throttle": 0.3,
        **more,
    }


def test_donkeycar_tub_with_sessions_and_deleted_records(tmp_path: Path) -> None:
    tub(tmp_path, [record(n) for n in range(11)] + [record(11, **{"user/angle": None})], [3])
    draw(tmp_path, [f"images/{n}_cam_image_array_.jpg" for n in range(12)])
    assert recognise(tmp_path) == "donkeycar"
    table, warnings = prepared(read_drives(tmp_path))
    assert [(str(table.drive[rows[0]]), len(rows)) for rows in table.series()] == [
        ("a", 3),
        ("a~2", 4),
        ("b", 4),
    ]
    assert table.frame.tolist() == [str(n) for n in range(12) if n != 3]
    np.testing.assert_allclose(table.angle_rad[:-1], [-n / 10 for n in range(11) if n != 3])
    assert np.isnan(table.angle_rad[-1]) and np.isnan(table.speed_mps).all()
    assert len(warnings) == 1 and "catalog_2.catalog:2: 1 frame is without an angle" in warnings[0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"user/angle": 1.5}, r"catalog_0.catalog:2: user/angle is 1.5; it has to be from -1 to 1"),
        ({"user/angle": "x"}, r"catalog:2: user/angle is 'x', which is no number"),
        ({"cam/image_array": 3}, r'catalog:2: has no "cam/image_array"'),
        ({"_timestamp_ms": None}, r'catalog:2: has no "_timestamp_ms"'),
        ({"_index": None}, r'catalog:2: has no "_index"'),
    ],
)
def test_faults_in_a_tub(tmp_path: Path, bad: dict, message: str) -> None:
    tub(tmp_path, [record(0), record(1, **bad)], [])
    with pytest.raises(InputError, match=message):
        donkeycar.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]\nnot json\n", r"json:2: is no JSON; a tub of version 2"),
        ("[1]\n{}\n", r'json: has no "paths" of catalogs'),
        ('{"paths": "a"}\n', r'json:1: "paths" or "deleted_indexes" is no list'),
        ('{"paths": ["c.catalog"]}\n', r"c.catalog: no such file"),
        ('{"paths": []}\n', r"its catalogs hold no records"),
    ],
)
def test_faults_in_a_manifest(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, "manifest.json", text)
    with pytest.raises(InputError, match=message) as caught:
        read_drives(tmp_path, "donkeycar")
    assert "\n" not in str(caught.value)


def test_several_tubs_and_all_records_deleted(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        tub(tmp_path / name, [record(n) for n in range(3)], [])
    table = read_drives(tmp_path)
    assert table.file[3] == "tuesday/images/0_cam_image_array_.jpg"
    assert table.frame.tolist() == [f"{name}/{n}" for name in ("monday", "tuesday") for n in range(3)]
    assert set(table.drive) == {"monday/a", "tuesday/a"}
    tub(tmp_path / "monday", [record(n) for n in range(3)], [0, 1, 2])
    with pytest.raises(InputError, match=r"monday/manifest.json: all 3 records are deleted"):
        read_drives(tmp_path)


def test_what_a_power_failure_and_a_gamepad_leave_is_read(tmp_path: Path) -> None:
    many = [record(n, **{"user/angle": 0.01 * n}) for n in range(100)]
    many[4]["user/angle"], many[60]["user/angle"] = -1.00003, 40.0
    tub(tmp_path, many, [2], per_catalog=20)
    catalog = tmp_path / "catalog_4.catalog"
    catalog.write_bytes(catalog.read_bytes()[:-30] + b"\0\xff\0")
    (tmp_path / "catalog_1.catalog").unlink()
    table = read_drives(tmp_path)
    assert table.frame.tolist() == [str(n) for n in range(99) if not 20 <= n < 40 and n != 2]
    assert table.angle_rad[3] == 1 and np.flatnonzero(np.isnan(table.angle_rad)).tolist() == [39]
    said = [note.removeprefix(f"{tmp_path}/") for note in table.notes]
    assert said == [
        "catalog_1.catalog: 1 of 5 catalogs are absent; their records are left out",
        "catalog_4.catalog:20: the last record is cut off; it was left out",
        "catalog_0.catalog:5: user/angle is -1.00003; 1 such became full lock",
        "catalog_3.catalog:1: user/angle is 40; it has to be from -1 to 1; 1 such are unknown and left "
        "out of training",
    ]
    for cut in ("", '["cam/image_array"]\n{"pat'):  # the manifest, too
        put(tmp_path, "manifest.json", cut)
        assert recognise(tmp_path) == "donkeycar"
        assert (
            len(read_drives(tmp_path)) == 79 and "all 4 catalogs beside it" in read_drives(tmp_path).notes[0]
        )
    put(tmp_path, "catalog_2.catalog", "{\n{}\n")
    with pytest.raises(InputError, match=r"catalog_2.catalog:1: is no JSON"):
        read_drives(tmp_path)


@pytest.mark.parametrize("timed", [True, False])
def test_tub_of_version_1(tmp_path: Path, timed: bool) -> None:
    for n in (*range(9), 10, 100):
        values = {"cam/image_array": f"{n}_cam-image_array_.jpg", "user/angle": n / 200, "user/throttle": 0.2}
        put(tmp_path, f"record_{n}.json", json.dumps(values | ({"milliseconds": 100 * n} if timed else {})))
    put(tmp_path, "record_9.json", '{"cam/image_ar')
    put(tmp_path, "meta.json", '{"inputs": ["cam/image_array"]}')
    draw(tmp_path, [f"{n}_cam-image_array_.jpg" for n in (*range(9), 10, 100)])
    assert recognise(tmp_path) == "donkeycar"
    table, warnings = prepared(read_drives(tmp_path))
    assert table.frame.tolist() == [str(n) for n in (*range(9), 10, 100)]
    np.testing.assert_allclose(table.time_s[[0, 1, 9, 10]], np.array([0, 1, 10, 100]) / (10 if timed else 20))
    np.testing.assert_allclose(table.angle_rad, -np.array([*range(9), 10, 100]) / 200)
    assert [len(rows) for rows in table.series()] == [10, 1]
    assert warnings[0] == f"{tmp_path / 'record_9.json'}: 1 of 12 records are cut off and left out"
    assert len(warnings) == (1 if timed else 2)

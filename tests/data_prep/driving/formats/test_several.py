"""Several recordings are one data set: found, named, and of several cars brought to one scale."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.driving.checks import absent_files
from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.formats.several import read_several
from data_prep.driving.splitting import SplitOptions
from data_prep.driving.table import read_drive_csv, write_drive_csv
from modules.errors import InputError
from tests.data_prep.driving.driving_folders import drive, drives, model, put

SPLIT = SplitOptions("blocks", val_share=0.25, guard_frames=20)


def recording(root: Path, recorder: str = "", scale: float = 1.0, lengths: tuple[int, ...] = (120,)) -> Path:
    """Writes drives whose angles swing, as this recorder has them."""
    frames = sum(lengths)
    table = drives(root, lengths, drawn=True, angle_rad=scale * np.sin(np.arange(frames) / 7))
    write_drive_csv(replace(table, recorder=recorder), root / "drive.csv")
    return root


def tub(root: Path, frames: int = 60) -> Path:
    """Writes a DonkeyCar's tub without its images."""
    line = {"_session_id": "s", "cam/image_array": "x.jpg", "user/angle": 0.5}
    records = [{**line, "_index": n, "_timestamp_ms": 1e12 + 50 * n} for n in range(frames)]
    put(root, "catalog_0.catalog", "\n".join(map(json.dumps, records)))
    put(root, "manifest.json", '["cam/image_array"]\n{"paths": ["catalog_0.catalog"]}')
    return root


def module(tmp_path: Path, *roots: Path, split: SplitOptions = SPLIT) -> SteerDataModule:
    return SteerDataModule(list(roots), split=split, sequence_length=4, cache=tmp_path / "cache")


def test_a_folder_of_recordings_of_several_formats_is_one_set(tmp_path: Path) -> None:
    recording(tmp_path / "all/wheel"), tub(tmp_path / "all/donkey")
    put(tmp_path, "all/other/notes.txt", "hello")
    table = read_several([tmp_path / "all"])
    assert dict.fromkeys(table.car.tolist()) == {"donkeycar": None, "": None}
    assert list(dict.fromkeys(table.recordings().tolist())) == ["s", "a"]
    assert sum("other: no drives in a known format; the folder is left out" in n for n in table.notes) == 1
    assert len(read_several([tmp_path / "all/wheel", tmp_path / "all/donkey"])) == len(table)


def test_recordings_of_one_format_are_left_to_its_reader(tmp_path: Path) -> None:
    tub(tmp_path / "all/one"), tub(tmp_path / "all/two")
    assert list(dict.fromkeys(read_several([tmp_path / "all"]).recordings())) == ["one/s", "two/s"]
    (
        recording(tmp_path / "drives/one"),
        recording(tmp_path / "drives/two"),
    )  # whose reader knows no sub-folders
    assert list(dict.fromkeys(read_several([tmp_path / "drives"]).recordings())) == ["one/a", "two/a"]


def test_a_recording_is_named_once(tmp_path: Path) -> None:
    recording(tmp_path / "all/one"), recording(tmp_path / "all/two")
    with pytest.raises(InputError, match=r"one: the folder is named twice"):
        read_several([tmp_path / "all/one", tmp_path / "all/../all/one"])
    with pytest.raises(InputError, match=r"all/one: the folder is named twice"):
        read_several([tmp_path / "all", tmp_path / "all/one"])
    tub(tmp_path / "tubs/one"), tub(tmp_path / "tubs/two")
    with pytest.raises(InputError, match=r"tubs/one: its frames are those of .*tubs, too"):
        read_several([tmp_path / "tubs", tmp_path / "tubs/one"])


def test_a_folders_name_stands_for_its_drives_in_a_split(tmp_path: Path) -> None:
    roots = [recording(tmp_path / name, lengths=(60, 60)) for name in ("one", "two")]
    data = module(tmp_path, *roots, split=SplitOptions(val_drives=["two"]))
    prepared = data.prepare(model())
    assert set(prepared.table.drive[prepared.split == "val"]) == {"two/a", "two/b"}


def test_angles_of_several_cars_are_brought_to_the_scale_of_the_first(tmp_path: Path) -> None:
    roots = [recording(tmp_path / "a", "donkeycar", 0.8), recording(tmp_path / "b", "", 0.1)]
    prepared = module(tmp_path, *roots).prepare(model())
    training = prepared.split == "train"
    spread = [
        prepared.table.angle_rad[training & (prepared.table.car == car)].std() for car in ("donkeycar", "")
    ]
    assert spread == pytest.approx([spread[0]] * 2) and prepared.cars["donkeycar"] == 1.0
    assert prepared.cars[""] == pytest.approx(8, rel=0.01)
    assert prepared.own_unit()[1] == 1.0
    steerer = model()
    steerer.cars, steerer.drives = prepared.cars, None
    alone = module(tmp_path, roots[1]).prepare(steerer, "test")
    table, factor = alone.own_unit()
    np.testing.assert_allclose(alone.table.angle_rad, 8 * table.angle_rad, rtol=0.01)
    assert factor == prepared.cars[""] and np.abs(table.angle_rad).max() == pytest.approx(0.1, abs=0.01)


def test_one_unit_is_joined_as_it_is(tmp_path: Path) -> None:
    roots = [recording(tmp_path / "a", "simulator", 0.4), recording(tmp_path / "b", "simulator", 0.1)]
    prepared = module(tmp_path, *roots).prepare(model())
    assert (
        prepared.cars == {} and np.abs(prepared.table.angle_rad).min() < 0.1 < prepared.table.angle_rad.max()
    )
    assert prepared.own_unit()[0].recorder == "simulator"


def test_cars_that_cannot_be_joined(tmp_path: Path) -> None:
    roots = [recording(tmp_path / "a", "donkeycar"), recording(tmp_path / "b")]
    with pytest.raises(
        InputError, match=r"b/drive.csv:2: angles of training frames in radians .* are not th"
    ):
        module(tmp_path, *roots, split=SplitOptions(val_drives=["b/a"])).prepare(model())
    steerer = model()
    with pytest.raises(InputError, match=r"and the model has not learnt both; score them one by one"):
        module(tmp_path, *roots).prepare(steerer, "test")
    with pytest.raises(InputError, match=r"would hold angles in several units"):
        write_drive_csv(read_several(roots), tmp_path / "drive.csv")


def test_rates_that_differ_are_said(tmp_path: Path) -> None:
    recording(tmp_path / "a")
    slow = drive(tmp_path / "b", 40, rate=9.0, drawn=True, drive="slow")
    write_drive_csv(slow, tmp_path / "b/drive.csv")
    notes = read_several([tmp_path / "a", tmp_path / "b"]).notes
    assert any("b has 9 frames a second, a 20; a model counts frames" in note for note in notes)


@pytest.mark.parametrize("name", ["drive.csv", "interpolated.csv"])
def test_images_that_tables_name_by_their_whole_paths_are_found(tmp_path: Path, name: str) -> None:
    columns = {
        "drive.csv": "file,time_s,angle_rad,drive",
        "interpolated.csv": "filename,timestamp,angle,drive",
    }
    for folder in "ab":
        image = put(tmp_path, f"elsewhere/{folder}/0.png")
        put(tmp_path, f"data/{folder}/{name}", f"{columns[name]}\n{image},1,0.1,{folder}\n")
    for roots in ([tmp_path / "data"], [tmp_path / "data" / "a", tmp_path / "data" / "b"]):
        table = read_several(roots)
        assert len(table) == 2 and not absent_files(table).any()
        write_drive_csv(table, tmp_path / "drive.csv")
        assert not absent_files(read_drive_csv(tmp_path / "drive.csv")).any()

"""A drive is known again by what was recorded, and scored where its fit set frames apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.known_drives import drives_learnt, split_again
from data_prep.driving.splitting import SplitOptions, split_frames
from data_prep.driving.table import DriveTable, write_drive_csv
from tests.data_prep.driving.driving_folders import drives, folder, model, module

RANDOM = np.random.default_rng(0)
TABLE = drives(Path("x"), [400, 300], angle_rad=RANDOM.normal(size=700).round(3))
SPLIT = split_frames(TABLE, SplitOptions(rule="blocks", test_share=0.1), 4)
KNOWN = drives_learnt(TABLE, SPLIT, "center", None)
OTHER = drives(Path("y"), [100], angle_rad=RANDOM.normal(size=100).round(3))


def joined(*tables: DriveTable) -> DriveTable:
    columns = {name: np.concatenate([vars(table)[name] for table in tables]) for name in TABLE.columns()}
    return DriveTable(root=Path("z"), **columns)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_what_was_learnt_is_split_as_then_under_any_name_and_order(stage):
    moved = replace(TABLE, drive=np.where(TABLE.drive == "a", "z/x", "q"), file=np.char.add("q/", TABLE.file))
    split, count, new = split_again(moved, "center", KNOWN, stage)
    assert (count, new) == (2, 0) and split.tolist() == SPLIT.tolist()
    order = np.r_[400:700, :400]
    assert split_again(TABLE.select(order), "center", KNOWN, stage)[0].tolist() == SPLIT[order].tolist()


@pytest.mark.parametrize(("stage", "split"), [("validate", "val"), ("test", "test")])
def test_a_drive_that_was_not_is_scored_whole(stage, split):
    assert split_again(OTHER, "center", KNOWN, stage) == (pytest.approx(np.full(100, split)), 1, 1)
    # beside one that was it tests: validation frames choose checkpoints
    beside, count, new = split_again(
        joined(TABLE, replace(OTHER, drive=np.full(100, "new"))), "center", KNOWN, stage
    )
    assert (count, new) == (3, 1) and beside.tolist() == [*SPLIT.tolist(), *["test"] * 100]


def test_parts_of_a_drive_are_known_and_two_of_equal_names_times_and_angles_here_and_there_are_not():
    cut = TABLE.select(np.r_[30:90, 350:395])
    assert split_again(cut, "center", KNOWN, "test")[0].tolist() == SPLIT[np.r_[30:90, 350:395]].tolist()
    coarse = [
        drives(Path("x"), [900], angle_rad=RANDOM.choice([0, 0, 0, 0, 0.5, -0.5], 900)) for _ in range(2)
    ]
    known = drives_learnt(coarse[0], np.full(900, "train"), "center", None)
    assert [split_again(each, "center", known, "test")[1:] for each in coarse] == [(1, 0), (1, 1)]


def test_a_fit_that_goes_on_elsewhere_has_learnt_from_both_and_what_trained_once_is_not_held_out():
    both = drives_learnt(OTHER, np.full(100, "train"), "center", KNOWN)
    again = drives_learnt(OTHER, np.full(100, "val"), "center", both)
    assert len(again["marks"]) == len(both["marks"]) and again["spans"].shape[1] == 4
    split, _, new = split_again(OTHER, "center", again, "test")
    assert not new and set(split.tolist()) == {"train"}
    assert split_again(TABLE, "center", both, "test")[0].tolist() == SPLIT.tolist()


def test_the_data_module_asks_the_model(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder(tmp_path, [80])
    data, steerer = module(tmp_path, sequence_length=4), model()
    data.data = data.prepare(steerer)
    steerer.drives = data.drives_learnt(None)
    data.data = data.prepare(steerer, "test")
    assert data.test_split == "val" and 0 < (data.data.split == "val").sum() < 20
    table = drives(tmp_path / "data", [40], angle_rad=torch.linspace(-1, 1, 40).numpy())
    write_drive_csv(table, tmp_path / "new" / "drive.csv")
    other = SteerDataModule(tmp_path / "new", cache=tmp_path / "cache")
    capsys.readouterr()
    other.data = other.prepare(steerer, "test")
    assert (other.data.split == "test").all()
    assert "1 of 1 drives are new to the model: scored whole" in capsys.readouterr().out

"""fit from the first line to the report; a stopped fit goes on; validate and test repeat its scores."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipelines.glimpses.painter_runs import newest_checkpoint
from pipelines.house_numbers import main
from tests.pipelines.glimpses.conftest import export

DEBUG = ["--config", "configs/debug/house_numbers.yaml", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQSIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        assert main(["fit", *DEBUG, "--runs", str(runs)]) == 0
    return runs / "house_numbers" / "debug" / "version_0"


@pytest.mark.slow
def test_a_fit_leaves_scores_controls_and_a_report(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["scores"]) == {"accuracy", "digit_accuracy", "length_accuracy"}
    assert len(metrics["controls"]) == 3
    assert metrics["multiply_adds"]["reader"]["64"] == metrics["multiply_adds"]["reader"]["256"]
    assert list(metrics["by_size"]) == ["32", "64", "128", "256"]
    # what is seen at the reader's own size was scored already
    assert metrics["by_size"]["32"]["accuracy"] == metrics["scores"]["accuracy"]
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and any("picture" in row for row in rows)
    page = (run / "report.html").read_text()
    assert "CNN of equal parameters" in page and "data:image/jpeg" in page
    assert "read right by this reader, of 4 pictures" in page and "Share of whole numbers" in page
    assert "mathdefault" not in page  # powers of ten, which the page would show as they are written
    assert {path.name for path in (run / "checkpoints").iterdir()} == {
        *("best.ckpt", "last.ckpt", "cnn.ckpt", "centre.ckpt")
    }


@pytest.mark.slow
def test_a_fit_in_a_folder_whose_name_is_no_utf_8_names_its_pictures(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    config = str(Path(DEBUG[1]).resolve())
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    for name in range(40):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((32, 60, 3), 5 * name, np.uint8))
        (tmp_path / f"{name}.png").rename(folder / f"{name}.png")
    (folder / "numbers.csv").write_text("image,number\n" + "".join(f"{n}.png,{n}\n" for n in range(40)))
    monkeypatch.chdir(folder)
    options = ["--data.root", ".", "--model.training.controls", "false", "--runs", str(tmp_path / "runs")]
    assert main(["fit", "--config", config, *options]) == 0
    (predictions,) = (tmp_path / "runs").rglob("predictions.jsonl")
    assert all(Path(json.loads(row)["file"]).is_file() for row in predictions.read_text().splitlines())


@pytest.mark.slow
def test_a_test_repeats_the_scores_of_the_fit(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path))
    before = json.loads((run / "metrics.json").read_text())
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    again = json.loads((run / "test_0" / "metrics.json").read_text())
    assert again["scores"] == before["scores"] and again["controls"] == before["controls"]
    assert main(["report", "--run", str(run / "test_0")]) == 0


@pytest.mark.slow
def test_a_stopped_fit_goes_on_as_if_it_had_not_stopped(run: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    options = [*DEBUG, "--model.training.controls", "false", "--model.training.schedule", "constant"]
    for name, epochs in (("whole", "2"), ("stopped", "1")):
        fitted = ["--runs", str(tmp_path), "--name", name, "--trainer.max_epochs", epochs]
        assert main(["fit", *options, *fitted]) == 0
    whole, stopped = (
        tmp_path / "house_numbers" / name / "version_0" / "checkpoints" / "last.ckpt"
        for name in ("whole", "stopped")
    )
    assert main(["fit", "--ckpt_path", str(stopped), "--trainer.max_epochs", "2"]) == 0
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, stopped))
    assert all(one[name].equal(other[name]) for name in one)
    assert not whole.with_name("cnn.ckpt").exists()
    assert main(["fit", "--ckpt_path", str(whole), "--model.training.controls", "true"]) == 0
    assert whole.with_name("cnn.ckpt").is_file()  # wanted later: the reader itself is done


@pytest.mark.slow
def test_controls_have_the_steps_of_the_reader_however_it_ended(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    assert main(["fit", *DEBUG, "--runs", str(tmp_path), "--trainer.max_steps", "1"]) == 0
    folder = tmp_path / "house_numbers" / "debug" / "version_0"
    told = capsys.readouterr()
    assert "ModelCheckpoint" not in told.out + told.err
    assert len(json.loads((folder / "metrics.json").read_text())["controls"]) == 3
    resumed = ["fit", "--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]
    assert main([*resumed, "--trainer.max_steps", "4"]) == 0
    assert "control: cnn, 4 steps" in capsys.readouterr().out
    assert main([*resumed, "--trainer.max_steps", "4"]) == 0
    assert "control:" not in capsys.readouterr().out


@pytest.mark.slow
def test_an_export_says_what_pytorch_says(run: Path, tmp_path: Path) -> None:
    told = export(run / "checkpoints" / "best.ckpt", tmp_path / "onnx")
    described = json.loads((tmp_path / "onnx" / "reader.json").read_text())
    assert described["stop"] == 10 and "log-softmax" in described["decode"]
    difference = float(told.split()[-1])
    assert difference < 1e-4


def test_statistics_of_batches_are_not_taken_over_processes(tmp_path: Path, capsys) -> None:
    given = ["--runs", str(tmp_path), "--trainer.sync_batchnorm", "true"]
    assert main(["fit", *DEBUG, *given]) == 2
    said = capsys.readouterr().err
    assert "trainer.sync_batchnorm is true" in said and said.splitlines()[-1].startswith("error: ")


def test_the_newest_reader_is_no_control(tmp_path: Path) -> None:
    for place, kind in enumerate(("window", "centre", "cnn")):
        folder = tmp_path / "house_numbers" / kind / "version_0"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").write_text(f"model: {{reader: {{kind: {kind}}}}}\n")
        (folder / "checkpoints" / "best.ckpt").write_bytes(b"")
        os.utime(folder / "checkpoints" / "best.ckpt", (place, place))
    newest = newest_checkpoint(tmp_path, painter=False)
    assert newest is not None and newest.parts[-4] == "window"


def test_own_pictures_are_asked_for_where_no_folder_is_named(tmp_path: Path, capsys) -> None:
    assert main(["fit", "--config", "configs/house_numbers/folder.yaml", "--runs", str(tmp_path)]) == 2
    assert "needs a folder: --data.root DIR" in capsys.readouterr().err

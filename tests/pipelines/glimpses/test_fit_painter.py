"""fit of a painter from the first line to the report; a stopped fit goes on; test repeats its scores."""

import json
from pathlib import Path

import pytest
import torch

from pipelines.house_numbers import main

DEBUG = ["--config", "configs/debug/painter.yaml", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQSIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        assert main(["fit", *DEBUG, "--runs", str(runs), "--reader_ckpt", str(checkpoint)]) == 0
    return runs / "house_numbers" / "debug" / "version_0"


@pytest.mark.slow
def test_a_fit_leaves_bits_of_both_models_and_what_was_read(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["scores"]) == {"bits_per_pixel", "pixel_bits", "kl_bits"}
    assert list(metrics["controls"]) == ["autoencoder without recurrence"]
    assert len(metrics["kl_bits"]) == 3
    assert sum(metrics["kl_bits"]) == pytest.approx(metrics["scores"]["kl_bits"], rel=1e-5)
    rows = [json.loads(line) for line in (run / "paintings.jsonl").read_text().splitlines()]
    assert metrics["read"]["numbers"] == len(rows) > 0
    assert all(set(row) == {"number", "read", "probability"} for row in rows)
    page = (run / "report.html").read_text()
    assert "autoencoder without recurrence" in page and "data:image/gif" in page
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "vae.ckpt"}


@pytest.mark.slow
def test_a_test_repeats_the_scores_of_the_fit_and_a_report_can_be_written_again(run: Path) -> None:
    before = json.loads((run / "metrics.json").read_text())
    assert main(["test", "--ckpt_path", str(run / "checkpoints" / "best.ckpt")]) == 0
    again = json.loads((run / "test_0" / "metrics.json").read_text())
    assert again["scores"] == before["scores"] and again["controls"] == before["controls"]
    for folder in (run, run / "test_0"):
        assert main(["report", "--run", str(folder)]) == 0


@pytest.mark.slow
def test_a_stopped_fit_goes_on_as_if_it_had_not_stopped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path / "cache"))
    options = [*DEBUG, "--control", "false", "--model.training.schedule", "constant"]
    for name, epochs in (("whole", "2"), ("stopped", "1")):
        fitted = ["--runs", str(tmp_path), "--name", name, "--trainer.max_epochs", epochs]
        assert main(["fit", *options, *fitted]) == 0
    whole, stopped = (
        tmp_path / "house_numbers" / name / "version_0" / "checkpoints" / "last.ckpt"
        for name in ("whole", "stopped")
    )
    assert main(["fit", "--ckpt_path", str(stopped), "--trainer.max_epochs", "2", "--control", "false"]) == 0
    one, other = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, stopped))
    assert all(one[name].equal(other[name]) for name in one)

"""The `compare` command: rows with several seeds, taken up again, in a table and on a page."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from data_prep.driving.road import dataset as road
from pipelines.steer import main
from pipelines.steering.compare import remark, summarise, table_of
from tests.pipelines.pages import Page

TINY = """
name: tiny
trainer: {{max_epochs: 1, accelerator: cpu, precision: 32-true, enable_model_summary: false}}
model:
  frames: {{height: 24, width: 32}}
  encoder: {{kind: clip, channels: 4, kernels: [3, 3, 3, 3], strides: [2, 2, 1, 1], pool: [1, 4],
            dense_sizes: [8, 8], feature_size: 8}}
  decoder: {{kind: recurrent, hidden_size: {hidden}}}
data: {{stateful: true}}
"""


def row(rmse: float, seconds: float = 60.0) -> dict:
    scores = {"rmse_rad": rmse, "r2": 0.5, "whiteness_rad_s": None}
    ridge = {"ridge_on_optical_flow": {"rmse_rad": 0.2}}
    return {"recorder": "", "scores": scores, "baselines": ridge, "seconds": {"fit": seconds}}


def test_a_line_has_mean_and_spread_and_says_what_is_wrong() -> None:
    line = summarise("one", [row(0.10), row(0.12), row(0.11, seconds=120)])
    assert line["scores"]["rmse_rad"] == pytest.approx(0.11) and line["spread"] == pytest.approx(0.02 / 0.11)
    assert line["seeds"] == ["0.1000", "0.1200", "0.1100"] and line["ridge"] == 0.2
    assert remark(line) == "seeds disagree"
    assert remark(summarise("one", [row(0.2), row(0.21)])) == "no better than ridge"
    assert not remark(summarise("one", [row(0.1)]))


def test_what_one_seed_has_no_number_for_is_no_zero() -> None:
    lines = [row(0.1), row(0.12)]
    lines[0]["scores"] |= {"r2": 0.9, "whiteness_rad_s": 0.3}
    lines[1]["scores"]["r2"] = None
    assert summarise("one", lines)["scores"] == {
        "rmse_rad": pytest.approx(0.11),
        "r2": 0.9,
        "whiteness_rad_s": 0.3,
    }
    nothing = summarise("one", [row(0.1)])
    assert nothing["scores"]["whiteness_rad_s"] is None
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table_of([nothing]))
    assert " - " in capture.get()


@pytest.mark.parametrize(
    ("configs", "said"),
    [
        ("[transfer, other/transfer.yaml]", "two rows would have the same name"),
        ("[transfer, 1]", "configs: 1 is no name of a configuration"),
    ],
)
def test_a_plan_that_cannot_be_a_table_is_one_line(
    configs: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "transfer.yaml").touch()
    (tmp_path / "plan.yaml").write_text(f"configs: {configs}")
    assert main(["compare", "--config", "plan.yaml", "--output", "out"]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_every_number_of_the_table_is_whole_on_80_columns() -> None:
    names = ["komanda_paper", "chauffeur"]
    lines = [summarise(name, [row(0.1234), row(0.1345), row(0.1456, seconds=712)]) for name in names]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table_of(lines))
    shown = capture.get()
    assert "…" not in shown
    for number in ("0.1345", "0.1234", "0.1456", "17%", "0.2000", *names):
        assert number in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--configs", "transfer,komand"], "configs: there is no 'komand'; there are chauffeur, "),
        (["--seeds", "0,x"], "seeds: 'x' is no whole number"),
        (["--config", "configs/steer/compare.yaml", "--seeds", "0,x"], "seeds: 'x' is no whole number"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["compare", *given, "--output", str(tmp_path / "out")]) == 2
    assert f"error: {said}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_rows_are_fitted_once_a_seed_and_shown_on_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    road.generate(tmp_path / "road", drives=10, seconds=2, workers=1)
    for name, hidden in (("small", 4), ("large", 8)):
        (tmp_path / f"{name}.yaml").write_text(TINY.format(hidden=hidden))
    configs = ",".join(str(tmp_path / f"{name}.yaml") for name in ("small", "large"))
    given = ["compare", "--configs", configs, "--data.root", str(tmp_path / "road")]
    given += ["--output", str(tmp_path / "out")]
    assert main([*given, "--seeds", "0"]) == 0
    capsys.readouterr()
    assert main([*given, "--seeds", "0,1"]) == 0
    printed = capsys.readouterr().out
    assert "small-0: begins" not in printed and "small-1: begins" in printed and "spread" in printed
    rows = [json.loads(line) for line in (tmp_path / "out/compare.jsonl").read_text().splitlines()]
    assert [(each["kind"], each["seed"]) for each in rows] == [
        ("small", "0"), ("large", "0"), ("small", "1"), ("large", "1"),
    ]  # fmt: skip
    page = Page(tmp_path / "out/compare.html")
    assert "Configurations and seeds" in page.text and "small" in page.text and "large" in page.text
    (tmp_path / "small.yaml").write_text(TINY.format(hidden=5))
    assert main(given) == 2
    assert "holds a comparison with other options; choose another --output" in capsys.readouterr().err

"""A fit on LaTeX counts the environments of what the model writes."""

import json
from pathlib import Path

import pytest

from pipelines.text import main

DEBUG = Path(__file__).resolve().parents[3] / "configs" / "debug" / "text.yaml"


@pytest.mark.slow
def test_environments_of_latex_are_counted_beside_those_of_the_held_out_text(tmp_path):
    file = tmp_path / "notes.tex"
    file.write_text(
        "".join(f"\\begin{{lemma}} Let $x_{n}$ be {n % 7}. \\end{{lemma}}\n\n" for n in range(700))
    )
    given = ["--config", str(DEBUG), "--data.file", str(file), "--runs", str(tmp_path)]
    assert main(["fit", *given, "--trainer.max_steps", "2"]) == 0
    run = tmp_path / "text" / "debug" / "version_0"
    counted = json.loads((run / "metrics.json").read_text())["environments"]
    assert counted["held out"]["closed"] > 0.9 and counted["held out"]["begun"] > 10
    assert counted["written"]["closed"] < counted["held out"]["closed"]  # it has learnt next to nothing
    assert "<h2>Environments</h2>" in (run / "report.html").read_text()

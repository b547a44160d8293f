"""A tiny captioned folder, and one finished run on it, shared by the tests of the command line."""

import json
from pathlib import Path

import pytest

from data_prep.captions.scenes import dataset as scenes
from pipelines.caption import main
from tests.pipelines.golden import recorded

ROOT = Path(__file__).resolve().parents[3]
DEBUG = ROOT / "configs" / "debug" / "caption.yaml"


@pytest.fixture(scope="session")
def captioned_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioned") / "scenes"
    scenes.generate(root, images=60, size=64)
    rows = [json.loads(line) for line in (root / "captions.jsonl").read_text().splitlines()]
    # a folder of one's own has no scenes.json
    (root / "scenes.json").unlink()
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    return root


@pytest.fixture
def fit(captioned_folder):
    """Returns a function that fits into a folder and returns RUN."""

    def run(runs, *arguments):
        given = ["fit", "--config", str(DEBUG), "--data.root", str(captioned_folder), "--runs", str(runs)]
        assert main([*given, *arguments]) == 0
        return max((Path(runs) / "caption" / "debug").glob("version_*"))

    return run


@pytest.fixture(scope="session")
def finished_run(captioned_folder, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    arguments = ["--config", str(DEBUG), "--data.root", str(captioned_folder), "--runs", str(runs)]
    assert recorded(main, ["fit", *arguments], runs / "printed.txt") == 0
    return runs / "caption" / "debug" / "version_0"

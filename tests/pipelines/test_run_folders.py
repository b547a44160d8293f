"""One folder a run, whoever else starts one, and none where nothing came of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from modules.errors import InputError
from pipelines.run_folders import is_first_process, reserve_run_folder
from tests.pipelines.toy_task import QUIET, LineCLI


def test_fits_that_start_at_once_have_folders_of_their_own(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: reserve_run_folder(tmp_path / "task" / "name"), range(16)))
    assert {folder.name for folder in folders} == {f"version_{n}" for n in range(16)}


def test_a_new_run_comes_after_all_others(tmp_path):
    for name in ("version_3", "version_x", "version_7_old", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "version_9").touch()
    assert reserve_run_folder(tmp_path).name == "version_10"
    with pytest.raises(InputError, match="choose another --runs"):
        reserve_run_folder(tmp_path / "version_9" / "name")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--data.slope", "-1"],
        ["--model.line.scale", "nan"],  # diverges in the first step
        ["--trainer.limit_train_batches", "0.01"],
        ["--trainer.max_time", "soon"],
    ],
)
def test_a_fit_that_fails_leaves_no_folder(tmp_path, wrong):
    with pytest.raises(InputError):
        LineCLI(["fit", *QUIET, "--runs", str(tmp_path / "runs"), "--trainer.max_epochs", "1", *wrong])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_only_the_first_of_several_processes_reserves_a_folder(monkeypatch, name):
    monkeypatch.setenv(name, "0")
    assert is_first_process()
    monkeypatch.setenv(name, "3")
    assert not is_first_process()

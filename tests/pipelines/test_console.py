"""`seqsight TASK COMMAND` says and does what `python pipelines/TASK.py COMMAND` does."""

import pytest

from pipelines import caption, house_numbers, steer, text
from pipelines.arguments import CONFIGS, with_config
from pipelines.console import main

DOORS = {"caption": caption, "steer": steer, "text": text, "house_numbers": house_numbers}


def test_without_a_task_it_prints_a_manual_of_all(capsys):
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert all(f"seqsight {task} " in printed for task in DOORS)


@pytest.mark.parametrize("task", DOORS)
def test_the_manual_of_a_task_is_its_doors_under_another_name(task, capsys):
    assert main([task, "--help"]) == 0
    assert capsys.readouterr().out.count(f"    seqsight {task} ") == DOORS[task].__doc__.count("    python ")


def test_an_unknown_task_or_command_is_one_line(capsys):
    assert main(["captoin", "fit"]) == 2
    assert capsys.readouterr().err == (
        "error: no command 'captoin'; the nearest is 'caption'; there are caption, steer, text, "
        "house_numbers\n"
    )
    assert main(["caption", "predcit"]) == 2
    assert capsys.readouterr().err.startswith("error: no command 'predcit'; the nearest is 'predict'")


@pytest.mark.parametrize("task", DOORS)
def test_a_commands_complaint_and_status_are_its_doors(task, capsys):
    wrong = ["score", "--labesl", "x.csv"]
    assert DOORS[task].main(wrong) == main([task, *wrong]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == second


def test_a_configuration_of_the_package_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped, default = str(CONFIGS / "debug" / "text.yaml"), CONFIGS / "text" / "python.yaml"
    for written in (["--config", "configs/debug/text.yaml"], ["--config=configs/debug/text.yaml"]):
        given = with_config(["fit", *written, "--name", "x"], default)
        assert " ".join(given).replace("=", " ").split() == ["fit", "--config", shipped, "--name", "x"]
    # one's own comes first, and what is not in the package is left as it was written
    (tmp_path / "configs" / "debug").mkdir(parents=True)
    (tmp_path / "configs" / "debug" / "text.yaml").write_text("name: mine\n")
    for name in ("configs/debug/text.yaml", "configs/absent.yaml", "pyproject.toml"):
        assert with_config(["fit", "--config", name], default) == ["fit", "--config", name]

"""Where the code of a command lies, and what its help says."""

from pathlib import Path

import pytest

from pipelines import caption, steer, text
from tests.pipelines.golden import check_golden

PIPELINES = Path(caption.__file__).parent
TASKS = {"captioning": caption, "steering": steer, "language": text}
COMMANDS = [(task, command) for task, door in TASKS.items() for command in door.COMMANDS]


@pytest.mark.parametrize(("task", "command"), COMMANDS)
def test_the_code_of_a_command_lies_in_the_file_of_its_name(task, command):
    file = PIPELINES / task / f"{'fit' if command in ('validate', 'test') else command}.py"
    assert file.is_file(), f"{file} is missing"


@pytest.mark.parametrize(("task", "command"), COMMANDS)
def test_help_says_what_it_said(task, command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        TASKS[task].main([command, "--help"])
    assert end.value.code == 0
    check_golden(f"{task}/{command}", capsys.readouterr().out)

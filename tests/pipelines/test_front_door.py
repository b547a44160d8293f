"""Where the code of a command lies, and what its help says."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.commands import run_commands
from pipelines import caption, console, house_numbers, steer, text
from pipelines.front_door import loading
from tests.pipelines.golden import check_golden

PIPELINES = Path(caption.__file__).parent
TASKS = {"captioning": caption, "steering": steer, "language": text, "glimpses": house_numbers}
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


@pytest.mark.parametrize("script", ["caption", "steer", "text", "house_numbers"])
def test_a_door_runs_the_code_beside_it_and_no_other_copy_that_is_installed(script, tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise SystemExit('another copy')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    asked = [sys.executable, PIPELINES / f"{script}.py", "--help"]
    ended = subprocess.run(asked, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("script", ["caption", "steer", "text", "house_numbers"])
def test_a_python_without_the_project_is_told_so_in_one_line(script, tmp_path):
    bare = [sys.executable, "-I", "-S", PIPELINES / f"{script}.py", "fit"]  # -S: without installed packages
    ended = subprocess.run(bare, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and " does not find " in line and "pip install -e ." in line


@pytest.mark.parametrize("domain", ["captions", "driving", "text", "house_numbers"])
def test_a_python_without_what_the_data_need_is_told_so_in_one_line(domain):
    bare = [sys.executable, "-S", "-m", f"data_prep.{domain}", "DIR"]
    ended = subprocess.run(bare, cwd=PIPELINES.parent, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and " does not find " in line and "pip install -e ." in line


@pytest.mark.parametrize("door", [caption, steer, text, house_numbers, console])
def test_no_command_fails_for_want_of_a_character(door, monkeypatch, capsys):
    stdout = io.TextIOWrapper(io.BytesIO(), "cp1252")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setitem(caption.COMMANDS, "fit", lambda argv: print("café ☃"))
    for of in (steer, text, house_numbers):
        monkeypatch.setitem(of.COMMANDS, "fit", caption.COMMANDS["fit"])
    assert door.main(["caption", "fit"] if door is console else ["fit"]) == 0
    assert stdout.buffer.getvalue().decode("cp1252") == "café ?\n"
    assert capsys.readouterr().err.startswith("note: output in cp1252")


@pytest.mark.parametrize("given", [["--file", "new/"], ["--file=new/"]])
def test_no_command_on_data_takes_a_folder_for_a_file(given, capsys):
    def write(file: Path | None = None) -> None:
        """Writes a file."""

    assert run_commands("write", write, {}, given, writes=("file",)) == 2
    assert capsys.readouterr().err == "error: new/: is a folder; --file names a file\n"


def test_no_command_on_data_fails_for_want_of_a_character(monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stdout)

    def say() -> None:
        """Says it."""
        print("☃", flush=True)

    assert run_commands("say", say, {}, []) == 0
    assert stdout.buffer.getvalue() == b"?\n"


def test_loading_is_said_where_it_takes_a_while_and_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr("pipelines.front_door.QUICK_S", 0.01)
    with loading():
        time.sleep(0.1)
    assert capsys.readouterr() == ("", "loading ...\n")
    monkeypatch.setattr("pipelines.front_door.QUICK_S", 60.0)
    with loading():
        pass
    assert capsys.readouterr() == ("", "")

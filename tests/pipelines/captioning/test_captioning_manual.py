"""The manual, the help of every command, and the script as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.caption import main

ROOT = Path(__file__).resolve().parents[3]


def test_the_manual_lists_every_command(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        for command in ("fit", "validate|test", "predict", "score", "report"):
            assert f"python pipelines/caption.py {command}" in printed


@pytest.mark.parametrize(
    "command, options",
    [
        (
            "fit",
            ["--data.root", "--model.decoder.hidden_size", "--decoding.beam_size", "--trainer.max_epochs"],
        ),
        ("test", ["--ckpt_path", "--decoding.beam_size"]),
        ("predict", ["--images", "--attention", "--decoding.beam_size", "--trainer.devices"]),
        ("score", ["--predictions", "--references", "--json"]),
        ("report", ["--run"]),
    ],
)
def test_the_whole_help_lists_the_options(capsys, command, options):
    with pytest.raises(SystemExit) as end:
        main([command, "--help", "all"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in options)


@pytest.mark.slow
def test_the_script_itself_ends_with_status_and_one_line(tmp_path):
    script = [sys.executable, str(ROOT / "pipelines" / "caption.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*script, "predict", "--imagse", "x"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr == "error: no option 'imagse'; the nearest is 'images'\n"
    assert ended.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"]])
def test_who_stops_reading_gets_no_traceback(arguments):
    command = [sys.executable, str(ROOT / "pipelines" / "caption.py"), *arguments]
    # without a buffer argparse meets the closed pipe itself, and overlooks it
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered)
    process.stdout.close()  # as `| head -0` does
    with process.stderr as complaints:
        assert complaints.read() in (b"", b"loading ...\n")
    # what a shell shows of a program that SIGPIPE ended
    assert process.wait() == 128 + 13

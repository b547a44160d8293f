"""Every configuration says what to expect of it, and its program takes it."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from data_prep.captions.scenes import dataset as scenes
from pipelines.options.known_options import check_early
from tests.commands import ROOT, parse

JOBS = ROOT / "configs" / "jobs"
CONFIGS = sorted(path for path in ROOT.glob("configs/*/*.yaml") if path.parent != JOBS)
FIELDS = ("Score", "Time", "Special")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def header(path):
    """Returns the comments that a file begins with, without their marks."""
    lines = path.read_text().split("\n")
    return [line[2:] for line in lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))]]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_header_gives_command_score_time_and_what_is_special(path):
    title, command, blank, *rest = header(path)
    assert title.endswith(":") and not blank
    known = [match for line in rest if (match := re.match(r"(\w+): +(\S.*)", line))]
    assert [match[1] for match in known[: len(FIELDS)]] == list(FIELDS)
    score, time, _ = (match[2] for match in known[: len(FIELDS)])
    assert re.search(r"\d", score) or score == "not measured"
    assert re.search(r"(second|minute| s\b|min\b)", time) or time.startswith("not measured")

    python, *words = shlex.split(command.replace("FILE_OR_DIR", "FILE"))
    assert python == "python"
    config = path.relative_to(ROOT).as_posix()
    if config not in words:  # the door chooses it by itself
        assert words[:2] == [f"pipelines/{path.parent.name}.py", "fit"]
    parse(words)
    named = words[:2] + ([] if config in words else ["--config", config]) + words[2:]
    parse(named)
    check_early(path.parent.name, named[1:])


def test_there_are_configurations():
    assert len(CONFIGS) >= 16


def job_of(name):
    """Returns the command of a job file, from the program's script on."""
    text = (JOBS / name).read_text()
    if name.endswith(".yaml"):
        replicas = yaml.safe_load(text)["spec"]["pytorchReplicaSpecs"]
        assert replicas.keys() == {"Master", "Worker"}
        commands = [each["template"]["spec"]["containers"][0]["command"] for each in replicas.values()]
        assert commands[0] == commands[1]
        words = commands[0]
    else:
        # with a checkpoint to go on from, too
        joined = text.replace("\\\n", " ").replace('${CKPT:+--ckpt_path "$CKPT"}', "--ckpt_path CKPT")
        (line,) = [line for line in joined.splitlines() if re.search(r"pipelines/\w+\.py fit --", line)]
        words = [word.lstrip("$") for word in shlex.split(line)]
    return words[next(number for number, word in enumerate(words) if word.startswith("pipelines/")) :]


@pytest.mark.parametrize("name", ["torchrun.sh", "slurm.sbatch", "pytorchjob.yaml", "ray_train.py"])
def test_the_command_of_a_job_is_one_of_this_project(name):
    words = job_of(name)
    assert words[1] == "fit"
    parse(words)
    with pytest.raises(ValueError, match="num_nods"):
        parse([*words, "--trainer.num_nods", "2"])


def test_a_job_ends_with_its_processes_and_gives_them_the_cores_it_asked_for():
    replicas = yaml.safe_load((JOBS / "pytorchjob.yaml").read_text())["spec"]["pytorchReplicaSpecs"]
    assert {spec["restartPolicy"] for spec in replicas.values()} == {"Never"}
    assert 'srun --cpus-per-task "$SLURM_CPUS_PER_TASK" ' in (JOBS / "slurm.sbatch").read_text()


def test_a_python_without_ray_is_told_so_in_one_line():
    bare = [sys.executable, "-I", "-S", JOBS / "ray_train.py"]  # -S: without installed packages
    ended = subprocess.run(bare, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ") and "does not find ray; " in line and 'pip install -e ".[ray]"' in line


@pytest.mark.slow
def test_ray_trains_on_two_workers_as_one_process_does(tmp_path):
    pytest.importorskip("ray")
    root = tmp_path / "photographs"
    scenes.generate(root, images=60, size=64)
    (root / "scenes.json").unlink()
    given = ["pipelines/caption.py", "fit", "--config", str(ROOT / "configs/debug/caption.yaml")]
    given += ["--data.root", str(root), "--model.decoder.dropout", "0", "--trainer.max_epochs", "1"]
    recipe = [sys.executable, str(JOBS / "ray_train.py"), "--workers", "2", "--", *given]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command, runs in ((recipe, "two"), ([sys.executable, *given], "one")):
        if runs == "one":
            command[1] = str(ROOT / command[1])
        fitted = subprocess.run(
            [*command, "--runs", runs],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert fitted.returncode == 0, fitted.stderr
    losses = []
    for runs in ("one", "two"):
        (run,) = (tmp_path / runs / "caption" / "debug").iterdir()
        losses.append(json.loads((run / "metrics.json").read_text())["scores"]["perplexity"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)

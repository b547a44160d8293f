"""fit, validate and test of texts at the public entry: what they leave behind, resuming, two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from modules.language.language_model import LanguageModel
from pipelines.reports.curves import read_curves
from pipelines.text import COMMANDS, main
from tests.pipelines.golden import check_golden, ending, recorded

ROOT = Path(__file__).resolve().parents[3]
CONFIGS, SCRIPT = ROOT / "configs", [sys.executable, str(ROOT / "pipelines" / "text.py")]
DEBUG = CONFIGS / "debug" / "text.yaml"
NOUNS, VERBS = ["cat", "dog", "bird", "old man"], ["sees", "likes", "follows", "forgets"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "story.txt"
    lines = [f"The {NOUNS[i % 4]} {VERBS[i * 7 % 11 % 4]} the {NOUNS[i * 5 % 13 % 4]}.\n" for i in range(240)]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def fit(file):
    """Returns a function that fits into a folder and returns RUN."""

    def run(runs, *arguments):
        assert main(["fit", *given(file, runs), *arguments]) == 0
        return max((Path(runs) / "text" / "debug").glob("version_*"))

    return run


@pytest.fixture(scope="module")
def finished(file, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    assert recorded(main, ["fit", *given(file, runs)], runs / "printed.txt") == 0
    return runs / "text" / "debug" / "version_0"


def given(file, runs):
    return ["--config", str(DEBUG), "--data.file", str(file), "--runs", str(runs)]


def checkpoint_of(run, name="last"):
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def assert_same_weights(first, second):
    first, second = first["state_dict"], second["state_dict"]
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def samples(run):
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


def test_a_fit_leaves_checkpoints_samples_scores_and_a_report(finished, file):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["split"] == "test" and metrics["scores"].keys() >= {"bits_per_char", "perplexity", "loss"}
    assert 0 < metrics["scores"]["bits_per_char"] < metrics["baselines"]["unigram"]
    assert "5-gram" in metrics["baselines"] and metrics["seconds"]["total"] > 0
    last = checkpoint_of(finished)["global_step"]
    assert [row["iteration"] for row in samples(finished)] == [2, 5, last]
    assert all(len(row["text"]) == 40 for row in samples(finished))
    assert file.read_text().endswith((finished / "held_out.txt").read_text())
    assert "<html" in (finished / "report.html").read_text()
    assert {"train/loss", "val/loss", "val/bits_per_char", "val/perplexity"} <= read_curves(finished).keys()
    assert (finished / "checkpoints" / "best.ckpt").is_file()


def test_a_fit_ends_as_it_did(finished):
    runs = finished.parents[2]
    check_golden("language/fit_ending", ending((runs / "printed.txt").read_text(), runs))


def test_it_is_printed_what_was_learnt_and_where_things_lie(fit, tmp_path, capsys):
    run = fit(tmp_path, "--trainer.max_epochs", "1", "--sampling.prompt", "The ", "--sampling.length", "7")
    printed = capsys.readouterr().out
    for row in samples(run):
        assert f"iteration {row['iteration']:,}\nThe {row['text']}\n" in printed
        assert row["prompt"] == "The " and len(row["text"]) == 7
    assert "val/bits_per_char" in printed and "5-gram" in printed and "unigram" in printed
    for name in ("best.ckpt", "report.html", "samples.jsonl", "metrics.json"):
        assert name in printed


def test_samples_change_nothing_of_the_training(finished, fit, tmp_path):
    run = fit(tmp_path, "--sampling.iterations", "[1, 2, 3, 4, 7, 9]", "--sampling.length", "5")
    assert len(samples(run)) == 7
    assert_same_weights(checkpoint_of(finished), checkpoint_of(run))


def test_test_repeats_the_scores_of_the_fit_and_overwrites_nothing(finished):
    before = (finished / "metrics.json").read_bytes()
    assert main(["test", "--ckpt_path", str(finished / "checkpoints" / "best.ckpt")]) == 0
    again = json.loads((finished / "test_0" / "metrics.json").read_text())
    assert again["scores"] == pytest.approx(json.loads(before)["scores"])
    assert again["baselines"] == pytest.approx(json.loads(before)["baselines"])
    assert (finished / "metrics.json").read_bytes() == before


def test_validate_scores_the_validation_split_whatever_the_batch_size(finished):
    checkpoint = str(finished / "checkpoints" / "best.ckpt")
    assert main(["validate", "--ckpt_path", checkpoint, "--data.eval_batch_size", "1"]) == 0
    metrics = json.loads((finished / "validate_0" / "metrics.json").read_text())
    best = min(read_curves(finished)["val/bits_per_char"].values)
    assert metrics["split"] == "val" and metrics["scores"]["bits_per_char"] == pytest.approx(best, rel=1e-5)


AFTER_AN_EPOCH = ["--save_minutes", "10", "--trainer.max_epochs", "2"]
# the state of every stream has to come back; validation every so many steps, as in configs/text/python.yaml
WITHIN_ONE = ["--save_minutes", "0.001", "--trainer.max_steps", "26", "--trainer.max_epochs", "-1"]
WITHIN_ONE += ["--trainer.val_check_interval", "7", "--trainer.check_val_every_n_epoch", "null"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [pytest.param(AFTER_AN_EPOCH, id="after an epoch"), pytest.param(WITHIN_ONE, id="within one")],
)
def test_a_killed_fit_resumes_to_the_same_weights_and_samples(fit, file, tmp_path, options):
    options = [*options, "--data.batch_size", "8", "--sampling.iterations", "[2, 18]"]
    whole = fit(tmp_path / "whole", *options)

    runs = tmp_path / "killed"
    # slower, so that the kill comes before the end
    command = [*SCRIPT, "fit", *given(file, runs), *options]
    command += ["--trainer.callbacks+=tests.pipelines.slow.Slowly"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    killed = runs / "text" / "debug" / "version_0"
    last = killed / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read().decode()
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    step = checkpoint_of(killed)["global_step"]
    assert 0 < step < checkpoint_of(whole)["global_step"]
    assert checkpoint_of(killed)["carried"][0].any()

    assert main(["fit", "--ckpt_path", str(last)]) == 0
    assert_same_weights(checkpoint_of(whole), checkpoint_of(killed))
    assert samples(killed) == samples(whole)
    # it went on in its own folder, and its curve is one
    assert list(read_curves(killed)["val/loss"].steps) == list(read_curves(whole)["val/loss"].steps)
    assert (killed / "report.html").is_file()


@pytest.mark.slow
def test_two_processes_train_and_test_as_one(fit, file, tmp_path):
    options = ["--model.decoder.dropout", "0", "--trainer.max_epochs", "2"]
    one = fit(tmp_path / "one", *options)
    two = ["--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices", "2"]
    command = [*SCRIPT, "fit", *given(file, tmp_path / "two"), *options, *two]
    fitted = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert fitted.returncode == 0, fitted.stderr
    run = tmp_path / "two" / "text" / "debug" / "version_0"
    first, second = (
        torch.cat([w.flatten() for w in checkpoint_of(r)["state_dict"].values()]) for r in (one, run)
    )
    # sums of float32 gradients run in another order, which Adam magnifies where a gradient is almost zero
    assert (first - second).norm() < 1e-3 * first.norm()
    losses = [read_curves(folder)["val/loss"].values for folder in (one, run)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    scores = [json.loads((folder / "metrics.json").read_text())["scores"] for folder in (one, run)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)
    # the checkpoint has the state of all streams in their order
    carried = [checkpoint_of(folder)["carried"] for folder in (one, run)]
    for alone, together in zip(*carried, strict=True):
        assert alone.shape == together.shape
        torch.testing.assert_close(alone, together, atol=1e-2, rtol=1e-2)
    assert len(samples(run)) == len(samples(one))


@pytest.mark.parametrize(
    "options",
    [
        ["--data.level", "word", "--data.min_count", "1"],
        ["--data.level", "byte", "--model.decoder.cell", "gru"],
        pytest.param(
            ["--model.decoder.kind", "fixed_window", "--model.decoder.window", "6"], marks=pytest.mark.slow
        ),
        pytest.param(
            ["--model.decoder.connection", "highway", "--model.decoder.recurrent_dropout", "0.2"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["words", "bytes", "fixed window", "highway"],
)
def test_every_kind_of_model_fits_and_reports(fit, tmp_path, options):
    run = fit(tmp_path, *options, "--trainer.max_epochs", "1")
    assert json.loads((run / "metrics.json").read_text())["scores"]["bits_per_char"] > 0
    assert (run / "report.html").is_file()


def test_min_char_rnn_runs_as_configured(file, tmp_path):
    config = ["--config", str(CONFIGS / "text" / "min_char_rnn.yaml"), "--data.file", str(file)]
    short = ["--trainer.max_steps", "60", "--trainer.log_every_n_steps", "1", "--runs", str(tmp_path)]
    short += ["--trainer.val_check_interval", "30", "--sampling.length", "10"]
    assert main(["fit", *config, *short]) == 0
    run = tmp_path / "text" / "min_char_rnn" / "version_0"
    smooth = read_curves(run)["train/smooth_loss"]
    units = LanguageModel.load(run / "checkpoints" / "last.ckpt").decoder.output.possible
    assert units == len(set(file.read_text()[: int(0.9 * file.stat().st_size)]))
    assert smooth.values[0] == pytest.approx(25 * torch.tensor(float(units)).log().item(), rel=1e-3)
    assert len(smooth.values) == 60
    assert list(read_curves(run)["val/loss"].steps) == [29, 59]
    assert (run / "report.html").is_file()


# author and classify read other data
@pytest.mark.parametrize("path", sorted((CONFIGS / "text").glob("[!ac]*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_is_complete(path, file, tmp_path):
    given = ["--config", str(path), "--data.file", str(file), "--data.sequence_length", "16"]
    short = ["--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu", "--runs", str(tmp_path)]
    assert main(["fit", *given, *short]) == 0
    assert path.read_text().startswith("# ") and yaml.safe_load(path.read_text())["name"] == path.stem


def test_a_file_alone_is_trained_with_the_configuration_for_files(file, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("pipelines.language.fit.LanguageCLI", lambda argv: seen.append(argv[2]))
    for arguments, config in (
        ([], "python"),
        (["--sampling.prompt", "see --data.file and --data.level word"], "python"),
        (["--data.file", str(file)], "file"),
        (["--data.file", str(file), "--sampling.prompt=--data.level=word"], "file"),
        (["--data.level=word", "--data.level", "character", f"--data.file={file}"], "file"),
        ([f"--data.file={file}", "--data.level=word"], "word"),
        (["--data.level", "word", "--name", "x", "--data.file", str(file)], "word"),
        (["--config", str(DEBUG), "--data.file", str(file)], "text"),
    ):
        assert main(["fit", *arguments]) == 0
        assert Path(seen.pop()).stem == config, arguments


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"too short", "do not fill one window"), (b"\0\1\2\3" * 999, "is no text")],
    ids=["empty", "short", "binary"],
)
def test_files_that_teach_nothing_are_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    assert main(["fit", *given(path, tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sampling.iterations", "100,200"], "'100,200'; it has to be a list such as [10,20]"),
        (["--sampling.prompt", "Жук"], "sampling.prompt: characters that are not among the"),
        (["--sampling.temperature", "0"], "sampling.temperature is 0"),
        (["--model.decoder.hiden_size", "3"], "the nearest is 'model.decoder.hidden_size'"),
        (["--model.decoder.cell", "lst"], "the nearest is 'lstm'"),
        (["--checkpoint.monitor", "val/bits"], "'val/bits_per_char'"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt: does not exist"),
    ],
)
def test_wrong_options_are_one_line(file, tmp_path, capsys, arguments, words):
    assert main(["fit", *given(file, tmp_path / "runs"), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_run_is_not_resumed_with_another_text(finished, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_text("Quite another text, with other characters in it: 0123456789.\n" * 40)
    last = str(finished / "checkpoints" / "last.ckpt")
    assert main(["fit", "--ckpt_path", last, "--data.file", str(other)]) == 2
    assert "resume with the data the run began with" in capsys.readouterr().err


def test_the_manual_names_every_command(capsys):
    assert main(["--help"]) == 0
    assert all(map(capsys.readouterr().out.count, COMMANDS))
    assert main(["fti"]) == 2
    assert "the nearest is 'fit'" in capsys.readouterr().err


# ---- beginning with a trained model


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text with two characters that the first lacks, ~ and #, and without many that it has."""
    path = tmp_path_factory.mktemp("other") / "other.txt"
    path.write_text("".join(f"the ~cat~ and the #{'dog' if i % 3 else 'bird'}#.\n" for i in range(300)))
    return path


def test_weights_and_units_come_first_and_new_units_behind(finished, other, tmp_path):
    best = finished / "checkpoints" / "best.ckpt"
    short = ["--init", str(best), "--trainer.max_steps", "1", "--model.training.learning_rate", "1e-12"]
    assert main(["fit", *given(other, tmp_path), *short, "--model.decoder.hidden_size", "999"]) == 0
    run = tmp_path / "text" / "debug" / "version_0"
    before, after = checkpoint_of(finished, "best"), checkpoint_of(run)
    known = before["codec"]["words"]
    assert after["codec"]["words"][: len(known)] == known
    assert set(after["codec"]["words"][len(known) :]) == {"~", "#"}
    for name, value in before["state_dict"].items():
        grown = after["state_dict"][name]
        assert grown.shape != value.shape or name.startswith("decoder.rnn")
        torch.testing.assert_close(grown[tuple(map(slice, value.shape))], value)
    # a run that began so goes on with the same units
    last = run / "checkpoints" / "last.ckpt"
    assert main(["fit", *given(other, tmp_path), "--ckpt_path", str(last), "--trainer.max_steps", "2"]) == 0
    assert checkpoint_of(run)["codec"] == after["codec"]
    assert main(["test", "--ckpt_path", str(last), "--data.file", str(other)]) == 0


def test_what_was_learnt_helps(finished, file, tmp_path, fit):
    """On the same text one step after the beginning is better than one step after nothing."""
    best = finished / "checkpoints" / "best.ckpt"
    step = ["--trainer.max_steps", "1"]
    afresh, begun = fit(tmp_path / "a", *step), fit(tmp_path / "b", *step, "--init", str(best))
    scores = [json.loads((run / "metrics.json").read_text())["scores"] for run in (afresh, begun)]
    assert scores[1]["bits_per_char"] < 0.8 * scores[0]["bits_per_char"]


def test_another_level_is_one_line(finished, file, tmp_path, capsys):
    best = finished / "checkpoints" / "best.ckpt"
    assert main(["fit", *given(file, tmp_path), "--init", str(best), "--data.level", "byte"]) == 2
    assert "the checkpoint reads characters, and data.level is byte: --data.level character" in (
        capsys.readouterr().err
    )
    assert not any(tmp_path.iterdir())

"""Fits that end by dividing the logits of the best checkpoint by what suits the validation text."""

import json

import pytest
import torch

from modules.language.text_generator import TextGenerator
from pipelines.text import main
from tests.pipelines.language.test_fit import DEBUG, assert_same_weights, checkpoint_of


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text(
        "".join(f"The {['cat', 'dog', 'bird'][i * 7 % 11 % 3]} sees {i % 9}.\n" for i in range(240))
    )
    return path


@pytest.fixture
def fit(file, tmp_path):
    """Returns a function that fits and returns RUN."""

    def run(*arguments):
        given = ["--config", str(DEBUG), "--data.file", str(file), "--runs", str(tmp_path)]
        assert main(["fit", *given, *arguments]) == 0
        return max((tmp_path / "text" / "debug").glob("version_*"))

    return run


def test_a_calibrated_fit_divides_the_output_of_the_best_checkpoint_alone(fit, file, capsys):
    plain_run = fit()
    run = fit("--model.training.calibrate", "true")
    said = capsys.readouterr().out
    temperature = float(said.split("logits are divided by ")[1].split()[0].rstrip(","))
    assert temperature == 0.7 and "0.70, the least that is tried" in said  # three epochs make it unsure
    plain, divided = checkpoint_of(plain_run, "best"), checkpoint_of(run, "best")
    for name, value in plain["state_dict"].items():
        scale = temperature if name.startswith("decoder.output.") else 1.0
        torch.testing.assert_close(divided["state_dict"][name], value / scale)
    assert_same_weights(checkpoint_of(plain_run), checkpoint_of(run))
    bits = {}
    for each in (plain_run, run):
        checkpoint = str(each / "checkpoints" / "best.ckpt")
        assert main(["validate", "--ckpt_path", checkpoint, "--data.file", str(file)]) == 0
        metrics = json.loads(max(each.glob("validate_*/metrics.json")).read_text())
        bits[each] = metrics["scores"]["bits_per_char"]
    assert bits[run] < bits[plain_run]


def test_training_goes_on_from_the_weights_that_were_learnt(fit):
    going_on = ["--trainer.max_epochs", "5", "--sampling.iterations", "[]"]
    runs = []
    for wanted in ("false", "true"):
        run = fit("--model.training.calibrate", wanted)
        best = run / "checkpoints" / "best.ckpt"
        runs.append(fit("--ckpt_path", str(best), "--model.training.calibrate", wanted, *going_on))
    plain, calibrated = (checkpoint_of(run)["state_dict"] for run in runs)
    for name, value in plain.items():  # to dividing and multiplying in float32
        torch.testing.assert_close(calibrated[name], value, rtol=1e-3, atol=1e-4)


def test_what_is_calibrated_twice_remembers_all_it_was_divided_by(fit):
    run = fit("--model.training.calibrate", "true")
    first = checkpoint_of(run, "best")
    # nothing is left to train, so the same checkpoint is the best again
    again = fit("--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--model.training.calibrate", "true")
    second = checkpoint_of(again, "best")
    factors = [stored["logits_divided_by"] for stored in (first, second)]
    weights = [stored["state_dict"]["decoder.output.weight"] for stored in (first, second)]
    assert factors[0] != 1.0
    assert factors[1] != factors[0]  # the least divisor was not enough, so it divides once more
    torch.testing.assert_close(weights[0] * factors[0], weights[1] * factors[1])


def test_a_generator_keeps_what_the_logits_were_divided_by(fit, tmp_path):
    run = fit("--model.training.calibrate", "true")
    kept = tmp_path / "kept.ckpt"
    TextGenerator.load(run / "checkpoints" / "best.ckpt").save(kept)
    stored = torch.load(kept, weights_only=True)
    assert stored["logits_divided_by"] == checkpoint_of(run, "best")["logits_divided_by"] != 1.0


def test_without_a_validation_nothing_is_calibrated(fit, capsys):
    # training goes on from last.ckpt, which alone is there
    quick = ["--trainer.max_steps", "2", "--trainer.limit_val_batches", "0"]
    plain = fit(*quick)
    capsys.readouterr()
    run = fit(*quick, "--model.training.calibrate", "true")
    said = capsys.readouterr().out
    assert "no validation came to a number" in said and "divided" not in said
    assert_same_weights(checkpoint_of(plain), checkpoint_of(run))

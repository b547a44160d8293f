"""The metric that chooses a checkpoint decides whether more or less of it is better."""

import pytest

from modules.errors import InputError
from pipelines.captioning.fit import CaptionCLI
from pipelines.glimpses.fit import ReaderCLI
from pipelines.glimpses.fit_painter import PainterCLI
from pipelines.language.authorship.fit import AuthorCLI
from pipelines.language.classifying.fit import ClassifierCLI
from pipelines.language.fit import LanguageCLI
from pipelines.running.monitored import mode_of
from pipelines.steering.fit import SteerCLI
from tests.pipelines.toy_task import QUIET, LineCLI

LESS = {
    "loss",
    "perplexity",
    "rmse_rad",
    "mae_rad",
    "bits_per_char",
    "bits_per_pixel",
    "pixel_bits",
    "kl_bits",
}


def test_every_metric_of_every_task_is_known_to_be_better_one_way():
    tasks = [CaptionCLI, ReaderCLI, PainterCLI, AuthorCLI, ClassifierCLI, LanguageCLI, SteerCLI]
    metrics = {metric for task in tasks for metric in (task.monitor, *task.monitors)}
    assert {m.partition("/")[2] for m in metrics if mode_of(m) == "min"} == LESS
    more = {m.partition("/")[2] for m in metrics if mode_of(m) == "max"}
    assert all(name.endswith(("accuracy", "f1")) or name[:4] in ("bleu", "roug", "cide") for name in more)


def test_another_metric_is_followed_in_its_own_direction(tmp_path):
    other = ["--checkpoint.monitor", "val/accuracy", "--early_stopping.monitor", "val/accuracy"]
    cli = LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs", "1", *other])
    config = cli.config["fit"]
    assert config.checkpoint.mode == config.early_stopping.mode == "max"
    plain = LineCLI(["fit", *QUIET, "--runs", str(tmp_path), "--trainer.max_epochs", "1"]).config["fit"]
    assert plain.checkpoint.mode == plain.early_stopping.mode == "min"


@pytest.mark.parametrize("group", ["checkpoint", "early_stopping"])
def test_a_direction_that_would_keep_the_worst_is_refused(tmp_path, group):
    with pytest.raises(
        InputError, match=f"{group}.mode is not 'min', and less of val/loss is better; leave it"
    ):
        LineCLI(["fit", *QUIET, "--runs", str(tmp_path), f"--{group}.mode", "max"])
    assert not list(tmp_path.iterdir())

"""The command line's words."""

from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytorch_lightning import Trainer

from modules.errors import InputError
from pipelines.arguments import Parser, check_trainer, explain


def test_every_complaint_is_one_line():
    options = ["decoding.beam_size", "images"]
    assert explain("a\n  b\n\nc", options) == "a b c"
    assert explain("Group 'decoding' does not accept option 'beam_sise'", options) == (
        "no option 'decoding.beam_sise'; the nearest is 'decoding.beam_size'"
    )
    assert explain("unrecognized arguments: --xyzzy 3", options) == "no option 'xyzzy'; --help lists them all"
    assert explain('Parser key "a.b": something\n  else', options) == "a.b: something else"


def options(run: list[Path], overwrite: bool = False, mirrored: bool | None = None, dry: int | bool = 0):
    """Options of every kind that can be written short."""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("--overwrite --mirrored --dry", (True, True, True)),
        ("--overwrite --mirrored=false --dry 3", (True, False, 3)),
        ("--overwrite=true --mirrored null --dry false", (True, None, False)),
        ("--mirrored true --overwrite false", (False, True, 0)),
        ("--mirrored --overwrite", (True, True, 0)),
    ],
)
def test_true_can_be_left_out(given, wanted):
    parser = Parser()
    parser.add_function_arguments(options)
    config = parser.parse_args(["--run", "A", "B", *given.split()])
    assert config.run == [Path("A"), Path("B")]
    assert (config.overwrite, config.mirrored, config.dry) == wanted


def test_a_word_after_a_bare_flag_is_taken_for_its_value_and_refused():
    parser = Parser()
    parser.add_function_arguments(options)
    with pytest.raises(InputError, match=r"^overwrite is 'out.csv'; it has to be true or false$"):
        parser.parse_args(["--run", "A", "--overwrite", "out.csv"])


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--run", ""], "run"),
        (["--run="], "run"),
        (["--run", "A", ""], "run"),
        (["--run", "A", "--file", ""], "file"),
        (["--run", "A", "--output="], "output"),
        (["--run", "A", "--init", ""], "init"),
    ],
)
def test_an_empty_path_is_refused(words, option):
    def options(
        run: list[Path],
        file: Path | None = None,
        output: str | None = None,
        init: str | None = None,
        text: str = "",
    ):
        """Paths and a text, which can be empty."""

    parser = Parser()
    parser.add_function_arguments(options)
    assert parser.parse_args(["--run", "A", "--text", "", "--text="]).text == ""
    with pytest.raises(InputError, match=f"{option} is empty; name a path"):
        parser.parse_args(words)


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("gradient_clip_val", -3, "0 or more"),
        ("accumulate_grad_batches", 0, "above 0"),
        ("accumulate_grad_batches", -2, "above 0"),
        ("check_val_every_n_epoch", 0, "above 0"),
        ("val_check_interval", 0, "above 0"),
        ("val_check_interval", 0.0, "above 0"),
        ("log_every_n_steps", -1, "0 or more"),
        ("min_steps", -3, "0 or more"),
        ("min_epochs", -1, "0 or more"),
        ("num_sanity_val_steps", -4, "at least -1"),
    ],
)
def test_an_option_that_the_trainer_trips_over_is_refused(option, value, wanted):
    defaults = {name: parameter.default for name, parameter in signature(Trainer).parameters.items()}
    check_trainer(SimpleNamespace(**defaults))
    check_trainer(SimpleNamespace(**defaults | {"val_check_interval": "00:10:00"}))
    with pytest.raises(InputError, match=f"trainer.{option} is {value}; it has to be {wanted}"):
        check_trainer(SimpleNamespace(**defaults | {option: value}))

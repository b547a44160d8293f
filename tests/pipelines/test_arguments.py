"""The command line's words."""

from pathlib import Path

import pytest

from modules.errors import InputError
from pipelines.arguments import Parser, explain


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

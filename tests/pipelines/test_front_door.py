"""Where the code of a command lies, and how its options are written."""

from pathlib import Path

import pytest

from modules.errors import InputError
from pipelines import caption, steer, text
from pipelines.arguments import Parser

PIPELINES = Path(caption.__file__).parent
TASKS = {"captioning": caption, "steering": steer, "language": text}


@pytest.mark.parametrize(
    ("task", "command"), [(task, command) for task, door in TASKS.items() for command in door.COMMANDS]
)
def test_the_code_of_a_command_lies_in_the_file_of_its_name(task, command):
    file = PIPELINES / task / f"{'fit' if command in ('validate', 'test') else command}.py"
    assert file.is_file(), f"{file} is missing"


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

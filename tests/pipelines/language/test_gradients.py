"""The `gradients` command: what it leaves behind, what it prints, and what it says of wrong options."""

import contextlib
import csv
import io
import json
import math
from dataclasses import replace

import pytest
import torch
from PIL import Image
from rich.console import Console

from modules.language.last_word import TrainingRecord
from modules.language.scalar_rnn import scalar_loss
from pipelines.arguments import Parser
from pipelines.front_door import run
from pipelines.language.gradient_reach.cliff_figure import COLOURS, LINES, surface
from pipelines.language.gradient_reach.gradient_figure import caption, gradient_figure, largest_norms
from pipelines.language.gradient_reach.gradient_runs import (
    RecallRun,
    RecallSettings,
    as_csv,
    as_json,
    gradients_table,
    reach,
    typical,
)
from pipelines.language.gradients import DISTANCES, FILES, gradients, train_all

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ["--steps", "4", "--hidden_size", "6", "--repeats", "2", "--distances", "[2,5]", "--batch_size", "4"]


def command(*arguments):
    """Returns the exit status, the options read as the front door reads them."""

    def body():
        parser = Parser(prog="text.py gradients")
        parser.add_function_arguments(gradients, None)
        gradients(**vars(parser.parse_args([str(argument) for argument in arguments])))

    return run(body)


def settings_of(**changes):
    options = {
        "distances": (3, 6),
        "steps": 3,
        "hidden_size": 5,
        "highway_layers": 2,
        "highway_cell": "rnn",
        "exploding_scale": 2.0,
        "learning_rate": 0.01,
        "clip_norm": 0.1,
        "batch_size": 4,
        "repeats": 1,
        "seed": 0,
        "chance": 0.125,
    }
    return RecallSettings(**(options | changes))


@pytest.fixture(scope="module")
def printed_and_folder(tmp_path_factory):
    """A call without --output, in a folder where one was made before."""
    here = tmp_path_factory.mktemp("here")
    (here / "runs" / "text" / "gradients" / "version_0").mkdir(parents=True)
    printed = io.StringIO()
    with contextlib.chdir(here), contextlib.redirect_stdout(printed):
        assert command(*TINY) == 0
    return printed.getvalue(), here / "runs" / "text" / "gradients" / "version_1"


@pytest.fixture(scope="module")
def tiny(printed_and_folder):
    return printed_and_folder[1]


@pytest.fixture(scope="module")
def runs():
    return train_all(settings_of(), torch.device("cpu"))


def test_a_tiny_setting_writes_every_file_and_nothing_else(tiny):
    assert {path.name for path in tiny.iterdir()} == set(FILES)
    for name in ("gradients.png", "cliff.png"):
        with Image.open(tiny / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 700
            assert len(picture.convert("RGB").resize((200, 200)).getcolors(40_000)) > 100


def test_the_csv_has_a_line_a_training_and_distance(tiny):
    rows = list(csv.DictReader((tiny / "gradients.csv").read_text().splitlines()))
    assert len(rows) == 5 * 2 * 2 * 6  # networks, clipping, seeds, distances 0 to 5
    tested = [row for row in rows if row["accuracy"]]
    assert {row["distance"] for row in tested} == {"2", "5"}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in tested)
    assert all(float(row["gradient_before"]) > 0 for row in rows)
    assert {row["clip_norm"] for row in rows} == {"", "1.0"}


def test_the_json_agrees_with_the_csv_and_names_the_settings(tiny):
    content = json.loads((tiny / "gradients.json").read_text())
    assert content["settings"]["distances"] == [2, 5] and content["settings"]["hidden_size"] == 6
    rows = list(csv.DictReader((tiny / "gradients.csv").read_text().splitlines()))
    assert len(content["trainings"]) == 20
    for training in content["trainings"]:
        clip_norm = "" if training["clip_norm"] is None else str(training["clip_norm"])
        mine = [
            row
            for row in rows
            if (row["network"], row["clip_norm"], row["seed"])
            == (training["network"], clip_norm, str(training["seed"]))
        ]
        assert [float(row["gradient_after"]) for row in mine] == training["gradient_after"]
        assert len(training["gradient_norms"]) == training["steps"] == 4
        assert training["largest_gradient_norm"] == max(training["gradient_norms"])


def test_the_tables_and_paths_are_printed_on_stdout(printed_and_folder):
    printed, _ = printed_and_folder
    for word in (
        "vanilla RNN",
        "LSTM",
        "GRU",
        "highway of 3 RNN",
        "exploding RNN",
        "chance is 0.125",
    ):
        assert word in printed
    assert "…" not in printed
    assert all(line.endswith("│") for line in printed.splitlines() if line.startswith("│"))
    assert printed.splitlines()[-4:] == [f"runs/text/gradients/version_1/{name}" for name in FILES]
    assert FILES == ("gradients.png", "gradients.csv", "gradients.json", "cliff.png")


def test_every_training_is_a_line_where_there_is_no_terminal(capsys):
    train_all(settings_of(steps=1), torch.device("cpu"))
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 10
    assert err.startswith("training 1 of 10: vanilla RNN\n") and err.endswith("10 of 10: exploding RNN\n")


def test_both_paths_of_the_cliff_are_drawn_in_their_colours(tiny):
    with Image.open(tiny / "cliff.png") as picture:
        left, right = (
            {colour for _, colour in picture.convert("RGB").crop(half).getcolors(10**6)}
            for half in (
                (0, 0, picture.width // 2, picture.height),
                (picture.width // 2, 0, picture.width, picture.height),
            )
        )
    orange, blue = (tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in COLOURS)
    assert orange in left - right and blue in right - left


def test_the_drawn_surface_is_the_loss_with_its_edge_between_two_lines():
    w, b, loss = (torch.from_numpy(values) for values in surface())
    assert loss.equal(scalar_loss(w, b)) and (b.diff(dim=1) >= 0).all()
    steps = loss.diff(dim=1).abs()[w[:, 0] > 5]
    assert (steps.argmax(dim=1) == LINES - 1).all() and steps.max(dim=1).values.min() > 0.3


def test_clipping_is_all_that_differs_between_the_two_trainings(runs):
    for clipped, free in zip(runs[::2], runs[1::2], strict=True):
        assert clipped.network == free.network
        assert clipped.clip_norm == 0.1 and free.clip_norm is None
        assert clipped.before == free.before
        assert clipped.record.losses[0] == free.record.losses[0]
        assert clipped.record.gradient_norms[0] == free.record.gradient_norms[0]
        assert clipped.record.losses[2] != free.record.losses[2]
        assert clipped.clipped_share == 1.0 and free.clipped_share == 0.0


def test_equal_seeds_give_equal_trainings(runs):
    again = train_all(settings_of(), torch.device("cpu"))
    assert again == runs
    assert train_all(settings_of(seed=1), torch.device("cpu")) != runs


def test_the_vanilla_network_starts_orthogonal_and_the_exploding_one_is_its_multiple(runs):
    vanilla, *_, exploding = runs[::2]
    assert reach(vanilla.before) < reach(exploding.before)


@pytest.mark.parametrize(
    "arguments, cause",
    [
        (["--steps", "0"], "steps is 0; it has to be above 0"),
        (["--hidden_size", "-1"], "hidden_size is -1"),
        (["--learning_rate", "0"], "learning_rate is 0.0"),
        (["--clip_norm", ".inf"], "clip_norm is inf"),
        (["--exploding_scale", "-2"], "exploding_scale is -2.0"),
        (["--distances", "[]"], "name at least one"),
        (["--distances", "[10,0]"], "distances are [0, 10]"),
        (["--distances", "[10,far]"], "distances is 'far'; it has to be a whole number or null"),
        (["--distances", "10"], "distances is '10'; it has to be a list such as [10,20] or null"),
        (["--highway_layers", "1"], "a highway needs at least 2"),
        (["--highway_cell", "lstn"], "highway_cell"),
        (["--seed", "-1"], "seed is -1"),
        (["--seed", str(2**64)], f"seed is {2**64}; it has to be below"),
        (["--repeats", "0"], "repeats is 0"),
        (["--steps", "many"], "steps"),
        (["--step", "5"], "the nearest is 'steps'"),
        (["--device", "abacus"], "--device is 'abacus'; it has to be"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(arguments, cause, tmp_path, capsys):
    assert command("--output", tmp_path / "new", *arguments) == 2
    printed = capsys.readouterr()
    assert cause in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert not any(tmp_path.iterdir())


def test_nothing_is_overwritten(tiny, capsys):
    before = {path: path.read_bytes() for path in tiny.iterdir()}
    file = tiny / "gradients.csv"
    for output, cause in ((tiny, "exists already"), (file, "no folder"), (file / "new", "no folder")):
        assert command("--output", output, *TINY) == 2
        assert cause in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tiny.iterdir()} == before


def test_a_stopped_command_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.language.gradients.train_last_word", stop)
    assert command("--output", tmp_path / "new", *TINY) == 130
    assert not any(tmp_path.iterdir())


def test_the_default_distances_are_those_of_the_help():
    assert str(list(DISTANCES)).replace(" ", "") in (gradients.__doc__ or "")


def test_a_training_that_diverged_is_told_in_files_that_every_reader_takes():
    record = TrainingRecord([2.0, math.inf], [5.0, math.nan], diverged=True)
    diverged = RecallRun("vanilla RNN", None, 0, [1.0, math.inf], [0.5, math.nan], {1: 0.1}, record)
    content = json.loads(as_json([diverged], settings_of(), 1.0), parse_constant=pytest.fail)
    (training,) = content["trainings"]
    assert training["diverged"] and training["steps"] == 2
    assert training["last_loss"] is None and training["gradient_before"] == [1.0, None]
    assert len(as_csv([diverged]).splitlines()) == 3


def test_trainings_that_diverged_have_a_figure_and_a_table(runs):
    record = TrainingRecord([2.0, math.inf], [5.0, math.inf], diverged=True)
    diverged = [
        replace(run, record=record, after=[math.inf] * len(run.after)) if run.clip_norm is None else run
        for run in runs
    ]
    assert gradient_figure(diverged, settings_of()).startswith(b"\x89PNG")
    console = Console(width=80)
    with console.capture() as capture:
        console.print(gradients_table(diverged, settings_of()))
    rows = [line for line in capture.get().splitlines() if "│" in line]
    assert [("1 of 1" in row, " inf " in row) for row in rows] == [(False, False), (True, True)] * 5


def test_the_largest_norms_are_of_all_trainings_and_of_a_shorter_one_while_it_lasts():
    steps, largest = largest_norms([[1.0, 5.0, 1.0, 1.0], [2.0, 1.0]], stretches=2)
    assert steps.tolist() == [0.5, 2.5] and largest.tolist() == [5.0, 1.0]


def test_means_over_powers_of_ten_are_geometric():
    assert typical([1e-4, 1e-8]) == pytest.approx(1e-6)
    assert typical([1.0, 0.0]) == 0.0
    assert reach([0.5, 3.0, 0.25]) == 0.5 and reach([0.0, 0.0]) == 0.0


def test_the_caption_states_what_the_trainings_share():
    text = caption(settings_of())
    for word in ("width 5", "3 steps", "0.01", "from 3 to 6", "orthogonal", "forget-gate bias 1", "limits"):
        assert word in text

"""The paint command on a painter that has learnt nothing: what it writes, and what it refuses."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from modules.house_numbers.painter import Painter
from modules.house_numbers.painter_options import PainterOptions
from modules.house_numbers.preprocessing import NumberPictures
from pipelines.house_numbers import main
from tests.pipelines.glimpses.conftest import save


def painter(path: Path, conditional: bool) -> Path:
    options = PainterOptions(
        height=16,
        width=32,
        conditional=conditional,
        embedding_size=4,
        hidden_size=8,
        latent_size=3,
        steps=2,
        read_size=4,
        write_size=3,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, Painter(NumberPictures(32), options))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of painters; the newer is told no number."""
    folder = tmp_path_factory.mktemp("runs")
    for version, conditional in enumerate((True, False)):
        run = folder / "house_numbers" / "painter" / f"version_{version}"
        painter(run / "checkpoints" / "best.ckpt", conditional)
        (run / "config.yaml").write_text("model:\n  painter:\n    kind: draw\n")
    return folder


@pytest.fixture
def told(runs: Path) -> str:
    return str(runs / "house_numbers/painter/version_0/checkpoints/best.ckpt")


def test_a_sheet_and_an_animation_of_every_stroke_are_written(told, tmp_path, capsys):
    sheet, gif = tmp_path / "sheet.png", tmp_path / "paint.gif"
    given = ["--ckpt_path", told, "--number", "1247", "--n", "3", "--seed", "4"]
    assert main(["paint", *given, "--output", str(sheet), "--animation", str(gif)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "numbers      1247",
        f"sheet        {sheet}",
        f"animation    {gif}",
    ]
    board = cv2.imread(str(sheet))
    # one column: three of twice as wide as high are then about a square
    assert board.shape == (3 * 64 + 4 * 4, 128 + 2 * 4, 3)
    with Image.open(gif) as moving:
        assert moving.n_frames == 3 and moving.size == (board.shape[1], board.shape[0])
        frames = []
        for number in range(3):
            moving.seek(number)
            frames.append(np.asarray(moving.convert("RGB")).astype(int))
    red = [int(((f[..., 0] > 150) & (f[..., 1] < 90) & (f[..., 2] < 90)).sum()) for f in frames]
    assert red[0] > 50 and red[1] > 50 and red[2] == 0

    again = tmp_path / "again.png"
    assert main(["paint", *given[:4], "--n", "2", "--seed", "4", "--output", str(again)]) == 0
    # the same seed paints the same, however many
    assert np.array_equal(cv2.imread(str(again))[:68], board[:68])


def test_the_newest_painter_paints_whatever_it_likes(runs, tmp_path, capsys):
    output = tmp_path / "sheet.png"
    assert main(["paint", "--runs", str(runs), "--n", "1", "--output", str(output)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"painter      {runs}/house_numbers/painter/version_1/checkpoints/best.ckpt",
        f"sheet        {output}",
    ]


WRONG = [
    (["--number", "12a"], "--number: the number is '12a'; it has to be digits alone, such as 1247"),
    (["--number", ""], "--number: the number is ''; it has to be digits alone, such as 1247"),
    (["--number", "123456"], "--number: the number 123456 has 6 digits; 5 are read"),
    (["--number", "7"], "is told no number (model.painter.conditional is false); leave --number out"),
    (["--n", "0"], "n is 0; it has to be at least 1"),
    (["--n", "401"], "n is 401; a sheet has room for 400"),
    (["--temperature", "-1"], "temperature is -1; it has to be from 0 to 10"),
    (["--seed", "-1"], "seed is -1; it has to be at least 0"),
    (["--seed", "4294967296"], "seed is 4294967296; it has to be below 4294967296"),
    (["--output", "x.jpg"], "x.jpg: --output is written as PNG; name a file .png"),
    (["--animation", "x.mp4"], "x.mp4: --animation is written as GIF; name a file .gif"),
    (["--output", "there.png"], "there.png: exists already; choose another --output"),
    (["--runs", "nowhere"], "nowhere: no painter's run; name one with --ckpt_path, or make one with"),
    (["--ckpt_path", "reader.ckpt"], "the task 'house_numbers'; this command needs one of 'painter'"),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_what_cannot_be_painted_is_said_in_one_line(
    given, said, runs, checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "reader.ckpt").write_bytes(checkpoint.read_bytes())
    words = ["paint", *([] if "--runs" in given else ["--runs", str(runs)]), "--n", "1", *given]
    assert main(words) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each != "loading ..."]
    assert line.startswith("error: ") and said in line and ("or give --overwrite" not in line)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reader.ckpt", "there.png"]
    assert (tmp_path / "there.png").read_bytes() == b"mine"

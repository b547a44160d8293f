"""listen: sound, MIDI and a page of the tunes of a file; what is no tune is one line."""

import wave

import pytest

from pipelines.text import main
from tests.pipelines.pages import Page

pytest.importorskip("music21")
TUNES = "X:1\nT:<b>\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|\n\nX:2\nK:D\nd2|f2|\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tunes.abc"
    path.write_bytes(TUNES.replace("\n", "\r\n").encode("utf-8-sig"))
    return path


def test_every_tune_is_written_and_the_page_plays_it(file, capsys):
    assert main(["listen", "--file", str(file)]) == 0
    folder = file.with_suffix("")
    assert capsys.readouterr().out == f"{folder / 'index.html'}\n"
    names = {"index.html", "01.wav", "01.mid", "02.wav", "02.mid"}
    assert {path.name for path in folder.iterdir()} == names
    page = Page(folder / "index.html")
    sounds = [attrs["src"] for tag, attrs in page.tags if tag == "audio"]
    assert sounds == ["01.wav", "02.wav"] and "<b>" in page.text
    assert sum(tag == "rect" for tag, _ in page.tags) == 10
    with wave.open(str(folder / "01.wav")) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(8 * 0.5 + 0.6, abs=0.01)
    assert main(["listen", "--file", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["listen", "--file", str(file), "--n", "1", "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith("1 more tunes are left away (--n)\n")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", ": holds no tune"),
        ("words\n", ": holds no tune; a tune begins with a line such as X:1"),
        ("\nX:3\nK:C\nwhat is this\n", ":4: 'whtisthis' is no note"),
        ("\nX:3\nK:C\n", ":4: holds no notes"),
    ],
)
def test_a_broken_tune_is_one_line_and_nothing_is_written(file, text, cause, capsys):
    file.write_text(text)
    assert main(["listen", "--file", str(file)]) == 2
    out, err = capsys.readouterr()
    assert f"{file}{cause}" in err and err.count("\n") == 1 and out == ""
    assert list(file.parent.iterdir()) == [file]


def test_a_broken_tune_among_others_is_left_out_and_named(file, capsys):
    file.write_text("X:3\nK:C\nwhat is this\n\n" + TUNES)
    assert main(["listen", "--file", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == f"left out: {file}:3: 'whtisthis' is no note, rest, bar or sign of ABC notation\n"
    written = {path.name for path in file.with_suffix("").iterdir() if path.suffix in (".mid", ".wav")}
    assert written == {"02.mid", "02.wav", "03.mid", "03.wav"} and "left away" not in out


def test_wrong_paths_are_refused(file, tmp_path, capsys):
    bare = file.rename(tmp_path / "tunes")
    for arguments, cause in [
        (("--file", str(tmp_path / "absent")), "no such file"),
        (("--file", str(bare)), "name a folder to write to by --output DIR"),
        (("--file", str(bare), "--output", str(bare)), "name a folder to write to by --output DIR"),
        (("--file", str(bare), "--n", "0"), "n is 0"),
    ]:
        assert main(["listen", *arguments]) == 2
        assert cause in capsys.readouterr().err

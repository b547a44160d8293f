"""score: any system's numbers; what does not fit is one line."""

from pathlib import Path

import pytest

from pipelines.glimpses.score import interval, read_predictions
from pipelines.house_numbers import main


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ("image,number\na.png,1\n", "no number of 1 picture(s): b.png"),
        ("image,number\na.png,1\nb.png,2\nc.png,3\n", "lacks 1 picture(s): c.png"),
        ("image,number\na.png,1\na.png,2\n", "out.csv:3: image a.png occurs twice"),
        ("image,number\na.png,one\n", "out.csv:2: the number is 'one'"),
        ("image,number\n", "holds no numbers"),
        ("name,value\n", "needs one column 'image'"),
    ],
)
def test_what_does_not_fit_is_one_line(predictions: str, said: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "out.csv").write_text(predictions)
    (tmp_path / "numbers.csv").write_text("image,number\na.png,1\nb.png,2\n")
    given = ["--predictions", str(tmp_path / "out.csv"), "--numbers", str(tmp_path / "numbers.csv")]
    assert main(["score", *given]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"image": "a.png", "number": "1"}\n', "x.jsonl:1: is JSON; a csv is needed, with the"),
        ("x.jpg", b"\xff\xd8\xff\xe0\x00", "x.jpg:1: is not UTF-8 text; name a text file, saved as UTF-8"),
    ],
)
def test_another_kind_of_file_is_named_with_what_is_needed(name, content, said, tmp_path, capsys) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "out.csv").write_text("image,number\na.png,1\n")
    given = ["--predictions", str(tmp_path / "out.csv"), "--numbers", str(tmp_path / name)]
    assert main(["score", *given]) == 2
    assert said in capsys.readouterr().err


def test_jsonl_is_read_too(tmp_path: Path) -> None:
    rows = ('{"image": "a.png", "number": "042"}', '{"image": "b.png"}', '{"image": "c.png", "number": null}')
    (tmp_path / "out.jsonl").write_text("\n".join(rows))
    assert read_predictions(tmp_path / "out.jsonl") == {"a.png": "042", "b.png": "", "c.png": ""}


def test_the_interval_is_wilsons() -> None:
    low, high = interval(["1"] * 8 + ["2"] * 2, ["1"] * 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert interval(["1"], ["1"])[1] == 1.0

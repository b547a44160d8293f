"""The `find` command: what it finds, in which order, how fast, and what it says of wrong input."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.caption import main
from pipelines.captioning.photographs.caption_index import CaptionIndex
from tests.pipelines.pages import Page

ROWS = [
    {"image": "a.jpg", "caption": "a dog runs on the grass", "score": -0.9},
    {"image": "b.jpg", "caption": "Two dogs are playing in deep snow", "score": -0.5},
    {"image": "c.jpg", "caption": "a dog in the snow", "score": -0.7},
    {"image": "d.jpg", "caption": "a dog in the snow", "score": -0.2},
    {"image": "e.jpg", "caption": "ice-cream at a café", "captions": ["ice-cream at a café", "a child"]},
    {"image": "f.jpg", "error": "is damaged"},
    {"image": "g.jpg", "caption": "", "error": "attention: cannot be written"},
]  # fmt: skip


@pytest.fixture
def captions(tmp_path):
    """Returns the file of captions, in a folder where they are found by default."""
    write(tmp_path / "captions.jsonl", ROWS)
    return tmp_path / "captions.jsonl"


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def find(captions, monkeypatch, capsys):
    """Returns a function that runs the command and gives what it found."""
    monkeypatch.chdir(captions.parent)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def run(*arguments):
        assert main(["find", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def images(found):
    return [row["image"] for row in found["photographs"]]


def test_the_best_come_first_with_all_words_before_some(find):
    found = find("dog", "in", "the", "snow")
    # equal captions stand in the order in which the captioner was sure of them
    assert images(found) == ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]
    assert [row["all_words"] for row in found["photographs"]] == [True, True, True, False]
    assert (found["query"], found["with_all_words"]) == ("dog in the snow", 3)
    assert images(find("dog in the snow", "--limit", "2")) == ["d.jpg", "c.jpg"]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("playing DOG", "b.jpg"),  # stems, case
        ("cafe", "e.jpg"),  # accents
        ("cafe\u0301", "e.jpg"),
        ("ice cream", "e.jpg"),
        ("child", "e.jpg"),  # another of its captions
        ("the", "d.jpg"),  # no other word
        ('deep" OR "snow', "b.jpg"),
        ("NEAR(deep snow)", "b.jpg"),
        ("caption:deep", "b.jpg"),
        ("deep* -snow ^ + {}", "b.jpg"),
        ("deep\0snow \ud800", "b.jpg"),
        ("🐶 deep", "b.jpg"),
        (" ".join(["deep", *map(str, range(3000))]), "b.jpg"),
    ],
)
def test_a_query_is_words_and_nothing_else(captions, query, first):
    found, _ = CaptionIndex(captions).search(query, 5)
    assert found[0].image == first


def test_what_no_caption_has_is_said_and_is_no_error(find, capsys):
    assert find("zebra")["photographs"] == []
    assert main(["find", "zebra"]) == 0
    assert capsys.readouterr().out.startswith("no caption has a word of 'zebra' (searched 5 photographs")


@pytest.mark.parametrize("query", ["", " ", '"', "🐶", "*", "(", "\udcff"])
def test_a_query_without_a_word_is_one_line(find, query, capsys):
    assert main(["find", query]) == 2
    assert "has no word to look for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"image": "a", "caption": "a dog"}\n{broken\n', "captions.jsonl:2: is no JSON"),
        ('{"image": "a", "caption": 3}\n', "captions.jsonl:1: the caption is int"),
        ('{"image": "a", "caption": "b", "captions": [1]}\n', 'captions.jsonl:1: "captions" is no list'),
        ('{"caption": "b"}\n', 'captions.jsonl:1: has no "image"'),
        ('{"image": "a", "error": "is damaged"}\n', "captions.jsonl: holds no captions"),
        ("", "captions.jsonl: is empty"),
        (None, "captions.jsonl: cannot be read (No such file or directory); write it with"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(find, captions, text, said, capsys):
    find("dog")  # a good index must not answer for a broken file
    captions.unlink() if text is None else captions.write_text(text)
    assert main(["find", "dog"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and f"error: {said}" in err


def test_a_file_that_has_changed_is_read_again_and_an_unchanged_one_is_not(find, captions, monkeypatch):
    assert images(find("grass")) == ["a.jpg"]
    before = captions.stat()
    captions.write_bytes(captions.read_bytes().replace(b"grass", b"sands"))
    os.utime(captions, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert images(find("sand")) == ["a.jpg"]
    monkeypatch.setattr("pipelines.captioning.predictions.read_text", None)
    assert images(find("sand")) == ["a.jpg"]


@pytest.mark.parametrize("damage", [b"", b"no database", None])
def test_a_damaged_index_is_made_anew_or_named(find, captions, damage, capsys):
    find("dog")
    index = CaptionIndex(captions)
    index.close()
    whole = index.file.read_bytes()
    index.file.write_bytes(whole[:4096] + bytes(len(whole) - 4096) if damage is None else damage)
    if damage is None:
        assert main(["find", "dog"]) in (0, 2)
        assert "Traceback" not in capsys.readouterr().err
    else:
        assert images(find("grass")) == ["a.jpg"]


def test_a_name_that_is_no_utf8_is_found(captions):
    write(captions, [{"image": "\udcff\ud800.jpg", "caption": "a dog"}])
    ((found,), _) = CaptionIndex(captions).search("dog", 5)
    assert found.image == "\udcff\ud800.jpg"


def test_the_table_marks_nothing_up_and_steers_no_terminal(captions, monkeypatch, capsys):
    write(captions, [{"image": "[red]a.jpg", "caption": "a \x1b[31m dog [bold]x[/bold] \x02y\x03"}])
    monkeypatch.chdir(captions.parent)
    assert main(["find", "dog"]) == 0
    printed = capsys.readouterr().out
    assert "[red]a.jpg" in printed and "[bold]x[/bold]" in printed and "\x1b" not in printed
    assert "1 with all words (searched 1 photographs" in printed


def test_a_page_of_thumbnails(find, captions):
    folder = captions.parent / "photographs"
    folder.mkdir()
    Image.new("RGB", (400, 200), "red").save(folder / "d.jpg")
    (folder / "c.jpg").write_text("no picture")
    found = find("<b>snow</b>", "dog", "--open", "--images", str(folder))
    page = Page(Path(found["page"]))
    assert page.text.count("a dog in the snow") == 2 and [tag for tag, _ in page.tags].count("mark") == 7
    assert [attrs["alt"] for tag, attrs in page.tags if tag == "img"] == ["d.jpg"]
    assert "cannot be read" in page.text and "<b>snow" not in page.html
    assert not [
        attrs for _, attrs in page.tags if attrs.get("src", "data:")[:5] != "data:" or "href" in attrs
    ]


def test_a_page_of_photographs_that_are_elsewhere_is_one_line(find, capsys):
    assert main(["find", "snow", "--open"]) == 2
    assert "d.jpg: no such photograph; name the folder of all with --images DIR" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["folder", "list", "files"])
def test_what_predict_wrote_is_shown_without_naming_the_folder_again(tmp_path, monkeypatch, capsys, given):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("one.jpg", "two.jpg"):
        Image.new("RGB", (60, 40), "red").save(folder / name)
    (tmp_path / "list.txt").write_text("photographs/one.jpg\nphotographs/two.jpg\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    given = {
        "folder": ["photographs"],
        "list": ["list.txt"],
        "files": ["photographs/one.jpg", "photographs/two.jpg"],
    }[given]
    output = tmp_path / "out" / "captions.jsonl"
    assert main(["predict", "--images", *given, "--output", str(output), "--num_workers", "0"]) == 0
    word = json.loads(output.read_text().splitlines()[0])["caption"].split()[-1]
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    find = ["find", word, "--captions", str(output), "--open", "--json"]
    capsys.readouterr()
    assert main(find) == 0
    page = Page(Path(json.loads(capsys.readouterr().out)["page"]))
    assert [tag for tag, _ in page.tags].count("img") == 2
    # other captions in its place may be of other photographs
    write(output, [{"image": "one.jpg", "caption": word}])
    assert main(find) == 2


def test_a_browser_is_opened_where_there_are_windows(find, captions, monkeypatch):
    Image.new("RGB", (40, 20)).save(captions.parent / "d.jpg")
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    find("snow", "--open")
    monkeypatch.setenv("DISPLAY", ":0")
    page = find("snow", "--open")["page"]
    assert opened == [Path(page).as_uri()]


@pytest.mark.benchmark
def test_fifty_thousand_captions_answer_within_a_tenth_of_a_second(tmp_path):
    # shares of captions as Flickr8k's have them: a in 4 of 5, man and dog in a quarter, most others in few
    common = [
        ("a", 0.8),
        ("in", 0.45),
        ("the", 0.45),
        ("man", 0.25),
        ("dog", 0.25),
        ("woman", 0.1),
        ("boy", 0.1),
    ]
    common += [("girl", 0.1), ("snow", 0.05)]
    random = np.random.default_rng(0)
    rows = []
    for number, drawn in enumerate(random.random((50_000, len(common)))):
        words = [word for (word, share), value in zip(common, drawn, strict=True) if value < share]
        words += [f"word{rank}" for rank in random.zipf(1.3, 6)]
        rows.append({"image": f"{number}.jpg", "caption": " ".join(words)})
    write(tmp_path / "big.jsonl", rows)
    CaptionIndex(tmp_path / "big.jsonl").close()
    for query in ("dog in the snow", "a", "man woman boy girl dog zebra", "zebra"):
        seconds = []
        for _ in range(5):
            begun = time.process_time()  # one thread works; what others do on the machine is not counted
            CaptionIndex(tmp_path / "big.jsonl").search(query, 20)
            seconds.append(time.process_time() - begun)
        print(f"{query}: {1000 * min(seconds):.0f} ms")
        assert min(seconds) < 0.1


@pytest.mark.parametrize("columns", [None, "60"])
def test_a_pipe_has_whole_lines(captions, monkeypatch, capsys, columns):
    name = f"{'long/' * 20}a.jpg"
    write(captions, [{"image": name, "caption": "a dog " + "runs " * 30}])
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert main(["find", "dog", "--captions", str(captions)]) == 0
    lines = capsys.readouterr().out.splitlines()
    whole = [line.split() for line in lines if line.startswith(name)]
    assert whole == ([] if columns else [[name, "a", "dog", *["runs"] * 30]])


@pytest.mark.parametrize("query", ["狗", "雪地", "跑 狗"])
def test_words_that_are_written_without_blanks_are_found(find, captions, query):
    dog = {"image": "狗.jpg", "caption": "一只狗在雪地里奔跑"}
    write(captions, [dog, {"image": "猫.jpg", "caption": "猫"}])
    (photograph,) = find(query)["photographs"]
    assert photograph == dog | {"all_words": True}

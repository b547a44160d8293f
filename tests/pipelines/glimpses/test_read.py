"""read: a row a file, whatever it holds; a killed run goes on; traces can be looked at."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from modules.house_numbers.batch import NumberBatch
from modules.house_numbers.number_reader import NumberRead, NumberReader
from pipelines.glimpses import read as reading
from pipelines.house_numbers import main
from tests.pipelines.glimpses.conftest import BAD, GOOD, ROOT


def read(checkpoint: Path, gallery: Path, output: Path, *options: str) -> int:
    given = ["--images", str(gallery), "--ckpt_path", str(checkpoint), "--output", str(output)]
    return main(["read", *given, "--num_workers", "0", "--device", "cpu", *options])


def test_every_file_gets_a_row(checkpoint, gallery, tmp_path, capsys) -> None:
    assert read(checkpoint, gallery, tmp_path / "out.csv", "--trace", str(tmp_path / "trace")) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert list(rows) == sorted(GOOD + BAD)
    for name in GOOD:
        row = rows[name]
        assert row["number"].isdigit() and 0 < float(row["probability"]) <= 1 and row["unsure"] == "yes"
        assert len(row["digits"].split()) == len(row["number"])
        assert len(row["glimpses"].split()) == 2 * len(row["number"])  # both readers'
        with Image.open(tmp_path / "trace" / f"{name}.trace.gif") as animation:
            assert animation.n_frames == 1 + 2 * len(row["number"])
        with Image.open(tmp_path / "trace" / f"{name}.trace.png") as sheet:
            assert sheet.width >= 320
    assert all(rows[name]["number"] == "" and rows[name]["error"] for name in BAD)
    said = capsys.readouterr()
    assert "3 numbers, 3 unsure, 2 unreadable files" in said.out
    assert "warning: bad.png: is no image in a known format" in said.err


def test_a_killed_run_goes_on_where_it_stopped(checkpoint, gallery, tmp_path, monkeypatch, capsys) -> None:
    write = reading.NumberWriter.on_predict_batch_end

    def dying(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        write(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        if batch_idx == 1:
            raise MemoryError("killed")

    output = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(reading.NumberWriter, "on_predict_batch_end", dying)
        read(checkpoint, gallery, output, "--batch_size", "1")
    assert not output.exists()
    (part,) = tmp_path.glob("out.jsonl.part-*")
    with part.open("ab") as file:  # the kill cut a line
        file.write(b'{"image": "dot.png", "num')
    assert read(checkpoint, gallery, output) == 0
    assert "going on after 2 of 5 files" in capsys.readouterr().out
    assert read(checkpoint, gallery, tmp_path / "whole.jsonl") == 0
    one, other = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        for name in ("out.jsonl", "whole.jsonl")
    )
    # alone and together the last digits of a probability differ
    assert [row["image"] for row in one] == [row["image"] for row in other]
    assert [row.get("number") for row in one] == [row.get("number") for row in other]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "whole.jsonl"]


def test_ctrl_c_is_one_word_and_status_130(checkpoint, gallery, tmp_path, monkeypatch, capsys) -> None:
    def stopping(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reading.NumberWriter, "rows", stopping)
        before = signal.getsignal(signal.SIGINT)
        assert read(checkpoint, gallery, tmp_path / "out.csv") == 130
        signal.signal(signal.SIGINT, before)  # Lightning hears no second one
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert not (tmp_path / "out.csv").exists()


def test_ctrl_c_says_how_to_go_on(checkpoint, gallery, tmp_path, monkeypatch, capsys) -> None:
    rows, batches = reading.NumberWriter.rows, []

    def stopping(self, outputs, batch):
        batches.append(batch)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return rows(self, outputs, batch)

    with monkeypatch.context() as patch:
        patch.setattr(reading.NumberWriter, "rows", stopping)
        before = signal.getsignal(signal.SIGINT)
        assert read(checkpoint, gallery, tmp_path / "out.csv", "--batch_size", "1") == 130
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "stopped: the same command goes on after 2 of 5 files"
    assert read(checkpoint, gallery, tmp_path / "out.csv") == 0
    assert "going on after 2 of 5 files" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no process groups")
def test_sigterm_to_all_processes_is_one_line_and_keeps_the_rows(checkpoint, tmp_path) -> None:
    (images := tmp_path / "images").mkdir()
    for number in range(500):
        cv2.imwrite(str(images / f"{number}.png"), np.full((400, 400), number % 255, np.uint8))
    given = ["--images", str(images), "--ckpt_path", str(checkpoint), "--output", str(tmp_path / "out.csv")]
    command = [sys.executable, str(ROOT / "pipelines" / "house_numbers.py"), "read", *given]
    options = ["--device", "cpu", "--batch_size", "1", "--num_workers", "2"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, start_new_session=True) as process:
        while process.poll() is None and not any(part.stat().st_size for part in tmp_path.glob("*.part-*")):
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stderr is not None
        said = process.stderr.read().decode().removeprefix("loading ...").strip()
    assert process.returncode == 143
    assert re.fullmatch(r"terminated: the same command goes on after \d+ of 500 files", said)
    assert [path.name[:13] for path in tmp_path.iterdir() if path != images] == ["out.csv.part-"]


def test_what_is_unsure_is_so_by_the_probability_that_is_written(checkpoint, tmp_path) -> None:
    options = reading.ReadOptions(tmp_path, checkpoint, threshold=0.5)
    reads = [NumberRead("7", probability, [probability], []) for probability in (0.49996, 0.49994)]
    batch = NumberBatch(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.empty(2, 0), ["a", "b"])
    model = NumberReader.load(checkpoint)
    rows = reading.NumberWriter(tmp_path / "part", 2, {}, options, model).rows(reads, batch)
    assert [(row["probability"], row["unsure"]) for row in rows] == [(0.5, False), (0.4999, True)]


def test_what_cannot_be_done_is_one_line(checkpoint, gallery, tmp_path, capsys) -> None:
    (tmp_path / "out.csv").write_text("years of work")
    for options, said in (
        ([], "exists already"),
        (["--overwrite", "--threshold", "2"], "threshold is 2.0; it has to be from 0 to 1"),
        (["--overwrite", "--batch_size", "0"], "batch_size is 0"),
        (["--overwrite", "--trace", str(gallery)], "holds the images"),
        (
            ["--overwrite", "--trace", str(file := gallery / "a.png")],
            f"{file}: is a file, and a folder is needed; choose another --trace",
        ),
    ):
        assert read(checkpoint, gallery, tmp_path / "out.csv", *options) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "out.csv").read_text() == "years of work"
    assert read(checkpoint, tmp_path / "absent", tmp_path / "new.csv") == 2
    assert "no such file or folder" in capsys.readouterr().err
    assert read(gallery / "notes.txt", gallery, tmp_path / "new.csv") == 2
    assert "notes.txt: no readable checkpoint" in capsys.readouterr().err


def test_what_was_read_is_scored(checkpoint, gallery, tmp_path, capsys) -> None:
    output = tmp_path / "out.csv"
    read(checkpoint, gallery, output)
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = tmp_path / "numbers.csv"
    lines = [f"{row['image']},{row['number'] or 5}" for row in rows]
    truth.write_text("\n".join(["image,number", *lines]))
    capsys.readouterr()
    assert main(["score", "--predictions", str(output), "--numbers", str(truth), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["accuracy"] == pytest.approx(0.6) and scores["pictures"] == 5
    assert main(["score", "--predictions", str(output), "--numbers", str(truth)]) == 0
    assert "0.600" in capsys.readouterr().out


def test_a_command_that_fails_leaves_no_folders(checkpoint, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    output, trace = tmp_path / "new" / "deep" / "out.csv", tmp_path / "trace"
    assert read(checkpoint, tmp_path / "empty", output, "--trace", str(trace)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_what_pictures_show_is_never_replaced(checkpoint, gallery, tmp_path, capsys) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes((gallery / "a.png").read_bytes())
    (pictures / "numbers.csv").write_text("image,number\na.png,12\n")
    assert read(checkpoint, pictures, pictures / "numbers.csv", "--overwrite") == 2
    assert "numbers.csv" in capsys.readouterr().err
    assert (pictures / "numbers.csv").read_text() == "image,number\na.png,12\n"
    (pictures / "numbers.csv").unlink()
    assert read(checkpoint, pictures, pictures / "numbers.csv") == 0
    assert (pictures / "numbers.csv").read_text().splitlines()[1].startswith("a.png,")


def test_a_link_that_leads_nowhere_gets_a_row(checkpoint, gallery, tmp_path, capsys) -> None:
    (pictures := tmp_path / "pictures").mkdir()
    (pictures / "a.png").write_bytes((gallery / "a.png").read_bytes())
    (pictures / "b.png").symlink_to(tmp_path / "gone.png")
    assert read(checkpoint, pictures, tmp_path / "out.csv") == 0
    assert "b.png,,,,,,No such file or directory" in (tmp_path / "out.csv").read_text()
    assert "warning: b.png: No such file or directory" in capsys.readouterr().err

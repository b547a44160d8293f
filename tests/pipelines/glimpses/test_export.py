"""A program that knows nothing but reader.json and its graph reads as `read` does."""

import csv
import subprocess
import sys

import cv2
import numpy as np
import pytest

from pipelines.house_numbers import main
from tests.pipelines.glimpses.conftest import export

# what a person writes who has reader.json alone
PROGRAM = """
import json, sys
from pathlib import Path
import cv2, numpy as np, onnxruntime

folder, *pictures = map(Path, sys.argv[1:])
about = json.loads((folder / "reader.json").read_text())
session = onnxruntime.InferenceSession(folder / about["graph"]["file"])
S, steps, stop = about["image_size"], about["most_digits"], about["stop"]
for path in pictures:
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    H, W, _ = picture.shape
    f = S / max(H, W)
    high, wide = max(1, round(f * H)), max(1, round(f * W))
    picture = cv2.resize(picture, (min(W, wide), min(H, high)), interpolation=cv2.INTER_AREA)
    if picture.shape[:2] != (high, wide):
        picture = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)
    square = np.tile(picture.reshape(-1, 3).mean(0).round().astype(np.uint8), (S, S, 1))
    top, left = (S - high) // 2, (S - wide) // 2
    square[top : top + high, left : left + wide] = picture
    given = session.run(None, {about["graph"]["inputs"][0]: square.transpose(2, 0, 1)[None]})
    given = dict(zip(about["graph"]["outputs"], given))
    terms = [given["logits"][0], given["logits_backward"][0]]
    forward, backward = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in terms)
    best = None
    for length in range(1, steps + 1):
        digits = (forward[:length] + backward[:length][::-1])[:, :stop] / 2
        score = digits.max(1).sum()
        if length < steps:
            score += (forward[length, stop] + backward[length, stop]) / 2
        if best is None or score > best[0]:
            number = "".join(map(str, digits.argmax(1)))
            best = score, number, *(np.exp(digits.max(1)) / np.exp(digits).sum(1))
    print(*best[1:])
assert not [name for name in sys.modules if name.split(".")[0] in ("modules", "pipelines", "torch")]
"""


@pytest.mark.slow
def test_reader_json_is_all_that_a_program_needs(checkpoint, tmp_path) -> None:
    # wide, tall, both odd, and so small that it has to grow
    rng = np.random.default_rng(0)
    (gallery := tmp_path / "gallery").mkdir()
    for name, height, width in (("a.png", 40, 101), ("b.png", 97, 31), ("c.png", 9, 7)):
        picture = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
        cv2.imwrite(str(gallery / name), picture)
    export(checkpoint, tmp_path / "onnx")
    images = ["--images", str(gallery), "--num_workers", "0", "--device", "cpu"]
    given = ["--ckpt_path", str(checkpoint), "--output", str(tmp_path / "out.csv")]
    assert main(["read", *images, *given]) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        wanted = {row["image"]: row for row in csv.DictReader(file) if row["number"]}
    (tmp_path / "program.py").write_text(PROGRAM)
    pictures = [str(gallery / name) for name in wanted]
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "onnx"), *pictures]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert len(wanted) == 3
    for line, row in zip(said.splitlines(), wanted.values(), strict=True):
        number, *probabilities = line.split()
        assert number == row["number"]
        digits = [float(p) for p in row["digits"].split()]
        assert [float(p) for p in probabilities] == pytest.approx(digits, abs=6e-5)  # rounded to four places

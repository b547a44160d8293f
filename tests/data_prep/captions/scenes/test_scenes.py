"""The drawn scenes: an unseen test split, equal files for equal seeds, safe kills, true boxes."""

import hashlib
import json
import random
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data_prep.captions import read_captions
from data_prep.captions.__main__ import main
from data_prep.captions.scenes import dataset as scenes
from data_prep.captions.scenes.drawing import draw_picture
from data_prep.captions.scenes.layout import draw_scene
from data_prep.captions.scenes.objects import COLOURS, KINDS, TEXTURES, draw_object
from data_prep.captions.scenes.settings import SETTINGS, paint_setting
from modules.errors import InputError
from modules.images import read_image


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "set"
    scenes.generate(folder, images=900, seed=7, size=32)
    return folder


@pytest.fixture(scope="module")
def rows(root: Path) -> list[dict[str, Any]]:
    return scenes.read_scenes(root)


def of_split(rows: list[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["split"] == split]


def shown(row: dict[str, Any]) -> set[tuple[str, ...]]:
    scene, kinds = row["scene"], [group["kind"] for group in row["scene"]["groups"]]
    pairs = {("colour", group["kind"], group["colour"]) for group in scene["groups"]}
    pairs |= {("setting", kind, scene["setting"]) for kind in kinds}
    return pairs | {("relation", kinds[0], scene["relation"])}


def test_test_split_shows_what_training_never_does(rows: list[dict[str, Any]]) -> None:
    counts = [len(of_split(rows, split)) for split in ("train", "val", "test")]
    assert counts == [900 - 56 - 93, 56, 93]
    trained = set().union(*(shown(row) for row in of_split(rows, "train")))
    for row in of_split(rows, "test"):
        unseen = {tuple(combination) for combination in row["scene"]["unseen"]}
        assert unseen
        assert unseen <= shown(row) - trained
    validation = [bool(row["scene"]["unseen"]) for row in of_split(rows, "val")]
    assert validation == [place % 2 == 1 for place in range(56)]
    unseen_in = {
        split: {tuple(c) for row in of_split(rows, split) for c in row["scene"]["unseen"]}
        for split in ("val", "test")
    }
    assert not unseen_in["val"] & set().union(*(shown(row) for row in of_split(rows, "test")))
    assert {kind for kind, *_ in unseen_in["test"]} == {"colour", "setting", "relation"}


def test_every_word_of_val_and_test_occurs_in_training(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    scenes.generate(tmp_path / "few", images=60, size=32)
    for some in (rows, scenes.read_scenes(tmp_path / "few")):
        words = {
            split: {w for row in of_split(some, split) for c in row["captions"] for w in c.split()}
            for split in ("train", "val", "test")
        }
        assert words["val"] | words["test"] <= words["train"]


def test_things_lie_within_the_picture_and_sizes_are_apart(rows: list[dict[str, Any]]) -> None:
    areas: dict[str, list[float]] = {"small": [], "medium": [], "large": []}
    for row in rows:
        for group in row["scene"]["groups"]:
            boxes = np.array(group["boxes"])
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, :2] + boxes[:, 2:] <= 1.0005).all()
            areas[group["size"]] += list(np.sqrt(boxes[:, 2] * boxes[:, 3]) / KINDS[group["kind"]].scale)
    for smaller, larger in pairwise(areas):
        assert max(areas[smaller]) * 1.2 < min(areas[larger])


@pytest.mark.parametrize("kind", KINDS)
def test_objects_have_their_colour_and_fill_their_box(kind: str) -> None:
    palette = np.array(list(COLOURS.values()))
    for number, colour in enumerate(COLOURS):
        rgb, alpha = draw_object(kind, colour, "plain", 96, np.random.default_rng(number))
        pixels = rgb[alpha == 255].astype(int)
        vivid = pixels[np.abs(pixels[:, None] - palette).sum(2).min(1) < 70]
        nearest = np.abs(vivid[:, None] - palette).sum(2).argmin(1)
        assert np.bincount(nearest, minlength=len(palette)).argmax() == number
        rows, columns = np.nonzero(alpha)
        assert np.ptp(rows) > 0.85 * alpha.shape[0]
        assert np.ptp(columns) > 0.85 * alpha.shape[1]
    looks = {draw_object(kind, "blue", t, 96, np.random.default_rng(0))[0].tobytes() for t in TEXTURES}
    assert len(looks) == len(TEXTURES)


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_cover_the_canvas_and_vary(setting: str) -> None:
    canvases = [paint_setting(setting, 96, np.random.default_rng(seed)) for seed in range(30)]
    assert min(int(canvas.astype(int).sum(2).min()) for canvas in canvases) > 20  # 0: never painted
    assert len({canvas.tobytes() for canvas in canvases}) == 30


def test_things_are_drawn_where_the_scene_says() -> None:
    for place in range(40):
        scene = draw_scene("train", place, random.Random(place))
        picture = draw_picture(scene, 64, np.random.default_rng(0)).astype(int)
        empty = draw_picture(
            type(scene)(scene.setting, scene.relation, ()), 64, np.random.default_rng(0)
        ).astype(int)
        changed = np.abs(picture - empty).max(2) > 24
        for box in (box for group in scene.groups for box in group.boxes):
            ys, xs = slice(round(box.y * 64), round(box.bottom * 64)), slice(round(box.x * 64), None)
            assert changed[ys, xs][:, : round(box.width * 64)].mean() > 0.2


def test_the_drawing_has_the_name_it_is_known_by(root: Path, rows: list[dict[str, Any]]) -> None:
    """Whoever changes what is drawn gives it another name in `scenes._SET` and its new numbers here."""
    thumbnails, captions = {
        "0be3b55378360c2c": (
            [
                [184, 182, 188, 180, 149, 132, 145, 125, 134], [200, 200, 207, 192, 201, 215, 225, 215, 223],
                [189, 193, 182, 123, 116, 136, 107, 82, 105], [124, 115, 116, 122, 121, 125, 141, 137, 142],
                [186, 197, 203, 206, 212, 218, 204, 200, 222], [180, 188, 187, 171, 183, 169, 186, 161, 162],
            ],
            "aa0a9a71d3620d99",
        ),
    }[scenes._SET.drawing]  # fmt: skip
    for number, expected in zip((0, 200, 400, 600, 800, 899), thumbnails, strict=True):
        picture = read_image(root / "images" / f"{number:05d}.jpg").mean(2)
        seen = cv2.resize(picture, (3, 3), interpolation=cv2.INTER_AREA).ravel()
        assert np.abs(seen - expected).mean() < 1.5, "other machines round otherwise, by less"
    said = json.dumps([row["captions"] for row in rows]).encode()
    assert hashlib.sha256(said).hexdigest().startswith(captions)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    scenes.generate(tmp_path / "a", images=60, seed=3, size=48, workers=1)
    scenes.generate(tmp_path / "deep" / "b", images=60, seed=3, size=48, workers=4)
    scenes.generate(tmp_path / "c", images=60, seed=-3, size=48)
    a, b, c = contents(tmp_path / "a"), contents(tmp_path / "deep" / "b"), contents(tmp_path / "c")
    assert a == b
    assert len(a) == 62
    assert not [name for name in a if name != "scenes.json" and a[name] == c[name]]


def test_read_gives_the_table(root: Path, rows: list[dict[str, Any]]) -> None:
    assert scenes.recognises(root)
    for table in (scenes.read(root), read_captions(root)):
        assert [r.image for r in table.records] == [row["image"] for row in rows]
        assert all(list(r.captions) == row["captions"] for r, row in zip(table.records, rows, strict=True))
        assert table.records[0].path == root / "images" / "00000.jpg"
        assert len(table.split("test")) == 93


def test_read_draws_what_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "IMAGES", 60)
    monkeypatch.setattr(scenes, "SIZE", 32)
    assert not scenes.recognises(tmp_path / "new")
    assert len(scenes.read(tmp_path / "new").records) == 60


def test_a_complete_set_is_kept_and_any_other_drawn_anew(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    scenes.generate(folder, images=60, size=32)
    before = contents(folder)
    (folder / "images" / "00000.jpg").write_bytes(b"as it was")
    scenes.read(folder)
    assert (folder / "images" / "00000.jpg").read_bytes() == b"as it was", "nothing is drawn twice"

    marker = json.loads((folder / "scenes.json").read_text())
    (folder / "scenes.json").write_text(json.dumps({**marker, "generator": "former"}))
    (folder / "notes.txt").write_text("mine")
    scenes.read(folder)
    assert contents(folder) == {**before, "notes.txt": b"mine"}

    (folder / "images" / "00001.jpg").unlink()
    assert len(scenes.read(folder).records) == 60
    assert contents(folder) == {**before, "notes.txt": b"mine"}

    scenes.generate(folder, images=60, seed=1, size=32)
    assert contents(folder)["captions.jsonl"] != before["captions.jsonl"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")] == []


def test_a_killed_run_leaves_nothing_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real = tmp_path / "set", scenes.draw_picture
    drawn: list[int] = []

    def killed(*arguments: Any) -> Any:
        drawn.append(1)
        if len(drawn) == 30:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(scenes, "draw_picture", killed)
    with pytest.raises(KeyboardInterrupt):
        scenes.generate(folder, images=60, size=32)
    assert not folder.exists()
    monkeypatch.setattr(scenes, "draw_picture", real)
    # what SIGKILL leaves: a half-made folder beside, or a set whose replacement had begun
    (tmp_path / ".set.abc.partial" / "images").mkdir(parents=True)
    scenes.generate(folder, images=60, size=32)
    whole = contents(folder)
    assert not (tmp_path / ".set.abc.partial").exists()
    (folder / "scenes.json").write_text("{}\n")
    shutil.rmtree(folder / "images")
    scenes.generate(folder, images=60, size=32)
    assert contents(folder) == whole


def test_two_at_once_draw_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, real = [], scenes._make
    monkeypatch.setattr(scenes, "_make", lambda *arguments: (drawn.append(1), real(*arguments)))
    draw = {"root": tmp_path / "set", "images": 60, "size": 32}
    both = [threading.Thread(target=scenes.generate, kwargs=draw) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(drawn) == 1
    assert len(scenes.read(tmp_path / "set").records) == 60


def test_bad_input_is_one_line_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"a photograph")
    for wrong in (["--images", "60"], ["--images", "3"], ["--size", "7"]):
        assert main(["draw", str(tmp_path), *wrong]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
    with pytest.raises(InputError, match="holds something else than drawn scenes"):
        scenes.read(tmp_path)
    assert contents(tmp_path)["holiday.jpg"] == b"a photograph"
    with pytest.raises(InputError, match="cannot be written"):
        scenes.generate(tmp_path / "holiday.jpg" / "set", images=60, size=32)


def test_command_prints_what_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    options = ["--images", "60", "--seed", "5", "--size", "64", "--sheet", str(tmp_path / "sheet.png")]
    assert main(["draw", str(tmp_path / "set"), *options]) == 0
    printed = capsys.readouterr().out
    assert "combinations unseen in training, in 6 of 6 images" in printed
    assert "vocabulary" in printed
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")

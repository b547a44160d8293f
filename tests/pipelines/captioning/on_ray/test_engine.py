"""`predict --engine ray` on two workers: the rows of one process, whatever dies or is damaged."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from modules.decoders.captions import DecoderOptions
from pipelines.caption import main
from tests.pipelines.captioning.gallery import by_name, picture, random_captioner, rows_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray")
ROOT = Path(__file__).resolve().parents[4]
PICTURES = 150


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two machines, both here."""
    from ray.cluster_utils import Cluster

    environment = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    node = {"num_cpus": 1, "object_store_memory": 150 * 2**20, "include_dashboard": False}
    machines = Cluster(initialize_head=True, head_node_args=node)
    machines.add_node(num_cpus=1, object_store_memory=150 * 2**20)
    yield machines.address
    ray.shutdown()
    machines.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return random_captioner(DecoderOptions(), tmp_path_factory.mktemp("checkpoint") / "random.ckpt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, one that lacks its end, and one that is none."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        picture(number).save(root / f"{number:03}.png")
    picture(1).resize((300, 200)).save(root / "cut.jpg")
    (root / "cut.jpg").write_bytes((root / "cut.jpg").read_bytes()[:-2])
    (root / "none.jpg").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four shards in WebDataset's layout, of which one breaks off amid its second half."""
    root = tmp_path_factory.mktemp("shards")
    for shard in range(4):
        with tarfile.open(root / f"{shard}.tar", "w") as tar:
            for number in range(20):
                stream = io.BytesIO()
                picture(100 * shard + number).save(stream, "PNG")
                for suffix, data in (("json", b"{}"), ("png", stream.getvalue())):
                    entry = tarfile.TarInfo(f"{number:06}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    whole = (root / "2.tar").read_bytes()
    (root / "2.tar").write_bytes(whole[: whole.index(b"000015.png") + 520])
    return root


@pytest.fixture
def predict(cluster, checkpoint, capsys):
    def run(images, output, *options, status=0):
        ray_options = ["--engine", "ray", "--ray_address", cluster, "--ray_actors", "2", "--batch_size", "8"]
        given = ["predict", "--images", *images, "--ckpt_path", str(checkpoint), "--output", str(output)]
        assert main([*given, *ray_options, *options]) == status
        return capsys.readouterr()

    return run


@pytest.fixture
def local_rows(checkpoint, tmp_path):
    def rows(*images):
        output = tmp_path / "local.jsonl"
        given = ["predict", "--images", *map(str, images), "--ckpt_path", str(checkpoint)]
        assert main([*given, "--output", str(output), "--num_workers", "0", "--overwrite"]) == 0
        return by_name(rows_of(output))

    return rows


def jsonl_rows(output):
    return [row for shard in sorted(output.glob("part-*")) for row in rows_of(shard)]


def manifest_of(output):
    return json.loads((output / "manifest.json").read_text())


def test_a_captioner_that_dies_half_way_costs_and_doubles_nothing(
    predict, local_rows, folder, tmp_path, monkeypatch
):
    from pipelines.captioning.on_ray import engine

    died = tmp_path / "died"

    class Dying(engine.CaptionPictures):
        def __call__(self, columns):
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 4 and not died.exists():
                died.touch()
                os._exit(1)
            return super().__call__(columns)

    monkeypatch.setattr(engine, "CaptionPictures", Dying)
    said = predict([str(folder)], tmp_path / "out.jsonl")
    assert died.exists()
    rows = jsonl_rows(tmp_path / "out.jsonl")
    assert len(rows) == PICTURES + 2 and by_name(rows) == local_rows(folder)
    assert f"{PICTURES + 1} captions, 1 unreadable files" in said.out
    manifest = manifest_of(tmp_path / "out.jsonl")
    counts = {name: manifest[name] for name in ("rows", "captioned", "errors")}
    assert counts == {"rows": PICTURES + 2, "captioned": PICTURES + 1, "errors": 2}
    assert {row["image"] for row in manifest["first_errors"]} == {"cut.jpg", "none.jpg"}
    assert sum(shard["rows"] for shard in manifest["shards"]) == PICTURES + 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    # what is there is not replaced unless that is said
    said = predict([str(folder)], tmp_path / "out.jsonl", status=2)
    assert "holds shards already" in said.err
    (tmp_path / "out.jsonl" / "mine.txt").touch()
    said = predict([str(folder)], tmp_path / "out.jsonl", "--overwrite", status=2)
    assert "mine.txt, which is no shard" in said.err


def test_a_damaged_shard_is_named_and_the_others_are_whole(predict, local_rows, shards, tmp_path):
    import pyarrow.parquet as pq

    said = predict([f"file://{shards}/*.tar"], f"file://{tmp_path}/out.parquet")
    rows = [
        row for file in (tmp_path / "out.parquet").glob("part-*") for row in pq.read_table(file).to_pylist()
    ]
    damaged = f"file://{shards}/2.tar"
    manifest = manifest_of(tmp_path / "out.parquet")
    (row,) = manifest["damaged_archives"]
    assert row["image"] == damaged and "first 16 pictures" in row["error"]
    assert f"warning: {damaged}: a damaged archive" in said.err
    # of the one on which the shard breaks off there is a row, too
    assert len(rows) == manifest["rows"] == 60 + 16 + 1
    found = by_name(rows)
    assert len(found) == len(rows) and found[damaged]["error"] == row["error"]
    assert found[f"{damaged}/000014.png"]["caption"] and found[f"{damaged}/000015.png"]["error"]
    whole = local_rows(*(shards / f"{number}.tar" for number in (0, 1, 3)))
    assert len(whole) == 60
    for name, expected in whole.items():
        given = {key: value for key, value in found[f"file://{name}"].items() if value is not None}
        assert given == expected | {"image": f"file://{name}"}


def test_what_cannot_be_reached_is_one_line(predict, folder, tmp_path, checkpoint, capsys):
    assert "no such file" in predict([f"file://{tmp_path}/none"], tmp_path / "out", status=2).err
    given = ["--images", str(folder), "--ckpt_path", str(checkpoint), "--output", str(tmp_path / "out")]
    assert main(["predict", *given, "--engine", "ray", "--ray_address", "127.0.0.1:1"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --ray_address 127.0.0.1:1: no cluster answers")

"""What an engine does not do is said in one line, before anything is loaded; Ray need not be installed."""

import pytest

from pipelines.caption import main
from pipelines.captioning.on_ray import refusals


@pytest.fixture
def installed(monkeypatch):
    """Lets Ray count as installed, or not."""
    monkeypatch.setattr(refusals, "find_spec", lambda name: object())
    return lambda found: monkeypatch.setattr(refusals, "find_spec", lambda name: found)


def said_of(capsys, tmp_path, *options, images=None):
    (tmp_path / "a.jpg").write_bytes(b"")
    given = ["predict", "--images", str(images or tmp_path), *options]
    assert main(given) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line != "loading ..."]
    return line


def test_without_ray_its_extra_is_named(installed, capsys, tmp_path):
    installed(None)
    said = said_of(capsys, tmp_path, "--engine", "ray", "--output", str(tmp_path / "out"))
    assert said == 'error: --engine ray needs the package ray: pip install -e ".[ray]"'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--attention", "looks"], "--attention is of --engine local"),
        (["--trainer.devices", "2"], "--trainer.devices is of --engine local"),
        (["--num_workers=3"], "--num_workers is of --engine local"),
        (["--every", "2"], "--every is of --engine local"),
        (["--format", "csv"], "--format is csv; --engine ray writes jsonl and parquet"),
        (["--device", "cuda:1"], "--device is 'cuda:1'; --engine ray takes auto, cpu, cuda"),
        (["--ray_actors", "0"], "ray_actors is 0; it has to be at least 1"),
    ],
)
def test_what_ray_does_not_do_is_refused(installed, capsys, tmp_path, options, said):
    given = ["--engine", "ray", "--output", str(tmp_path / "out"), *options]
    assert said in said_of(capsys, tmp_path, *given)


def test_shards_need_a_place(installed, capsys, tmp_path):
    assert "--engine ray needs --output" in said_of(capsys, tmp_path, "--engine", "ray")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ray_address", "auto"], "--ray_address is of --engine ray"),
        (["--output", "s3://bucket/out"], "s3://bucket/out: addresses are read and written by --engine ray"),
        (["--output", "out.parquet"], "parquet is written by --engine ray"),
        (["--format", "parquet"], "parquet is written by --engine ray"),
    ],
)
def test_what_only_ray_does_is_refused_here(capsys, tmp_path, options, said):
    assert said in said_of(capsys, tmp_path, *options)


def test_an_address_is_no_path_of_this_machine(capsys, tmp_path):
    said = said_of(capsys, tmp_path, images="s3://bucket/photos")
    assert said == "error: s3://bucket/photos: addresses are read and written by --engine ray"

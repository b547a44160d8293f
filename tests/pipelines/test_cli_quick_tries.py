"""What people guess for a quick try ends well in every application."""

import pytest

from data_prep.captions.scenes import dataset as scenes
from data_prep.driving.road import dataset as road
from pipelines import caption, steer, text
from pipelines.arguments import CONFIGS

STEERER = """
    --model.frames.height 24 --model.frames.width 32 --model.encoder.channels 4 --model.encoder.pool [1,4]
    --model.encoder.kernels [3,3,3,3] --model.encoder.strides [2,2,1,1] --model.encoder.dense_sizes [16,16]
    --model.encoder.feature_size 8 --data.format drive --model.training.pretrain_epochs 1
"""
TRIES = [
    ["--trainer.max_steps", "3"],
    ["--trainer.max_time", "00:00:00:01"],
    ["--trainer.limit_train_batches", "0.5"],
    ["--trainer.limit_val_batches", "1"],
    ["--trainer.overfit_batches", "2"],
    ["--trainer.fast_dev_run", "true"],
    ["--trainer.accelerator", "cpu"],
]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    root = tmp_path_factory.mktemp("tasks")
    scenes.generate(root / "scenes", images=60, size=64)
    (root / "scenes" / "scenes.json").unlink()
    road.generate(root / "road", drives=10, seconds=2, workers=1)
    (root / "text.txt").write_text("the cat sees a dog and the dog sees a cat\n" * 400)
    debug = CONFIGS / "debug"
    return {
        "caption": (caption, ["--config", str(debug / "caption.yaml"), "--data.root", str(root / "scenes")]),
        "steer": (steer, [*STEERER.split(), "--data.root", str(root / "road")]),
        "text": (text, ["--config", str(debug / "text.yaml"), "--data.file", str(root / "text.txt")]),
    }


@pytest.mark.slow
@pytest.mark.parametrize("tried", TRIES, ids=lambda options: options[0].removeprefix("--trainer."))
@pytest.mark.parametrize("task", ["caption", "steer", "text"])
def test_a_quick_try_ends_well(tasks, tmp_path, capsys, task, tried):
    door, options = tasks[task]
    quiet = ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
    assert door.main(["fit", *options, *quiet, "--runs", str(tmp_path), *tried]) == 0
    said = capsys.readouterr().out
    assert "training ended after" in said
    kept = [
        path.name for path in tmp_path.glob("**/*") if path.name in ("metrics.json", "best.ckpt", "last.ckpt")
    ]
    if "--trainer.fast_dev_run" in tried:
        assert not kept and "nothing is kept" in said
    else:
        assert sorted(kept) == ["best.ckpt", "last.ckpt", "metrics.json"]
        assert list(tmp_path.glob("**/report.html"))

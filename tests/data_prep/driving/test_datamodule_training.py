"""Steering models trained with Lightning on folders of drives: what is learned is what is evaluated."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.features import compute_features
from data_prep.driving.road import dataset as road
from modules.decoders.steering import SteeringDecoderOptions
from modules.steering.encoder import SteeringEncoderOptions
from modules.steering.options import SteeringTrainingOptions
from modules.steering.preprocessing import FramePreprocessing
from modules.steering.steerer import Steerer
from tests.data_prep.driving.driving_folders import CLIP, SMALL, folder, model, module
from tests.modules.steering.steering_models import whole_drives


def trainer_of(epochs: int = 1) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        accelerator="cpu", enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip


def test_a_model_is_trained_and_evaluated(tmp_path: Path) -> None:
    folder(tmp_path, [80, 70])
    steerer, data = model(), module(tmp_path, sequence_length=4, batch_size=4, stateful=True)
    trainer = trainer_of(2)
    trainer.fit(steerer, data)
    assert trainer.callback_metrics["val/rmse_rad"].isfinite()
    assert data.data is not None and steerer.evaluation is not None
    assert steerer.evaluation.rows.tolist() == np.flatnonzero(data.data.split == "val").tolist()
    trainer.test(steerer, data, verbose=False)
    error = steerer.evaluation.outputs[:, 0] - steerer.evaluation.targets[:, 0]
    rmse = float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))
    assert trainer.callback_metrics["test/rmse_rad"] == pytest.approx(rmse)


def test_features_follow_the_weights_of_both_stages_and_of_a_checkpoint(tmp_path: Path) -> None:
    folder(tmp_path, [80, 70])
    training = SteeringTrainingOptions(pretrain_epochs=1)
    decoder = SteeringDecoderOptions(kind="window", hidden_size=8, window=3, dense_size=8)

    def chauffeur() -> Steerer:
        frames = FramePreprocessing(32, 64)
        return Steerer(frames, SteeringEncoderOptions(kind="chauffeur"), decoder, training)

    steerer, data = chauffeur(), module(tmp_path, sequence_length=4, batch_size=8)
    first = steerer.single_frame_model()
    trainer_of().fit(first, data)
    steerer.adopt(first)
    trainer = trainer_of()
    trainer.fit(steerer, data)
    (trained,) = trainer.validate(steerer, data, verbose=False)
    trainer.save_checkpoint(tmp_path / "best.ckpt")

    with torch.no_grad():  # by frames instead of features
        assert data.data is not None
        expected = []
        for rows in data.segments("val"):
            pixels = torch.from_numpy(np.array(data.data.frames.read(data.data.stored[rows])))
            expected.append(whole_drives(steerer, pixels, [0])[:, 0])
    errors = np.concatenate(expected) - data.data.table.angle_rad[np.concatenate(data.segments("val"))]
    assert trained["val/rmse_rad"] == pytest.approx(float(np.sqrt(np.mean(errors**2))), rel=1e-4)

    # a fresh encoder has other weights until Lightning has loaded those of the checkpoint
    (loaded,) = trainer_of().validate(
        chauffeur(), module(tmp_path, sequence_length=4), ckpt_path=tmp_path / "best.ckpt", verbose=False
    )
    assert loaded["val/rmse_rad"] == pytest.approx(trained["val/rmse_rad"], rel=1e-6)


def test_features_are_kept_apart_by_all_that_they_depend_on(tmp_path: Path) -> None:
    folder(tmp_path, [80, 70])
    data = module(tmp_path, sequence_length=4)
    frozen = {"kind": "pretrained", "name": "mobilenetv3_small_050", "stage": 1, "weights": "none"}
    frozen |= {"pool": (2, 4), "flow": (2, 3)}
    for number, changed in enumerate(({}, {"flow_refinements": 0}, {"downscale": 2}), 1):
        steerer = Steerer(FramePreprocessing(32, 64), SteeringEncoderOptions(**{**frozen, **changed})).eval()
        prepared = data.prepare(steerer)
        features = compute_features(prepared.table, prepared.frames, prepared.stored, steerer, tmp_path)
        assert len(list((tmp_path / "drive_features").glob("*.npy"))) == 2 * number  # of two drives
        frames = torch.from_numpy(np.array(prepared.frames.read(prepared.stored[:9])))
        with torch.no_grad():  # the flow sees the frame before, for which the first one stands in
            expected = steerer.encode(torch.cat([frames[:1], frames]).unsqueeze(0))[0]
        np.testing.assert_allclose(features.read(np.arange(9)), expected, rtol=0, atol=1e-5)


def test_features_have_seen_the_context_of_their_frames(tmp_path: Path) -> None:
    folder(tmp_path, [80, 70])
    training = SteeringTrainingOptions(pretrain_epochs=1)
    steerer = Steerer(SMALL, CLIP, SteeringDecoderOptions(kind="recurrent", hidden_size=8), training)
    assert steerer.encoder_is_frozen and steerer.left_context == 5
    data = module(tmp_path, sequence_length=4, batch_size=3, stateful=True)
    trainer_of().fit(steerer, data)
    batch = list(data.train_dataloader())[-1]
    assert batch.frames.shape == (3, 4, 8), "features alone: a state is carried, no frame comes before"
    with torch.no_grad():
        assert data.data is not None
        stream = int((~batch.resets).nonzero()[0])
        rows = batch.rows[stream].numpy()
        pixels = data.data.frames.read(data.data.stored[np.arange(rows[0] - 5, rows[-1] + 1)])
        expected = steerer.encode(torch.from_numpy(np.array(pixels)).unsqueeze(0))
    torch.testing.assert_close(batch.frames[stream], expected[0], atol=1e-5, rtol=1e-4)


def test_drawn_roads_are_said_to_be_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEQSIGHT_CACHE", str(tmp_path))
    road.generate(tmp_path / "road", drives=3, seconds=2.0)
    SteerDataModule().read()
    assert "data: drawn roads; --data.root DIR" in capsys.readouterr().out
    SteerDataModule(root=tmp_path / "road").read()
    assert "drawn" not in capsys.readouterr().out

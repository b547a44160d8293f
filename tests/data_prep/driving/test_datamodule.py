"""From a folder to batches: the right frame beside the right angle, in every mode, for every process."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data_prep.driving.augmentation import AugmentationOptions
from data_prep.driving.datamodule import SteerDataModule
from data_prep.driving.table import DriveTable, write_drive_csv
from modules.errors import InputError
from modules.steering.steerer import Steerer
from modules.steering.stream import SteeringStream
from tests.data_prep.driving.driving_folders import FROZEN, drives, folder, model, module, numbered, put


def attach(data: SteerDataModule, steerer: Steerer, stage: str = "fit", rank: int = 0, world: int = 1):
    progress = SimpleNamespace(processed=0)
    loop = SimpleNamespace(
        epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=progress)),
        epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)),
    )
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=steerer,
        global_rank=rank,
        world_size=world,
        fit_loop=loop,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.setup(stage)
    steerer._trainer = SimpleNamespace(datamodule=data, precision="32-true")  # type: ignore[assignment]
    steerer.setup(stage)  # as Lightning does then: the model asks the data
    return loop


def check(batch, table: DriveTable, shape: tuple[int, int, int, int]) -> None:
    """Every frame shows the number that its target and its row tell."""
    rows, length, context, width = shape
    assert batch.frames.dtype == torch.uint8 and batch.frames.shape == (rows, context + length, 3, 24, width)
    assert batch.targets.shape == (rows, length, 4) and batch.targets.dtype == torch.float32
    assert batch.valid.shape == batch.rows.shape == (rows, length) and batch.resets.shape == (rows,)
    assert (batch.rows[~batch.valid] == -1).all() and batch.targets[~batch.valid].isnan().all()
    for row in range(rows):
        for step in range(length):
            if batch.valid[row, step]:
                at = int(batch.rows[row, step])
                assert float(batch.targets[row, step, 0]) == pytest.approx(table.angle_rad[at], abs=1e-6)
                shown = batch.frames[row, context + step, :, 0, 0].tolist()
                assert shown == numbered(int(table.frame[at]) % 200)[0, 0].tolist()


# -------------------------------------------------------------------------------------------------- batches


def test_shuffled_clips(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = folder(tmp_path, [80, 60])
    data = module(tmp_path, sequence_length=4, batch_size=6, stride=2)
    attach(data, model())
    said = capsys.readouterr().out
    assert "frames: 140 decoded" in said and "140 frames: train " in said
    assert data.data is not None
    batches = list(data.train_dataloader())
    for batch in batches:
        check(batch, data.data.table, (len(batch.frames), 4, 5, 32))
        assert batch.resets.all() and batch.valid.all()
    rows = torch.cat([batch.rows.flatten() for batch in batches]).unique()
    assert rows.tolist() == np.flatnonzero(data.data.split == "train").tolist()
    assert len(table) == 140


def test_streams_are_carried_and_evaluation_covers_every_frame_once(tmp_path: Path) -> None:
    folder(tmp_path, [90, 50, 70])
    data = module(tmp_path, sequence_length=4, batch_size=3, stateful=True)
    attach(data, model())
    assert data.data is not None
    batches = list(data.train_dataloader())
    for batch in batches:
        check(batch, data.data.table, (3, 4, 5, 32))
    assert batches[0].resets.all() and not torch.stack([b.resets for b in batches[1:]]).all()
    evaluated = list(data.val_dataloader())
    for batch in evaluated:
        check(batch, data.data.table, (len(batch.frames), 32, 5, 32))
    rows = torch.cat([batch.rows[batch.valid] for batch in evaluated])
    assert sorted(rows.tolist()) == np.flatnonzero(data.data.split == "val").tolist()
    assert data.test_split == "val" and len(list(data.test_dataloader())) == len(evaluated)


def test_target_statistics_are_those_of_the_training_frames(tmp_path: Path) -> None:
    table = folder(tmp_path, [100], speed_mps=np.r_[np.full(30, np.nan), np.linspace(3, 17, 70)])
    steerer, data = model(), module(tmp_path, sequence_length=2)
    attach(data, steerer)
    assert data.data is not None
    trained = data.data.split == "train"
    angles, speeds = table.angle_rad[trained], table.speed_mps[trained]
    mean, std = data.target_statistics()
    np.testing.assert_allclose(mean[[0, 2]], [angles.mean(), np.nanmean(speeds)], rtol=1e-6)
    np.testing.assert_allclose(std[[0, 2]], [angles.std(), np.nanstd(speeds)], rtol=1e-6)
    assert mean[1].isnan() and std[1].isnan()
    np.testing.assert_allclose(steerer.target_mean[0], angles.mean(), rtol=1e-6)


def test_features_of_a_frozen_encoder_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder(tmp_path, [60, 40])
    steerer = model(FROZEN, kind="window", window=3, dense_size=8)
    assert steerer.encoder_is_frozen
    options = {"sequence_length": 4, "batch_size": 2, "augmentation": AugmentationOptions(flip=True)}
    data = module(tmp_path, **options)
    attach(data, steerer)
    batch = next(iter(data.train_dataloader()))
    assert "frames are not varied" in capsys.readouterr().out
    assert data.data is not None and batch.frames.shape == (2, 2 + 4, steerer.encoder.feature_size)
    first = data.data.frames.read(data.data.stored[batch.rows[0, :1].numpy()])
    expected = steerer.encode(torch.from_numpy(np.array(first)).unsqueeze(0))
    torch.testing.assert_close(batch.frames[0, 2], expected[0, 0], atol=1e-5, rtol=1e-4)

    with monkeypatch.context() as patch:
        patch.setattr(SteeringStream, "encode", lambda *given, **more: pytest.fail("computed again"))
        again = module(tmp_path, **options)
        attach(again, steerer)
        other = next(iter(again.train_dataloader()))
        torch.testing.assert_close(other.frames, batch.frames)
        assert next(iter(again.val_dataloader())).frames.shape[1] == 32
    with torch.no_grad():  # other weights, other features
        next(steerer.encoder.parameters()).mul_(1.5)
    changed = next(iter(again.train_dataloader()))
    assert not torch.equal(changed.frames, batch.frames)


def test_a_frozen_encoder_reads_mirrored_frames_too_where_clips_are_to_be_mirrored(tmp_path: Path) -> None:
    folder(tmp_path, [60, 40])
    steerer = model(FROZEN, kind="recurrent")
    options = {"sequence_length": 4, "batch_size": 8, "augmentation": AugmentationOptions(flip_features=True)}
    data = module(tmp_path, **options)
    attach(data, steerer)
    batch = next(iter(data.train_dataloader()))
    assert data.data is not None
    signs = set()
    for clip in range(len(batch.frames)):
        row = int(batch.rows[clip, 0])
        frame = torch.from_numpy(np.array(data.data.frames.read(data.data.stored[[row]])))
        if not batch.targets[clip, 0, 0]:
            continue  # the first frame's angle tells no side
        sign = float(torch.sign(batch.targets[clip, 0, 0]))
        expected = steerer.encode((frame.flip(-1) if sign < 0 else frame).unsqueeze(0))
        torch.testing.assert_close(batch.frames[clip, 0], expected[0, 0], atol=1e-5, rtol=1e-4)
        assert float(batch.targets[clip, 0, 0]) == pytest.approx(sign * data.data.table.angle_rad[row])
        signs.add(sign)
    assert signs == {-1.0, 1.0}
    validated = next(iter(data.val_dataloader()))
    assert (validated.targets[validated.valid][:, 0] >= 0).all(), "only training clips are mirrored"


def test_context_is_what_the_model_needs(tmp_path: Path) -> None:
    data = module(tmp_path, sequence_length=4)
    window = model(kind="window", window=7, dense_size=8)
    assert data.context(window) == 5 + 6
    assert module(tmp_path, stateful=True).context(window) == 5
    assert module(tmp_path, left_context=9).context(model()) == 9
    with pytest.raises(InputError, match=r"data.left_context is 2; the encoder needs 5 frames"):
        module(tmp_path, left_context=2).context(model())
    with pytest.raises(InputError, match=r"data.left_context is 6, more than the encoder's 5 frames"):
        module(tmp_path, left_context=6, stateful=True).context(model())


def test_side_cameras_train_with_corrected_angles_and_do_not_validate(tmp_path: Path) -> None:
    cameras = np.tile(["center", "left", "right"], 60)
    folder(tmp_path, [180], camera=cameras, time_s=np.arange(180) / 60, angle_rad=0.05, speed_mps=10.0)
    table = drives(tmp_path / "data", [180], camera=cameras, time_s=np.arange(180) / 60, speed_mps=10.0)
    table.angle_rad = np.repeat(np.linspace(0.0, 0.3, 60), 3)
    write_drive_csv(table, tmp_path / "data/drive.csv")
    data = module(tmp_path, sequence_length=1, batch_size=8, cameras=["center", "left", "right"])
    attach(data, model())
    assert data.data is not None
    seen = set()
    for batch in data.train_dataloader():
        for row, target in zip(batch.rows[:, 0], batch.targets[:, 0, 0], strict=True):
            camera = str(data.data.table.camera[row])
            seen.add(camera)
            side = {"left": -1, "right": 1}.get(camera, 0)
            driven = data.data.table.angle_rad[row]
            assert float(target) == pytest.approx(driven + side * np.arctan(0.508 / 20), abs=1e-6)
    assert seen == {"center", "left", "right"}
    validated = torch.cat([batch.rows[batch.valid] for batch in data.val_dataloader()])
    assert set(data.data.table.camera[validated]) == {"center"}


def test_the_camera_that_is_scored_has_the_angles_that_were_driven(tmp_path: Path) -> None:
    camera = np.tile(["left", "right"], 60)
    folder(tmp_path, [120], camera=camera, time_s=np.arange(120) / 40, speed_mps=10.0)
    data = module(tmp_path, sequence_length=1, batch_size=8, cameras=["left", "right"])
    attach(data, model())
    assert data.data is not None
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        rows = batch.rows[batch.valid]
        beside = np.where(data.data.table.camera[rows] == "right", np.arctan(2 * 0.508 / 20), 0.0)
        driven = data.data.table.angle_rad[rows]
        np.testing.assert_allclose(batch.targets[batch.valid][:, 0], driven + beside, atol=1e-6)


def test_augmentation_follows_from_the_seed_alone(tmp_path: Path) -> None:
    folder(tmp_path, [100])
    options = {"sequence_length": 2, "augmentation": AugmentationOptions(flip=True, brightness=0.3)}
    batches = []
    for workers in (0, 1):
        data = module(tmp_path, num_workers=workers, **options)
        loop = attach(data, model())
        loop.epoch_progress.current.processed = 3
        batches.append(list(data.train_dataloader()))
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.frames, other.frames)
        torch.testing.assert_close(one.targets, other.targets, rtol=0, atol=0, equal_nan=True)
    loop.epoch_loop.batch_progress.current.processed = 2
    resumed = list(data.train_dataloader())
    assert len(resumed) == len(batches[0]) - 2 and torch.equal(resumed[0].frames, batches[0][2].frames)
    signs = torch.cat([batch.targets[:, :, 0].sign().flatten() for batch in batches[0]])
    assert (signs < 0).any() and (signs > 0).any()


def test_balance_shows_more_curves(tmp_path: Path) -> None:
    angles = np.zeros(200)
    angles[::20] = 0.4
    folder(tmp_path, [200], angle_rad=angles)
    shares = []
    for balance in (0.0, 1.0):
        data = module(tmp_path, sequence_length=1, balance=balance)
        attach(data, model())
        shown = torch.cat([batch.targets.flatten(0, 1)[:, 0] for batch in data.train_dataloader()])
        shares.append(float((shown > 0).float().mean()))
    assert shares[0] == pytest.approx(0.05, abs=0.01) and shares[1] > 0.35


def module_with_one_stream(tmp_path: Path, rank: int, world: int) -> SteerDataModule:
    data = module(tmp_path, eval_batch_size=1)
    attach(data, model(), rank=rank, world=world)
    return data


def test_two_processes_see_the_batches_of_one(tmp_path: Path) -> None:
    folder(tmp_path, [120])
    loaded = []
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        data = module(tmp_path, sequence_length=3, batch_size=4, stateful=True)
        attach(data, model(), rank=rank, world=world)
        loaded.append(list(data.train_dataloader()))
        evaluated = list(module_with_one_stream(tmp_path, rank, world).val_dataloader())
        assert len(evaluated[0].frames) == 1 and int(evaluated[0].valid.sum()) == (18 if rank == 0 else 0)
    alone, *shares = loaded
    for step, batch in enumerate(alone):
        for rank in (0, 1):
            assert torch.equal(shares[rank][step].frames, batch.frames[rank::2])
            assert torch.equal(shares[rank][step].rows, batch.rows[rank::2])


# ------------------------------------------------------------------------------------------------ bad input


def test_a_corrupt_frame_is_reported_and_cuts_the_drive(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder(tmp_path, [100])
    whole = (tmp_path / "data/images/00040.png").read_bytes()
    put(tmp_path, "data/images/00040.png", whole[: len(whole) // 2])
    (tmp_path / "data/images/00043.png").unlink()
    data = module(tmp_path, sequence_length=4)
    attach(data, model())
    said = capsys.readouterr().out
    assert "drive.csv:45: 1 image is absent" in said
    assert "drive.csv:42: frame " in said and "00040.png: is damaged" in said
    assert data.data is not None and len(data.data.table) == 98
    assert [len(rows) for rows in data.data.table.series()] == [40, 2, 56]
    for batch in data.train_dataloader():
        check(batch, data.data.table, (len(batch.frames), 4, 5, 32))


def test_what_cannot_be_trained_on_is_said(tmp_path: Path) -> None:
    folder(tmp_path, [60], angle_rad=0.0)
    with pytest.raises(
        InputError, match="of the training frames every angle is 0; there is nothing to learn"
    ):
        attach(module(tmp_path), model())
    folder(tmp_path, [60], angle_rad=np.nan)
    with pytest.raises(InputError, match="of the training frames no angle is known"):
        attach(module(tmp_path), model())
    folder(tmp_path, [20])
    with pytest.raises(InputError, match="no frames are left for the val split"):
        attach(module(tmp_path), model())
    folder(tmp_path, [60])
    with pytest.raises(InputError, match="has no camera 'left'; it has center"):
        attach(module(tmp_path, cameras=["center", "left"]), model())
    for number in range(60):
        put(tmp_path, f"data/images/{number:05d}.png", "")
    with pytest.raises(InputError, match=r"00000.png: the file is empty; no frame can be read"):
        attach(module(tmp_path), model())
    with pytest.raises(InputError, match=r"absent/data: no such file or folder"):
        attach(module(tmp_path / "absent"), model())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "data.sequence_length is 0; it has to be at least 1"),
        ({"stride": 0}, "data.stride is 0"),
        ({"balance": 2.0}, "data.balance is 2.0; it has to be from 0 to 1"),
        ({"stateful": True, "balance": 0.5}, "data.stateful .* goes without balance"),
        ({"cameras": []}, "data.cameras is"),
        ({"cameras": ["left", "left"]}, "data.cameras is"),
    ],
)
def test_options_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SteerDataModule(**options)


@pytest.mark.parametrize("names", [("monday", "tuesday"), ("monday", "monday")])
def test_several_folders_are_one_data_set(tmp_path: Path, names: tuple[str, str]) -> None:
    for place, name in zip(("a", "b/c"), names, strict=True):
        write_drive_csv(
            drives(tmp_path / place, [40], drawn=True, drive=name), tmp_path / place / "drive.csv"
        )
    data = SteerDataModule([tmp_path / "a", tmp_path / "b/c"], cache=tmp_path / "cache")
    table = data.read()
    drive_names = names if len(set(names)) == 2 else ("a/monday", "b/c/monday")
    assert table.recordings().tolist() == [drive_names[0]] * 40 + [drive_names[1]] * 40
    assert all((table.root / name).is_file() for name in table.file)
    with pytest.raises(InputError, match=r"b/c: the folder is named twice"):
        SteerDataModule([tmp_path / "b/c", tmp_path / "a/../b/c"]).read()


def test_warnings_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder(tmp_path, [60])
    put(tmp_path, "data/images/00020.png", b"no image")
    data = module(tmp_path)
    for _ in range(2):
        attach(data, model())
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(set(said)) and sum("the drive is cut there" in line for line in said) == 1

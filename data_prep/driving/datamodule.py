"""Drives as batches: from a folder in any known format to `ClipBatch`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from data_prep.batching import BatchLoader
from data_prep.cache import cache_root
from data_prep.driving.augmentation import AugmentationOptions, ClipAugmentation
from data_prep.driving.clips import ClipDataset, Prepared, StoredFrames
from data_prep.driving.cutting import cut_drives, shift_labels, smooth_angles
from data_prep.driving.features import DriveFeatures, compute_features
from data_prep.driving.formats.several import car_scales, on_one_scale, read_several
from data_prep.driving.frame_sources import camera_shape
from data_prep.driving.frames import FrameCache
from data_prep.driving.known_drives import KnownDrives, drives_learnt, split_again
from data_prep.driving.sampling import ClipSampler, ShuffledClips, StreamedClips, clip_weights
from data_prep.driving.splitting import SPLITS, SplitOptions, split_frames
from data_prep.driving.summary import prepared
from data_prep.driving.table import DriveTable
from data_prep.driving.windows import segments_of
from data_prep.left_out import SHOWN, listing_of, write_list
from data_prep.resumable import place_in
from data_prep.saying import say, say_drawn
from modules.errors import InputError, check_at_least
from modules.steering.steerer import Steerer

FormatName = Literal[
    "auto",
    "drive",
    "road",
    "udacity",
    "challenge",
    "simulator",
    "sullychen",
    "donkeycar",
    "ros",
    "comma",
    "video",
]
# frames of a clip in evaluation, where only the work at once depends on it
_EVALUATION_LENGTH = 32


class SteerDataModule(pl.LightningDataModule):
    """Drives of one folder, in any format that `data_prep/driving` reads.

    Crop, size and context are the model's, so that training and prediction see the same. Frames are decoded
    once and cached; so are the features of a frozen encoder. Evaluation runs through every drive from its
    first frame to its last, carrying the state.

    Args:
        root: Folder of the drives, or several; by default drawn roads, which are made where they are missing.
        format: How they are laid out; auto recognises it by its files.
        topic: Of the images, where a bag has several cameras; by default chosen by name, type and rate.
        sequence_length: Frames to predict in a training clip.
        left_context: Frames before them; by default what the model needs.
        stride: Frames from one shuffled clip to the next; by default sequence_length.
        stateful: Train on streams of consecutive clips, whose state is carried (truncated BPTT), instead of
            shuffled clips that start afresh.
        batch_size: Clips in a training step, or streams, over all processes together.
        eval_batch_size: Drives evaluated at once, over all processes together.
        cameras: The first is evaluated; the others are trained on too, with corrected angles.
        split: Which frames train, validate and test.
        augmentation: How training clips are varied.
        balance: 0 takes every shuffled clip once an epoch, 1 draws straight ones and all degrees of curves
            equally often.
        smooth_frames: Frames, the standard deviation of a Gaussian, over which training angles are smoothed;
            for keyboards, whose angles are pulses. Scores are of the angles as they were driven.
        num_workers: Worker processes that read and vary clips.
        cache: Folder of all caches; by default $SEQSIGHT_CACHE, else ~/.cache/seqsight.
        seed: Of the order of training clips and of their variation.
    """

    def __init__(
        self,
        root: list[Path] | Path | None = None,
        format: FormatName = "auto",
        sequence_length: int = 10,
        left_context: int | None = None,
        stride: int | None = None,
        stateful: bool = False,
        batch_size: int = 8,
        eval_batch_size: int = 4,
        cameras: list[str] = ["center"],  # noqa: B006
        split: SplitOptions = SplitOptions(),  # noqa: B008
        augmentation: AugmentationOptions = AugmentationOptions(),  # noqa: B008
        balance: float = 0.0,
        num_workers: int = 0,
        cache: Path | None = None,
        seed: int = 0,
        topic: str | None = None,
        smooth_frames: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value, least in [
            ("sequence_length", sequence_length, 1),
            ("left_context", left_context, 0),
            ("stride", stride, 1),
            ("batch_size", batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("num_workers", num_workers, 0),
            ("seed", seed, 0),
        ]:
            check_at_least(least, **{f"data.{name}": value})
        if not 0 <= smooth_frames <= 100:
            raise InputError(f"data.smooth_frames is {smooth_frames}; it has to be from 0 to 100")
        if not 0 <= balance <= 1:
            raise InputError(f"data.balance is {balance}; it has to be from 0 to 1")
        if stateful and (balance or stride is not None):
            raise InputError(
                "data.stateful takes clips one after the other; it goes without balance and stride"
            )
        if not cameras or len(set(cameras)) < len(cameras):
            raise InputError(
                f"data.cameras is {cameras}; it has to name one camera or several different ones"
            )
        roots = root if isinstance(root, list) else [root]
        self.root, self.format = roots[0], format
        self.others = [path for path in roots[1:] if path is not None]
        self.sequence_length, self.left_context = sequence_length, left_context
        self.stride, self.stateful = stride or sequence_length, stateful
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.cameras, self.split_options = list(cameras), split
        self.augmentation_options, self.balance = augmentation, balance
        self.num_workers, self.cache, self.seed = num_workers, cache, seed
        self.topic, self.smooth_frames = topic, smooth_frames
        self.source: DriveTable | None = None
        self._said: set[str] = set()
        self.data: Prepared | None = None

    # ---- what the folder holds

    def read(self) -> DriveTable:
        """Returns the drives as their files are, cut, of the chosen cameras; says what is wrong with them."""
        if self.source is not None:
            return self.source
        root = self.root if self.root is not None else cache_root() / "road"
        format = "road" if self.root is None and self.format == "auto" else self.format
        if self.root is None and format == "road":
            say_drawn("roads", "recording")
        table = read_several([root, *self.others], format, self.topic)
        known = list(dict.fromkeys(table.camera.tolist()))
        if self.cameras == ["center"] and len(known) == 1:
            self.cameras = known
        unknown = [name for name in self.cameras if name not in known]
        if unknown:
            raise InputError(f"data.cameras: {root} has no camera {unknown[0]!r}; it has {', '.join(known)}")
        table, warnings = prepared(table.select(np.isin(table.camera, self.cameras)))
        for line in warnings:
            say(f"warning: {line}")
        self.source = table
        return table

    def prepare(self, model: Steerer, stage: str = "fit") -> Prepared:
        """Returns drives, frames and splits for this model; decodes the frames that are missing.

        A frame that cannot be read is reported and cuts its drive. To score, `split_again` splits.
        """
        table = self.read()
        frames = FrameCache(table.root, model.preprocessing, self.cache)
        stored, report = frames.fill(table)
        if report.decoded or not self._said:
            self._say_once(report.summary())
        if (stored < 0).all():
            row, reason = report.unreadable[0]
            raise InputError(f"{table.root / table.file[row]}: {reason}; no frame can be read")
        named = [
            f"{table.where(row)}: frame {table.root / table.file[row]}: {why}"
            for row, why in report.unreadable
        ]
        for line in named[:SHOWN]:
            self._say_once(f"warning: {line}; the drive is cut there")
        if len(named) > SHOWN:
            listing = listing_of(table.root, "frames", self.cache)
            write_list(listing, named)
            more = f"{len(named) - SHOWN:,} more frames cannot be read; all are listed in {listing}"
            self._say_once(f"warning: {more}")
        if (stored < 0).any():
            table = cut_drives(table, stored < 0)
            stored, _ = frames.fill(table)
        clip = self.sequence_length + self.context(model)
        if stage == "fit" or model.drives is None:
            split, new = split_frames(table, self.split_options, clip), 0
        else:
            split, drives, new = split_again(table, self.cameras[0], model.drives, stage)
        if new:
            self._say_once(f"{table.root}: {new:,} of {drives:,} drives are new to the model: scored whole")
        cars = car_scales(table, split, self.cameras[0]) if stage == "fit" else model.cars
        for car, factor in cars.items():
            if factor != 1:
                self._say_once(
                    f"angles of {car or 'wheels, in radians,'} are multiplied by {factor:.3g}: cars differ"
                )
        if shift := model.training_options.label_shift:
            self._say_once(f"labels are those of {abs(shift)} frames {'later' if shift > 0 else 'before'}")
        scaled = on_one_scale(shift_labels(table, shift), cars)
        return Prepared(scaled, frames, stored, split, table, cars)

    def _say_once(self, line: str) -> None:
        # data are prepared for the first stage, the fit, and the test at its end
        if line not in self._said:
            self._said.add(line)
            say(line)

    def context(self, model: Steerer) -> int:
        """Returns the frames before a training clip: what encoder and, afresh, the decoder's window see."""
        if self.left_context is None:
            return model.left_context + (0 if self.stateful else model.feature_context)
        if self.left_context < model.left_context:
            raise InputError(
                f"data.left_context is {self.left_context}; the encoder needs {model.left_context} frames"
            )
        if self.stateful and self.left_context > model.left_context:
            raise InputError(
                f"data.left_context is {self.left_context}, more than the encoder's {model.left_context} "
                "frames: clips would start afresh, which data.stateful is to spare them"
            )
        return self.left_context

    @property
    def test_split(self) -> str:
        """The split that is scored at the end: test, or val where no frames are set apart for a test."""
        assert self.data is not None
        return "test" if (self.data.split == "test").any() else "val"

    def segments(self, split: str) -> list[np.ndarray]:
        """Returns the unbroken runs of a split's rows; those of side cameras in training alone."""
        assert self.data is not None
        cameras = self.cameras if split == "train" else self.cameras[:1]
        table = self.data.table
        found = segments_of(table, (self.data.split == split) & np.isin(table.camera, cameras))
        if not found:
            raise InputError(f"{table.root}: the data have no {split} split of camera {cameras[0]}")
        return found

    def target_statistics(self) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation (4,) of angle_rad, torque, speed_mps and throttle.

        NaN where unknown.

        Over every training frame of the first camera, once. InputError where its angles are no labels.
        """
        assert self.data is not None
        table = self.data.table
        rows = (self.data.split == "train") & (table.camera == self.cameras[0])
        targets = table.targets()[rows]
        mean, std = np.full((2, targets.shape[1]), np.nan)
        for column, values in enumerate(targets.T):
            known = values[~np.isnan(values)]
            if len(known):
                mean[column], std[column] = known.mean(), known.std()
        if not std[0] > 0:
            what = "no angle is known" if np.isnan(mean[0]) else f"every angle is {mean[0]:g}"
            raise InputError(f"{table.root}: of the training frames {what}; there is nothing to learn")
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)

    def drives_learnt(self, before: KnownDrives | None) -> KnownDrives:
        """Returns what tells the drives of a fit, and those of the fit that it goes on from."""
        assert self.data is not None
        return drives_learnt(self.data.recorded, self.data.split, self.cameras[0], before)

    # ---- what Lightning calls

    def _model(self) -> Steerer:
        assert self.trainer is not None
        model = self.trainer.lightning_module
        assert isinstance(model, Steerer)
        return model

    def setup(self, stage: str) -> None:
        """Reads drives, decodes missing frames, splits."""
        self.data = self.prepare(self._model(), stage)
        if stage == "fit":
            self.target_statistics()  # complains of angles that are no labels
            counts = ", ".join(f"{name} {int((self.data.split == name).sum()):,}" for name in SPLITS)
            where = ", ".join(str(root) for root in (self.root or self.data.table.root, *self.others))
            self._say_once(f"{where}: {len(self.data.table):,} frames: {counts}")

    def _inputs(self, model: Steerer, mirror: bool = False) -> StoredFrames | DriveFeatures:
        # not in setup: Lightning loads the weights of a checkpoint after it
        assert self.data is not None and self.trainer is not None
        if not model.encoder_is_frozen:
            return StoredFrames(self.data.frames, self.data.stored)
        model.to(self.trainer.strategy.root_device)
        data = self.data
        return compute_features(data.table, data.frames, data.stored, model, self.cache, mirror)

    def _shares(self) -> dict[str, int]:
        assert self.trainer is not None
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def train_dataloader(self) -> BatchLoader:
        assert self.trainer is not None and self.data is not None
        table, model, segments = self.data.table, self._model(), self.segments("train")
        options = self.augmentation_options
        inputs = self._inputs(model, options.flip_features)
        length, context = self.sequence_length, self.context(model)
        augmentation = None
        if isinstance(inputs, DriveFeatures):
            context -= model.left_context  # features have seen the encoder's context
            if options.changes_pixels:
                self._say_once(
                    "note: the encoder is frozen, its features are computed once: frames are not varied"
                )
        elif options.changes_pixels:
            shape = camera_shape(table.root, str(table.file[0]))
            augmentation = ClipAugmentation(options, model.preprocessing, shape)
        sampler: ClipSampler
        shares = self._shares()
        if self.stateful:
            sampler = StreamedClips(
                segments, length, context, self.batch_size, training=True, seed=self.seed, **shares
            )
        else:
            sampler = ShuffledClips(
                segments, length, context, self.batch_size, stride=self.stride, seed=self.seed, **shares
            )
            if self.balance:
                sampler.weigh(clip_weights(sampler.mean_angles(table.angle_rad), self.balance))
        sampler.stretch_time(options.time_stretch)
        smooth = smooth_angles(table, self.smooth_frames, self.data.split == "train")
        dataset = ClipDataset(smooth, inputs, length, options, augmentation, self.cameras[0])
        return BatchLoader(dataset, sampler, place=place_in(self.trainer), workers=self.num_workers)

    def _evaluation(self, split: str) -> BatchLoader:
        assert self.data is not None
        model, segments = self._model(), self.segments(split)
        inputs = self._inputs(model)
        context = 0 if isinstance(inputs, DriveFeatures) else model.left_context
        shares = self._shares()
        streams = max(self.eval_batch_size, shares["world_size"])  # one for each process, at least
        sampler = StreamedClips(segments, _EVALUATION_LENGTH, context, streams, training=False, **shares)
        options, scored = self.augmentation_options, self.cameras[0]
        dataset = ClipDataset(self.data.table, inputs, _EVALUATION_LENGTH, options, scored=scored)
        return BatchLoader(dataset, sampler, workers=self.num_workers)

    def val_dataloader(self) -> BatchLoader:
        return self._evaluation("val")

    def test_dataloader(self) -> BatchLoader:
        return self._evaluation(self.test_split)

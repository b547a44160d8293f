"""The rows of a command that reads many pictures: batched, resumable, on any number of processes.

Rows are appended to part files as they come, OUTPUT.part-IDENTITY-RANK. After a kill they are taken over.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser

from data_prep.batching import BatchLoader, ShareSampler, decoding_workers
from data_prep.progress import counting_bar
from data_prep.terminal import saying_how_to_resume
from modules.errors import InputError
from modules.whole_files import ESCAPED
from pipelines.devices import TRAINER_HELP


class PartWriter(Callback):
    """Appends the rows of every batch to this process's part file, and shows progress.

    Args:
        part: Beginning of the name of every process's file.
        total: Files of all processes.
        states: Of every file what tells that it has changed since.
        doing: What is done, on the bar.
        made: What the rows are, in the plural.
    """

    def __init__(
        self, part: Path, total: int, states: Mapping[str, list[int]], doing: str, made: str
    ) -> None:
        self.part, self.total, self.states = part, total, states
        self.doing, self.made = doing, made
        self.file: TextIO | None = None

    def rows(self, outputs: Any, batch: Any) -> list[dict[str, Any]]:
        """Returns the rows of a batch: "image", what was predicted, and "error" where something is wrong."""
        raise NotImplementedError

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        try:
            self.file = self.part.with_name(f"{self.part.name}-{trainer.global_rank}").open(
                "a", encoding="utf-8", errors=ESCAPED
            )
            if self.file.tell():
                self.file.write("\n")  # a kill may have cut the last line short
                self.file.flush()
        except OSError as error:
            raise self._cannot_go_on(error) from error
        self.bar = counting_bar("images", trainer.is_global_zero)
        # the other processes are as fast as this one
        self.task = self.bar.add_task(self.doing, total=self.total)
        self.bar.start()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert self.file is not None
        rows = self.rows(outputs, batch)
        states = (self.states[row["image"]] for row in rows)
        try:
            self.file.writelines(
                json.dumps(row | {"file": state}, ensure_ascii=False) + "\n"
                for row, state in zip(rows, states, strict=True)
            )
            self.file.flush()
        except OSError as error:
            raise self._cannot_go_on(error) from error
        left = self.total - self.bar.tasks[self.task].completed
        self.bar.advance(self.task, min(left, len(rows) * trainer.world_size))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.file is not None
        self.bar.stop()
        try:
            self.file.close()
        except OSError as error:
            raise self._cannot_go_on(error) from error

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if self.file is not None:
            self.bar.stop()
            with suppress(OSError):  # what could not be written is the exception already
                self.file.close()

    def _cannot_go_on(self, error: OSError) -> InputError:
        return InputError(
            f"{self.part.parent}: {self.made} cannot be written ({error.strerror}); what is there is kept: "
            "make room or choose another --output, and give the command again to go on"
        )


def trainer_arguments(parser: LightningArgumentParser) -> None:
    """Adds Lightning's own options (`--trainer.devices 2`, ...) with what inference needs as defaults."""
    parser.add_argument("--device", type=str | None, default=None, help=TRAINER_HELP)
    parser.add_lightning_class_args(pl.Trainer, "trainer")
    parser.set_defaults(
        {
            "trainer.logger": False,
            "trainer.enable_checkpointing": False,
            "trainer.enable_progress_bar": False,
            "trainer.enable_model_summary": False,
            "trainer.use_distributed_sampler": False,
        }
    )


def file_state(path: Path) -> list[int]:
    """Returns size and time of change (ns): a row is of this very file."""
    try:
        status = path.stat()
    except OSError:  # it went while the folder was listed: reading it says so
        return [0, 0]
    return [status.st_size, status.st_mtime_ns]


def finished(part: Path, states: Mapping[str, list[int]]) -> set[str]:
    """Returns the files that need not be read again: read without an error, and unchanged since."""
    last = {row["image"]: row for row in rows_of(part)}
    return {
        name
        for name, row in last.items()
        if "error" not in row and name in states and row.get("file") == states[name]
    }


def part_files(part: Path) -> list[Path]:
    """Returns the part files of all processes."""
    return sorted(part.parent.glob(f"{glob.escape(part.name)}-*"))


def rows_of(part: Path) -> list[dict[str, Any]]:
    """Returns the rows of all processes; a line that a kill cut short counts as never written."""
    rows = []
    for file in part_files(part):
        for line in file.read_bytes().split(b"\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("image"), str):
                rows.append(row)
    return rows


@contextmanager
def predicted_rows(
    states: Mapping[str, list[int]],
    part: Path,
    model: pl.LightningModule,
    trainer: pl.Trainer,
    prepare: Callable[[Container[str]], tuple[Any, PartWriter]],
    batch_size: int,
    workers: int | None,
) -> Iterator[list[dict[str, Any]] | None]:
    """Predicts what is missing; yields all rows in the first process, in the others None.

    The part files go when the rows have been written, at the end of the block.

    Args:
        states: What tells that a file has changed, by the names of rows, in their order.
        part: Beginning of the part files' names, which says what a row depends on.
        model: Predicts.
        trainer: Runs it.
        prepare: Takes the names that are done; returns what gives batches of the others, and their writer.
        batch_size: Images in a batch of one process.
        workers: Processes that decode images; None for one fewer than there are cores.
    """
    done = finished(part, states)
    if trainer.is_global_zero and done:
        print(f"going on after {len(done):,} of {len(states):,} files")
    # the files of a killed run are read before this one adds to them
    trainer.strategy.barrier()
    dataset, writer = prepare(done)
    sampler = ShareSampler(len(dataset), batch_size, rank=trainer.global_rank, world_size=trainer.world_size)
    loader = BatchLoader(dataset, sampler, workers=decoding_workers() if workers is None else workers)
    trainer.callbacks.append(writer)  # type: ignore[attr-defined]

    def resumed_by() -> str:
        kept = len(finished(part, states))
        return f"the same command goes on after {kept:,} of {len(states):,} files" if kept else ""

    # fewer may be left than there are processes: to Lightning one without a share is an error
    model.allow_zero_length_dataloader_with_multiple_devices = True
    if len(dataset):  # a run may have been killed after its last row
        with saying_how_to_resume(resumed_by):
            trainer.predict(model, loader, return_predictions=False)
    trainer.strategy.barrier()
    if not trainer.is_global_zero:
        yield None
        return
    written = {row["image"]: row for row in rows_of(part)}
    yield [{key: value for key, value in written[name].items() if key != "file"} for name in states]
    for file in part_files(part):
        file.unlink()

"""fit, validate and test of the language model, and what they leave behind: samples, scores, a report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser
from rich.console import Console
from rich.table import Table

from data_prep.append_log import append_lines, truncate, whole_lines
from data_prep.text.datamodule import TextDataModule
from data_prep.whole_files import write_whole
from modules.checkpoints import read_checkpoint
from modules.decoding import DecodingOptions
from modules.errors import check_ranges
from modules.language.continuation import continuations, read_prompt
from modules.language.language_model import LanguageModel, SplitSize
from pipelines.arguments import run_folder_of
from pipelines.cli import RunCLI, blaming
from pipelines.language.report import write_report

HELD_OUT = 20_000  # characters of the held-out text that the report shows


@dataclass
class SamplingOptions:
    """What is written in a fit to see what was learnt so far.

    Args:
        iterations: After these training steps a sample is written; there is one at the end in any case.
        prompt: What the samples go on with, as at the beginning of a line.
        length: Units (characters, words, bytes) of a sample.
        temperature: Logits are divided by it; below 1 sharpens, above 1 flattens.
        seed: Of the random numbers.
    """

    iterations: list[int] = field(default_factory=lambda: [100, 300, 700, 2000])
    prompt: str = ""
    length: int = 300
    temperature: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, "sampling", positive=("temperature",), not_negative=("length", "seed"))


class Samples(Callback):
    """Prints what the model writes after so many iterations, and keeps it in samples.jsonl.

    Args:
        options: When and what.
        folder: Of the run; None keeps nothing.
    """

    def __init__(self, options: SamplingOptions, folder: Path | None) -> None:
        self.options, self.path = options, None if folder is None else folder / "samples.jsonl"
        self.newest = -1  # iteration of the last sample

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.newest = trainer.global_step
        if self.path is not None and trainer.is_global_zero:
            # a resumed run writes again what a killed one wrote after its last checkpoint
            keys = {"iteration": int, "prompt": str, "text": str}
            kept = [
                end for line, end in whole_lines(self.path, keys) if line["iteration"] <= trainer.global_step
            ]
            truncate(self.path, max(kept, default=0))

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self.options.iterations:
            self._sample(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._sample(trainer, pl_module)

    def _sample(self, trainer: Any, model: LanguageModel) -> None:
        iteration = trainer.global_step
        if not trainer.is_global_zero or iteration == self.newest:
            return
        self.newest = iteration
        options, was_training = self.options, model.training
        model.eval()
        decoding = DecodingOptions("sample", temperature=options.temperature, seed=options.seed)
        prompt = read_prompt(model.codec, options.prompt, "sampling.prompt")
        text = "".join(piece for (piece,) in continuations(model, prompt, decoding, options.length, 1))
        model.train(was_training)
        print(f"----- iteration {iteration:,}\n{options.prompt}{text}\n-----", flush=True)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append_lines(self.path, [{"iteration": iteration, "prompt": options.prompt, "text": text}])


class LanguageCLI(RunCLI):
    """A fit ends by scoring the test split with its best checkpoint, beside models that only count."""

    task = "text"
    monitor = "val/bits_per_char"
    monitors = ("val/bits_per_char", "val/loss", "val/perplexity")
    shown = ("train/loss", "val/loss", "val/bits_per_char")
    model: LanguageModel
    datamodule: TextDataModule

    def __init__(self, argv: Sequence[str]) -> None:
        self.started = time.monotonic()
        super().__init__(LanguageModel, TextDataModule, argv)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(SamplingOptions, "sampling")
        parser.set_defaults({"checkpoint.mode": "min", "early_stopping.mode": "min"})

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        config = self.config_init[self.subcommand]
        if self.subcommand != "fit":
            self._load(config.ckpt_path)
            return
        # what is wrong with the data shows before the run folder is made or changed
        codec = self.datamodule.training_codec()
        with blaming("model"):
            if config.ckpt_path:
                self.model.on_load_checkpoint(read_checkpoint(config.ckpt_path, self.task))
            self.model.use_codec(codec)
        read_prompt(codec, config.sampling.prompt, "sampling.prompt")
        self._tell_sizes()
        samples = Samples(config.sampling, self.run_folder)
        self.trainer.callbacks.append(samples)  # type: ignore[attr-defined]  # Lightning sets it, unannounced

    def _load(self, checkpoint: str) -> None:
        """Takes units and weights from a checkpoint, which alone knows them."""
        self.model = LanguageModel.load(checkpoint)
        self._tell_sizes()

    def _tell_sizes(self) -> None:
        text = self.datamodule.read(self.model.codec)
        for stage, split in (("val", "val"), ("test", self.datamodule.test_split)):
            size = text.splits[split]
            self.model.sizes[stage] = SplitSize(size.units, size.characters, size.unknown_bits)

    def after_fit(self) -> None:
        monitored = [c for c in self.trainer.checkpoint_callbacks if getattr(c, "monitor", None)]
        best = getattr(monitored[0], "best_model_path", "") if monitored else ""
        if not best or self.run_folder is None:  # a fast_dev_run keeps nothing
            return
        seconds = {"fit": time.monotonic() - self.started}
        self._load(best)
        self.trainer.test(self.model, self.datamodule, verbose=False)
        self._leave_behind(self.run_folder, "test", best, seconds)

    def _evaluate(self, stage: str) -> None:
        checkpoint = Path(self.config[self.subcommand].ckpt_path)
        parent = run_folder_of(checkpoint) or checkpoint.resolve().parent
        number = next(n for n in range(10**6) if not (parent / f"{self.subcommand}_{n}").exists())
        self._leave_behind(parent / f"{self.subcommand}_{number}", stage, str(checkpoint), {})

    def after_validate(self) -> None:
        self._evaluate("val")

    def after_test(self) -> None:
        self._evaluate("test")

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand != "fit":  # loaded already
            kwargs |= {"ckpt_path": None, "verbose": False}
        return kwargs

    def _leave_behind(self, folder: Path, stage: str, checkpoint: str, seconds: dict[str, float]) -> None:
        """Writes metrics.json, after a fit held_out.txt and report.html too, and prints the scores."""
        if not self.trainer.is_global_zero:
            return
        data = self.datamodule
        split = data.test_split if stage == "test" else stage
        scores = {
            name: float(self.trainer.callback_metrics[f"{stage}/{name}"])
            for name in ("bits_per_char", "perplexity", "loss")
        }
        baselines = {name: float(bits) for name, bits in data.baselines(split).items()}
        seconds = {**seconds, "total": time.monotonic() - self.started}
        metrics = {
            "split": split,
            "checkpoint": checkpoint,
            "characters": data.characters_of(split),
            "scores": scores,
            "baselines": baselines,
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
        }
        text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        write_whole(folder / "metrics.json", text.encode())
        Console().print(_table(split, scores, baselines))
        lines = [
            ("text", f"{split}, {data.characters_of(split):,} characters that were not trained on"),
            ("checkpoint", checkpoint),
            ("metrics", str(folder / "metrics.json")),
        ]
        if folder == self.run_folder:
            write_whole(folder / "held_out.txt", data.beginning(split, HELD_OUT).encode())
            lines += [
                ("samples", str(folder / "samples.jsonl")),
                ("report", str(write_report(folder))),
            ]
        for label, line in [*lines, ("seconds", f"{time.monotonic() - self.started:.0f}")]:
            print(f"{label:<12} {line}")


def _table(split: str, scores: dict[str, float], baselines: dict[str, float]) -> Table:
    table = Table(title=f"Bits per character, {split}")
    table.add_column("model")
    table.add_column("bits per character", justify="right")
    rows = {"this one": scores["bits_per_char"], **baselines}
    for name, bits in sorted(rows.items(), key=lambda row: row[1]):
        table.add_row(name, f"{bits:.3f}", style="bold" if name == "this one" else None)
    return table

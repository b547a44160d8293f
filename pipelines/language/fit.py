"""fit, validate and test of the language model, and what they leave behind: samples, scores, a report."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser
from rich.table import Table

from data_prep.append_log import append_lines, truncate, whole_lines
from data_prep.text.abc_notation import split_tunes
from data_prep.text.datamodule import TextDataModule
from modules.checkpoints import add_to_checkpoint
from modules.decoding import DecodingOptions
from modules.errors import InputError, check_ranges
from modules.language.calibration import TEMPERATURES, TemperatureSearch, divide_logits
from modules.language.continuation import read_prompt, written_texts
from modules.language.language_model import OUTPUT, LanguageModel, SplitSize
from modules.metrics.latex_environments import environment_scores
from modules.text_codec import TextCodec, normalised
from modules.whole_files import write_whole
from pipelines.findings import Findings
from pipelines.init_option import InitCLI
from pipelines.language.music.judging import TUNES, compose, judged, tunes_table
from pipelines.language.report import write_report
from pipelines.language.runs import remarks

INIT_HELP = (
    "fit: checkpoint that training begins with, of the same level; its decoder is taken, and units that it "
    "lacks are added."
)
HELD_OUT = 20_000  # characters of the held-out text that the report shows
EVERYTHING = 10**9  # characters
ENOUGH = 10**7  # characters of a held-out text among which LaTeX is looked for; more would fill the memory
# of LaTeX: texts that are written at the end, characters of each, those in which what begins is counted, and
# environments that make a text LaTeX
TEXTS, LENGTH, COUNTED, FEWEST = 20, 4_000, 2_000, 10


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
        self.prompt = normalised(self.prompt)
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
        prompt = read_prompt(model.codec, options.prompt, "sampling.prompt", told=False)  # once is enough
        (text,) = written_texts(model, prompt, decoding, options.length, 1)
        model.train(was_training)
        print(f"----- iteration {iteration:,}\n{options.prompt}{text}\n-----", flush=True)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append_lines(self.path, [{"iteration": iteration, "prompt": options.prompt, "text": text}])


class LanguageCLI(InitCLI):
    """Texts are scored in bits per character, beside models that only count."""

    task = "text"
    model_class, datamodule_class = LanguageModel, TextDataModule
    init_help, inherited = INIT_HELP, ("decoder",)
    monitor = "val/bits_per_char"
    monitors = ("val/bits_per_char", "val/loss", "val/perplexity")
    shown = ("train/loss", "val/loss", "val/bits_per_char")
    first = ("data.file", "data.level", "model.decoder.cell", "model.training.learning_rate")
    following: tuple[str, ...] = ('sample --prompt ""', 'complete --prompt ""')
    model: LanguageModel
    datamodule: TextDataModule

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(SamplingOptions, "sampling")

    def fit_callbacks(self) -> list[Callback]:
        if self.config_init["fit"].data.backward:  # nobody reads what is written from its end
            return []
        return [Samples(self.config_init["fit"].sampling, self.run_folder)]

    def adjust_data(self, checkpoint: dict[str, Any]) -> None:
        """Gives the units of the checkpoint that training begins or began with their ids."""
        stored = (self.init or checkpoint).get("codec")
        inherited = None if self.init else checkpoint.get("inherited_units", 0)
        if not stored or inherited == 0:
            return
        codec = TextCodec.from_dict({**stored, "words": stored["words"][:inherited]})
        own = self.datamodule.training_codec()
        if own.level != codec.level:
            raise InputError(
                f"init: the checkpoint reads {codec.level}s, and data.level is {own.level}: "
                f"--data.level {codec.level}"
            )
        self.datamodule.read(codec.with_units_of(own))

    def adjust_model(self) -> None:
        """Tells the sizes of the texts, which turn nats a unit into bits a character."""
        super().adjust_model()
        if self.datamodule.backward:
            self.following = ("correct FORWARD_CKPT --file FILE",)
        elif self.subcommand == "fit":
            read_prompt(self.model.codec, self.config_init["fit"].sampling.prompt, "sampling.prompt")
        text = self.datamodule.read(self.model.codec)
        for stage, split in (("val", "val"), ("test", self.datamodule.test_split)):
            size = text.splits[split]
            self.model.sizes[stage] = SplitSize(size.units, size.characters, size.unknown_bits)

    def refine(self, checkpoint: Path) -> None:
        """Makes the model as sure as it is right about the validation text, where that was asked for."""
        if not self.model.training_options.calibrate:
            return
        search = self.model.temperatures = TemperatureSearch(self.model.decoder.output)
        self.trainer.validate(self.model, self.datamodule, verbose=False)
        self.model.temperatures = None
        divide_logits(self.model.decoder.output, search.temperature)
        self.model.logits_divided_by *= search.temperature
        if not self.trainer.is_global_zero:
            return
        end = {TEMPERATURES[0]: ", the least that is tried", TEMPERATURES[-1]: ", the most that is tried"}
        print(
            f"calibrated on the validation text: logits are divided by {search.temperature:.2f}"
            f"{end.get(search.temperature, '')}"
        )
        weights = self.model.decoder.output.state_dict(prefix=OUTPUT)
        entries = {
            "state_dict": {name: value.cpu() for name, value in weights.items()},
            "logits_divided_by": self.model.logits_divided_by,
        }
        add_to_checkpoint(checkpoint, entries)

    def find(self, split: str, folder: Path) -> Findings:
        """Returns scores and those of n-gram models; after a fit writes held_out.txt."""
        data, logged = self.datamodule, self.trainer.callback_metrics
        stage = "val" if self.subcommand == "validate" else "test"
        names = ("bits_per_char", "perplexity", "loss")
        scores = {name: float(logged[f"{stage}/{name}"]) for name in names}
        baselines = {name: float(bits) for name, bits in data.baselines(split).items()}
        characters = data.characters_of(split)
        files, tables = {}, [_table(split, scores, baselines)]
        found: dict[str, Any] = {"characters": characters, "scores": scores, "baselines": baselines}
        if data.corpus == "music" and data.file is None and not data.backward:
            found["tunes"] = self._judge_tunes(split)
            tables.append(tunes_table(found["tunes"]))
        if data.level == "character" and not data.backward:
            held_out = data.beginning(split, ENOUGH)
            if held_out.count(r"\begin{") >= FEWEST:
                found["environments"] = self._judge_environments(held_out)
                tables.append(environments_table(found["environments"]))
        if self.subcommand == "fit" and not data.backward:
            write_whole(folder / "held_out.txt", data.beginning(split, HELD_OUT).encode())
            files["samples"] = folder / "samples.jsonl"
        scored, units = int(self.model.units), self.model.sizes[stage].units
        what = f"{characters:,} characters"
        if scored < units:  # --trainer.limit_test_batches
            what = f"the first {scored:,} of {units:,} units"
        return Findings(
            f"{what} that were not trained on",
            found,
            tables,
            files,
            remarks({"this run": scores["bits_per_char"], **baselines}),
        )

    def _judge_tunes(self, split: str) -> dict[str, dict[str, float]]:
        """Returns what can be counted of tunes that the model composed, and of as many unseen real ones."""
        train, real = (
            [tune.text for tune in split_tunes(self.datamodule.beginning(part, EVERYTHING))]
            for part in ("train", split)
        )
        model = self.model.eval()
        return {
            "composed": judged(compose(model, seed=0), train),
            "real": judged(random.Random(0).sample(real, min(TUNES, len(real))), train),
        }

    def _judge_environments(self, held_out: str) -> dict[str, dict[str, float]]:
        """Returns what becomes of environments that model and 5-gram begin, and those of held-out texts."""
        model, asked = self.model.eval(), self.config_init[self.subcommand].sampling
        options = DecodingOptions("sample", temperature=asked.temperature, seed=asked.seed)
        prompt = read_prompt(model.codec, "\n\n", told=False)
        last = max(0, len(held_out) - LENGTH)
        places = sorted({last * place // max(1, TEXTS - 1) for place in range(TEXTS)})
        drawn = self.datamodule.ngram_model(5).write(
            model.codec.encode("\n\n"), LENGTH, TEXTS, asked.temperature, asked.seed
        )
        return {
            "written": environment_scores(written_texts(model, prompt, options, LENGTH, TEXTS), COUNTED),
            "5-gram": environment_scores(map(model.codec.decode, drawn.tolist()), COUNTED),
            "held out": environment_scores(
                (held_out[place : place + LENGTH] for place in places), counted=COUNTED
            ),
        }

    def write_page(self, folder: Path) -> Path | None:
        return write_report(folder) if self.subcommand == "fit" else None


def environments_table(environments: dict[str, dict[str, float]]) -> Table:
    """Returns what `environment_scores` says, a column a kind of texts."""
    table = Table(title="Environments of LaTeX")
    table.add_column("")
    for name in environments:
        table.add_column(name, justify="right")
    table.add_row("begun", *(f"{scores['begun']:,.0f}" for scores in environments.values()))
    shares = (f"{scores['closed']:.0%}" if scores["begun"] else "-" for scores in environments.values())
    table.add_row("closed", *shares)
    table.add_row("stray ends", *(f"{scores['stray']:,.0f}" for scores in environments.values()))
    return table


def _table(split: str, scores: dict[str, float], baselines: dict[str, float]) -> Table:
    table = Table(title=f"Bits per character, {split}")
    table.add_column("model")
    table.add_column("bits per character", justify="right")
    rows = {"this one": scores["bits_per_char"], **baselines}
    for name, bits in sorted(rows.items(), key=lambda row: row[1]):
        table.add_row(name, f"{bits:.3f}", style="bold" if name == "this one" else None)
    return table

"""The `gradients` command: how far gradients reach in recurrent networks, and what they learn from that.

Vanilla RNN, LSTM, GRU and a highway stack learn the recall task (`data_prep/text/recall.py`) with and without
gradient clipping, all else equal: initial weights, sentences, width, optimiser, learning rate, steps. A
second vanilla RNN starts with larger recurrent weights, from where its gradients explode.

The highway's shortcuts run from layer to layer, not from step to step: of vanilla cells it forgets as one of
them does. Which distances are trained on decides: with short ones among them (`--distances [2,10,50,200]`) a
vanilla RNN learns to latch the word as well. It then keeps it for as long as one likes. What it cannot do is
learn a dependency that it meets from afar alone.

    gradients.png     |dJ/dh_j| over distance, recall accuracy over distance, gradient norms of the training
    gradients.csv     the same by network, clipping, seed and distance
    gradients.json    settings and what is known of every training
    cliff.png         the loss surface of one unit, and gradient descent on it without clipping and with it
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from threading import Event
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from data_prep.text.recall import CHANCE, WORDS, RecallBatch, recall_batch, recall_batches
from modules.errors import InputError, tell
from modules.language.last_word import LastWordModel, last_word_accuracy, train_last_word
from modules.recurrent import RecurrentStack
from modules.whole_files import write_whole
from pipelines.devices import chosen_device
from pipelines.language.gradient_reach.cliff_figure import cliff_figure
from pipelines.language.gradient_reach.gradient_figure import gradient_figure
from pipelines.language.gradient_reach.gradient_runs import (
    HighwayCell,
    Network,
    RecallRun,
    RecallSettings,
    as_csv,
    as_json,
    gradients_table,
    recall_table,
)

DISTANCES = (10, 25, 50, 100, 150, 200)
MEASURED, TESTED = 64, 256  # sentences behind each gradient and each accuracy
HELD_OUT = 10**6  # added to a seed for sentences that no training has seen
FILES = ("gradients.png", "gradients.csv", "gradients.json", "cliff.png")


class Job(NamedTuple):
    """One training that is to be done."""

    network: Network
    clip_norm: float | None
    seed: int


def gradients(
    output: Path | None = None,
    distances: list[int] | None = None,
    steps: int = 1000,
    hidden_size: int = 32,
    highway_layers: int = 3,
    highway_cell: HighwayCell = "rnn",
    exploding_scale: float = 2.0,
    learning_rate: float = 3e-3,
    clip_norm: float = 1.0,
    batch_size: int = 32,
    repeats: int = 3,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Draw how far gradients reach in vanilla RNN, LSTM, GRU and a highway stack, with and without clipping.

    Each network learns to repeat the first word of a sentence at its end, at distances drawn log-uniformly
    from the smallest to the largest. Writes gradients.png, .csv and .json, and prints the table. Also writes
    cliff.png: the loss surface of a network of one unit, and descent on it without and with clipping.

    Args:
        output: new or empty folder; by default the next runs/text/gradients/version_N.
        distances: where recall is tested, in time steps; [10,25,50,100,150,200] by default.
        steps: training steps of each network (Adam).
        hidden_size: width of every layer, and of the word embeddings.
        highway_layers: layers of the highway stack; the others have one.
        highway_cell: cell of the highway stack.
        exploding_scale: the exploding RNN's initial recurrent weights are orthogonal times this.
        learning_rate: of every step.
        clip_norm: norm that gradients are clipped to, where they are.
        batch_size: sentences a step.
        repeats: trainings of each network, by the seeds seed, seed + 1, ...
        seed: of initial weights and sentences.
        device: auto, cpu, cuda, cuda:N or mps; networks this small are quick on a CPU.
    """
    settings = RecallSettings(
        distances=tuple(sorted(set(DISTANCES if distances is None else distances))),
        steps=steps,
        hidden_size=hidden_size,
        highway_layers=highway_layers,
        highway_cell=highway_cell,
        exploding_scale=exploding_scale,
        learning_rate=learning_rate,
        clip_norm=clip_norm,
        batch_size=batch_size,
        repeats=repeats,
        seed=seed,
        chance=CHANCE,
    )
    chosen = chosen_device(device)
    folder = _folder(output)
    started = time.monotonic()
    runs = train_all(settings, chosen)
    picture = gradient_figure(runs, settings)
    texts = as_csv(runs), as_json(runs, settings, time.monotonic() - started)
    pictures_and_texts = (picture, *(text.encode() for text in texts), cliff_figure())
    for name, data in zip(FILES, pictures_and_texts, strict=True):
        write_whole(folder / name, data)
    console = Console()
    console.print(recall_table(runs, settings))
    console.print(gradients_table(runs, settings))
    for name in FILES:
        print(folder / name)


def train_all(settings: RecallSettings, device: torch.device) -> list[RecallRun]:
    """Returns every network's trainings, each with and without clipping, for each seed."""
    jobs = [
        Job(network, clip_norm, seed)
        for seed in range(settings.seed, settings.seed + settings.repeats)
        for network in settings.networks
        for clip_norm in (settings.clip_norm, None)
    ]
    models = [build(job, settings).to(device) for job in jobs]  # one after the other: they share torch's seed
    stopped = Event()
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training steps", total=len(jobs) * settings.steps)

        def counted(batches: Iterator[RecallBatch]) -> Iterator[RecallBatch]:
            for batch in batches:
                if stopped.is_set():
                    return
                yield batch
                bar.advance(task)

        def train(job: Job, model: LastWordModel) -> RecallRun:
            return train_one(job, model, settings, counted)

        # the recurrent kernels let go of Python's lock, so trainings run side by side, each on one thread
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                runs: list[RecallRun] = []
                for run in pool.map(train, jobs, models):
                    runs.append(run)
                    if bar.disable:  # a log file has no bar
                        tell(f"training {len(runs)} of {len(jobs)}: {run.network}")
                return runs
            except BaseException:  # Control-C too: nobody waits for trainings whose result is not used
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                torch.set_num_threads(threads)


def build(job: Job, settings: RecallSettings) -> LastWordModel:
    """Returns a network with initial weights, which are the same with and without clipping."""
    network = job.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        width = settings.hidden_size
        stack = RecurrentStack(network.cell, width, width, network.layers, connection=network.connection)
        with torch.no_grad():
            for cell in stack.cells:
                cell.weight_hh.mul_(network.recurrent_scale)
        return LastWordModel(stack, len(WORDS))


def train_one(
    job: Job,
    model: LastWordModel,
    settings: RecallSettings,
    counted: Callable[[Iterator[RecallBatch]], Iterator[RecallBatch]],
) -> RecallRun:
    """Returns one training: the gradient's reach before and after it, and what was learnt."""
    device = model.readout.weight.device
    nearest, farthest = settings.distances[0], settings.distances[-1]
    held_out = torch.Generator().manual_seed(HELD_OUT + job.seed)
    measured = recall_batch(MEASURED, farthest, held_out)
    before = measure(model, measured)
    batches = recall_batches(settings.steps, settings.batch_size, nearest, farthest, job.seed)
    pairs = ((batch.words, batch.targets) for batch in (b.to(device) for b in counted(batches)))
    record = train_last_word(model, pairs, settings.learning_rate, job.clip_norm)
    after = measure(model, measured)
    accuracy = {}
    for distance in settings.distances:
        tested = recall_batch(TESTED, distance, held_out).to(device)
        accuracy[distance] = last_word_accuracy(model, tested.words, tested.targets)
    return RecallRun(job.network.label, job.clip_norm, job.seed, before, after, accuracy, record)


def measure(model: LastWordModel, batch: RecallBatch) -> list[float]:
    """Returns the mean |dJ/dh_j| by distance, in float64, where what float32 makes 0 is still a number."""
    exact = deepcopy(model).to("cpu", torch.float64)  # not every device has float64
    return exact.gradient_flow(batch.words, batch.targets).tolist()


def _folder(output: Path | None) -> Path:
    """Returns the folder to write to; InputError where it holds anything or nothing can be written."""
    if output is None:
        parent = Path("runs") / "text" / "gradients"
        output = next(parent / f"version_{n}" for n in range(10**6) if not (parent / f"version_{n}").exists())
    existing = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise InputError(f"{existing}: no folder that can be written to; choose another --output")
    if output.exists() and any(output.iterdir()):
        raise InputError(f"{output}: exists already; name a new or an empty folder")
    return output

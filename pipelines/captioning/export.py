"""The `export` command: a captioner as three ONNX graphs and one JSON file, for any runtime without PyTorch.

Decoding stays with the caller, as a loop over the step graph, so that greedy, beam search and sampling need
no export of their own:

    annotations = encoder(images)
    projected, hidden_1, cell_1 = init(annotations)
    tokens = bos of every image
    repeat: logits, next_hidden_1, next_cell_1, alpha = step(tokens, annotations, projected, hidden_1, cell_1)

Other decoders have other tensors: captioner.json names the inputs and outputs of each graph in order, the
words, and how images are prepared. All rows are independent: beam search repeats an image's rows once a beam.
Where it says "mirrored", the loop goes over the image and its mirror image side by side. A word's probability
is the mean of both.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from modules.attention import AdditiveAttention
from modules.captioning.captioner import Captioner
from modules.captioning.pretrained import PRETRAINED
from modules.decoders.caption_decoder import AttendingDecoder, CaptionDecoder
from modules.decoding import DecoderState
from modules.onnx_graphs import Graph, write_graph
from modules.vocabulary import Vocabulary
from pipelines.devices import chosen_device
from pipelines.running.exports import check_export, new_folder, print_graphs

CHECKED_STEPS = 5


class InitialState(nn.Module):
    """Returns what decoding needs once an image: its projected annotations and the initial hidden states.

    Args:
        decoder: The decoder.
        known: How many of the state's first tensors the caller has already: the annotations themselves.
    """

    def __init__(self, decoder: CaptionDecoder, known: int) -> None:
        super().__init__()
        self.decoder, self.known = decoder, known

    def forward(self, annotations: Tensor) -> tuple[Tensor, ...]:
        memory, recurrent = self.decoder.init_state(annotations)
        return (*memory, *recurrent)[self.known :]


class Step(nn.Module):
    """Returns logits, the next hidden states and, where there is attention, its weights.

    Args:
        decoder: The decoder.
        memory: How many of the state's tensors belong to the image.
    """

    def __init__(self, decoder: CaptionDecoder, memory: int) -> None:
        super().__init__()
        self.decoder, self.memory = decoder, memory

    def forward(self, tokens: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        before = DecoderState(state[: self.memory], state[self.memory :])
        logits, after, alpha = self.decoder.step(tokens, before)
        return (logits, *after.recurrent) + (() if alpha is None else (alpha,))


def export(output: Path, ckpt_path: Path | None = None, device: str = "cpu") -> None:
    """Write a captioner as ONNX graphs (encoder, init, step) with a captioner.json that explains them.

    The graphs compute in float32 and take any batch size; the difference to PyTorch is measured and printed.

    Args:
        output: Folder to write, new or empty.
        ckpt_path: Checkpoint of a captioner, such as RUN/checkpoints/best.ckpt; by default the ready-made
            one.
        device: Where PyTorch runs for the comparison: auto, cpu, cuda, cuda:N or mps.
    """
    check_export(output)
    chosen = chosen_device(device)
    model = Captioner.load(ckpt_path or PRETRAINED)
    with new_folder(output) as folder:
        graphs = graphs_of(model)
        with Console(stderr=True).status("exporting") as status:
            for graph in graphs:
                status.update(f"exporting {graph.file}")
                write_graph(graph, folder / graph.file)
            status.update("comparing with PyTorch")
            differences = compare(model.to(chosen), folder)
        text = json.dumps(describe(model, graphs), ensure_ascii=False, indent=1)
        (folder / "captioner.json").write_text(text + "\n", encoding="utf-8")
    print_graphs(graphs, output)
    print(output / "captioner.json")
    shown = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    print(f"largest difference to PyTorch on random images: {shown}")


def graphs_of(model: Captioner) -> list[Graph]:
    """Returns encoder, init and step with example inputs."""
    assert model.decoder is not None
    encoder, decoder = model.encoder, exportable(model.decoder)
    images = torch.zeros(2, 3, encoder.image_size, encoder.image_size, dtype=torch.uint8)
    annotations = torch.zeros(2, encoder.locations, encoder.annotation_size)
    with torch.no_grad():
        state = decoder.init_state(annotations)
    # a decoder may map the annotations to a context of its own
    known = int(any(tensor is annotations for tensor in state.memory))
    memory = ["annotations" if known else "context", "projected", "image"][: len(state.memory)]
    kinds = ["hidden", "cell"][: decoder.rnn.state_size]
    layers = len(state.recurrent) // len(kinds)
    recurrent = [f"{kind}_{layer + 1}" for layer in range(layers) for kind in kinds]
    logits = ["logits", *(f"next_{name}" for name in recurrent), *(["alpha"] if memory else [])]
    # copies: of one tensor given twice, such as zeros for hidden state and cell, the exporter makes one input
    tensors = (torch.full((2,), Vocabulary.BOS), *(tensor.clone() for part in state for tensor in part))
    first, step = InitialState(decoder, known).eval(), Step(decoder, len(memory)).eval()
    return [
        Graph("encoder", encoder, (images,), ["images"], ["annotations"], strict=False),
        Graph("init", first, (annotations,), ["annotations"], [*memory, *recurrent][known:]),
        Graph("step", step, tensors, ["tokens", *memory, *recurrent], logits),
    ]


def exportable(decoder: CaptionDecoder) -> CaptionDecoder:
    """Returns a copy whose additive attention is one expression: a loop would fix the number of images."""
    decoder = copy.deepcopy(decoder)
    if isinstance(decoder, AttendingDecoder) and isinstance(decoder.attention, AdditiveAttention):
        score = decoder.attention.score

        def energies(p: Tensor, q: Tensor) -> Tensor:
            return torch.sigmoid(p.unsqueeze(1) + 2 * q.unsqueeze(2)) @ (2 * score)  # (B, K, L)

        decoder.attention.energies = energies  # type: ignore[method-assign]
    return decoder


def compare(model: Captioner, folder: Path) -> dict[str, float]:
    """Returns the largest differences of annotations and logits, of several batch sizes and greedy steps."""
    import onnxruntime

    assert model.decoder is not None
    sessions = {
        name: onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("encoder", "init", "step")
    }

    def run(name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = sessions[name]
        names = [value.name for value in session.get_outputs()]
        wanted = {value.name: inputs[value.name] for value in session.get_inputs()}
        return dict(zip(names, session.run(names, wanted), strict=True))

    generator = torch.Generator().manual_seed(0)
    size = model.encoder.image_size
    differences = {"annotations": 0.0, "logits": 0.0}
    for batch in (1, 3):
        images = torch.randint(0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
        tokens = torch.full((batch,), Vocabulary.BOS)
        with torch.no_grad():
            annotations = model.encoder(images.to(model.device))
            state = model.decoder.init_state(annotations)
            values = run("encoder", {"images": images.numpy()})
            difference = float(np.abs(values["annotations"] - annotations.cpu().numpy()).max())
            differences["annotations"] = max(differences["annotations"], difference)
            values |= run("init", values)
            for _ in range(CHECKED_STEPS):
                logits, state, _ = model.decoder.step(tokens.to(model.device), state)
                logits = logits.cpu()
                values |= run("step", values | {"tokens": tokens.numpy()})
                values |= {name.removeprefix("next_"): value for name, value in values.items()}
                difference = float(np.abs(values["logits"] - logits.numpy()).max())
                differences["logits"] = max(differences["logits"], difference)
                tokens = logits.argmax(1)
    return differences


def describe(model: Captioner, graphs: Sequence[Graph]) -> dict[str, Any]:
    """Returns what captioner.json holds: all that a program needs to caption an image with the graphs."""
    assert model.vocabulary is not None
    step = graphs[-1]
    return {
        "task": "caption",
        "graphs": {
            graph.name: {"file": graph.file, "inputs": graph.inputs, "outputs": graph.outputs}
            for graph in graphs
        },
        # after a step, the output on the right is the input on the left
        "recurrent": {name: f"next_{name}" for name in step.inputs if f"next_{name}" in step.outputs},
        "image_size": model.encoder.image_size,
        "colour": "RGB",
        "resize": model.resize,
        "mirrored": model.mirrored,
        "grid": list(model.encoder.grid),
        "bos": Vocabulary.BOS,
        "eos": Vocabulary.EOS,
        "pad": Vocabulary.PAD,
        "unk": Vocabulary.UNK,
        "decoding": asdict(model.decoding),
        "words": model.vocabulary.words,
    }

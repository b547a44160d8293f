"""What is recorded of a language model's step as a CUDA graph, and what stands in the way."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from modules.decoders import graphed_step
from modules.decoders.graphed_step import Step, differentiate
from modules.decoding import DecoderState
from modules.language.author_model import AuthorModel
from modules.language.batch import AuthorBatch, TextBatch
from modules.language.language_model import LanguageModel
from modules.text_codec import TextCodec
from tests.modules.language.graphed_steps import SMALL, TEXT, batches, fit, model
from tests.modules.recording import OnlyMeta

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*no `val_dataloader`.*", "ignore:.*treespec.*"),
]
KINDS: list[dict[str, Any]] = [
    {"dropout": 0.4},
    {"cell": "gru", "connection": "residual", "dropout": 0.4},
    {"cell": "rnn", "layers": 1, "embedding_size": 0, "unknown": False},
    {"cell": "rnn", "embedding_size": 0},
    {"cell": "jordan", "connection": "dense"},
    {"cell": "gru_reset_before", "connection": "highway"},
    {"layer_norm": True, "recurrent_dropout": 0.3, "tied": True, "embedding_size": 8},
    {"kind": "fixed_window", "window": 3, "dropout": 0.4},
]


def author_model() -> AuthorModel:
    made = AuthorModel(SMALL)
    made.use_authors(TextCodec.build("character", [TEXT]), ["one", "two", "three"])
    return made


def flat(made: LanguageModel, batch: TextBatch) -> Step:
    """Returns what takes the tensors of a batch and of a state, and gives those of `losses`."""

    def step(*given: Tensor) -> tuple[Tensor, ...]:
        parts = len(batch)
        nats, units, after = made.losses(TextBatch(*given[:parts]), DecoderState((), given[parts:]))
        return nats, units, *after.recurrent

    return step


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_what_is_recorded_is_the_plain_step(options: dict[str, Any]) -> None:
    made = model(options).double().train()
    batch = batches(made)[0]
    state = made.decoder.init_state(3)
    for _ in range(2):  # the second time from the state that the first one left
        torch.manual_seed(1)
        nats, units, after = made.losses(batch, state)
        made.zero_grad()
        nats.backward()
        trained = {name: p for name, p in made.named_parameters() if p.requires_grad}
        torch.manual_seed(1)
        outcome = differentiate(flat(made, batch), (*batch, *state.recurrent), list(trained.values()))
        torch.testing.assert_close(outcome.outputs, (nats.detach(), units, *after.recurrent), rtol=0, atol=0)
        for (name, parameter), gradient in zip(trained.items(), outcome.gradients, strict=True):
            assert torch.equal(gradient, parameter.grad), name
        assert not any(tensor.requires_grad for tensor in tree_leaves(outcome))
        state = after


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "autocast"])
def test_the_precision_is_that_of_the_plain_step(dtype: torch.dtype | None) -> None:
    made = model({"cell": "gru_reset_before"})
    batch, state = batches(made)[0], made.decoder.init_state(3)
    parameters = [p for p in made.parameters() if p.requires_grad]
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None, cache_enabled=False):
        outcome = differentiate(flat(made, batch), (*batch, *state.recurrent), parameters)
        assert torch.is_autocast_enabled("cpu") == (dtype is not None)
        nats, _, after = made.losses(batch, state)
    nats.backward()
    assert torch.equal(outcome.outputs[0], nats) and outcome.outputs[2].dtype == after.recurrent[0].dtype
    assert all(torch.equal(g, p.grad) for g, p in zip(outcome.gradients, parameters, strict=True))


@pytest.mark.parametrize("options", [*KINDS, "authors"], ids=str)
def test_nothing_that_is_recorded_waits_for_the_device(options: dict[str, Any] | str) -> None:
    """A meta tensor has no values: whatever asks for one, or for a shape that depends on values, fails."""
    made = author_model() if isinstance(options, str) else model(options)
    batch: Any = batches(made, length=3)[0]
    if isinstance(made, AuthorModel):
        batch = AuthorBatch(*batch, torch.tensor([0, 2, 1]))
    made.to("meta").train()
    meta = type(batch)(*(tensor.to("meta") for tensor in batch))
    with OnlyMeta():
        nats, units, after = made.losses(meta, made.decoder.init_state(3))
        torch.autograd.grad(nats, [p for p in made.parameters() if p.requires_grad])
    assert all(tensor.device.type == "meta" for tensor in (nats, units, *after.recurrent))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.item(),
        lambda x: x.view(1)[x.view(1) > 0],
        lambda x: x + torch.tensor(1.0),
        lambda x: x.cpu(),
    ],
    ids=["item", "mask", "upload", "download"],
)
def test_that_test_sees_what_waits(wait: Callable[[Tensor], Any]) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, AssertionError)), OnlyMeta():
        wait(torch.ones((), device="meta"))


def test_dropout_between_layers_is_that_of_the_kernel() -> None:
    made = model({"dropout": 0.4}).double().train()
    batch, state = batches(made)[0], made.decoder.init_state(3)
    found = []
    for own in (False, True):
        made.decoder.rnn.own_dropout = own
        torch.manual_seed(3)
        found.append(made.losses(batch, state)[0].item())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("device_name", "processes", "precision", "why"),
    [
        ("mps", 1, "32-true", "the fit runs on mps"),
        ("cuda", 2, "32-true", "2 processes"),
        ("cuda", 1, "16-mixed", "16-mixed scales"),
        ("cuda", 1, "bf16-mixed", None),
    ],
)
def test_what_stands_in_the_way(device_name: str, processes: int, precision: str, why: str | None) -> None:
    there = SimpleNamespace(
        device=torch.device(device_name), world_size=processes, trainer=SimpleNamespace(precision=precision)
    )
    found = graphed_step.obstacle(there)  # type: ignore[arg-type]
    assert (found or "").startswith(why or "") and (found is None) == (why is None)


def test_a_cpu_says_so_once_and_trains_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for graphs in (False, True):
        made = model({"dropout": 0.4}, cuda_graphs=graphs)
        losses.append(fit(made, batches(made)).losses)
    assert losses[0] == losses[1] and len(losses[0]) == 10
    said = capsys.readouterr().err.strip().splitlines()
    why = "the fit runs on cpu, and only NVIDIA GPUs have CUDA graphs"
    assert said == [f"note: cuda_graphs has no effect: {why}"]

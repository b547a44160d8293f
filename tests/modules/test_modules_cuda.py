"""On a GPU every model says and learns what it does on a CPU; skipped where there is no GPU."""

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from modules.attention import ATTENTIONS
from modules.cells import CELLS
from modules.decoders.captions import DECODERS, DecoderOptions
from modules.decoders.language import LanguageDecoderOptions
from modules.decoding import DecodingOptions, decode
from modules.encoders.image import ImageEncoder
from modules.language.batch import TextBatch
from modules.language.language_model import LanguageModel
from modules.language.options import LanguageTrainingOptions
from modules.recurrent import RecurrentStack
from modules.text_codec import TextCodec
from tests.modules.steering.steering_models import KINDS as STEERERS
from tests.modules.steering.steering_models import batch as steering_batch
from tests.modules.steering.steering_models import lively_steerer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def same_on_both(
    model: nn.Module, inputs: tuple[Tensor, ...], run: Callable[..., tuple[Tensor, ...]], tolerance: float
) -> None:
    """Asserts that outputs and the gradients of all parameters are those of the CPU.

    Args:
        model: On the CPU; it is copied.
        inputs: Of `run`, on the CPU.
        run: Takes a model and the inputs, returns outputs.
        tolerance: Absolute, of both.
    """
    found = []
    for device in ("cpu", "cuda"):
        there = copy.deepcopy(model).to(device)
        outputs = run(there, *(tensor.to(device) for tensor in inputs))
        sum(output.sin().sum() for output in outputs).backward()
        gradients = {name: p.grad.cpu() for name, p in there.named_parameters() if p.grad is not None}
        assert any(gradient.any() for gradient in gradients.values())
        found.append(([output.detach().cpu() for output in outputs], gradients))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=tolerance)


@pytest.mark.parametrize("connection", ["plain", "residual", "dense", "highway"])
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", sorted(CELLS))
def test_stacks(kind: str, connection: str, padded: bool) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(kind, 5, 6, 2, connection=connection).double()
    x, lengths = torch.randn(4, 7, 5, dtype=torch.float64), torch.tensor([7, 2, 5, 1])

    def run(stack: RecurrentStack, x: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        outputs, last = stack(x, lengths=lengths if padded else None)
        return outputs, *last

    same_on_both(stack, (x, lengths), run, 1e-10)


@pytest.mark.parametrize("kind", sorted(ATTENTIONS))
def test_attention_of_beams(kind: str) -> None:
    torch.manual_seed(0)
    attention = ATTENTIONS[kind](5, 6, 8).double()
    a, h = torch.randn(3, 9, 5, dtype=torch.float64), torch.randn(3, 4, 6, dtype=torch.float64)
    run = lambda attention, a, h: (attention(attention.project(a), attention.hidden(h)),)  # noqa: E731
    same_on_both(attention, (a, h), run, 1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "rnn", "layers": 1, "embedding_size": 0},
        {"cell": "rnn", "embedding_size": 5},
        {"cell": "lstm", "embedding_size": 5, "connection": "residual"},
        {"cell": "gru", "embedding_size": 5},
        {"kind": "fixed_window", "embedding_size": 5, "window": 3},
    ],
    ids=str,
)
def test_language_models(options: dict) -> None:
    model = LanguageModel(
        LanguageDecoderOptions(hidden_size=6, **options), LanguageTrainingOptions(optimizer="adagrad")
    )
    model.use_codec(TextCodec.build("character", ["abcdefgh"]))
    ids = torch.randint(4, 12, (3, 8), generator=torch.Generator().manual_seed(0))

    def run(model: LanguageModel, tokens: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        batch = TextBatch(tokens, targets, torch.zeros(3, dtype=torch.bool, device=tokens.device))
        state = None
        for _ in range(2):  # the second time from the state that the first one left
            nats, units, state = model.losses(batch, model.continued(state, batch, state is None))
        model.build_optimizer().step()  # there is one for this device
        return nats, units, *state.recurrent

    same_on_both(model.double(), (ids[:, :-1], ids[:, 1:]), run, 1e-10)


@pytest.mark.parametrize(("kind", "attention"), [*itertools.product(sorted(DECODERS), sorted(ATTENTIONS))])
def test_caption_decoders_and_their_beams(kind: str, attention: str) -> None:
    torch.manual_seed(0)
    sizes = {"embedding_size": 7, "hidden_size": 8, "attention_size": 9, "dropout": 0.0}
    decoder = DECODERS[kind](23, 10, DecoderOptions(kind=kind, attention=attention, **sizes)).double()
    a, tokens = torch.randn(5, 6, 10, dtype=torch.float64), torch.randint(4, 23, (5, 4))

    def run(decoder: nn.Module, a: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        logits, alpha = decoder(a, tokens)
        return (logits,) if alpha is None else (logits, alpha)

    same_on_both(decoder, (a, tokens), run, 1e-6)
    with torch.no_grad():
        decoder.output.weight.mul_(9)
    captions = []
    for device in ("cpu", "cuda"):
        there = copy.deepcopy(decoder).to(device).eval()
        hypotheses = decode(
            there.step, there.init_state(a.to(device)), DecodingOptions(max_length=9), images=5
        )
        captions.append([hypothesis.tokens for hypothesis in hypotheses])
    assert captions[0] == captions[1]
    assert len({tuple(caption) for caption in captions[0]}) > 1


@pytest.mark.parametrize("kind", sorted(STEERERS))
def test_steering_models(kind: str) -> None:
    model = lively_steerer(kind).eval()
    drives = steering_batch(model)
    angles = []
    for device in ("cpu", "cuda"):
        there = copy.deepcopy(model).to(device)
        frames, resets = drives.frames.to(device), drives.resets.to(device)
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            outputs, _ = there.drive(frames, there.start(resets, None))
        angles.append(outputs.cpu())
    torch.testing.assert_close(angles[1], angles[0], rtol=0, atol=2e-4)
    assert angles[0].std() > 1e-3


def test_annotations() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder("efficientnet_lite0", image_size=96)
    images = torch.randint(0, 256, (70, 3, 96, 96), dtype=torch.uint8)  # more than one micro-batch
    here, there = encoder.encode(images), copy.deepcopy(encoder).cuda().encode(images).cpu()
    # bfloat16 there, perhaps here too, rounds in every layer: directions agree, digits do not
    assert torch.cosine_similarity(there.flatten(), here.flatten(), dim=0) > 0.99
    alone = copy.deepcopy(encoder).cuda().encode(images[66:67]).cpu()
    assert torch.equal(alone[0], there[66])

"""Caption decoders: the step loop is the teacher-forced pass, every weight learns, batches do not matter."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from modules.decoders.captions import DECODERS, CaptionDecoder, DecoderOptions
from modules.decoding import DecodingOptions, decode
from modules.errors import InputError
from modules.losses import cross_entropy_sum, doubly_stochastic_sum
from modules.vocabulary import Vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

PAD, BOS, EOS = Vocabulary.PAD, Vocabulary.BOS, Vocabulary.EOS
B, L, D, T, V = 4, 6, 10, 5, 23

CELLS, LAYERS = ["rnn", "jordan", "lstm", "gru", "gru_reset_before"], [1, 2]
COMBINATIONS = [
    *(
        {
            "kind": "show_attend_tell",
            "cell": cell,
            "layers": layers,
            "attention": attention,
            "gate": gate,
            "deep_output": deep,
        }
        for cell, layers, attention, gate, deep in itertools.product(
            CELLS, LAYERS, ["additive", "multiplicative"], [True, False], [True, False]
        )
    ),
    *(
        {"kind": "show_and_tell", "cell": cell, "layers": layers}
        for cell, layers in itertools.product(CELLS, LAYERS)
    ),
    {"kind": "show_attend_tell", "cell": "lstm", "context_size": 5},
    {"kind": "show_attend_tell", "cell": "lstm", "tied": True},
    {"kind": "show_and_tell", "cell": "gru", "tied": True, "hidden_size": 7},
    *(
        {
            "kind": kind,
            "cell": cell,
            "layers": 1 + place % 2,
            "attention": ["multiplicative", "additive"][place % 2],
        }
        for place, (kind, cell) in enumerate(itertools.product(["adaptive", "att2in", "top_down"], CELLS))
    ),
    *(
        {"kind": kind, "cell": "gru", "context_size": 5, "tied": True, "hidden_size": 7}
        for kind in ("att2in", "top_down")
    ),
    {"kind": "adaptive", "cell": "lstm", "tied": True, "hidden_size": 7},
    {"kind": "att2in", "cell": "lstm", "layers": 2, "maxout": True},
]


def named(combination: dict) -> str:
    return "-".join(name if value is True else str(value) for name, value in combination.items() if value)


every_combination = pytest.mark.parametrize("combination", COMBINATIONS, ids=named)
every_kind = pytest.mark.parametrize("kind", [*sorted(DECODERS), "hard"])


def decoder_of(vocabulary: int = V, width: int = D, **options) -> CaptionDecoder:
    torch.manual_seed(0)
    if options["kind"] == "hard":  # Show, Attend and Tell at the most probable location
        options |= {"kind": "show_attend_tell", "hard": True}
    sizes = {"embedding_size": 7, "hidden_size": 8, "attention_size": 9, "dropout": 0.0, **options}
    return DECODERS[options["kind"]](vocabulary, width, DecoderOptions(**sizes))


def outspoken_decoder(kind: str) -> CaptionDecoder:
    """Returns one whose captions differ in words and length: at the start they hardly depend on the image."""
    decoder = decoder_of(40, kind=kind, hidden_size=24).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(3)
        decoder.output.bias[EOS] += 1.5
    return decoder


def captions(rows: int = B, vocabulary: int = V, lengths: list[int] | None = None) -> Tensor:
    """Returns `<bos> words <eos>` padded, (rows, T + 1)."""
    tokens = torch.full((rows, T + 1), PAD)
    tokens[:, 0] = BOS
    for row in range(rows):
        words = lengths[row] if lengths else 2 + row % (T - 2)
        tokens[row, 1 : 1 + words] = torch.randint(4, vocabulary, (words,))
        tokens[row, 1 + words] = EOS
    return tokens


def by_steps(decoder: CaptionDecoder, annotations: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
    state, logits, alphas = decoder.init_state(annotations), [], []
    for token in tokens.unbind(1):
        new, state, alpha = decoder.step(token, state)
        logits.append(new)
        alphas.append(alpha)
    return torch.stack(logits, 1), None if alphas[0] is None else torch.stack(alphas, 1)


def loss_of(decoder: CaptionDecoder, annotations: Tensor, tokens: Tensor) -> Tensor:
    logits, alpha = decoder(annotations, tokens[:, :-1])
    loss = cross_entropy_sum(logits, tokens[:, 1:]) / (tokens[:, 1:] != PAD).sum()
    return loss if alpha is None else loss + doubly_stochastic_sum(alpha, tokens[:, 1:]) / len(tokens)


@every_combination
def test_steps_are_the_teacher_forced_pass_and_every_weight_learns(combination):
    decoder = decoder_of(**combination)
    annotations, tokens = torch.randn(B, L, D), captions()
    logits, alpha = decoder(annotations, tokens)
    assert logits.shape == (B, T + 1, V)
    with torch.no_grad():
        stepped, stepped_alpha = by_steps(decoder, annotations, tokens)
    torch.testing.assert_close(logits, stepped, rtol=0, atol=1e-5)
    if combination["kind"] == "show_and_tell":
        assert alpha is None and stepped_alpha is None
    else:
        torch.testing.assert_close(alpha, stepped_alpha, rtol=0, atol=1e-5)
        if decoder.has_sentinel:
            assert ((alpha.sum(-1) > 0.01) & (alpha.sum(-1) < 0.99)).all()
        else:
            torch.testing.assert_close(alpha.sum(-1), torch.ones(B, T + 1))
        assert alpha.std() > 1e-3

    loss_of(decoder, annotations, tokens).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-6, name


@every_combination
def test_gradients_of_the_fast_pass_are_the_step_loops(combination):
    decoder = decoder_of(**combination).double()
    annotations = torch.randn(B, L, D, dtype=torch.float64, requires_grad=True)
    tokens = captions()
    leaves = [annotations, *decoder.parameters()]
    grads = []
    for run in (decoder, lambda a, words: by_steps(decoder, a, words)):
        logits, alpha = run(annotations, tokens[:, :-1])
        loss = cross_entropy_sum(logits, tokens[:, 1:])
        if alpha is not None:
            loss = loss + doubly_stochastic_sum(alpha, tokens[:, 1:])
        grads.append(torch.autograd.grad(loss, leaves))
    for fast, stepped in zip(*grads, strict=True):
        # losses and attention weights are float32
        torch.testing.assert_close(fast, stepped, rtol=1e-4, atol=1e-5)


@every_kind
def test_the_loss_starts_at_log_v(kind):
    torch.manual_seed(0)
    decoder = decoder_of(2000, 64, kind=kind, embedding_size=64, hidden_size=64, attention_size=64)
    annotations, tokens = torch.rand(8, L, 64), captions(8, 2000)
    logits, _ = decoder.eval()(annotations, tokens[:, :-1])
    loss = cross_entropy_sum(logits, tokens[:, 1:]) / (tokens[:, 1:] != PAD).sum()
    assert loss.item() == pytest.approx(math.log(2000), rel=0.05)


@pytest.mark.parametrize(
    "combination",
    [
        {"kind": "show_attend_tell", "cell": "lstm"},
        {"kind": "show_attend_tell", "cell": "gru", "attention": "multiplicative", "layers": 2},
        {"kind": "show_attend_tell", "cell": "rnn", "deep_output": False, "gate": False},
        {"kind": "show_and_tell", "cell": "lstm"},
        {"kind": "show_and_tell", "cell": "gru", "layers": 2},
        *(
            pytest.param(combination, marks=pytest.mark.slow)
            for combination in (
                {"kind": "adaptive", "cell": "lstm"},
                {"kind": "att2in", "cell": "gru"},
                {"kind": "att2in", "cell": "lstm", "maxout": True},
                {"kind": "top_down", "cell": "rnn"},
            )
        ),
    ],
    ids=named,
)
def test_one_batch_is_learned_and_decoded_word_for_word(combination):
    decoder = decoder_of(**combination, embedding_size=24, hidden_size=32, attention_size=16)
    annotations, tokens = torch.randn(B, L, D), captions()
    assert len({tuple(row) for row in tokens.tolist()}) == B
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        loss_of(decoder, annotations, tokens).backward()
        optimizer.step()
    decoder.eval()
    wanted = [[word for word in row if word not in (PAD, BOS, EOS)] for row in tokens.tolist()]
    for method in ("greedy", "beam"):
        with torch.no_grad():
            options = DecodingOptions(method, beam_size=3, max_length=10)
            found = decode(decoder.step, decoder.init_state(annotations), options, images=B)
        assert [h.tokens for h in found] == wanted
        assert all(h.finished and math.exp(h.score) > 0.9 for h in found)


@every_kind
def test_captions_of_an_image_share_its_annotations(kind):
    decoder = decoder_of(kind=kind)
    annotations, tokens = torch.randn(3, L, D), captions(6)
    image_index = torch.tensor([2, 0, 0, 1, 2, 2])
    grads = []
    for inputs in ((annotations, tokens, image_index), (annotations[image_index], tokens)):
        logits, alpha = decoder(*inputs)
        loss = cross_entropy_sum(logits, tokens)
        if alpha is not None:
            loss = loss + doubly_stochastic_sum(alpha, tokens)
        parameters = tuple(decoder.parameters())
        grads.append((logits, *torch.autograd.grad(loss, parameters, materialize_grads=True)))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-5)


@every_kind
def test_padding_and_neighbours_change_nothing_of_a_row(kind):
    decoder = decoder_of(kind=kind)
    annotations, tokens = torch.randn(B, L, D), captions(lengths=[4, 2, 3, 2])
    logits, alpha = decoder(annotations, tokens)
    # longer neighbours: more padding for everybody
    wider = torch.cat([tokens, torch.full((B, 3), PAD)], dim=1)
    wide_logits, wide_alpha = decoder(annotations, wider)
    torch.testing.assert_close(wide_logits[:, : T + 1], logits, rtol=0, atol=1e-6)
    # what stands behind the end mark is nobody's business
    changed = torch.where(tokens == PAD, 7, tokens)
    other_logits, other_alpha = decoder(annotations, changed)
    words = tokens != PAD
    torch.testing.assert_close(other_logits[words], logits[words], rtol=0, atol=1e-6)
    if alpha is not None:
        torch.testing.assert_close(wide_alpha[:, : T + 1], alpha, rtol=0, atol=1e-6)
        torch.testing.assert_close(other_alpha[words], alpha[words], rtol=0, atol=1e-6)
    # one row alone
    for row in range(B):
        alone, _ = decoder(annotations[row : row + 1], tokens[row : row + 1])
        torch.testing.assert_close(alone[0], logits[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
@every_kind
def test_an_image_alone_is_decoded_as_in_a_batch_of_32(kind, method):
    decoder = outspoken_decoder(kind)
    annotations = 2 * torch.randn(32, L, D)
    options = DecodingOptions(method, max_length=12)

    def captioned(images: Tensor, seeds: list[int]) -> list:
        state = decoder.init_state(images)
        return decode(decoder.step, state, options, images=len(images), seeds=seeds, keep_alpha=True)

    with torch.no_grad():
        together = captioned(annotations, list(range(32)))
        assert len({tuple(h.tokens) for h in together}) > 12
        assert len({len(h.tokens) for h in together}) > 2
        for i, batched in enumerate(together[:8]):
            (alone,) = captioned(annotations[i : i + 1], [i])
            assert alone.tokens == batched.tokens
            assert alone.score == pytest.approx(batched.score, rel=1e-5)
            if kind != "show_and_tell":
                assert batched.alpha.shape == (len(batched.tokens), L)
                torch.testing.assert_close(alone.alpha, batched.alpha, rtol=0, atol=1e-5)


@every_kind
def test_beams_extend_their_own_hypothesis(kind):
    """The score of a beam search's caption is the teacher-forced one."""
    decoder = outspoken_decoder(kind)
    with torch.no_grad():
        annotations = 2 * torch.randn(8, L, D)
        options = DecodingOptions(beam_size=4, max_length=9, length_penalty=0.0)
        found = decode(
            decoder.step,
            decoder.init_state(annotations),
            options,
            images=8,
            keep_alpha=kind != "show_and_tell",
        )
        assert any(len(h.tokens) > 2 for h in found)
        for i, hypothesis in enumerate(found):
            words = [BOS, *hypothesis.tokens] + [EOS] * hypothesis.finished
            tokens = torch.tensor([words])
            logits, alpha = decoder(annotations[i : i + 1], tokens[:, :-1])
            score = -cross_entropy_sum(logits, tokens[:, 1:]).item()
            assert hypothesis.score == pytest.approx(score, rel=1e-4)
            if alpha is not None:
                wanted = alpha[0, : len(hypothesis.tokens)]
                torch.testing.assert_close(hypothesis.alpha, wanted, rtol=0, atol=1e-5)


@every_kind
def test_dropout_is_of_training_only(kind):
    decoder = decoder_of(kind=kind, dropout=0.5, layers=2)
    annotations, tokens = torch.randn(B, L, D), captions()
    assert not torch.allclose(decoder(annotations, tokens)[0], decoder(annotations, tokens)[0])
    decoder.eval()
    torch.testing.assert_close(
        decoder(annotations, tokens)[0], decoder(annotations, tokens)[0], rtol=0, atol=0
    )


@every_combination
def test_half_precision_is_near_full(combination):
    decoder = decoder_of(**combination)
    annotations, tokens = torch.randn(B, L, D), captions()
    full = loss_of(decoder, annotations, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        half = loss_of(decoder, annotations, tokens)
    half.backward()
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.02)
    assert all(torch.isfinite(parameter.grad).all() for parameter in decoder.parameters())


@every_kind
def test_tied_words_are_scored_by_the_vectors_they_are_read_by(kind):
    free, tied = (decoder_of(kind=kind, hidden_size=7, tied=tied) for tied in (False, True))
    assert tied.output.weight is tied.embedding.weight
    count = [sum(p.numel() for p in decoder.parameters()) for decoder in (free, tied)]
    assert count[0] - count[1] == tied.embedding.weight.numel()


@pytest.mark.parametrize(
    "options", [{"kind": "show_and_tell"}, {"kind": "show_attend_tell", "deep_output": False}]
)
def test_words_of_another_width_than_they_are_scored_from_cannot_be_tied(options):
    with pytest.raises(InputError, match="embedding_size is 7; words are scored from 8"):
        decoder_of(tied=True, **options)

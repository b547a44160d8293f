"""The classifier reads texts of any length side by side as it reads each alone, from both ends."""

import pytest
import torch

from modules.language.classifier import ClassifierOptions, TextClassifier
from modules.text_codec import TextCodec

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["the cat", "a dog and the cat sat", "", "dog", "the the the the the the the the the"]


def classifier(**options) -> TextClassifier:
    model = TextClassifier(ClassifierOptions(embedding_size=4, hidden_size=5, **options))
    model.use(TextCodec.build("character", TEXTS), ["x", "y", "z"], 12)
    return model.eval()


@pytest.mark.parametrize("options", [{}, {"cell": "gru", "layers": 2, "connection": "residual"}])
def test_what_stands_beside_a_text_changes_nothing(options):
    model = classifier(**options)
    together = model.classify(TEXTS, batch_size=5)
    alone = [model.classify([text])[0] for text in TEXTS]
    assert [c.label for c in together] == [c.label for c in alone]
    assert [c.probability for c in together] == pytest.approx([c.probability for c in alone], rel=1e-5)


def test_both_ends_are_read_and_no_more_than_the_longest():
    model = classifier()
    embedded = model.network.embedding(torch.tensor([model.ids("cat sat dog")])).detach().requires_grad_()
    _, state = model.network.stack(embedded)
    model.network.readout(model.network.stack.output(state))[0, 0].backward()
    assert (embedded.grad.abs().sum(2) > 0).all()
    same, other = "the cat sat on", "the cat sat under it"
    assert model.ids(same) == model.ids(other) and len(model.ids(same)) == 13

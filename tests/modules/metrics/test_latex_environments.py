"""What counts as a closed environment of LaTeX."""

import pytest

from modules.metrics.latex_environments import environment_scores

B, E = r"\begin{%s}", r"\end{%s}"


@pytest.mark.parametrize(
    ("texts", "begun", "closed", "stray"),
    [
        ([B % "lemma" + " Let. " + E % "lemma"], 1, 1.0, 0),
        ([B % "proof" + B % "enumerate" + E % "enumerate" + E % "proof"], 2, 1.0, 0),
        # crossed: the outer one is closed, the inner one is not, and its end comes too late
        ([B % "proof" + B % "enumerate" + E % "proof" + E % "enumerate"], 2, 0.5, 0),
        ([B % "lemma" + E % "proof"], 1, 0.0, 1),
        # what began before the text ends in it
        ([E % "proof" + B % "lemma" + E % "lemma"], 1, 1.0, 0),
        ([B % "lemma", E % "lemma"], 1, 0.0, 0),  # each text by itself
        ([B % "align*" + E % "align*"], 1, 1.0, 0),
        (["no environment"], 0, 0.0, 0),
    ],
)
def test_environments_are_closed_in_their_order(texts, begun, closed, stray):
    assert environment_scores(texts) == {"begun": begun, "closed": closed, "stray": stray}


def test_what_begins_late_does_not_count_and_what_ends_late_does():
    early, late = B % "lemma" + "." * 100, B % "proof" + E % "proof" + B % "remark" + E % "lemma"
    assert environment_scores([early + late], 100) == {"begun": 1, "closed": 1.0, "stray": 0}
    assert environment_scores([early + late]) == {"begun": 3, "closed": 2 / 3, "stray": 0}
    assert environment_scores([early + E % "proof"], 100) == {"begun": 1, "closed": 0.0, "stray": 0}

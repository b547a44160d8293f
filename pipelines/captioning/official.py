"""METEOR and SPICE as the COCO evaluation has them: Java programs that pycocoevalcap brings or fetches."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

LABELS = {"meteor": "METEOR", "spice": "SPICE"}
_MODELS = "stanford-corenlp-3.6.0-models.jar"  # that SPICE parses sentences with
_FAILURES = (OSError, ValueError, subprocess.SubprocessError, KeyError)


def official_scores(
    hypotheses: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> tuple[dict[str, float], list[str]]:
    """Returns METEOR and SPICE, in 0..1, and a line on each that cannot be computed here.

    Args:
        hypotheses: A caption of each image.
        references: Those of each image.
    """
    if find_spec("pycocoevalcap") is None:
        return {}, ["METEOR and SPICE need the package pycocoevalcap: pip install pycocoevalcap"]
    if shutil.which("java") is None:
        return {}, ["METEOR and SPICE are Java programs, and there is no java on this machine"]
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.spice import spice
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    numbers = {image: str(number) for number, image in enumerate(references)}
    said = {numbers[image]: [{"caption": hypotheses[image]}] for image in references}
    wanted = {numbers[image]: [{"caption": text} for text in texts] for image, texts in references.items()}
    scorers = {"meteor": Meteor, "spice": spice.Spice}
    missing = []
    if not (Path(spice.__file__).parent / "lib" / _MODELS).is_file():
        del scorers["spice"]
        missing.append(
            "SPICE needs Stanford's models, some 400 MB, which are not here; this fetches them: "
            "python -m pycocoevalcap.spice.get_stanford_models"
        )
    scores: dict[str, float] = {}
    for name, scorer in scorers.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # what they say of their progress
                tokenizer = PTBTokenizer()
                score, _ = scorer().compute_score(tokenizer.tokenize(wanted), tokenizer.tokenize(said))
            scores[name] = float(score)
        except _FAILURES as error:
            missing.append(f"{LABELS[name]} failed: {' '.join(str(error).split())[:200]}")
    return scores, missing

"""METEOR and SPICE of pycocoevalcap: computed where they can be, and said to be missing where not."""

import json
import shutil

import pytest

from pipelines.caption import main
from pipelines.captioning import official
from pipelines.captioning.official import official_scores

SAID = {"1.jpg": "a dog runs on a mat", "2.jpg": "two cats sit on the mat"}
WANTED = {"1.jpg": ["A dog runs on the grass.", "a brown dog running"], "2.jpg": ["Two cats sit on a mat."]}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files of pycocoevalcap
@pytest.mark.skipif(shutil.which("java") is None, reason="no java on this machine")
def test_meteor_is_the_programs_and_spice_is_said_to_need_models():
    scores, missing = official_scores(SAID, WANTED)
    assert 0.3 < scores["meteor"] < 0.8
    same, _ = official_scores({image: texts[0] for image, texts in WANTED.items()}, WANTED)
    assert same["meteor"] == pytest.approx(1, abs=0.01)
    assert "spice" in scores or "python -m pycocoevalcap.spice.get_stanford_models" in missing[0]


def test_without_java_it_says_so_and_the_other_scores_are_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(official.shutil, "which", lambda name: None)
    predictions, references = tmp_path / "out.jsonl", tmp_path / "references.jsonl"
    predictions.write_text("".join(json.dumps({"image": i, "caption": c}) + "\n" for i, c in SAID.items()))
    references.write_text("".join(json.dumps({"image": i, "captions": c}) + "\n" for i, c in WANTED.items()))
    given = ["score", "--predictions", str(predictions), "--official"]
    assert main([*given, "--references", str(references), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "meteor" not in json.loads(out) and json.loads(out)["images"] == 2
    assert err == "note: METEOR and SPICE are Java programs, and there is no java on this machine\n"
    assert main([*given, "--images", str(tmp_path)]) == 2
    assert "official: METEOR and SPICE compare captions with --references" in capsys.readouterr().err
    monkeypatch.setattr(official, "find_spec", lambda name: None)
    assert "pip install pycocoevalcap" in official_scores(SAID, WANTED)[1][0]

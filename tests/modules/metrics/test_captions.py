"""BLEU, ROUGE-L and CIDEr-D against the COCO scripts; intervals and controls."""

import random

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge, my_lcs

from modules.errors import InputError
from modules.metrics.captions import METRICS, CaptionScorer
from modules.metrics.rouge import rouge_l

WORDS = ["a", "dog", "cat", "man", "runs", "sits", "on", "the", "red", "mat", "and", "then", "some"]


def coco_scores(references, hypotheses):
    """The COCO scripts' corpus scores by name, and their per-image BLEU-4, ROUGE-L and CIDEr-D."""
    captions = {image: [caption] for image, caption in hypotheses.items()}
    bleu, bleus = Bleu(4).compute_score(references, captions, verbose=0)
    rouge, rouges = Rouge().compute_score(references, captions)
    cider, ciders = Cider().compute_score(references, captions)
    corpus = dict(zip(METRICS, [*bleu, rouge, cider], strict=True))
    per_image = zip(references, bleus[3], rouges, ciders, strict=True)
    return corpus, {i: {"bleu4": b, "rouge_l": r, "cider_d": c} for i, b, r, c in per_image}


def sentence(draw):
    return " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))


def corpus(seed, images=12):
    """Random references, one to six an image, and hypotheses that share words with them."""
    draw = random.Random(seed)
    references, hypotheses = {}, {}
    for i in range(images):
        references[f"{i}.jpg"] = [sentence(draw) for _ in range(draw.randint(1, 6))]
        words = draw.choice(references[f"{i}.jpg"]).split()
        words[draw.randrange(len(words)) :] = draw.choices(WORDS, k=draw.randint(0, 5))
        hypotheses[f"{i}.jpg"] = " ".join(words)
    return references, hypotheses


def assert_equals_coco(references, hypotheses):
    scorer = CaptionScorer(references, tokenizer=str.split)
    expected, expected_images = coco_scores(references, hypotheses)
    scores = scorer.score(hypotheses).as_dict()
    assert {name: scores[name] for name in METRICS} == pytest.approx(expected, abs=1e-6)
    for image, values in scorer.per_image(hypotheses).items():
        assert values == pytest.approx(expected_images[image], abs=1e-6)


@pytest.mark.parametrize("seed", range(25))
def test_scores_equal_the_coco_scripts_on_random_corpora(seed):
    assert_equals_coco(*corpus(seed))


@pytest.mark.parametrize(
    ("references", "hypothesis"),
    [
        (["a dog runs on the mat"], ""),
        (["a dog runs on the mat"], "dog"),
        (["a dog runs on the mat"], "a dog"),
        (["a dog runs on the mat"], "cat cat cat cat cat"),
        (["a dog runs on the mat"], "a dog runs on the mat"),
        (["a dog runs", "a dog runs on the mat and sits"], "a dog runs on the mat"),
        (["a dog runs on the mat and sits", "a dog runs"], "a dog runs on the mat"),
        (["the the the the", "the cat"], "the the the the the the the"),
    ],
)
def test_scores_equal_the_coco_scripts_on_edge_cases(references, hypothesis):
    assert_equals_coco({"edge": references}, {"edge": hypothesis})
    others, other_hypotheses = corpus(99)
    assert_equals_coco({**others, "edge": references}, {**other_hypotheses, "edge": hypothesis})


def test_scores_equal_the_coco_scripts_when_all_hypotheses_are_empty():
    references, _ = corpus(3)
    assert_equals_coco(references, dict.fromkeys(references, ""))


def test_of_equally_close_references_the_shorter_counts_whatever_the_order():
    hypothesis = {"i": "a dog runs on"}
    for references in (["a dog", "a dog runs on the mat"], ["a dog runs on the mat", "a dog"]):
        assert CaptionScorer({"i": references}, str.split).score(hypothesis).bleu1 == pytest.approx(1)


def test_longest_common_subsequence_matches_the_table_over_all_words():
    draw = random.Random(5)
    for _ in range(300):
        hypothesis, reference = sentence(draw).split(), sentence(draw).split()
        common = my_lcs(reference, hypothesis)
        precision, recall = common / len(hypothesis), common / len(reference)
        expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if common else 0
        assert rouge_l(hypothesis, [reference]) == pytest.approx(expected)


def test_a_single_image_has_no_cider():
    scores = CaptionScorer({"i": ["a dog runs"]}).score({"i": "a dog runs"})
    assert scores.cider_d == 0
    assert scores.rouge_l == pytest.approx(1)


def test_raw_sentences_are_tokenized_on_both_sides():
    references = {"1": ["A man's dog can't run."], "2": ["Two cats, one mat!"]}
    spoken = {"1": "a man's dog (can't) run", "2": "two cats one mat"}
    assert CaptionScorer(references).score(spoken).bleu4 == pytest.approx(1, abs=1e-6)
    assert CaptionScorer(references, str.split).score(spoken).bleu4 < 0.5


def test_scores_say_what_the_captions_are_like():
    scores = CaptionScorer({"1": ["a b"], "2": ["a b"], "3": ["a b"]}).score(
        {"1": "a b.", "2": "a B", "3": "c"}
    )
    assert (scores.images, scores.distinct_captions, scores.vocabulary_used) == (3, 2, 3)
    assert scores.mean_length == pytest.approx(5 / 3)
    assert list(scores.as_dict())[:7] == [*METRICS, "images"]


def test_the_order_of_the_images_does_not_matter():
    references, hypotheses = corpus(4)
    backwards = dict(reversed(hypotheses.items()))
    scorer = CaptionScorer(references)
    assert scorer.score(backwards) == scorer.score(hypotheses)


def test_intervals_hold_the_score_and_narrow_with_more_images():
    widths = []
    for images in (30, 300):
        references, hypotheses = corpus(7, images)
        scorer = CaptionScorer(references)
        intervals = scorer.bootstrap(hypotheses, samples=400)
        scores = scorer.score(hypotheses).as_dict()
        assert list(intervals) == list(METRICS)
        for name, (low, high) in intervals.items():
            assert low < scores[name] < high, name
        widths.append(intervals["bleu4"][1] - intervals["bleu4"][0])
    assert widths[1] < widths[0] / 2


def test_intervals_match_a_resampling_done_by_hand():
    references, hypotheses = corpus(8, images=20)
    scorer = CaptionScorer(references)
    rouge = np.array([values["rouge_l"] for values in scorer.per_image(hypotheses).values()])
    draw = np.random.default_rng(1)
    means = [rouge[draw.integers(20, size=20)].mean() for _ in range(4000)]
    expected = np.percentile(means, [2.5, 97.5])
    assert scorer.bootstrap(hypotheses, samples=4000)["rouge_l"] == pytest.approx(expected, abs=0.01)
    assert scorer.bootstrap(hypotheses, seed=3) == scorer.bootstrap(hypotheses, seed=3)
    assert scorer.bootstrap(hypotheses, seed=3) != scorer.bootstrap(hypotheses, seed=4)


def test_resampled_bleu_is_of_the_summed_counts_not_a_mean_over_images():
    # every resample of identical images is the set itself
    references = {str(i): ["a dog runs on the mat"] for i in range(5)}
    hypotheses = dict.fromkeys(references, "a dog sits on the red mat")
    scorer = CaptionScorer(references)
    low, high = scorer.bootstrap(hypotheses)["bleu2"]
    assert low == pytest.approx(high) == pytest.approx(scorer.score(hypotheses).bleu2)


def test_shuffled_control_gives_no_image_its_own_caption():
    # each caption matches its own image only, so one left in place would score
    for images in (2, 3, 10):
        references = {str(i): [f"w{i} x{i} y{i} z{i}"] for i in range(images)}
        own = {image: sentences[0] for image, sentences in references.items()}
        scorer = CaptionScorer(references)
        for seed in range(10):
            shuffled = scorer.controls(own, seed=seed)["shuffled"]
            assert shuffled.rouge_l == 0
            assert shuffled.distinct_captions == images


def test_constant_control_is_the_best_of_the_systems_own_captions():
    references = {str(i): ["a dog runs on the mat"] for i in range(4)} | {"4": ["two cats sit in a tree"]}
    hypotheses = {
        "0": "the man",
        "1": "the man",
        "2": "a dog runs on grass",
        "3": "a cat",
        "4": "two cats sit in a tree",
    }
    scorer = CaptionScorer(references)
    caption, scores = scorer.controls(hypotheses)["constant"]
    assert caption == "a dog runs on grass"
    assert scores == scorer.score(dict.fromkeys(references, caption))
    assert scores.distinct_captions == 1


def test_one_image_has_a_constant_control_and_no_other_image_to_shuffle_with():
    controls = CaptionScorer({"i": ["a dog"]}).controls({"i": "a dog"})
    assert controls["constant"][0] == "a dog"
    assert "shuffled" not in controls


def test_missing_and_unknown_images_are_named_up_to_five():
    scorer = CaptionScorer({f"{i}.jpg": ["a dog"] for i in range(8)})
    with pytest.raises(InputError, match=r"^no caption for 7 of 8 images: 1\.jpg, .*5\.jpg, \.\.\.;"):
        scorer.score({"0.jpg": "a dog"})
    with pytest.raises(InputError, match=r"^no references for 1 of 9 images: other\.jpg;"):
        scorer.score({f"{i}.jpg": "a dog" for i in range(8)} | {"other.jpg": "a cat"})


def test_references_without_sentences_are_refused():
    with pytest.raises(InputError, match="no references to score against"):
        CaptionScorer({})
    with pytest.raises(InputError, match=r"no reference for 1 of 2 images: b\.jpg;"):
        CaptionScorer({"a.jpg": ["a dog"], "b.jpg": []})

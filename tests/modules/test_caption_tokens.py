"""The tokens of the COCO evaluation, and back to readable captions."""

import random

import pytest

from modules import caption_tokens
from modules.caption_tokens import PUNCTUATION, detokenize, tokenize, unsegmented

# what Stanford's tokenizer gives for the COCO evaluation, punctuation dropped
STANFORD = {
    "A dog runs .": "a dog runs",
    "A dog runs. The man sits.": "a dog runs the man sits",
    "A man's dog can't swim!": "a man 's dog ca n't swim",
    "the dogs' bowl": "the dogs bowl",
    'a "quoted" word': "a quoted word",
    "a girl, a boy;a cat:two": "a girl a boy a cat two",
    "red,blue and 3,000 or 3.5 at 5:30": "red blue and 3,000 or 3.5 at 5:30",
    "a T-shirt in the U.S.": "a t-shirt in the u.s.",
    "Mr. Smith on St. John street": "mr. smith on st. john street",
    "gonna, cannot, 'tis": "gon na can not 't is",
    "dog- and - cat--bird ... fish": "dog and cat bird fish",
    "they'll don\u2019t \u201cyes\u201d ok \u2013 no\u2026": "they 'll do n't yes ok no",
    "it costs $5 & 50%": "it costs $ 5 & 50 %",
    "black/white #1": "black/white # 1",
    "shouldn't've": "should n't 've",
    "the slip 'slide": "the slip slide",
}

READABLE = [
    "don't",
    "the man's hat isn't red",
    "i'm sure they've gone and we'll wait",
    "cannot gonna wanna gotta gimme lemme",
    "'tis the u.s. team in a t-shirt at 3.5 or 3,000 feet",
    "the 80's rock'n'roll of mr. o'hara",
    "shouldn't've",
    "a naïve café",
]


@pytest.mark.parametrize(("caption", "words"), STANFORD.items())
def test_tokens_are_those_of_the_coco_evaluation(caption, words):
    assert tokenize(caption) == words.split()


def test_brackets_go_and_their_contents_stay():
    assert tokenize("a (small) [red] {old} <new> car (u.s.)") == [
        "a",
        "small",
        "red",
        "old",
        "new",
        "car",
        "u.s.",
    ]


@pytest.mark.parametrize("caption", ["", "   ", "...", "?!", "()", "\n\t\u3000"])
def test_captions_without_words_have_no_tokens(caption):
    assert tokenize(caption) == []


def test_other_languages_pass_through():
    assert tokenize("Ein Mädchen läuft über die Straße.") == [
        "ein",
        "mädchen",
        "läuft",
        "über",
        "die",
        "straße",
    ]
    assert tokenize("강아지가 뛴다.") == ["강아지가", "뛴다"]
    assert tokenize("ДВЕ собаки, ŽLUTÝ kůň") == ["две", "собаки", "žlutý", "kůň"]


@pytest.mark.parametrize(
    ("caption", "words", "shown"),
    [
        ("一只狗在跑。", "一 只 狗 在 跑", "一只狗在跑"),
        ("一只 狗，在 跑！", "一 只 狗 在 跑", "一只狗在跑"),  # noqa: RUF001
        ("「犬」がボールで遊ぶ・々ー", "犬 が ボ ー ル で 遊 ぶ 々 ー", "犬がボールで遊ぶ々ー"),
        ("か\u3099くせい", "か\u3099 く せ い", "か\u3099くせい"),
        ("A dog一只狗's 3匹", "a dog 一 只 狗 's 3 匹", "a dog 一只狗 's 3 匹"),
    ],
)
def test_a_chinese_or_japanese_character_is_a_token(caption, words, shown):
    assert tokenize(caption) == words.split()
    assert detokenize(words.split()) == shown and tokenize(shown) == words.split()


@pytest.mark.parametrize("caption", ["😀", "😀😀 🐶", "👨\u200d👩\u200d👧", "。"])
def test_emoji_are_no_words(caption):
    assert tokenize(caption) == []


@pytest.mark.parametrize(
    ("captions", "language"),
    [
        (["สุนัขสีน้ำตาลกำลังวิ่งบนหญ้า", "แมวสองตัวนอนอยู่บนโซฟา"], "Thai"),
        (["ໝາສີນ້ຳຕານກຳລັງແລ່ນ"], "Lao"),
        (["ခွေးတစ်ကောင်ပြေးနေသည်"], "Burmese"),
        (["ឆ្កែពណ៌ត្នោតកំពុងរត់"], "Khmer"),
        (["สุนัข สี น้ำตาล กำลัง วิ่ง บน หญ้า"], None),
        (["สุนัขสีน้ำตาลกำลังวิ่งบนหญ้า", "a dog", "a cat"], None),  # one among others
        (["一只狗在跑", "a dog runs over the grass"], None),
        ([], None),
    ],
)
def test_captions_without_blanks_are_recognised(captions, language):
    assert unsegmented(captions) == language


@pytest.mark.parametrize("caption", READABLE)
def test_detokenize_restores_what_people_write(caption):
    assert detokenize(tokenize(caption)) == caption


def test_detokenize_leaves_words_apart_that_would_not_come_apart_again():
    assert detokenize(["'s", "dog"]) == "'s dog"
    assert detokenize(["mr.", "'s"]) == "mr.'s"
    assert detokenize(["go", "na"]) == "go na"
    assert detokenize([]) == ""


def test_tokenizing_a_detokenized_caption_gives_the_same_tokens():
    random_text = random.Random(0)
    alphabet = [*"ab'd.,-:;!?\"`()[]{}<>sntlm é犬013#$%&@/\u2019\u201c…", *" " * 9]
    alphabet += ["n't", "'s", "'ll", "'ve", "can", "not", "gon", "na", "u.s.", "mr.", "--", "''", "``", "'t"]
    alphabet += ["is", "d", "'ye", "more", "'n"]
    for _ in range(5000):
        caption = "".join(random_text.choices(alphabet, k=random_text.randint(0, 12)))
        words = tokenize(caption)
        assert tokenize(detokenize(words)) == words, caption
        assert not PUNCTUATION.intersection(words), caption


def test_no_input_exhausts_the_stack():
    assert tokenize("a" + "'s" * 300) == ["a"] + ["'s"] * 300


def test_a_word_is_taken_apart_once_however_often_it_stands(monkeypatch):
    taken_apart: list[str] = []
    treebank = caption_tokens._treebank.tokenize

    class Counting:
        def tokenize(self, piece):
            taken_apart.append(piece)
            return treebank(piece)

    monkeypatch.setattr(caption_tokens, "_treebank", Counting())
    caption_tokens._tokenize_stretch.cache_clear()
    words = [f"{a}-{b}" for a in ("dog", "man", "tree", "car") for b in range(2500)]
    for _ in range(3):
        for begin in range(0, len(words), 10):
            tokenize(" ".join(words[begin : begin + 10]))
    assert sorted(taken_apart) == sorted(words)

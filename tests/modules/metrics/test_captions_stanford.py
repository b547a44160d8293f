"""Hostile captions: tokens equal those of Stanford's tokenizer as pycocoevalcap runs it, or are listed.

`stanford_tokens.tsv` holds what pycocoevalcap 1.2 gave, a caption and its tokens a line. Where a group of
captions differs, `modules/metrics/README.md` says how.
"""

import re
from pathlib import Path

from modules.caption_tokens import tokenize

RECORDED = [
    line.split("\t")
    for line in Path(__file__).with_name("stanford_tokens.tsv").read_text(encoding="utf-8").splitlines()
]
# what the COCO evaluation means to leave out and Stanford's tokenizer keeps: brackets and runs of marks
LEFT_OUT = re.compile(r"-[lr][rsc]b-|[?!]{2,}|[<>]")
# fmt: off
DIFFERENT = {
    # single letters around & stay together, in lower case, too
    "a&b", "M&M's", "M&Ms", "m&m", "at&t store", "at&t", "m&ms", "a&w root",
    # currency keeps its sign, which stands by itself
    "US$5", "C$5", "£5", "€5", "5£", "5€", "5¢", "£5.50", "a £ b", "£", "€", "¢", "25¢",
    # smileys
    ":)", "a dog :)", ":-(", ";-)", ":D", ":-)", ":P", "=)", "^_^", ";)", ":(",
    # tags of HTML are taken apart
    "<a dog>", "<b>dog</b>", "<br>",
    # rare joins, and abbreviations
    "„dog“", "what?dog", "a,1", "a:1", "_dog_", "C#", "No.5", "no.5", "jos.", "cie.", "#dog-cat",
    "ftp://x.y", "dogs.org/x",
    # a letter that ends a caption has no period
    "plan B.", "plan b.", "vitamin C.", "x.", "a.", "a. b. c.",
    # rare apostrophes
    "rock 'n' roll", "rock'n'roll", "y'all", "d'ye", '6\'2"', "‘90s", "Dunkin' Donuts", "Dunkin'",  # noqa: RUF001
    "'cause", "ol'", "ol' dog", "the ol'", "y'know", "dell'arte", "jack-o'-lantern", "will-o'-the-wisp",
    "y'all're",
    # Chinese and Japanese: a token a character, no punctuation
    "一只狗", "狗。", "𠮷 dog", "犬がいる。", "一只狗在跑。",
}
# fmt: on


def test_tokens_of_hostile_captions_are_stanfords_or_listed():
    different = {
        caption
        for caption, tokens in RECORDED
        if tokenize(caption) != [token for token in tokens.split() if not LEFT_OUT.fullmatch(token)]
    }
    assert different == DIFFERENT

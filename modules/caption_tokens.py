"""Caption tokens as the COCO evaluation makes them, without Java: for the vocabulary and for scoring."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, pairwise

from nltk.tokenize import TreebankWordTokenizer

# The COCO evaluation's list; Stanford's tokenizer, which it uses, writes brackets as -LRB- etc.
# fmt: off
PUNCTUATION = frozenset([
    "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";",
    "(", ")", "{", "}", "[", "]", "<", ">",
])
# Treebank words that are written as one; the apostrophe clitics attach to any word.
_CLITICS = frozenset(["n't", "'s", "'m", "'d", "'ll", "'re", "'ve"])
_CONTRACTED = frozenset([
    ("can", "not"), ("gim", "me"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("wan", "na"),
    ("d", "'ye"), ("more", "'n"), ("'t", "is"), ("'t", "was"),
])
# fmt: on
_WRITTEN_AS_ONE = frozenset(map("".join, _CONTRACTED))
# What is a word as it stands: those whose period belongs to them, as Stanford's tokenizer has them ("u.s.",
# "ave."), addresses, "#dog", "@dog" and "at&t".
_WHOLE = re.compile(
    r"""(?:[a-z]\.){2,} | ph\.d\. | (?:mr|mrs|ms|dr|drs|st|jr|sr|vs|etc|co|inc|ltd|corp|bros|ave|blvd|rd|mt|ft
      |jan|feb|mar|apr|jun|jul|aug|sept|oct|nov|dec|mon|tues|wed|thurs|fri|prof|gen|sgt|capt|rev|sen|gov|lt
      |pres|hon|col|maj|cpl|rep|reps|dept|univ|bldg|esq|pp|ariz|calif|fla|ala|ga|va|conn|mich|minn|penn|wis
      |adm|cmdr|est|assn|al|cf|alex|wm)\.
      | https?://\S*[\w/] | [\w.+-]+@[\w.-]*\w | [@#][^\W\d_]\w* | [a-z]{1,2}&[a-z]{1,2}""",
    re.VERBOSE,
)
# The same before another word alone: "no. 5", "j. smith".
_BEFORE_ANOTHER = re.compile(r"(?:nos?|fig)\. \d|[a-z]\. [^\W_]")
# What Treebank's rules leave stuck to a word: brackets and marks around an abbreviation; the hyphens and
# periods of "dog-" and "..a", but not the point of ".22"; an opening quote, but not the apostrophe of a
# clitic; the comma of "a,1", but not of "3,000".
_STUCK = re.compile(
    r"""^[][(){}<>",;:!?]+ | [][(){}<>",;:!?]+$
      | ^[-.]+(?=[^\W\d])  | [-.]+$
      | ^'(?=[^\W\d])(?!(?:s|m|d|ll|re|ve|t|tis|twas|n|em|til|ye)\b)
      | (?<!\d),           | ,(?!\d)""",
    re.VERBOSE,
)
# Signs that are words of their own wherever they stand; "c++" and "+5" stay whole.
_SIGN = re.compile(
    r"""\*+ | [=~^|\\©®™°±×÷¿¡´§¶²³′″•£€¥¢] | [\u2190-\u2bff] | (?<!\+)\+(?![+\d]) | (?<=\w)(?=\+\d)
      | (?<=\w)/$ | ^/(?=\w) | (?<=:\d\d)(?=[ap]m$)""",  # noqa: RUF001
    re.VERBOSE,
)
_TYPOGRAPHIC = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "`": " "}  # noqa: RUF001
    | {"¼": " 1/4 ", "½": " 1/2 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 "}
    | dict.fromkeys("…–—。、，！？；：（）「」『』【】《》〈〉〔〕・～｡､｢｣", " ")  # noqa: RUF001
    | dict.fromkeys(map(chr, range(0xFE00, 0xFE10)), "")  # the variants of a sign, such as a coloured heart
)
_WRITTEN_BRACKET = re.compile("-[lr][rsc]b-")  # as Stanford's tokenizer writes them
_ENTITY = re.compile("&(?:amp;)*(amp|lt|gt|quot|nbsp);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "nbsp": " "}
# Chinese and Japanese characters, with the marks that belong to them.
CJK = re.compile(
    "[\u3005-\u3007\u3041-\u3096\u309d-\u30fa\u30fc-\u30ff\u3105-\u312f\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af][\u3099\u309a]*"
)
# Emoji and what else Stanford's tokenizer drops, with the joiners between them.
_DROPPED = re.compile("\u200d*[\U00010000-\U0001ffff\U000323b0-\U0010ffff]\u200d*")
# Languages that are written without blanks between words, and without one character a word.
_UNSPACED = {
    "Thai": re.compile("[\u0e00-\u0e7f]+"),
    "Lao": re.compile("[\u0e80-\u0eff]+"),
    "Burmese": re.compile("[\u1000-\u109f]+"),
    "Khmer": re.compile("[\u1780-\u17ff]+"),
}
_LONGEST_MEAN = 8  # characters of their words: those of segmented captions have 4 to 6
_treebank = TreebankWordTokenizer()


def tokenize(caption: str) -> list[str]:
    """Words of a caption: Penn Treebank tokens in lower case, punctuation dropped.

    "A man's dog (brown) can't swim." gives a man 's dog brown ca n't swim. Every stretch without blanks is
    tokenized by itself, so a period ends a sentence anywhere in the caption. Of Chinese and Japanese every
    character is a token. Other languages written without blanks have to be segmented: see `unsegmented`.
    """
    text = caption.translate(_TYPOGRAPHIC).lower()
    if "b-" in text:
        text = _WRITTEN_BRACKET.sub(" ", text)
    if "&" in text:
        text = _ENTITY.sub(lambda found: _ENTITIES[found[1]], text)
    if not text.isascii():
        text = CJK.sub(r" \g<0> ", _DROPPED.sub(" ", text))
    stretches = text.split()
    if "." not in text[:-1]:  # most captions: no period is followed by what it could belong to
        return list(chain.from_iterable(map(_tokenize_stretch, stretches)))
    words: list[str] = []
    for stretch, following in pairwise([*stretches, ""]):
        is_short = _BEFORE_ANOTHER.fullmatch(f"{stretch} {following[:1]}")
        words += [stretch] if is_short else _tokenize_stretch(stretch)
    return words


def unsegmented(captions: Iterable[str]) -> str | None:
    """Returns the language of captions that lack blanks between their words; None where all is well."""
    captions = list(captions)
    foreign = [caption for caption in captions if not caption.isascii()]
    for language, letters in _UNSPACED.items():
        found = [runs for caption in foreign if (runs := letters.findall(caption))]
        lengths = [len(run) for runs in found for run in runs]
        if 2 * len(found) > len(captions) and sum(lengths) > _LONGEST_MEAN * len(lengths):
            return language
    return None


def segmentation_advice(captions: Sequence[str]) -> str | None:
    """Returns what to do about captions that lack blanks between their words; None where all is well."""
    if language := unsegmented(captions):
        return (
            f"{language} captions without blanks between their words, such as {captions[0][:20]!r}; segment "
            "them first and write the words with blanks between them"
        )
    return None


def detokenize(words: Sequence[str]) -> str:
    """The caption a reader expects of tokenized words: "ca n't" is written "can't", "man 's" "man's".

    `tokenize(detokenize(words)) == words` for all words that came from `tokenize`: two words are joined only
    where tokenizing takes them apart again. Chinese and Japanese characters follow without blanks.
    """
    stretches: list[str] = []
    inside: list[str] = []  # the words within the last stretch
    for word in words:
        belongs = word in _CLITICS or (len(inside) == 1 and (inside[0], word) in _CONTRACTED)
        if inside and CJK.fullmatch(word) and CJK.fullmatch(inside[-1]):
            stretches[-1] += word
            inside = [word]
        elif inside and belongs and _tokenize_stretch(stretches[-1] + word) == (*inside, word):
            stretches[-1] += word
            inside.append(word)
        else:
            stretches.append(word)
            inside = [word]
    return " ".join(stretches)


@lru_cache(maxsize=1 << 16)  # captions repeat their words: this spares nearly all of the regular expressions
def _tokenize_stretch(stretch: str) -> tuple[str, ...]:
    """Words of a lower-case text without blanks; each of them, tokenized again, is left as it is."""
    if stretch.isascii() and stretch.isalnum() and stretch not in _WRITTEN_AS_ONE:
        return (stretch,)  # nothing to take apart: Treebank's rules take a tenth of a millisecond to see it
    words, pending = [], [stretch]
    while pending:
        piece = pending.pop()
        if piece in PUNCTUATION:
            continue
        pieces = [piece]
        if not _WHOLE.fullmatch(piece):
            pieces = _SIGN.sub(r" \g<0> ", _STUCK.sub(" ", piece)).split()
            if pieces == [piece]:
                pieces = _treebank.tokenize(piece)
        if pieces == [piece]:
            words.append(piece)
        else:
            pending += reversed(pieces)
    return tuple(words)

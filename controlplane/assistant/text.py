"""Text as the assistant compares it: one way to normalise, split and stem, used by every step.

Rules: pure functions; numbers keep their digits (they are facts); a stem is only ever compared with other stems.
"""

import re
import unicodedata
from functools import lru_cache

_FUNCTION_WORDS = """
a about after again all also am an and any are as at be because been before being but by can could did do does doing for
from get got had has have having he hello her here hi him his how i if in into is it its just know let like me more most
my need no not of on once only or other our out over own please same she should so some such tell than thank thanks that
the their them then there these they this those through to too under until up us very want was we were what when where
which while who why will with would yes you your i'm i've don't can't it's alder bank
"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())

_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+(?:[.,:]\d+)*%?")
_SPACES = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9£$€])")
_NUMBER_WORDS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12",
}  # fmt: skip


def normalise(text: str) -> str:
    """Lower case, one kind of apostrophe, single spaces; never longer words than the customer wrote."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'").lower()
    return _SPACES.sub(" ", plain).strip()


def tokens(text: str) -> list[str]:
    """Words and numbers of a text, lower case, in order."""
    return _TOKEN.findall(normalise(text))


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A crude common form of an English word: plural, -ing, -ed and -ly fall; numbers in words become digits."""
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    if not word[0].isalpha():
        return word
    word = word.removesuffix("'s")
    for suffix, replacement, shortest in (
        ("ies", "y", 5),
        ("ing", "", 6),
        ("ed", "", 5),
        ("es", "", 5),
        ("s", "", 4),
        ("ly", "", 6),
    ):
        if word.endswith(suffix) and len(word) >= shortest and not word.endswith("ss"):
            word = word[: len(word) - len(suffix)] + replacement
            break
    return word.removesuffix("e") if len(word) > 4 else word


def content_stems(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order, with repetitions."""
    return [stem(token) for token in tokens(text) if token not in STOPWORDS]


def sentences(text: str) -> list[str]:
    """Splits prose into sentences; an abbreviation followed by a lower-case word does not split."""
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]

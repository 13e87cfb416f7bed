"""The words of an answer as the groundedness score compares them: sentences, words, what is numbered, and what is mere courtesy.

Rules
- One sentence is opened the same way on both sides, so a quote compares equal: contractions become words ("isn't" = "is not"), thousands lose
  their comma, an opener such as "Yes," or "Well," falls away.
- Citations and list marks are no words.
"""

import re
from dataclasses import dataclass
from itertools import takewhile

from controlplane.assistant.text import STOPWORDS, normalise, stem

_CITATION = re.compile(r"\[[a-z0-9-]+\]")
_LIST_MARK = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(?=\S)", re.MULTILINE)
_LOOSE_APOSTROPHE = re.compile(r"\s*'\s*(?=(?:s|t|re|ve|ll|d|m)\b)|\s+(?=n't\b)")
_NEGATED = re.compile(r"\b(\w+?)n't\b")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[£$€]?\d+(?:[.,:]\d+)*%?")
_IN_NUMBER = re.compile(r"(?<=\d),(?=\d{3}\b)|(?<=\d)\s+(?=%)|(?<=[£$€])\s+(?=\d)")
_KIND = re.compile(r"[£$€%:]|^(?:1[0-9]|20)\d\d$")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z]{2,}\b")
_END = re.compile(r"(?:(?<=[!?])|(?<=[\w)\"'’”%]{3}\.)|(?<=\s\.))\s+|(?<=[.!?])\s+(?=[A-Z0-9£$€])|\s*\n\s*\n\s*")

_OPENERS_WORDS = """
yes yeah yep yup nope well oh ah ok okay sure indeed absolutely certainly hi hello hey wow hmm thanks right
"""
OPENERS = frozenset(_OPENERS_WORDS.split())
# "no" opens a sentence only before a comma or a stop: "no fee is due" states something.
_OPENING = re.compile(rf"^(?:\W*(?:(?:{'|'.join(sorted(OPENERS))})\b|no\b(?=\s*[,.!;:])))+")
_COURTESY_WORDS = """
hello hi hey sure certainly course absolutely thank thanks welcome happy glad great good nice question help assist
everything easy please pleasure sorry hear understand hope day morning afternoon evening dear customer contact
contacting reaching patience apologies apologise apologize inconvenience fine worry worries problem
"""
COURTESY = frozenset(_COURTESY_WORDS.split())


@dataclass(frozen=True, slots=True)
class Words:
    """One sentence as it is compared: words as written (lower case) and their stems, in order, openers left out."""

    written: tuple[str, ...]
    stems: tuple[str, ...]

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Neighbouring stems."""
        return frozenset(zip(self.stems, self.stems[1:], strict=False))


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, what it measures (stems of the words it counts, or "£", "%", ":", "year"), and both as written."""

    number: str
    measures: frozenset[str]
    text: str


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, citations and list marks removed; one may begin in lower case, unless an initial or "jr." ends before it."""
    parts = _END.split(_LIST_MARK.sub("\n\n", _CITATION.sub("", text)).strip())
    return [part.strip() for part in parts if part and part.strip(" .!?")]


def words(text: str) -> Words:
    """The words of one sentence. Contractions are opened ("isn't" = "is not"), openers at its start fall away."""
    plain = _LOOSE_APOSTROPHE.sub(lambda found: "'" if "'" in found.group() else "", normalise(text))
    plain = (
        _IN_NUMBER.sub("", plain).replace("can't", "can not").replace("won't", "will not").replace("cannot", "can not")
    )
    written = tuple(_WORD.findall(_NEGATED.sub(r"\1 not", _OPENING.sub("", plain))))
    return Words(written, tuple(stem(word) for word in written))


def is_courtesy(text: str) -> bool:
    """Whether a sentence says nothing but courtesies: only openers, function words and words of politeness."""
    found = _WORD.findall(normalise(text))
    content = [word for word in found if word not in STOPWORDS and word not in OPENERS]
    return not content or all(word in COURTESY for word in content)


def counted(said: Words) -> list[Quantity]:
    """Numbers of a sentence with the up to two content words that each counts ("5 working days"), in order.

    Percentages, money, times and years count nothing: the word after them is somebody else's.
    """
    found = []
    for place, root in enumerate(said.stems):
        if (root[0] in "£$€" or root[0].isdigit()) and said.written[place] != "one":  # "one of them" counts nothing
            kind = _KIND.search(root)
            following = () if kind else said.written[place + 1 : place + 3]
            units = tuple(takewhile(lambda word: word[0].isalpha() and word not in STOPWORDS, following))
            measures = (
                frozenset({kind.group()[0] if kind.group()[0] in "£$€%:" else "year"})
                if kind
                else frozenset(map(stem, units))
            )
            found.append(Quantity(root, measures, " ".join((said.written[place], *units))))
    return found


def names(sentence: str) -> list[str]:
    """Capitalised words inside a sentence, as written; its first word has its capital from there."""
    return [name for name in _NAME.findall(sentence) if name.lower() not in STOPWORDS]

"""Whether an answer is supported by passages: content precision and a number and name check, sentence by sentence.

Rules
- Support of a sentence = the share of its content stems found in the passages, weakened when the stems do not meet in
  one passage: half from the whole, half from the best single passage.
- A number counts only together with what it counts ("5 working", "19.9 %", "16:30"). Each sentence with an unsupported
  number keeps a quarter of its support, one with an unsupported name half of it.
- Score of an answer = the mean of its sentences' supports, averaged with the worst of them: one invented sentence
  among four true ones is still an invention. Below `THRESHOLD` the label is `ungrounded`.
- Courtesies and citations say nothing about the bank and are not judged; an answer of nothing else is grounded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from controlplane.assistant.model import Passage
from controlplane.assistant.text import STOPWORDS, content_stems, normalise, sentences, stem

THRESHOLD = 0.6
GROUNDED, UNGROUNDED = "grounded", "ungrounded"
UNSUPPORTED_NUMBER, UNSUPPORTED_NAME = 0.25, 0.5

_CITATION = re.compile(r"\[[a-z0-9-]+\]")
_QUANTITY = re.compile(r"([£$€]?)(\d+(?:[.,:]\d+)*)\s*(%|st\b|rd\b|th\b|nd\b|[a-z]+)?")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z]{2,}\b")
_COURTESY = re.compile(
    r"^(?:hello|hi|sure|certainly|of course|absolutely|thank|you're welcome|i'm happy|glad|great question)\b"
)
_MIN_STEMS = 2


@dataclass(frozen=True, slots=True)
class Groundedness:
    """Score 0..1, its label, and the sentences that pulled it down."""

    score: float
    label: str
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Evidence:
    stems: frozenset[str]
    quantities: frozenset[str]


def score(answer: str, passages: Sequence[Passage]) -> Groundedness:
    """Judges one answer against the passages it should rest on."""
    evidence = [_evidence(passage) for passage in passages]
    judged = [(sentence, _support(sentence, evidence)) for sentence in sentences(_CITATION.sub("", answer))]
    supports = [support for _, support in judged if support is not None]
    if not supports:
        return Groundedness(1.0, GROUNDED, ())
    value = (sum(supports) / len(supports) + min(supports)) / 2
    weak = tuple(sentence for sentence, support in judged if support is not None and support < THRESHOLD)
    return Groundedness(value, GROUNDED if value >= THRESHOLD else UNGROUNDED, weak)


def _support(sentence: str, evidence: Sequence[_Evidence]) -> float | None:
    """Support of one sentence 0..1, None where there is nothing to judge."""
    if _COURTESY.match(normalise(sentence)) and not any(character.isdigit() for character in sentence):
        return None
    stems = set(content_stems(sentence))
    found = quantities(sentence)
    if len(stems) < _MIN_STEMS and not found:
        return None
    if not evidence:
        return 0.0
    whole = frozenset().union(*(item.stems for item in evidence))
    best = max(len(stems & item.stems) for item in evidence)
    support = (len(stems & whole) + best) / (2 * len(stems)) if stems else 1.0
    if not found <= frozenset().union(*(item.quantities for item in evidence)):
        support *= UNSUPPORTED_NUMBER
    if any(stem(name.lower()) not in whole for name in _NAME.findall(sentence) if name.lower() not in STOPWORDS):
        support *= UNSUPPORTED_NAME
    return support


def quantities(text: str) -> frozenset[str]:
    """Numbers with their currency and the stem of what they count, e.g. {"£12", "5 working", "1.5 %"}."""
    return frozenset(
        f"{currency}{number.replace(',', '')} {stem(unit) if unit and unit[0].isalpha() else unit or ''}".strip()
        for currency, number, unit in _QUANTITY.findall(normalise(text))
    )


@lru_cache(maxsize=4096)
def _evidence(passage: Passage) -> _Evidence:
    text = f"{passage.title}. {' '.join(passage.sentences)}"
    return _Evidence(frozenset(content_stems(text)), quantities(text))

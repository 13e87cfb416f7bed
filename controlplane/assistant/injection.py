"""Prompt injection and jailbreak screen over customer text and over retrieved passages.

Rules
- The families of `injection_rules` are looked for in the text, in what it says in other encodings, and, for words that are
  spaced out or cut up, in its letters alone. Weights add up; from `THRESHOLD` on the text is an injection.
- Other readings count at full strength only: half-strength oddities in a decoded text are chance.
- A passage is judged more strictly than a customer: a help page has no reason to speak to the assistant at all. "Never
  share your PIN" is advice, so warnings are taken out before a passage is judged.
- The verdict says what was seen. What is done about it (decline, drop the passage) is the pipeline's.
- The screen is one layer: a text that asks for something harmful in ordinary words is the intent classifier's and the
  prompt's business, and no rule sees an instruction that looks like bank text. Measured bypass rates: `make bench`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from controlplane.assistant import injection_foreign
from controlplane.assistant.injection_passages import FORBIDS_ANSWER, PASSAGE
from controlplane.assistant.injection_rules import MARKED, WORDED
from controlplane.assistant.injection_secrets import SECRETS
from controlplane.assistant.injection_text import clean, hidden, readings, squeezed
from controlplane.assistant.safety_text import compile_rules, rule_text

THRESHOLD = 1.0
# Families that are nothing odd in a passage: help pages explain, show forms, warn of harm, and manuals speak of customers.
_ORDINARY_IN_PASSAGES = (
    "content", "fiction", "harm", "answer_form", "secret", "other_customers", "secret_request", "placeholder", "persona", "variables",
)  # fmt: skip
Families = Mapping[str, tuple[float, tuple[str, ...]]]

_SQUEEZED = re.compile(
    r"(?:ignore|disregard|forget|override|bypass)(?:all|the|any|your|of|these|those){0,3}(?:previous|prior|above|earlier|preceding|"
    r"original|initial|system|your)(?:system|instruction|prompt|rule|direction|command|guideline)"
    r"|(?:reveal|show|print|repeat|tell|giveme)(?:me|us)?(?:the|your)(?:system|hidden|initial|secret|original)(?:prompt|instruction|message|password|key)"
    r"|doanythingnow|youarenowdan|developermodeenabled"
)
_WARNING = re.compile(
    r"\b(?:never|do not|nobody|no one|will not|would not|should not|must not|not)\b(?: [^ .]{1,40}){0,30}"
)
# Punctuation where prose has none: inside words, in clusters, opened after nothing. Optimised suffixes are full of it.
_ODD = re.compile(
    r"[a-z0-9][\[\]{}()<>|\\=;*~^]{1,4}[a-z]|[\[\]{}()<>|\\=;:!?\"'.,*#$~^+-]{4,}|(?<=\s)[\[\]{}()<>|\\=~^]{2,4}|[\])}>][a-z\[({<]|\?!|\\[a-z{]"
)
_FIRST_ODD, _MANY_ODD = 2, 5
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]")
_MANY_INVISIBLE = 5


@dataclass(frozen=True, slots=True)
class InjectionVerdict:
    """What was seen: `score` is the sum of the weights of `families`; `found` from `THRESHOLD` on."""

    found: bool
    score: float
    families: tuple[str, ...]


@lru_cache(maxsize=64)
def inspect(text: str) -> InjectionVerdict:
    """Judges customer text; takes time linear in its length. A first message is screened before an arm is drawn and again when
    it is answered, so it remembers the last ones."""
    return _verdict(_weights(text))


@lru_cache(maxsize=2048)
def inspect_passage(text: str) -> InjectionVerdict:
    """Judges text that was retrieved: instructions to the assistant have no place there. Pages come back, so it remembers."""
    weights = _weights(text)
    for name in _ORDINARY_IN_PASSAGES:
        weights.pop(name, None)
    words = rule_text(text)
    weights |= _found(PASSAGE, _WARNING.sub(" ", words))
    if compile_rules(FORBIDS_ANSWER).search(words):
        weights["to_assistant"] = 1.0
    return _verdict(weights)


def _weights(text: str) -> dict[str, float]:
    """Weight of each family seen in the text or one of its readings."""
    plain = clean(text)
    words = rule_text(text)
    weights = _found(WORDED, words) | _found(SECRETS, words) | _found(MARKED, plain.lower())
    if injection_foreign.speaks(text, plain):
        weights["foreign_override"] = 1.0
    odd = _odd_clusters(plain)
    if odd >= _FIRST_ODD:
        weights["gibberish"] = 1.0 if odd >= _MANY_ODD else 0.5
    secret = hidden(text)
    if secret:
        weights["hidden_text"] = 1.0
    if len(_INVISIBLE.findall(text)) >= _MANY_INVISIBLE:
        weights["invisible_characters"] = 0.5
    if _SQUEEZED.search(squeezed(plain)):
        weights.setdefault("override", 1.0)
    for reading in readings(plain):
        strong = {name: weight for name, weight in _found(WORDED, rule_text(reading)).items() if weight >= THRESHOLD}
        weights |= {f"encoded_{name}": weight for name, weight in strong.items()}
    return weights


def _odd_clusters(plain: str) -> int:
    """How many odd clusters of punctuation the densest 400 characters hold; prose and amounts have next to none."""
    starts = [match.start() for match in _ODD.finditer(plain.lower())]
    best = first = 0
    for last, start in enumerate(starts):
        while start - starts[first] > 400:
            first += 1
        best = max(best, last - first + 1)
    return best


def _found(families: Families, text: str) -> dict[str, float]:
    return {
        name: weight for name, (weight, rules) in families.items() if _compiled(rules, families is MARKED).search(text)
    }


@lru_cache(maxsize=64)
def _compiled(rules: tuple[str, ...], marked: bool) -> re.Pattern[str]:
    """Marked patterns may begin anywhere; worded ones begin at a word."""
    return re.compile("|".join(f"(?:{rule})" for rule in rules)) if marked else compile_rules(rules)


def _verdict(weights: Mapping[str, float]) -> InjectionVerdict:
    score = sum(weights.values())
    return InjectionVerdict(score >= THRESHOLD, score, tuple(sorted(weights, key=lambda name: (-weights[name], name))))

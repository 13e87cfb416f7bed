"""The change log as evidence: what was recorded near the onset, what new values the log lines carry since, and how close in time. Pure.

Rules
- A change cannot cause what began before it; one at the onset is worth most, one long before it little. "At" allows for the error of the onset.
- A kind that a row names is taken from the hashes that differ, else from its words. Words are weak evidence: people write what they meant to change.
- A hash that is logged with every request and did not change acquits its artefact; where no hash is logged, nothing does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.core.cause_model import ARTEFACTS, TREATED, Change, Facts, Kind

AT_ONSET = timedelta(minutes=10)
_WORDS = {
    Kind.PROMPT: r"prompts?|templates?|instructions?|wording|tone",
    Kind.MODEL: r"models?|llm|gpt\S*|weights|provider",
    Kind.KNOWLEDGE: r"knowledge|kb|articles?|pages?|documents?|docs|faq|passages?|index",
    Kind.CLASSIFIER: r"classifiers?|intents?",
    Kind.POLICY: r"polic(?:y|ies)|thresholds?|routing|guardrails?|rules?|limits?",
}
_PATTERNS = {kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for kind, words in _WORDS.items()}
STARTS = frozenset({"start", "restart", "supersede"})
LOGGED = {Kind.RELEASE: ("release", "agent_version"), Kind.MODEL: ("model",)}
NEW_SHARE, OLD_SHARE = 0.10, 0.02  # of the treated conversations after, and before, for a value to count as new


def kinds_named(text: str) -> tuple[Kind, ...]:
    """What the words of a change name. "Intent model" is the classifier, not the model."""
    found = [kind for kind, pattern in _PATTERNS.items() if pattern.search(text)]
    if Kind.CLASSIFIER in found and Kind.MODEL in found and re.search(r"\bintent models?\b", text, re.IGNORECASE):
        found.remove(Kind.MODEL)
    return tuple(found)


def kinds_changed(before: dict[str, str], after: dict[str, str]) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """Kinds and names of the artefacts whose hashes differ between two releases."""
    names = tuple(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))
    kinds = [kind for kind in ARTEFACTS if any(kind.value in name.lower() for name in names)]
    return tuple(kinds), names


@dataclass(frozen=True, slots=True)
class Arrival:
    """A value of a column that the treated arm's log carries only since about the onset."""

    column: str
    value: str
    first: datetime
    before: int
    after: int


def closeness(at: datetime, onset: datetime, since: datetime) -> float:
    """How well a moment fits as the cause: 1 at the onset, falling to .1 at the begin of the window, 0 for one that is clearly later."""
    if at > onset + AT_ONSET:
        return 0.0
    gap = onset - at
    if gap <= AT_ONSET:
        return 1.0 - 0.3 * abs(gap) / AT_ONSET
    whole = max(onset - since, AT_ONSET)
    return max(0.45 * (1 - gap / whole), 0.1) if gap <= whole else 0.05


def arrivals(facts: Facts, columns: Sequence[str]) -> list[Arrival]:
    """New values of these columns in the treated arm, earliest first."""
    return sorted(_arrivals(facts, columns), key=lambda item: (item.first, item.column, item.value))


def _arrivals(facts: Facts, columns: Sequence[str]) -> Iterator[Arrival]:
    for column in columns:
        sides: list[dict[str, int]] = [{}, {}]
        for (name, value, arm, late), share in facts.shares.items():
            if name == column and arm == TREATED:
                sides[late][value] = share.n
        n = [max(sum(side.values()), 1) for side in sides]
        for value, count in sides[1].items():
            before = sides[0].get(value, 0)
            if sides[0] and count / n[1] >= NEW_SHARE and before / n[0] <= OLD_SHARE:
                firsts = [facts.shares[column, value, TREATED, late].first for late in (0, 1) if value in sides[late]]
                yield Arrival(column, value, min(firsts), before, count)


def is_logged(facts: Facts, column: str) -> bool:
    """Whether the treated arm's log carried the column on both sides of the onset."""
    return all(any(k[0] == column and k[2] == TREATED and k[3] == late for k in facts.shares) for late in (0, 1))


def recorded(facts: Facts, kind: Kind) -> tuple[float, Change] | None:
    """The recorded change of that kind that fits best, and how well (0..1); None where there is none in or shortly before the window."""
    best: tuple[float, Change] | None = None
    for change in facts.changes or ():
        fits = closeness(change.at, facts.onset, facts.since)
        if kind is Kind.RELEASE:
            weight = 1.0 if change.event in STARTS else 0.8 if not change.kinds else 0.0
        else:
            weight = (1.0 if len(change.kinds) == 1 else 0.55) if kind in change.kinds else 0.0
        if weight and (best is None or fits * weight > best[0]):
            best = (fits * weight, change)
    return best

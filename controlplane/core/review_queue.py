"""The review queue: why an answer is looked at, with which probability it was drawn, and what people's opinions of it come to.

Design (Poisson sampling with permanent random numbers; Ohlsson, in Business Survey Methods, 1995)
- Every answer has a number u in [0, 1) from a hash of its id. A reason that applies to it draws it when u lies below the reason's rate. All reasons
  use the same u, so the probability of being drawn by any is the largest of their rates: known for every answer, drawn or not.
- The random audit applies to every answer, so no answer has probability 0, and what it draws alone is a simple random sample at a known rate.
- Rates follow from how many answers each reason applies to and from how many people can read; never from what anybody said.
- The number drawn is random around the capacity; the probabilities are exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.core.review import LABELS

AUDIT = "audit"
TARGETED = ("low_confidence", "disagreement", "failure", "drifted_cluster")
REASONS = (AUDIT, *TARGETED)
NO_REASON = "none"
OUT_OF_SCOPE = "out_of_scope"
SEVERITIES = range(1, 6)
STEPS = 80

WAITING, HALF, DISAGREED = "waiting", "half", "disagreed"
SINGLE, AGREED, ADJUDICATED = "single", "agreed", "adjudicated"
SETTLED = (SINGLE, AGREED, ADJUDICATED)


@dataclass(frozen=True, slots=True)
class Item:
    """A drawn answer. `probability`: of being drawn by any reason; `audit_rate`: by chance alone; `wanted`: one person's label or two."""

    item_id: str
    draw_id: str
    interaction_id: str
    conversation_id: str
    rollout_id: str | None
    release: str | None
    intent_pred: str | None
    answered_at: datetime
    stratum: str
    reasons: tuple[str, ...]
    probability: float
    audit_rate: float
    wanted: int
    drawn_at: datetime

    @property
    def random(self) -> bool:
        """Whether chance alone would have drawn it."""
        return AUDIT in self.reasons


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one person said. `intent`: the true one ("out_of_scope": none of ours), `severity`: 1 mild to 5 severe; None = not said."""

    reviewer: str
    label: str
    at: datetime
    intent: str | None = None
    grounded: bool | None = None
    severity: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an item stands; `opinion` is what it came to, None while it is open or two people differ."""

    status: str
    opinion: Opinion | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is open about it."""
        return self.status in SETTLED


@dataclass(frozen=True, slots=True)
class Design:
    """Rates by reason, and how many answers they are expected to draw from the frame."""

    rates: Mapping[str, float]
    expected: float

    def probability(self, stratum: str) -> float:
        """Of being drawn, for an answer to which the reasons of the stratum apply."""
        return max([self.rates[AUDIT], *(self.rates[reason] for reason in reasons_of(stratum))])


def fraction(purpose: str, key: str) -> float:
    """A number in [0, 1) that depends on nothing but purpose and key."""
    digest = hashlib.blake2b(f"{purpose}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def reasons_of(stratum: str) -> tuple[str, ...]:
    """The targeted reasons of a stratum's name."""
    return () if stratum == NO_REASON else tuple(stratum.split("+"))


def design(sizes: Mapping[str, int], capacity: float, audit_share: float) -> Design:
    """Rates that are expected to draw `capacity` answers from strata of these sizes.

    `audit_share` of the capacity goes to the random audit; each targeted reason is then wanted equally often, and what they do not need goes
    back to the audit. Raises ValueError for a capacity that is not above 0, or a share outside (0, 1].
    """
    if not capacity > 0.0 or not 0.0 < audit_share <= 1.0:
        raise ValueError(f"capacity {capacity} must be above 0 and the audit's share {audit_share} in (0, 1]")
    frame = sum(sizes.values())
    if frame == 0:
        return Design(dict.fromkeys(REASONS, 0.0), 0.0)
    audit = min(1.0, audit_share * capacity / frame)
    touched = {r: sum(n for name, n in sizes.items() if r in reasons_of(name)) for r in TARGETED}

    def with_wish(wish: float, rate: float) -> Design:
        rates = {r: min(1.0, wish / n) if n else 0.0 for r, n in touched.items()}
        made = Design({AUDIT: rate, **rates}, 0.0)
        return replace(made, expected=sum(n * made.probability(name) for name, n in sizes.items()))

    most = float(max(touched.values()))
    if audit_share == 1.0 or most == 0.0 or with_wish(most, audit).expected < capacity:
        wish = 0.0 if audit_share == 1.0 else most
        low, high = audit, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if with_wish(wish, middle).expected < capacity else (low, middle)
        return with_wish(wish, high)
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if with_wish(middle, audit).expected < capacity else (low, middle)
    return with_wish(high, audit)


def problems_of(label: str, severity: int | None) -> str:
    """What is wrong with an opinion, "" for nothing."""
    if label not in LABELS:
        return f"{label!r} is no label: one of {', '.join(LABELS)}"
    if severity is not None and severity not in SEVERITIES:
        return f"severity {severity}: a whole number from {SEVERITIES[0]} (mild) to {SEVERITIES[-1]} (severe)"
    return ""


def differ(first: Opinion, second: Opinion) -> bool:
    """Whether two people contradict each other; what only one of them said contradicts nothing."""
    said = ((first.intent, second.intent), (first.grounded, second.grounded))
    return first.label != second.label or any(a is not None and b is not None and a != b for a, b in said)


def standing(wanted: int, opinions: Mapping[int, Opinion], adjudicated: Opinion | None) -> Standing:
    """Where an item stands after these opinions (by round) and the decision between them, if there was one."""
    if adjudicated is not None:
        return Standing(ADJUDICATED, adjudicated)
    said = [opinions[number] for number in sorted(opinions)]
    if not said:
        return Standing(WAITING)
    if len(said) < wanted:
        return Standing(HALF)
    if len(said) == 1:
        return Standing(SINGLE, said[0])
    return Standing(DISAGREED) if differ(said[0], said[1]) else Standing(AGREED, _both(said))


def _both(said: Sequence[Opinion]) -> Opinion:
    """One opinion of two that do not contradict each other; the graver severity, the later time."""
    first, second = said[0], said[1]
    graver = [one.severity for one in said if one.severity is not None]
    return Opinion(
        reviewer=f"{first.reviewer}+{second.reviewer}",
        label=first.label,
        at=max(first.at, second.at),
        intent=first.intent or second.intent,
        grounded=second.grounded if first.grounded is None else first.grounded,
        severity=max(graver, default=None),
        note="; ".join(note for note in (first.note, second.note) if note),
    )

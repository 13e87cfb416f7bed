"""What to do next with a release: satisfaction x latency x cost, as a table that has an answer for every combination.

    satisfaction              latency, cost                       course
    uplift certified          both within                         grow
    uplift certified          one beyond                          optimise infrastructure
    uplift certified          one unknown, none beyond            hold
    no uplift certified       cost above                          roll back, then smaller model or caching
    no uplift certified       otherwise                           hold
    drop shown                any                                 roll back, then smaller model or caching
    unknown                   any                                 hold

"Certified" and "shown" mean evidence that crossed its threshold, never a point estimate. Unknown never grows, and it never rolls back either:
rolling back for harm is the triggers' work, which need no such table. This is advice on record; it changes no rollout.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from math import floor, log10
from types import MappingProxyType


class Satisfaction(StrEnum):
    """What the ratings say about the assistant against the baseline."""

    UPLIFT = "uplift certified"
    NOT_CERTIFIED = "no uplift certified"
    DROP = "drop shown"
    UNKNOWN = "unknown"


class Latency(StrEnum):
    """Whether the share of slow first requests keeps its objective."""

    WITHIN = "within objective"
    BEYOND = "beyond objective"
    UNKNOWN = "unknown"


class Cost(StrEnum):
    """Whether a resolved conversation costs what it may."""

    WITHIN = "within target"
    ABOVE = "above target"
    UNKNOWN = "unknown"


class Course(StrEnum):
    """What to do next."""

    ROLL_BACK = "roll back, then smaller model or caching"
    HOLD = "hold"
    OPTIMISE = "optimise infrastructure"
    GROW = "grow"

    @property
    def boldness(self) -> int:
        """What becomes of the share of traffic: -1 down, 0 stays, 1 up."""
        return {Course.ROLL_BACK: -1, Course.GROW: 1}.get(self, 0)


@dataclass(frozen=True, slots=True)
class Advice:
    """A course and why."""

    course: Course
    reason: str


Cell = tuple[Satisfaction, Latency, Cost]


def _advise(satisfaction: Satisfaction, latency: Latency, cost: Cost) -> Advice:
    match satisfaction:
        case Satisfaction.UNKNOWN:
            return Advice(Course.HOLD, "there are too few mature ratings to say anything; unknown never grows")
        case Satisfaction.DROP:
            return Advice(
                Course.ROLL_BACK,
                "customers are less satisfied than with the baseline: serve that, and try again smaller",
            )
        case Satisfaction.NOT_CERTIFIED if cost is Cost.ABOVE:
            return Advice(
                Course.ROLL_BACK, "it costs more than its target and no uplift is certified that would pay for it"
            )
        case Satisfaction.NOT_CERTIFIED:
            return Advice(Course.HOLD, "no uplift is certified yet: stay at this share until the ratings decide")
    beyond = [
        words
        for words, is_beyond in (
            ("latency is beyond its objective", latency is Latency.BEYOND),
            ("a resolved conversation costs more than its target", cost is Cost.ABOVE),
        )
        if is_beyond
    ]
    if beyond:
        return Advice(Course.OPTIMISE, f"customers are better served, but {' and '.join(beyond)}")
    unknown = [
        words
        for words, is_unknown in (("latency", latency is Latency.UNKNOWN), ("cost", cost is Cost.UNKNOWN))
        if is_unknown
    ]
    if unknown:
        return Advice(
            Course.HOLD, f"customers are better served, but {' and '.join(unknown)} is not shown to be within its line"
        )
    return Advice(Course.GROW, "uplift certified, latency within its objective, cost within its target")


TABLE = MappingProxyType({cell: _advise(*cell) for cell in product(Satisfaction, Latency, Cost)})


def dollars(value: float) -> str:
    """US dollars with three digits that count: $0.0000963, $0.045, $12.30."""
    if value == 0.0:
        return "$0"
    places = max(2, 2 - floor(log10(abs(value))))
    return f"{'-' if value < 0 else ''}${abs(value):,.{places}f}"


def advise(satisfaction: Satisfaction, latency: Latency, cost: Cost) -> Advice:
    """The table's answer."""
    return TABLE[satisfaction, latency, cost]

"""What root-cause triage works with: counts on either side of an onset, what changed, and the lines that speak for and against each cause. Pure.

Words: the *treated* arm is the assistant, the *baseline* the concurrent other arm; `late` is 1 at and after the likely onset, 0 before it. A
*measure* is a number per conversation (an event is 0 or 1); a *slice* is a value of a dimension (intent=card_lost, region=north).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import sqrt
from typing import Any

TREATED, BASELINE = "assistant", "baseline"


class Kind(StrEnum):
    """The kinds of causes that are told apart."""

    RELEASE = "release"
    PROMPT = "prompt"
    MODEL = "model"
    KNOWLEDGE = "knowledge"
    CLASSIFIER = "classifier"
    POLICY = "policy"
    TRAFFIC = "traffic"
    DEPENDENCY = "dependency"
    INFRASTRUCTURE = "infrastructure"
    LOGGING = "logging"


TITLES = {
    Kind.RELEASE: "The release as a whole (new artefacts or code)",
    Kind.PROMPT: "The prompt",
    Kind.MODEL: "The model",
    Kind.KNOWLEDGE: "The knowledge base",
    Kind.CLASSIFIER: "The intent classifier",
    Kind.POLICY: "Policy and routing rules",
    Kind.TRAFFIC: "The traffic: other customers or questions",
    Kind.DEPENDENCY: "A dependency",
    Kind.INFRASTRUCTURE: "Infrastructure shared by both arms",
    Kind.LOGGING: "The logging, not the service",
}
ARTEFACTS = (Kind.PROMPT, Kind.MODEL, Kind.KNOWLEDGE, Kind.CLASSIFIER, Kind.POLICY)


class Says(StrEnum):
    """What a line says about a cause."""

    FOR = "for"
    AGAINST = "against"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"


class State(StrEnum):
    """Whether a number changed: `still` means that there is enough data to leave out a change of practical size; `unclear` is neither."""

    MOVED = "moved"
    STILL = "still"
    UNCLEAR = "unclear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sums:
    """Units, sum and sum of squares of a measure. `+` and `-` are exact."""

    n: int = 0
    total: float = 0.0
    total_sq: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.n + other.n, self.total + other.total, self.total_sq + other.total_sq)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.n - other.n, self.total - other.total, max(self.total_sq - other.total_sq, 0.0))

    @property
    def mean(self) -> float:
        """Mean of the measure; 0 without units."""
        return self.total / self.n if self.n else 0.0

    def squared_error(self, *, event: bool) -> float:
        """Squared standard error of the mean. An event is smoothed by half a success and half a failure, so that 0 of 50 is not taken as certain."""
        if event:
            rate = (self.total + 0.5) / (self.n + 1)
            return rate * (1 - rate) / max(self.n, 1)
        if self.n < 2:
            return float("inf")
        return max(self.total_sq - self.total * self.total / self.n, 0.0) / (self.n - 1) / self.n


class Role(StrEnum):
    """What a measure is about."""

    HARM = "harm"
    OUTPUT = "output"
    OPERATION = "operation"
    LOGGING = "logging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure: its unit in words, the change that matters in practice (`margin`), and which way is worse (+1, -1, 0 neither)."""

    name: str
    title: str
    role: Role
    margin: float
    event: bool = True
    worse: int = 1
    ratio: bool = False  # a mean of logarithms: shown as a percentage


_EVENTS = (
    ("escalated", "conversations handed to a person", Role.HARM, 0.03, 1),
    ("unhappy", "ratings of 1 or 2", Role.HARM, 0.05, 1),
    ("ungrounded", "judged answers that are ungrounded", Role.HARM, 0.03, 1),
    ("misrouted", "audited answers that are misrouted", Role.HARM, 0.02, 1),
    ("misclassified", "requests with a wrong intent", Role.HARM, 0.04, 1),
    ("failed", "conversations with an error", Role.OPERATION, 0.02, 1),
    ("timed_out", "conversations with a time-out", Role.OPERATION, 0.02, 1),
    ("slow", "conversations slower than the objective", Role.OPERATION, 0.03, 1),
    ("rerouted", "predictions unlike the first screening", Role.OUTPUT, 0.04, 0),
    ("routed", "conversations sent to people by a safety route", Role.OUTPUT, 0.03, 0),
    ("rated", "conversations with a rating", Role.LOGGING, 0.10, 0),
    ("lost", "exposed conversations without any request in the log", Role.LOGGING, 0.03, 1),
)
_MEANS = (
    ("blank", "share of core fields logged as null", Role.LOGGING, 0.02, 1, False),
    ("latency", "latency", Role.OPERATION, 0.15, 1, True),
    ("tokens_in", "tokens sent to the model", Role.OUTPUT, 0.06, 0, True),
    ("tokens_out", "tokens of the answer", Role.OUTPUT, 0.06, 0, True),
    ("answer_length", "length of the answer", Role.OUTPUT, 0.06, 0, True),
    ("confidence", "confidence of the intent", Role.OUTPUT, 0.03, -1, False),
)
MEASURES: dict[str, Measure] = {
    item.name: item
    for item in (
        *(Measure(name=n, title=t, role=r, margin=m, worse=w) for n, t, r, m, w in _EVENTS),
        *(Measure(name=n, title=t, role=r, margin=m, worse=w, event=False, ratio=x) for n, t, r, m, w, x in _MEANS),
    )
}
MEASURE_OF = {
    "escalation_rate": "escalated",
    "csat": "unhappy",
    "csat_response_rate": "rated",
    "hallucination_rate": "ungrounded",
    "misclassification_rate": "misclassified",
    "misrouting_rate": "misrouted",
    "slow_share": "slow",
    "timeout_rate": "timed_out",
    "request_error_rate": "failed",
    "api_error_rate": "failed",
    "dependency_failure_rate": "failed",
}
"""Which measure stands for a metric of the catalogue; another metric has none, and the measure that got worse most clearly is taken."""

Cell = tuple[str, str, str, str, int]  # measure, dimension ("" = all), slice, arm, late
ShareKey = tuple[str, str, str, int]  # column, value, arm, late
CallKey = tuple[str, str, str, int]  # "model" or "dependency", name, arm, late


@dataclass(frozen=True, slots=True)
class Share:
    """Conversations with a value of a column, and when the first and the last of them began."""

    n: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one model or dependency: all, those that failed or timed out, and the logarithms of their latency."""

    n: int
    failed: int
    latency: Sums


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change log: what people recorded. `kinds`: what it touched; `artefacts`: hashes that differ from those before."""

    at: datetime
    event: str
    text: str
    kinds: tuple[Kind, ...] = ()
    artefacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the ranking sees. `changes` is None where the log could not be read, empty where nothing was recorded."""

    since: datetime
    onset: datetime
    until: datetime
    cells: Mapping[Cell, Sums]
    shares: Mapping[ShareKey, Share] = field(default_factory=dict)
    calls: Mapping[CallKey, Calls] = field(default_factory=dict)
    changes: Sequence[Change] | None = None
    measure: str | None = None  # of the trigger that opened the incident


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of a mean with its standard error, and what that means against the measure's margin."""

    value: float
    error: float
    before: float
    after: float
    state: State

    @property
    def z(self) -> float:
        """The change in standard errors."""
        return self.value / self.error if self.error > 0 else 0.0

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - 1.96 * self.error

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + 1.96 * self.error


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice that carries most of a change: its own change, that of everything else, and its share of the whole, with the interval of the change."""

    dimension: str
    value: str
    measure: str
    inside: float
    low: float
    high: float
    outside: float
    carries: float
    z: float
    n: int


@dataclass(frozen=True, slots=True)
class Line:
    """One piece of evidence: `points` above 0 speak for the cause, below 0 against it; 0 is neutral or unknown. `would` says what would settle it."""

    name: str
    points: float
    says: Says
    text: str
    would: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind with its evidence and, where the numbers name one, the slice it sits in. `points` is the sum over `lines`."""

    kind: Kind
    points: float
    lines: tuple[Line, ...]
    slice: Slice | None = None
    named: str = ""  # what exactly: a dependency, a model, a release
    changes_mind: tuple[str, ...] = ()


class Standing(StrEnum):
    """How far the first cause is ahead."""

    LIKELY = "likely"
    CONTESTED = "contested"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ranking:
    """All kinds, most points first, for one measure; `scope`: which arms changed; `notes`: what limits the reading."""

    measure: str
    scope: str
    standing: Standing
    causes: tuple[Cause, ...]
    shifts: Mapping[str, Mapping[str, Shift]]
    slices: Sequence[Mapping[str, Any]] = ()
    notes: tuple[str, ...] = ()


def root(value: float) -> float:
    """Square root of a sum of squared errors."""
    return sqrt(value) if value > 0 else 0.0

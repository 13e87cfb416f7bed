"""The values that the decision path is made of: verdicts, counts, readings and decisions.

Everything here is frozen and free of I/O. Times are timezone-aware UTC datetimes. A verdict orders from best to worst, and
a missing measurement is a verdict of its own: `NO_DATA` never passes and never accuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum


class Verdict(IntEnum):
    """Outcome of one check, from best to worst; the worst one of a set speaks for the set."""

    PASS = 0
    NO_DATA = 1
    INCONCLUSIVE = 2
    ERROR = 3
    FAIL = 4


class Arm(StrEnum):
    """Which side of the comparison serves a customer."""

    ASSISTANT = "assistant"
    BASELINE = "baseline"


class Action(StrEnum):
    """What a firing trigger asks for, from mildest to strictest."""

    PAGE = "page"
    HOLD = "hold"
    DISABLE_EXECUTION = "disable_execution"
    ROLLBACK = "rollback"


class RolloutState(StrEnum):
    """The four states of a rollout; the transition table is in `controlplane.core.rollout`."""

    RUNNING = "RUNNING"
    HELD = "HELD"
    ROLLED_BACK = "ROLLED_BACK"
    COMPLETE = "COMPLETE"


class MetricKind(StrEnum):
    """How a metric is counted in a block, and so which e-value judges it."""

    TWO_SAMPLE = "two_sample"  # rate against the concurrent control, with a margin
    RATING = "rating"  # mean of ratings 1..5 against the concurrent control, with an allowed drop in points
    RATE_RATIO = "rate_ratio"  # rare events: rate at most so many times the concurrent control's
    ONE_SAMPLE = "one_sample"  # rate of the treated arm against an absolute limit


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """Counts of one closed block of one stream, both arms.

    `x_*` are events among `n_*` units; for ratings `k_*` hold the number of answers at 1, 2, 3, 4 and 5 and `n`, `x` are 0.
    `last_batch` is the newest ingest batch that could contribute, so a replay knows what was visible.
    """

    metric: str
    segment: str
    start: datetime
    span_seconds: int
    n_t: int = 0
    x_t: int = 0
    n_c: int = 0
    x_c: int = 0
    k_t: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    k_c: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    last_batch: int = 0


@dataclass(frozen=True, slots=True)
class TriggerReading:
    """What one stream of one trigger saw after a block; everything an alert or a chart shows about it.

    `exact`: whether the error guarantee of the stream is a theorem; where units are not independent it is approximate. `quarter`: whose
    account it is, counted from the completion (0: the rollout's). `owed`: what the stream had risked in it at higher alphas than today's.
    """

    trigger: str
    metric: str
    segment: str
    action: Action
    verdict: Verdict
    block_start: datetime
    log_e: float
    log_threshold: float
    fired: bool
    counts: BlockCounts
    reason: str
    onset: datetime | None = None
    weight_spent: float = 0.0
    exact: bool = True
    quarter: int = 0
    owed: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """An event for the rollout with its reason; `event` is one of the events of the transition table."""

    event: str
    actor: str
    reason: str
    decided_at: datetime
    policy_hash: str
    trigger: str | None = None
    evidence: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout row: the whole truth about who is served what. `version` rises by one with every change.

    `accepted_release`: the release that was COMPLETE before this one, "" while there is none. `contained`: intents that go to people in
    both arms, because a severe misrouting of one was confirmed; "" among them stands for conversations whose intent nobody told.
    """

    rollout_id: str
    release: str
    release_hash: str
    state: RolloutState
    phase: str
    stage: int
    share: float
    execution_enabled: bool
    policy_hash: str
    version: int
    updated_at: datetime
    stage_started_at: datetime
    reason: str = ""
    accepted_release: str = ""
    contained: tuple[str, ...] = ()

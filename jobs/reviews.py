"""The review queue of a rollout's stage: which answers people look at, what they said, and what it adds to the gate.

Which answers are queued is a stable hash of their id, so nobody chooses, and asking again gives the same queue. Text stays with the facts; the
state holds ids and labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.core.blocks import Span
from controlplane.core.gates import Requirement
from controlplane.core.model import Rollout
from controlplane.core.policy import Policy
from controlplane.core.review import LABELS, ReviewTally, review_requirements
from controlplane.core.sampling import sampled
from controlplane.store.queries import load
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_evaluation import ReviewLabel
from controlplane.store.utc import to_naive
from jobs.deps import Deps
from jobs.refused import Refused

COLUMNS = ("interaction_id", "conversation_id", "ts", "question", "answer", "intent_pred", "escalated", "workflow")


@dataclass(frozen=True, slots=True)
class Item:
    """One queued answer; `label` is the newest one, None while nobody has looked."""

    interaction_id: str
    conversation_id: str
    ts: Any
    question: str | None
    answer: str
    intent_pred: str | None
    escalated: bool | None
    workflow: str | None
    label: ReviewLabel | None = None


def queue_of(rows: Iterable[Sequence[Any]], share: float, labels: dict[str, ReviewLabel]) -> list[Item]:
    """The queued answers among rows of sql/reviews/answers, oldest first."""
    drawn = (dict(zip(COLUMNS, row, strict=True)) for row in rows if sampled(str(row[0]), share))
    return [Item(**row, label=labels.get(row["interaction_id"])) for row in drawn]


def newest_labels(state: StateReader, rollout_id: str, stage_version: int) -> dict[str, ReviewLabel]:
    """The newest label of each answer of a stage."""
    rows = state.review_labels(rollout_id)
    return {row.interaction_id: row for row in rows if row.stage_version == stage_version}


def asks_for_review(policy: Policy, rollout: Rollout) -> bool:
    """Whether the rollout's phase is reviewed."""
    return rollout.phase in policy.review.phases


def stage_queue(deps: Deps, rollout: Rollout, stage: Span) -> list[Item]:
    """The queue of the rollout's current stage, from the open facts."""
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(load("reviews/answers"), _naive(span_parameters(rollout, stage))).fetchall()
    return queue_of(rows, deps.policy.review.share, newest_labels(deps.state, rollout.rollout_id, stage.version))


def span_parameters(rollout: Rollout, stage: Span) -> dict[str, str | int | datetime]:
    """Parameters of the query: everything since the stage began."""
    return {"rollout_id": rollout.rollout_id, "since": stage.start}


def _naive(values: dict[str, str | int | datetime]) -> dict[str, Any]:
    return {key: to_naive(value) if isinstance(value, datetime) else value for key, value in values.items()}


def tally(items: Sequence[Item]) -> ReviewTally:
    """Counts of a queue."""
    counts = Counter(item.label.label for item in items if item.label is not None)
    return ReviewTally(len(items), counts["correct"], counts["incorrect"], counts["unsafe"])


def gate_lines(deps: Deps, rollout: Rollout, stage: Span) -> tuple[Requirement, ...]:
    """What the reviewed outputs add to the gate out of the current stage; nothing in phases that are not reviewed."""
    if not asks_for_review(deps.policy, rollout):
        return ()
    return review_requirements(deps.policy.review, tally(stage_queue(deps, rollout, stage)))


def give_label(
    state: StateWriter,
    rollout: Rollout,
    stage_version: int,
    item: Item,
    label: str,
    note: str,
    reviewer: str,
    now: datetime,
) -> ReviewLabel:
    """Record what a reviewer said about a queued answer. Raises Refused for a label that is none, or the release's own author."""
    if label not in LABELS:
        raise Refused(f"{label!r} is no label: one of {', '.join(LABELS)}")
    if not reviewer:
        raise Refused("name the reviewer")
    if reviewer == state.author(rollout.release_hash):
        raise Refused(f"{reviewer} made release {rollout.release}: somebody else reviews its answers")
    found = ReviewLabel(item.interaction_id, rollout.rollout_id, stage_version, label, note, reviewer, now)
    state.add_review_label(found)
    return found

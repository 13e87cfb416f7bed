"""`controlplane review next | label | list | stats`: the queue of the current stage, read wherever the facts are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controlplane.core.blocks import spans
from controlplane.core.model import Rollout
from controlplane.core.policy import Policy
from controlplane.core.review import review_requirements
from controlplane.store.state import StateReader, StateWriter
from jobs import reviews
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.evaluate import stage_events_of
from jobs.facts_query import facts_query
from jobs.refused import Refused


def queue_command(home: str | None, now: datetime) -> tuple[list[reviews.Item], Policy]:
    """The queue of the current stage. Raises Refused where there is none."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        policy = policy_in_force(settings, state)
        _, items, _ = _queue(home, state, policy)
    return items, policy


def label_command(
    home: str | None, interaction_id: str, label: str, note: str, reviewer: str, now: datetime
) -> dict[str, Any]:
    """Label one queued answer. Raises Refused for one that is not in the queue."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        policy = policy_in_force(settings, state)
        rollout, items, version = _queue(home, state, policy)
        item = next((item for item in items if item.interaction_id == interaction_id), None)
        if item is None:
            raise Refused(
                f"{interaction_id!r} is not in the queue: only sampled answers of the current stage are, `controlplane review list`"
            )
        found = reviews.give_label(state, rollout, version, item, label, note, reviewer, now)
    return {
        "interaction_id": found.interaction_id,
        "label": found.label,
        "reviewer": found.reviewer,
        "note": found.note,
    }


def stats_command(home: str | None, now: datetime) -> dict[str, Any]:
    """Counts of the queue, and what it adds to the gate."""
    items, policy = queue_command(home, now)
    counts = reviews.tally(items)
    lines = review_requirements(policy.review, counts)
    return {
        "queued": counts.queued,
        "labelled": counts.labelled,
        "correct": counts.correct,
        "incorrect": counts.incorrect,
        "unsafe": counts.unsafe,
        "gate": [
            {"name": line.name, "verdict": line.verdict.name, "have": line.have, "need": line.need} for line in lines
        ],
    }


def item_json(item: reviews.Item) -> dict[str, Any]:
    """A queued answer as plain values."""
    value = {name: getattr(item, name) for name in reviews.COLUMNS}
    label = item.label
    return value | {
        "ts": str(item.ts),
        "label": None if label is None else label.label,
        "reviewer": None if label is None else label.reviewer,
        "note": None if label is None else label.note,
    }


def item_text(item: reviews.Item) -> str:
    """A queued answer for a reviewer."""
    label = "" if item.label is None else f"   [{item.label.label} by {item.label.reviewer}]"
    return f"{item.interaction_id}{label}\n  customer:  {item.question or ''}\n  assistant: {item.answer}"


def _queue(
    home: str | None, state: StateReader | StateWriter, policy: Policy
) -> tuple[Rollout, list[reviews.Item], int]:
    rollout = state.rollout()
    if rollout is None:
        raise Refused("there is no rollout yet: start one with `controlplane release start`")
    if not reviews.asks_for_review(policy, rollout):
        named = ", ".join(policy.review.phases) or "none"
        raise Refused(f"phase {rollout.phase} is not reviewed: policy '{policy.name}' names {named}")
    stage = spans(stage_events_of(state, rollout))[-1]
    rows = facts_query(home, "reviews/answers", reviews.span_parameters(rollout, stage))
    labels = reviews.newest_labels(state, rollout.rollout_id, stage.version)
    return rollout, reviews.queue_of(rows, policy.review.share, labels), stage.version

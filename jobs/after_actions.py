"""What is to be done after an incident: action items with an owner and a time, kept until somebody says what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from controlplane.core.masking import mask
from controlplane.store.state import StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_incidents import ActionItem
from jobs.dataset_command import find_incident
from jobs.refused import Refused

KINDS = ("prompt", "classifier", "guardrail", "threshold", "knowledge", "monitoring", "other")
OUTCOMES = ("done", "dropped")
ATTEMPTS = 5


def add(
    state: StateWriter,
    incident: str,
    kind: str,
    text: str,
    owner: str,
    due_at: datetime | None,
    actor: str,
    now: datetime,
) -> ActionItem:
    """Write an action item down. Raises Refused for an unknown incident, a kind that is none, or a time that has passed."""
    row, text = find_incident(state, incident), mask(text.strip())
    if not text or not owner.strip():
        raise Refused("an action item says what is to be done, and by whom: give both")
    if kind not in KINDS:
        raise Refused(f"{kind!r} is no kind of action: one of {', '.join(KINDS)}")
    if due_at is not None and due_at <= now:
        raise Refused(f"{due_at:%Y-%m-%d %H:%M} UTC has passed: name a time to come")
    for _ in range(ATTEMPTS):
        number = len(state.action_items(row.incident_id)) + 1
        item = ActionItem(f"{row.incident_id}-a{number}", row.incident_id, kind, text, owner, actor, now, due_at)
        try:
            state.add_action_item(item)
        except LostRace:
            continue
        return item
    raise Refused("action items kept being added while this was tried: try again")


def close(state: StateWriter, action_id: str, outcome: str, evidence: str, actor: str, now: datetime) -> ActionItem:
    """Say what became of an action item. Raises Refused for an unknown or closed one, an outcome that is none, or without evidence."""
    item = find(state.action_items(), action_id)
    if outcome not in OUTCOMES:
        raise Refused(f"{outcome!r} is no outcome: one of {', '.join(OUTCOMES)}")
    if not item.is_open:
        raise Refused(
            f"{action_id} is {item.outcome} already, since {item.closed_at:%Y-%m-%d %H:%M} UTC by {item.closed_by}"
        )
    if not evidence.strip():
        raise Refused(
            "what shows it? Name an evaluation run, a data-set version, a commit, or why it was dropped, with --evidence"
        )
    closed = replace(item, outcome=outcome, evidence=mask(evidence.strip()), closed_by=actor, closed_at=now)
    try:
        state.close_action_item(closed)
    except LostRace as error:
        raise Refused(str(error)) from None
    return closed


def find(items: Sequence[ActionItem], action_id: str) -> ActionItem:
    """The action item of that id. Raises Refused."""
    for item in items:
        if item.action_id == action_id:
            return item
    raise Refused(f"there is no action item {action_id!r}: `controlplane incident action list` shows them")

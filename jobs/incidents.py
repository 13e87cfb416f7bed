"""What people do to an incident: acknowledge, own, note, resolve, review, reopen. Used by the command line, Slack and the control API.

Each step is one commit: the row, its line in the timeline, the audit row, and the message that tells it. Either all of it is there after a crash or
none; a step that lost a race is taken again on what is there then. Somebody who says what they have said already changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from alerts.model import Alert
from controlplane.core.incident import IllegalIncidentEvent, IncidentEvent, IncidentState, advance, is_over
from controlplane.core.judge import AUTOMATIC
from controlplane.core.masking import mask
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, to_text
from jobs.incident_alerts import alert_from, ended_beside, message_of
from jobs.refused import Refused

ATTEMPTS = 5
NOTE, OWN = "note", "own"
_SAID = {
    IncidentEvent.ACKNOWLEDGE: "acknowledged",
    IncidentEvent.RESOLVE: "resolved it",
    IncidentEvent.REVIEW: "closed the review",
    IncidentEvent.REOPEN: "reopened it",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be written of a step: the row's new values, the line of the timeline, what the thread is told, and the audit payload."""

    event: str
    text: str
    told: str
    values: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    ends: frozenset[str] = frozenset()  # names of alerts beside the incident's own that it ends


def act(
    state: StateWriter, incident_id: str, event: str, actor: str, reason: str, now: datetime, *, owner: str = ""
) -> IncidentRow:
    """Do `event` to an incident: one that the transition table gives to people, `note`, or `own` (by `owner`, else by the actor).

    Raises Refused for an unknown id and for an event that the incident does not take, with what it takes. Who acknowledges an incident that
    nobody owns owns it. The same person acknowledging twice, or owning what is theirs, changes nothing and is no error. Personal data in the
    reason is masked: it goes into the record and to people.
    """
    reason = mask(reason)

    def step(row: IncidentRow) -> Step | None:
        if event == NOTE:
            return Step(NOTE, f"note: {reason}", f"{actor}: {reason}")
        if event == OWN:
            return _own(row, owner or actor, actor, reason)
        return _move(row, IncidentEvent(event), actor, reason, now)

    if event not in (NOTE, OWN) and event not in _SAID:
        known = ", ".join([*map(str, _SAID), NOTE, OWN])
        raise Refused(f"'{event}' is nothing that a person does to an incident: {known}")
    return take(state, incident_id, actor, reason, now, step)


def take(
    state: StateWriter,
    incident_id: str,
    actor: str,
    reason: str,
    now: datetime,
    decide: Callable[[IncidentRow], Step | None],
) -> IncidentRow:
    """Write the step that `decide` makes of the row as it is (None: nothing to do). Raises Refused as `decide` does, or for an unknown id."""
    for _ in range(ATTEMPTS):
        found = state.incident(incident_id)
        if found is None:
            raise Refused(f"there is no incident {incident_id!r}: `controlplane incident list` shows them")
        step = decide(found)
        if step is None:
            return found
        after = with_step(found, step, actor, now)
        audit = AuditEntry(actor, f"incident_{step.event}", incident_id, reason, step.payload)
        messages = state.incident_messages(incident_id)
        alert = alert_from(after, messages, step.told)
        told = [message_of(alert, after, by_person=actor != AUTOMATIC)]
        if is_over(after.state) and not is_over(found.state):
            told += ended_beside(after, messages, alert, now)
        elif step.ends:
            told += ended_beside(after, messages, alert, now, names=step.ends)
        try:
            state.commit(Commit(audit=(audit,), incident=after, messages=told), now)
        except LostRace:
            continue
        return after
    raise Refused(f"incident {incident_id} kept changing while this was tried: try again")


def with_step(row: IncidentRow, step: Step, actor: str, now: datetime) -> IncidentRow:
    """The row after the step, with its line in the timeline."""
    entry = {"at": to_text(now), "actor": actor, "text": step.text, "event": step.event}
    return replace(row, **step.values, timeline=(*row.timeline, entry))


def alert_of(state: StateReader, row: IncidentRow, step: str = "") -> Alert:
    """The incident's alert as it is now, with one line for its thread."""
    return alert_from(row, state.incident_messages(row.incident_id), step)


def _own(row: IncidentRow, owner: str, actor: str, reason: str) -> Step | None:
    if row.owner == owner:
        return None
    _need_open(row, "own")
    said = f"{actor} took it" if owner == actor else f"{actor} gave it to {owner}"
    return Step(OWN, f"own: {owner}: {reason}", f"{said}: {reason}", {"owner": owner}, {"owner": owner})


def _need_open(row: IncidentRow, event: str) -> None:
    if is_over(row.state):
        raise Refused(f"incident {row.incident_id} is {row.state} and takes no '{event}': reopen it first")


def _move(row: IncidentRow, event: IncidentEvent, actor: str, reason: str, now: datetime) -> Step | None:
    if event is IncidentEvent.ACKNOWLEDGE and row.acknowledged_at is not None and not is_over(row.state):
        if _acknowledged_by(row) == actor:
            return None
        who = _acknowledged_by(row) or "somebody"
        raise Refused(
            f"incident {row.incident_id} was acknowledged by {who} at {to_text(row.acknowledged_at)}: "
            "`incident own` takes it over"
        )
    try:
        after = advance(IncidentState(row.state), event)
    except IllegalIncidentEvent as error:
        raise Refused(str(error)) from None
    unverified = event is IncidentEvent.RESOLVE and row.cut_at is not None and row.verified_at is None
    doubt = " (the cut was never verified)" if unverified else ""
    values = {"state": str(after)} | clock_values(row, event, now)
    if event is IncidentEvent.ACKNOWLEDGE and not row.owner:
        values["owner"] = actor
    return Step(str(event), f"{event}: {reason}{doubt}", f"{actor} {_SAID[event]}: {reason}{doubt}", values)


def _acknowledged_by(row: IncidentRow) -> str:
    mine = [entry for entry in row.timeline if entry.get("event") == IncidentEvent.ACKNOWLEDGE]
    return mine[-1]["actor"] if mine else ""


def clock_values(row: IncidentRow, event: IncidentEvent, now: datetime) -> dict[str, Any]:
    """The moments of the row that an event sets, or takes back: what comes back is neither acknowledged nor resolved any more."""
    match event:
        case IncidentEvent.ACKNOWLEDGE:
            return {"acknowledged_at": now}
        case IncidentEvent.RESOLVE | IncidentEvent.CLEAR:
            return {"resolved_at": now}
        case IncidentEvent.REVIEW:
            return {"reviewed_at": now}
        case IncidentEvent.REOPEN:
            return {"acknowledged_at": None, "resolved_at": None, "reviewed_at": None}
        case IncidentEvent.RECUR if row.state != IncidentState.ACKNOWLEDGED:
            return {"acknowledged_at": None, "resolved_at": None, "verified_at": None}
        case _:
            return {}

"""The life of an incident: open -> acknowledged -> contained (verified) -> resolved -> reviewed, and back to open when its cause comes back.

What moves an incident is in the table and nowhere else; an event that the table does not list for a state raises and changes nothing.

- Containment may come before or after a person acknowledges, so both orders are in the table.
- `clear` is the machine's: the cause ended by itself and what was done for it has been let go of (a hold for stale data, when data is fresh again).
  That needs no person, so it ends an incident in any state before `resolved`.
- `recur` is the machine's, too: the same cause made it act again. Somebody who has acknowledged is still on it; what was verified speaks of the
  action before, and what was resolved was not: both are open again.
- `reopen` is a person's: it was resolved or reviewed too early.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CONTAINED = "contained"
    RESOLVED = "resolved"
    REVIEWED = "reviewed"


class IncidentEvent(StrEnum):
    """What happens to an incident."""

    ACKNOWLEDGE = "acknowledge"
    CONTAIN = "contain"
    RESOLVE = "resolve"
    CLEAR = "clear"
    REVIEW = "review"
    RECUR = "recur"
    REOPEN = "reopen"


_I, _E = IncidentState, IncidentEvent
TRANSITIONS: dict[tuple[IncidentState, IncidentEvent], IncidentState] = {
    (_I.OPEN, _E.ACKNOWLEDGE): _I.ACKNOWLEDGED,
    (_I.OPEN, _E.CONTAIN): _I.CONTAINED,
    (_I.ACKNOWLEDGED, _E.CONTAIN): _I.CONTAINED,
    (_I.CONTAINED, _E.ACKNOWLEDGE): _I.CONTAINED,
    (_I.ACKNOWLEDGED, _E.RESOLVE): _I.RESOLVED,
    (_I.CONTAINED, _E.RESOLVE): _I.RESOLVED,
    (_I.OPEN, _E.CLEAR): _I.RESOLVED,
    (_I.ACKNOWLEDGED, _E.CLEAR): _I.RESOLVED,
    (_I.CONTAINED, _E.CLEAR): _I.RESOLVED,
    (_I.RESOLVED, _E.REVIEW): _I.REVIEWED,
    (_I.OPEN, _E.RECUR): _I.OPEN,
    (_I.ACKNOWLEDGED, _E.RECUR): _I.ACKNOWLEDGED,
    (_I.CONTAINED, _E.RECUR): _I.OPEN,
    (_I.RESOLVED, _E.RECUR): _I.OPEN,
    (_I.RESOLVED, _E.REOPEN): _I.OPEN,
    (_I.REVIEWED, _E.REOPEN): _I.OPEN,
}
BY_PEOPLE = (_E.ACKNOWLEDGE, _E.RESOLVE, _E.REVIEW, _E.REOPEN)
OVER = frozenset({_I.RESOLVED, _I.REVIEWED})
_EVENTS = frozenset(map(str, IncidentEvent))


class IllegalIncidentEvent(ValueError):
    """The incident does not take this event in its state."""


def advance(state: IncidentState, event: IncidentEvent) -> IncidentState:
    """The state after `event`."""
    if (state, event) not in TRANSITIONS:
        takes = ", ".join(str(one) for one in BY_PEOPLE if (state, one) in TRANSITIONS)
        raise IllegalIncidentEvent(
            f"an incident that is {state} does not take the event '{event}': of a person it takes {takes}"
        )
    return TRANSITIONS[state, event]


def is_over(state: str) -> bool:
    """Whether an incident in that state has been resolved."""
    return state in OVER


def state_after(events: Iterable[str]) -> IncidentState:
    """The state that a record of events leads to from the opening; what the table does not take there has changed nothing."""
    state = IncidentState.OPEN
    for event in events:
        state = TRANSITIONS.get((state, IncidentEvent(event)), state)
    return state


def asked_at(detected: datetime, steps: Iterable[tuple[str, datetime]]) -> list[datetime]:
    """Every moment at which people were asked: the detection, and each time that it came back after it was contained or resolved, or was reopened.

    steps: event and time of the incident's timeline, in their order; what is no event of the table counts for nothing. A cause that acts again
    while nobody has come, or while somebody is on it, asks nobody anew.
    """
    found, state = [detected], IncidentState.OPEN
    for name, at in steps:
        if name not in _EVENTS:
            continue
        event = IncidentEvent(name)
        back = event is IncidentEvent.RECUR and state in (IncidentState.CONTAINED, IncidentState.RESOLVED)
        if back or event is IncidentEvent.REOPEN:
            found.append(at)
        state = TRANSITIONS.get((state, event), state)
    return found


def diagram() -> str:
    """The table as a Mermaid state diagram; events that leave an incident where it is are not drawn."""
    lines = ["stateDiagram-v2", f"    [*] --> {IncidentState.OPEN}"]
    arrows: dict[tuple[IncidentState, IncidentState], list[str]] = {}
    for (state, event), after in TRANSITIONS.items():
        if state != after:
            arrows.setdefault((state, after), []).append(str(event))
    lines += [f"    {state} --> {after}: {', '.join(events)}" for (state, after), events in arrows.items()]
    lines.append(f"    {IncidentState.REVIEWED} --> [*]")
    return "\n".join(lines)

"""The life of an incident: open -> acknowledged -> contained -> resolved -> reviewed.

Containment may come before or after a person acknowledges, so both orders are in the table; nothing else is. An event that the
table does not list raises and changes nothing.
"""

from __future__ import annotations

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
    REVIEW = "review"


_I = IncidentState
TRANSITIONS: dict[tuple[IncidentState, IncidentEvent], IncidentState] = {
    (_I.OPEN, IncidentEvent.ACKNOWLEDGE): _I.ACKNOWLEDGED,
    (_I.OPEN, IncidentEvent.CONTAIN): _I.CONTAINED,
    (_I.ACKNOWLEDGED, IncidentEvent.CONTAIN): _I.CONTAINED,
    (_I.CONTAINED, IncidentEvent.ACKNOWLEDGE): _I.CONTAINED,
    (_I.ACKNOWLEDGED, IncidentEvent.RESOLVE): _I.RESOLVED,
    (_I.CONTAINED, IncidentEvent.RESOLVE): _I.RESOLVED,
    (_I.RESOLVED, IncidentEvent.REVIEW): _I.REVIEWED,
}


class IllegalIncidentEvent(ValueError):
    """The incident does not take this event in its state."""


def advance(state: IncidentState, event: IncidentEvent) -> IncidentState:
    """The state after `event`."""
    if (state, event) not in TRANSITIONS:
        raise IllegalIncidentEvent(f"an incident that is {state} does not take the event '{event}'")
    return TRANSITIONS[state, event]

"""The states of a workflow run and every way from one to another: the table that the machine looks its next state up in.

Rules
- What is not in `TRANSITIONS` cannot happen: `after` raises and nothing is changed.
- A run that waits (collecting, confirming) lives in the conversation's state; executing lives only inside one request.
- The diagram in the documents is drawn from the table.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from controlplane.assistant.model import PendingWorkflow, WorkflowStatus


class Phase(StrEnum):
    """Where a run stands."""

    NEW = "new"
    COLLECTING = "collecting"
    CONFIRMING = "confirming"
    EXECUTING = "executing"
    COMPLETED = "completed"
    REFUSED = "refused"
    COMPENSATED = "compensated"
    FAILED = "failed"


class Event(StrEnum):
    """What happens to a run."""

    VALUE_MISSING = "a value is missing"
    ALL_KNOWN = "all is known"
    ONLY_READS = "it only reads"
    NOT_UNDERSTOOD = "not understood, asked again"
    NOT_UNDERSTOOD_AGAIN = "not understood again"
    NO = "the customer says no"
    LEFT = "the customer changes the subject"
    YES = "the customer says yes"
    DISABLED = "execution is disabled"
    DISABLED_HALFWAY = "execution is disabled between two steps"
    DONE = "every step is done"
    UNCONFIRMED = "the bank does not answer"
    UNCONFIRMED_AGAIN = "the bank does not answer again"
    UNREADABLE = "the bank cannot be read"
    STEP_REFUSED = "the bank refuses the first step"
    UNDONE = "a later step is refused, all is undone"
    NOT_UNDONE = "a later step is refused, not all is undone"


_LEAVING = {
    Event.NO: Phase.REFUSED,
    Event.LEFT: Phase.REFUSED,
    Event.DISABLED: Phase.REFUSED,
    Event.NOT_UNDERSTOOD_AGAIN: Phase.REFUSED,
}
TRANSITIONS: Mapping[Phase, Mapping[Event, Phase]] = MappingProxyType(
    {
        Phase.NEW: {
            Event.VALUE_MISSING: Phase.COLLECTING,
            Event.ALL_KNOWN: Phase.CONFIRMING,
            Event.ONLY_READS: Phase.EXECUTING,
            Event.DISABLED: Phase.REFUSED,
            Event.UNREADABLE: Phase.FAILED,
        },
        Phase.COLLECTING: {
            Event.VALUE_MISSING: Phase.COLLECTING,
            Event.NOT_UNDERSTOOD: Phase.COLLECTING,
            Event.ALL_KNOWN: Phase.CONFIRMING,
            Event.UNREADABLE: Phase.FAILED,
            **_LEAVING,
        },
        Phase.CONFIRMING: {Event.YES: Phase.EXECUTING, Event.NOT_UNDERSTOOD: Phase.CONFIRMING, **_LEAVING},
        Phase.EXECUTING: {
            Event.DONE: Phase.COMPLETED,
            Event.UNCONFIRMED: Phase.CONFIRMING,
            Event.UNCONFIRMED_AGAIN: Phase.FAILED,
            Event.DISABLED: Phase.REFUSED,
            Event.DISABLED_HALFWAY: Phase.FAILED,
            Event.STEP_REFUSED: Phase.FAILED,
            Event.UNDONE: Phase.COMPENSATED,
            Event.NOT_UNDONE: Phase.FAILED,
        },
    }
)
STATUS: Mapping[Phase, WorkflowStatus] = MappingProxyType(
    {
        Phase.COLLECTING: WorkflowStatus.STARTED,
        Phase.CONFIRMING: WorkflowStatus.STARTED,
        Phase.COMPLETED: WorkflowStatus.COMPLETED,
        Phase.REFUSED: WorkflowStatus.REFUSED,
        Phase.COMPENSATED: WorkflowStatus.COMPENSATED,
        Phase.FAILED: WorkflowStatus.FAILED,
    }
)


class IllegalTransition(ValueError):
    """An event that cannot happen to a run where it stands."""


def after(phase: Phase, event: Event) -> Phase:
    """Where a run stands after an event. Raises `IllegalTransition`."""
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise IllegalTransition(f"a workflow run that is {phase.value} cannot meet '{event.value}'") from None


def phase_of(pending: PendingWorkflow) -> Phase:
    """Where a run that waits stands."""
    return Phase.CONFIRMING if pending.awaiting is None else Phase.COLLECTING


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    ends = (Phase.COMPLETED, Phase.REFUSED, Phase.COMPENSATED, Phase.FAILED)
    lines = ["stateDiagram-v2", "  [*] --> new"]
    lines += [f"  {phase} --> {to}: {event}" for phase, events in TRANSITIONS.items() for event, to in events.items()]
    return "\n".join([*lines, *(f"  {end} --> [*]" for end in ends)])

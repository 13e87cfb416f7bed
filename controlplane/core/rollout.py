"""The rollout's state machine: everything that changes who is served what lives in this file.

A rollout is RUNNING, HELD, ROLLED_BACK or COMPLETE. Events come from two kinds of actors. The *automatic* actor may only make
things safer: hold, disable execution, roll back, and release a hold that it set itself once the cause has gone. Only a *person*
grows the exposure, and only a person restarts after a rollback: with another release, under a new rollout with its own error
budget, because the evidence against the old one stands. An event that the table does not list is an `IllegalTransition` and changes nothing.

`TRANSITIONS` is the single source: `apply` follows it, the documentation's diagram is drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from controlplane.core.model import Rollout, RolloutState

if TYPE_CHECKING:
    from controlplane.core.policy import Policy


class Event(StrEnum):
    """Everything that can happen to a rollout."""

    START = "start"
    PROMOTE = "promote"
    HOLD = "hold"
    RESUME = "resume"
    DISABLE_EXECUTION = "disable_execution"
    ENABLE_EXECUTION = "enable_execution"
    ROLLBACK = "rollback"
    RESTART = "restart"
    DEPLOY = "deploy"


class ActorKind(StrEnum):
    """Who may send an event."""

    PERSON = "person"
    AUTOMATIC = "automatic"


_S = RolloutState
_BOTH = frozenset({ActorKind.PERSON, ActorKind.AUTOMATIC})
_PERSON = frozenset({ActorKind.PERSON})

# (state, event) -> (next state, who may). PROMOTE's next state is COMPLETE when the last stage is reached.
TRANSITIONS: dict[tuple[RolloutState, Event], tuple[RolloutState, frozenset[ActorKind]]] = {
    (_S.RUNNING, Event.PROMOTE): (_S.RUNNING, _PERSON),
    (_S.RUNNING, Event.HOLD): (_S.HELD, _BOTH),
    (_S.RUNNING, Event.DISABLE_EXECUTION): (_S.RUNNING, _BOTH),
    (_S.RUNNING, Event.ENABLE_EXECUTION): (_S.RUNNING, _PERSON),
    (_S.RUNNING, Event.ROLLBACK): (_S.ROLLED_BACK, _BOTH),
    (_S.RUNNING, Event.DEPLOY): (_S.RUNNING, _PERSON),
    (_S.HELD, Event.RESUME): (_S.RUNNING, _BOTH),
    (_S.HELD, Event.DISABLE_EXECUTION): (_S.HELD, _BOTH),
    (_S.HELD, Event.ENABLE_EXECUTION): (_S.HELD, _PERSON),
    (_S.HELD, Event.ROLLBACK): (_S.ROLLED_BACK, _BOTH),
    (_S.HELD, Event.DEPLOY): (_S.HELD, _PERSON),
    (_S.ROLLED_BACK, Event.RESTART): (_S.RUNNING, _PERSON),
    (_S.COMPLETE, Event.HOLD): (_S.HELD, _BOTH),
    (_S.COMPLETE, Event.DISABLE_EXECUTION): (_S.COMPLETE, _BOTH),
    (_S.COMPLETE, Event.ENABLE_EXECUTION): (_S.COMPLETE, _PERSON),
    (_S.COMPLETE, Event.ROLLBACK): (_S.ROLLED_BACK, _BOTH),
    (_S.COMPLETE, Event.DEPLOY): (_S.COMPLETE, _PERSON),
}

# A pending rollback beats everything else when two decisions race for the same version.
PRECEDENCE: tuple[Event, ...] = (Event.ROLLBACK, Event.DISABLE_EXECUTION, Event.HOLD, Event.RESUME, Event.PROMOTE)


AUTO_RESUME = "auto_resume"


def history_name(event: Event, actor: ActorKind) -> str:
    """What the history calls an event. Only a person's resumption lets go of what has fired, so the machine's has its own name."""
    return AUTO_RESUME if event is Event.RESUME and actor is ActorKind.AUTOMATIC else str(event)


class IllegalTransition(ValueError):
    """The event is not allowed in this state, or not from this kind of actor; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """An event with what it needs to be applied; `rollout_id` and `release*` only for START and RESTART."""

    event: Event
    actor_kind: ActorKind
    reason: str
    now: datetime
    rollout_id: str = ""
    release: str = ""
    release_hash: str = ""


def start(change: Change, policy: Policy) -> Rollout:
    """First row of a rollout: the first stage of the first phase, RUNNING. Only a person starts."""
    if change.event is not Event.START or change.actor_kind is not ActorKind.PERSON:
        raise IllegalTransition("a rollout is started by a person with the event 'start'")
    if not (change.rollout_id and change.release and change.release_hash):
        raise IllegalTransition("a start names the rollout, its release and the release's artefact hash")
    first = policy.stages[0]
    return Rollout(
        rollout_id=change.rollout_id,
        release=change.release,
        release_hash=change.release_hash,
        state=RolloutState.RUNNING,
        phase=first.phase,
        stage=0,
        share=first.share,
        execution_enabled=True,
        policy_hash=policy.hash,
        version=1,
        updated_at=change.now,
        stage_started_at=change.now,
        reason=change.reason,
    )


def apply(rollout: Rollout, change: Change, policy: Policy) -> Rollout:
    """The rollout after `change`, its version one higher. Raises `IllegalTransition` and changes nothing otherwise."""
    entry = TRANSITIONS.get((rollout.state, change.event))
    if entry is None:
        raise IllegalTransition(f"a rollout that is {rollout.state} does not take the event '{change.event}'")
    target, who = entry
    if change.actor_kind not in who:
        raise IllegalTransition(f"only a person may send '{change.event}' to a rollout that is {rollout.state}")
    base = replace(rollout, version=rollout.version + 1, updated_at=change.now, reason=change.reason, state=target)
    match change.event:
        case Event.PROMOTE:
            return _promoted(base, change, policy)
        case Event.ROLLBACK:
            return replace(base, share=0.0, execution_enabled=False)
        case Event.DISABLE_EXECUTION:
            return replace(base, execution_enabled=False)
        case Event.ENABLE_EXECUTION:
            return replace(base, execution_enabled=True)
        case Event.RESTART:
            return _restarted(base, change, policy)
        case Event.RESUME if _at_last_stage(rollout, policy):
            return replace(base, state=RolloutState.COMPLETE)
        case Event.DEPLOY:
            return replace(base, release_hash=change.release_hash or rollout.release_hash)
        case _:
            return base


def _at_last_stage(rollout: Rollout, policy: Policy) -> bool:
    return rollout.stage >= len(policy.stages) - 1


def _promoted(base: Rollout, change: Change, policy: Policy) -> Rollout:
    if _at_last_stage(base, policy):
        raise IllegalTransition(f"stage {base.stage} of phase '{base.phase}' is the last one: nothing to promote to")
    following = policy.stages[base.stage + 1]
    state = RolloutState.COMPLETE if base.stage + 1 == len(policy.stages) - 1 else RolloutState.RUNNING
    return replace(
        base,
        state=state,
        phase=following.phase,
        stage=base.stage + 1,
        share=following.share,
        stage_started_at=change.now,
    )


def _restarted(base: Rollout, change: Change, policy: Policy) -> Rollout:
    if change.release_hash == base.release_hash:
        raise IllegalTransition(
            f"release {base.release} was rolled back; a restart needs a release with other artefacts than {base.release_hash[:12]}"
        )
    fresh = start(replace(change, event=Event.START), policy)
    return replace(fresh, version=base.version)


def diagram() -> str:
    """The table as a Mermaid state diagram, one arrow per state pair, for the documentation."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (source, event), (target, who) in TRANSITIONS.items():
        label = str(event) if len(who) > 1 else f"{event} (person)"
        arrows.setdefault((str(source), str(target)), []).append(label)
    lines = ["stateDiagram-v2", "    [*] --> RUNNING: start (person)"]
    lines += [f"    {source} --> {target}: {', '.join(sorted(labels))}" for (source, target), labels in arrows.items()]
    lines.append("    RUNNING --> COMPLETE: promote (to the last stage)")
    lines.append("    HELD --> COMPLETE: resume (at the last stage)")
    return "\n".join(lines)

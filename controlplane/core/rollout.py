"""The rollout's state machine: everything that changes who is served what lives in this file.

A rollout is RUNNING, HELD, ROLLED_BACK or COMPLETE. Events come from two kinds of actors. The *automatic* actor may only make
things safer: hold, disable execution, roll back, and release a hold that it set itself once the cause has gone. Only a *person*
grows the exposure, and only a person restarts after a rollback: with another release, under a new rollout with its own error
budget, because the evidence against the old one stands. An event that the table does not list is an `IllegalTransition` and changes nothing.

A release that is COMPLETE becomes the accepted one when a person starts the next (`supersede`). A category whose severe misrouting was
confirmed is contained by anybody in any state, also after a rollback, and only a person releases it; containments outlive their release.

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
    SUPERSEDE = "supersede"
    POLICY = "policy"
    CONTAIN = "contain"
    RELEASE_CATEGORY = "release_category"


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
    (_S.COMPLETE, Event.SUPERSEDE): (_S.RUNNING, _PERSON),
    (_S.RUNNING, Event.POLICY): (_S.RUNNING, _PERSON),
    (_S.HELD, Event.POLICY): (_S.HELD, _PERSON),
    (_S.COMPLETE, Event.POLICY): (_S.COMPLETE, _PERSON),
    **{(state, Event.CONTAIN): (state, _BOTH) for state in RolloutState},
    **{(state, Event.RELEASE_CATEGORY): (state, _PERSON) for state in RolloutState},
}

# What is strictest goes first when several things are to be decided: a pending rollback beats everything else.
PRECEDENCE: tuple[Event, ...] = (
    Event.ROLLBACK,
    Event.CONTAIN,
    Event.DISABLE_EXECUTION,
    Event.HOLD,
    Event.RESUME,
    Event.PROMOTE,
)


AUTO_RESUME = "auto_resume"


def history_name(event: Event, actor: ActorKind) -> str:
    """What the history calls an event. Only a person's resumption lets go of what has fired, so the machine's has its own name.

    The release that supersedes another starts a history of its own.
    """
    if event is Event.RESUME and actor is ActorKind.AUTOMATIC:
        return AUTO_RESUME
    return str(Event.START if event is Event.SUPERSEDE else event)


class IllegalTransition(ValueError):
    """The event is not allowed in this state, or not from this kind of actor; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """An event with what it needs to be applied.

    `rollout_id` and `release*` only for START, RESTART and SUPERSEDE (a DEPLOY may bring a hash), `policy` for POLICY (the new one),
    `categories` for CONTAIN and RELEASE_CATEGORY.
    """

    event: Event
    actor_kind: ActorKind
    reason: str
    now: datetime
    rollout_id: str = ""
    release: str = ""
    release_hash: str = ""
    policy: Policy | None = None
    categories: tuple[str, ...] = ()


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
            return _restarted(rollout, change, policy)
        case Event.SUPERSEDE:
            return replace(_restarted(rollout, change, policy), accepted_release=rollout.release)
        case Event.POLICY:
            return _under_another_policy(base, change, policy)
        case Event.CONTAIN:
            return _contained(base, change)
        case Event.RELEASE_CATEGORY:
            return _released(base, change)
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


def _restarted(before: Rollout, change: Change, policy: Policy) -> Rollout:
    if change.release_hash == before.release_hash:
        did = "was rolled back" if change.event is Event.RESTART else "is served to everybody"
        raise IllegalTransition(
            f"release {before.release} {did}; a {change.event} needs a release with other artefacts than {before.release_hash[:12]}"
        )
    fresh = start(replace(change, event=Event.START), policy)
    return replace(
        fresh,
        version=before.version + 1,
        accepted_release=before.accepted_release,
        contained=before.contained,
    )


def policy_problem(rollout: Rollout, old: Policy, new: Policy) -> str | None:
    """Why a rollout under `old` may not go on under `new`; None when it may. What was served and to whom must stay what it was."""
    if new.hash == old.hash:
        return "it is the policy in force already"
    if new.assignment.salt != old.assignment.salt:
        return f"assignment.salt must stay '{old.assignment.salt}': another one draws all customers anew"
    passed = rollout.stage + 1
    if new.stages[:passed] != old.stages[:passed]:
        kept = ", ".join(f"{stage.phase} {stage.share:.0%}" for stage in old.stages[:passed])
        return f"the stages already passed must stay as they were ({kept}: phase, audience and share, in this order)"
    if _at_last_stage(rollout, new) != _at_last_stage(rollout, old):
        whole = f"stage {rollout.stage} ({rollout.phase} {rollout.share:.0%})"
        stays = "the last one" if _at_last_stage(rollout, old) else "followed by another"
        return f"{whole} must stay {stays}: only a promotion completes a rollout"
    return None


def _under_another_policy(base: Rollout, change: Change, policy: Policy) -> Rollout:
    if change.policy is None:
        raise IllegalTransition("a change of policy names the new policy")
    problem = policy_problem(base, policy, change.policy)
    if problem is not None:
        raise IllegalTransition(f"policy '{change.policy.name}' cannot take over: {problem}")
    return replace(base, policy_hash=change.policy.hash)


def _contained(base: Rollout, change: Change) -> Rollout:
    if not change.categories:
        raise IllegalTransition("a containment names at least one category")
    contained = tuple(sorted({*base.contained, *change.categories}))
    return replace(base, contained=contained, execution_enabled=False)


def _released(base: Rollout, change: Change) -> Rollout:
    unknown = sorted(set(change.categories) - set(base.contained))
    if not change.categories or unknown:
        known = ", ".join(name or "(no intent told)" for name in base.contained) or "none"
        raise IllegalTransition(f"category {unknown or '(none named)'} is not contained; contained: {known}")
    return replace(base, contained=tuple(name for name in base.contained if name not in change.categories))


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

"""From readings to at most one decision.

The automatic actor may hold, disable execution or roll back, and takes the strictest action that a fired stream asks for and
that would change anything; ties go to the stream with the most evidence over its threshold. Stale data holds the ramp (unknown
never passes, and never accuses), and a hold that was set for staleness alone is released when the data is fresh again and shows
no harm. It never grows anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controlplane.core.model import Action, Decision, Rollout, RolloutState, TriggerReading
from controlplane.core.policy import Policy
from controlplane.core.rollout import Event

AUTOMATIC = "controlplane"
STALE = "data is stale"

_STRICTNESS = {Action.PAGE: 0, Action.HOLD: 1, Action.DISABLE_EXECUTION: 2, Action.ROLLBACK: 3}
_EVENT = {Action.HOLD: Event.HOLD, Action.DISABLE_EXECUTION: Event.DISABLE_EXECUTION, Action.ROLLBACK: Event.ROLLBACK}


def strictest(readings: Sequence[TriggerReading]) -> TriggerReading | None:
    """The fired reading that decides."""
    fired = [reading for reading in readings if reading.fired]
    return max(fired, key=lambda r: (_STRICTNESS[r.action], r.log_e - r.log_threshold), default=None)


def decide(
    rollout: Rollout,
    policy: Policy,
    readings: Sequence[TriggerReading],
    *,
    fresh: bool,
    now: datetime,
    latched: bool = False,
) -> Decision | None:
    """What the automatic actor does now, or None. `readings` are those of the blocks that closed since the last decision.

    `latched`: a stream that asks for more than a page has fired before and no person has let go of it.
    """
    if rollout.state is RolloutState.ROLLED_BACK:
        return None
    leading = strictest([reading for reading in readings if _changes(rollout, reading.action)])
    if leading is not None:
        return Decision(
            event=str(_EVENT[leading.action]),
            actor=AUTOMATIC,
            reason=f"trigger {leading.trigger}: {leading.reason}",
            decided_at=now,
            policy_hash=policy.hash,
            trigger=leading.trigger,
            evidence={"log_e": leading.log_e, "log_threshold": leading.log_threshold, "segment": leading.segment},
        )
    harmful = latched or any(reading.fired and reading.action is not Action.PAGE for reading in readings)
    return _freshness(rollout, policy, fresh, harmful, now)


def _changes(rollout: Rollout, action: Action) -> bool:
    """Whether the action would change anything: no hold of what is held, no second switch-off."""
    match action:
        case Action.HOLD:
            return rollout.state in (RolloutState.RUNNING, RolloutState.COMPLETE)
        case Action.DISABLE_EXECUTION:
            return rollout.execution_enabled
        case Action.ROLLBACK:
            return True
        case _:
            return False


def stale_reason(policy: Policy) -> str:
    """The reason of a hold for stale data; a person's hold never has exactly this one."""
    return f"{STALE}: no record for more than {policy.watch.freshness_seconds} s"


def _freshness(rollout: Rollout, policy: Policy, fresh: bool, harmful: bool, now: datetime) -> Decision | None:
    if not fresh and rollout.state in (RolloutState.RUNNING, RolloutState.COMPLETE):
        return Decision("hold", AUTOMATIC, stale_reason(policy), now, policy.hash)
    if fresh and not harmful and rollout.state is RolloutState.HELD and rollout.reason == stale_reason(policy):
        return Decision("resume", AUTOMATIC, "data is fresh again", now, policy.hash)
    return None

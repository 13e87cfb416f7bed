"""What people have set aside for a while: who may, for how long, which triggers never, and what is set aside at a moment.

An overridden trigger goes on counting and pages instead of acting. When the override ends, by its expiry or by a person, what the trigger has
found meanwhile counts again: the latch was there all the time. Expiry is compared with the heartbeat's time, so a machine that was off has
not prolonged anything. Safety is never set aside: triggers on the misrouting rate and the tripwire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from controlplane.core.policy import Policy

SAFETY_METRIC = "misrouting_rate"
TRIPWIRE = "tripwire"


@dataclass(frozen=True, slots=True)
class Override:
    """One override: in force in `[started_at, until)`, or until a person ended it. Times are aware UTC."""

    override_id: str
    rollout_id: str
    trigger: str
    actor: str
    reason: str
    started_at: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    def is_active(self, now: datetime) -> bool:
        """Whether it is in force at `now`; one from the future (a clock that was set back) is not."""
        return self.started_at <= now < self.until and self.ended_at is None


def can_be_overridden(policy: Policy, name: str) -> bool:
    """Whether the policy has the trigger and lets people set it aside."""
    found = next((trigger for trigger in policy.triggers if trigger.name == name), None)
    return found is not None and found.metric != SAFETY_METRIC and name not in policy.overrides.never


def problem(policy: Policy, name: str, actor: str, hours: float) -> str | None:
    """Why this person may not set this trigger aside for so long, with what would be possible; None when they may."""
    rules = policy.overrides
    if name == TRIPWIRE:
        return "the tripwire can never be overridden: release the category with `controlplane containment release`"
    if name not in {trigger.name for trigger in policy.triggers}:
        return f"policy '{policy.name}' has no trigger '{name}': it has {', '.join(t.name for t in policy.triggers)}"
    if not can_be_overridden(policy, name):
        why = (
            f"it is listed in overrides.never of policy '{policy.name}'" if name in rules.never else "it guards safety"
        )
        return f"trigger '{name}' can never be overridden: {why}"
    if rules.who and actor not in rules.who:
        return f"'{actor}' may not override: policy '{policy.name}' names {', '.join(rules.who)}"
    if not 0 < hours <= rules.max_hours:
        return f"{hours:g} hours is not possible: more than 0 and at most overrides.max_hours = {rules.max_hours:g}"
    return None


def active(overrides: Iterable[Override], rollout_id: str, now: datetime) -> tuple[Override, ...]:
    """Those of the rollout that are in force at `now`, oldest first."""
    mine = [item for item in overrides if item.rollout_id == rollout_id and item.is_active(now)]
    return tuple(sorted(mine, key=lambda item: (item.started_at, item.override_id)))


def muted(policy: Policy, overrides: Iterable[Override], rollout_id: str, now: datetime) -> frozenset[str]:
    """Names of the triggers that page instead of acting at `now`. The policy in force has the last word on what may be set aside."""
    names = (item.trigger for item in active(overrides, rollout_id, now))
    return frozenset(name for name in names if can_be_overridden(policy, name))

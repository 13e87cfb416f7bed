"""Who is served what: a pure function of the rollout row, the policy and the customer.

There is no table of flags. The arm follows from the rollout's share and a salted stable hash of the customer's id, so a
decision's commit is the cut, and a growing share only ever adds customers. Eligibility comes first and is the same in both
arms: what must go to a person is never compared, nor what the policy excludes or the tripwire has contained, employees-only phases take
employees, the canary takes low-risk intents.

Who serves the baseline arm is part of the answer (`baseline_release`): the menu, or the release that was accepted before this one where the
policy compares with it or falls back to it. What is contained goes to people in either case.

Fail safe: no rollout, an unreadable state or one that was read too long ago serves the baseline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from controlplane.core.model import Arm, Rollout, RolloutState
from controlplane.core.policy import Policy, Stage
from controlplane.core.policy_model import Assignment

CONTAINED = "contained_category"  # the reason that sends a conversation to a person, whoever serves its arm


class Reason(StrEnum):
    """Resolution reasons, named as OpenFeature names them."""

    SPLIT = "SPLIT"
    TARGETING_MATCH = "TARGETING_MATCH"
    DISABLED = "DISABLED"
    STALE = "STALE"
    ERROR = "ERROR"
    DEFAULT = "DEFAULT"


@dataclass(frozen=True, slots=True)
class Unit:
    """A customer at the first message of a conversation, as seen before any arm is drawn."""

    user_id: str
    employee: bool = False
    segment: str = ""
    intent: str = ""
    mandatory_person: bool = False
    low_risk: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a customer is served and why; logged as the conversation's exposure."""

    arm: Arm
    eligible: bool
    ineligible_reason: str | None
    reason: Reason
    flag_version: int
    rollout_id: str
    release: str
    phase: str
    share: float
    execution_enabled: bool
    baseline_release: str = ""


def bucket(salt: str, user_id: str) -> float:
    """Position of a customer in [0, 1): the first 53 bits of sha256(salt, id), as many as a float holds; uniform and stable."""
    digest = hashlib.sha256(f"{salt}\x1f{user_id}".encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def ineligible_reason(
    unit: Unit, stage: Stage, assignment: Assignment | None = None, contained: Collection[str] = ()
) -> str | None:
    """Why this customer is not part of the comparison in this stage, or None. `mandatory_person` and `contained_category` go to people."""
    if unit.mandatory_person:
        return "mandatory_person"
    if unit.intent in contained:
        return CONTAINED
    if assignment is not None and unit.intent and unit.intent in assignment.exclude_intents:
        return "excluded_intent"
    if assignment is not None and unit.segment and unit.segment in assignment.exclude_segments:
        return "excluded_segment"
    if stage.audience == "employees":
        return None if unit.employee else "not_employee"
    if unit.employee:
        return "employee"
    if stage.audience == "low_risk" and not unit.low_risk:
        return "not_low_risk"
    return None


def baseline(reason: Reason) -> Exposure:
    """The exposure served when nothing better is known."""
    return Exposure(Arm.BASELINE, False, str(reason).lower(), reason, 0, "", "", "", 0.0, False)


def baseline_release(rollout: Rollout, policy: Policy) -> str:
    """Which release serves the baseline arm now: the name of the policy's baseline, or the accepted release."""
    cut = rollout.state is RolloutState.ROLLED_BACK
    side = policy.serving.rollback_to if cut else policy.serving.compare_with
    return rollout.accepted_release if side == "accepted" and rollout.accepted_release else policy.baseline


def decide_exposure(
    rollout: Rollout | None, policy: Policy | None, unit: Unit, now: datetime, read_at: datetime
) -> Exposure:
    """The arm of one customer now, from a rollout row that was read at `read_at`; a read from the future (a clock set back) is as stale."""
    if rollout is None or policy is None:
        return baseline(Reason.DEFAULT)
    if abs(now - read_at) > timedelta(seconds=policy.watch.flag_max_age_seconds):
        return baseline(Reason.STALE)
    stage = policy.stages[rollout.stage]
    why_not = ineligible_reason(unit, stage, policy.assignment, rollout.contained)
    arm, reason = _arm(rollout, policy, unit, why_not)
    return Exposure(
        arm=arm,
        eligible=why_not is None,
        ineligible_reason=why_not,
        reason=reason,
        flag_version=rollout.version,
        rollout_id=rollout.rollout_id,
        release=rollout.release,
        phase=rollout.phase,
        share=rollout.share,
        execution_enabled=rollout.execution_enabled,
        baseline_release=baseline_release(rollout, policy),
    )


def _arm(rollout: Rollout, policy: Policy, unit: Unit, why_not: str | None) -> tuple[Arm, Reason]:
    if rollout.state is RolloutState.ROLLED_BACK or rollout.share <= 0:
        return Arm.BASELINE, Reason.DISABLED
    if why_not is not None:
        return Arm.BASELINE, Reason.TARGETING_MATCH
    if bucket(policy.assignment.salt, unit.user_id) < rollout.share:
        return Arm.ASSISTANT, Reason.SPLIT
    return Arm.BASELINE, Reason.SPLIT

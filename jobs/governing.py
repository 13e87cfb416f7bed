"""What people do beside the rollout's events: set a trigger aside, release a contained category, change the policy while a release runs.

Each is checked against the policy in force, audited with its reason, and refused with what would be possible.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from controlplane.core import overrides, tripwire
from controlplane.core.blocks import completed_at, quarter_of
from controlplane.core.model import Rollout
from controlplane.core.overrides import Override
from controlplane.core.policy import Policy
from controlplane.core.policy_diff import diff
from controlplane.core.policy_switch import unaffordable
from controlplane.core.rollout import ActorKind, Change, Event, IllegalTransition, apply
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, to_text
from jobs import actions
from jobs.backtest_gate import missing_backtest
from jobs.evaluate import stage_events_of
from jobs.refused import Refused

ATTEMPTS = 5


def _rollout(state: StateReader) -> Rollout:
    found = state.rollout()
    if found is None:
        raise Refused("there is no rollout yet: start one with `controlplane release start`")
    return found


def add_override(
    state: StateWriter, policy: Policy, trigger: str, hours: float, actor: str, reason: str, now: datetime
) -> Override:
    """Set a trigger of the running rollout aside for `hours`. Raises Refused for whom, what or how long the policy does not allow."""
    rollout = _rollout(state)
    now = max(now, rollout.updated_at)
    problem = overrides.problem(policy, trigger, actor, hours)
    if problem is not None:
        raise Refused(problem)
    mine = state.overrides(rollout.rollout_id)
    running = [item for item in overrides.active(mine, rollout.rollout_id, now) if item.trigger == trigger]
    if running:
        raise Refused(
            f"trigger '{trigger}' is overridden until {to_text(running[0].until)} already: end {running[0].override_id} first"
        )
    item = Override(
        override_id=f"{rollout.rollout_id}-o{len(mine) + 1}",
        rollout_id=rollout.rollout_id,
        trigger=trigger,
        actor=actor,
        reason=reason,
        started_at=now,
        until=now + timedelta(hours=hours),
    )
    try:
        state.add_override(item, policy.hash)
    except LostRace as error:
        raise Refused(f"{error}: look at `controlplane override list` and try again") from None
    return item


def end_override(
    state: StateWriter, policy: Policy, override_id: str, actor: str, reason: str, now: datetime
) -> Override:
    """End an override now; what its trigger has found acts at the next heartbeat. Raises Refused when it is not in force."""
    found = next((item for item in state.overrides() if item.override_id == override_id), None)
    if found is None:
        raise Refused(f"there is no override {override_id!r}: `controlplane override list` shows them")
    now = max(now, found.started_at)
    if not found.is_active(now):
        ended = found.until if found.ended_at is None else found.ended_at
        raise Refused(f"override {override_id} is not in force: it ended at {to_text(ended)}")
    try:
        state.end_override(found, actor, reason, policy.hash, now)
    except LostRace as error:
        raise Refused(str(error)) from None
    return next(item for item in state.overrides() if item.override_id == override_id)


def override_json(item: Override, now: datetime) -> dict[str, Any]:
    """An override as plain values; `active` is as of `now`."""
    times = {"started_at": to_text(item.started_at), "until": to_text(item.until)}
    ended = None if item.ended_at is None else to_text(item.ended_at)
    return asdict(item) | times | {"ended_at": ended, "active": item.is_active(now)}


def release_category(
    state: StateWriter, policy: Policy, category: str, actor: str, reason: str, now: datetime
) -> Rollout:
    """Let a contained category be served again; execution stays off until a person switches it on. Raises Refused when it is not contained."""
    return actions.act(state, policy, Event.RELEASE_CATEGORY, actor, reason, now, categories=(category,))


def containments_json(state: StateReader) -> list[dict[str, Any]]:
    """Every containment with the evaluation behind it, and whether its category still goes to people."""
    rollout = state.rollout()
    held = () if rollout is None else rollout.contained
    return [
        asdict(row)
        | {
            "contained_at": to_text(row.contained_at),
            "what": tripwire.said(row.category),
            "contained": row.category in held,
        }
        for row in state.containments()
    ]


def apply_policy(
    state: StateWriter,
    old: Policy,
    new: Policy,
    actor: str,
    reason: str,
    now: datetime,
    override_backtest: str = "",
) -> Rollout:
    """Judge and serve the running rollout by another policy from now on.

    Raises Refused when the new one changes what was already served (`core.rollout.policy_problem`), is for another release, does not keep the
    false-alarm promise with what has been risked already (`core.policy_switch.unaffordable`), when its backtest is missing or broke its
    promise (as at a start; `override_backtest` says why it takes over all the same), or when the rollout kept changing meanwhile. The audit
    row has both hashes and every difference.
    """
    rollout = _rollout(state)
    actions.need_release(new, rollout.release)
    if (broken := missing_backtest(state, new)) is not None and not override_backtest:
        raise Refused(f"policy '{new.name}' may not take over: {broken}")
    changes = [change.text() for change in diff(old, new)]
    for _ in range(ATTEMPTS):
        current = _rollout(state)
        if current.policy_hash != old.hash:
            raise Refused(
                f"the policy in force is {current.policy_hash[:12]} now, not {old.hash[:12]}: look again, then decide"
            )
        now = max(now, current.updated_at)
        try:
            after = apply(current, Change(Event.POLICY, ActorKind.PERSON, f"{reason} ({actor})", now, policy=new), old)
        except IllegalTransition as error:
            raise Refused(str(error)) from None
        _need_budget(state, current, new, now)
        payload = {"old": old.hash, "new": new.hash, "version": after.version, "changes": changes}
        payload |= {"override_backtest": override_backtest, "backtest": broken} if broken is not None else {}
        state.register_policy(new.hash, new.name, new.text, now)
        audit = AuditEntry(actor, str(Event.POLICY), current.rollout_id, reason, payload)
        commit = Commit(rollout=after, expected_version=current.version, stage_event=str(Event.POLICY), audit=(audit,))
        try:
            state.commit(commit, now)
        except LostRace:
            continue
        return after
    raise Refused("the rollout kept changing while this was tried; look at `controlplane status` and try again")


def _need_budget(state: StateReader, rollout: Rollout, new: Policy, now: datetime) -> None:
    """Raises Refused for a policy whose promise the rollout cannot keep any more."""
    states = {key: lane.state for key, lane in state.lanes(rollout.rollout_id).items()}
    quarter = quarter_of(completed_at(stage_events_of(state, rollout)), now)
    if states and (why := unaffordable(states, new, quarter)) is not None:
        raise Refused(f"policy '{new.name}' may not take over: {why}")

"""What people do to a rollout: start, approve, promote, hold, resume, roll back, switch execution. Used by the command line and the control API.

Every action goes through the transition table as a person, is audited with its reason, and is refused with what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from math import ceil
from typing import Any

from alerts.model import Alert, Severity, Times
from controlplane.core.assignment import baseline_release
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.gates import GateResult
from controlplane.core.model import Rollout, RolloutState, Verdict
from controlplane.core.overrides import muted
from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import ActorKind, Change, Event, IllegalTransition, apply, history_name, start
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, NewMessage, to_text
from jobs import incident_join, incidents
from jobs.backtest_gate import missing_backtest
from jobs.decisions import contained, fallback
from jobs.deps import Deps
from jobs.evaluate import gate
from jobs.evaluation_gate import missing_evaluation
from jobs.refused import Refused as Refused
from jobs.restart_gate import missing_aftermath
from jobs.situation import cooldown_until

ATTEMPTS = 5
_NEEDS_ITS_POLICY = frozenset({Event.PROMOTE, Event.RESUME})  # their outcome depends on the stages
_STARTS = {None: Event.START, RolloutState.ROLLED_BACK: Event.RESTART, RolloutState.COMPLETE: Event.SUPERSEDE}


def release_hash(artefacts: Mapping[str, str]) -> str:
    """Identity of a release: the hash over the hashes of what it is made of."""
    return sha256_text(canonical(dict(artefacts)))


def start_release(
    state: StateWriter,
    policy: Policy,
    release: str,
    artefacts: Mapping[str, str],
    author: str,
    actor: str,
    now: datetime,
    override_backtest: str = "",
) -> Rollout:
    """Start at the first stage: after a rollback as a restart with another release, after COMPLETE as the successor of the accepted one.

    Raises Refused while another runs, for a release that the policy is not for, within the cooldown, without a passing evaluation of
    exactly these artefacts where the policy asks for one, after a rollback before its incident is reviewed and learned from, and when the
    policy's backtest is missing or broke its promise, unless `override_backtest` says on record why it starts all the same.
    """
    hash_ = release_hash(artefacts)
    current = state.rollout()
    now = now if current is None else max(now, current.updated_at)
    need_release(policy, release)
    _need_place(state, policy, current, now)
    _need_evaluation(state, policy, current, release, hash_)
    if (broken := missing_backtest(state, policy)) is not None and not override_backtest:
        raise Refused(f"release {release} may not start: {broken}")
    state.register_policy(policy.hash, policy.name, policy.text, now)
    state.register_release(release, hash_, artefacts, author, now)
    rollout_id = f"{release}-{hash_[:8]}"
    change = Change(
        _STARTS[None if current is None else current.state],
        ActorKind.PERSON,
        f"started by {actor}",
        now,
        rollout_id=rollout_id,
        release=release,
        release_hash=hash_,
    )
    try:
        after = start(change, policy) if current is None else apply(current, change, policy)
    except IllegalTransition as error:
        raise Refused(str(error)) from None
    payload: dict[str, Any] = {"release_hash": hash_, "artefacts": dict(artefacts)}
    payload |= {"accepted_release": after.accepted_release, "version": after.version, "share": after.share}
    payload |= {"override_backtest": override_backtest, "backtest": broken} if broken is not None else {}
    audit = AuditEntry(actor, str(change.event), rollout_id, change.reason, payload)
    expected = 0 if current is None else current.version
    stage_event = history_name(change.event, ActorKind.PERSON)
    try:
        state.commit(Commit(rollout=after, expected_version=expected, stage_event=stage_event, audit=(audit,)), now)
    except LostRace as error:
        raise Refused(f"{error}: look at `controlplane status` and try again") from None
    return after


def _need_evaluation(
    state: StateWriter, policy: Policy, current: Rollout | None, release: str, release_hash: str
) -> None:
    """Raises Refused for artefacts that were rolled back before, that no evaluation speaks for, or that did not learn from the last incident."""
    if (label := state.rolled_back().get(release_hash)) is not None:
        raise Refused(
            f"artefacts {release_hash[:12]} were rolled back before, as {label}: a restart needs other artefacts"
        )
    missing = missing_evaluation(state, policy, release_hash)
    if missing is None and current is not None:
        missing = missing_aftermath(state, policy, current, release_hash)
    if missing is not None:
        raise Refused(f"release {release} may not start: {missing}")


def _need_place(state: StateWriter, policy: Policy, current: Rollout | None, now: datetime) -> None:
    """Raises Refused while another release runs, has an open incident, or its cooldown (by its own policy or the next) has not passed."""
    if current is None:
        return
    if current.state not in (RolloutState.ROLLED_BACK, RolloutState.COMPLETE):
        raise Refused(
            f"release {current.release} is {current.state} in phase {current.phase}: roll it back, or bring it to full, before another starts"
        )
    _need_closed_incidents(state, current)
    before = state.policy_text(current.policy_hash)
    if before is not None and current.policy_hash != policy.hash:
        _need_cool(state, parse(before, "the policy in force", in_force=True), now)
    _need_cool(state, policy, now)


def need_release(policy: Policy, release: str) -> None:
    """Raises Refused for a release whose name the policy's glob does not match."""
    if policy.release and not fnmatchcase(release, policy.release):
        raise Refused(f"policy '{policy.name}' is for releases named {policy.release}, not for {release}")


def _need_cool(state: StateWriter, policy: Policy, now: datetime) -> None:
    until = cooldown_until(state, policy)
    if until is not None and now < until:
        left = ceil((until - now).total_seconds() / 60)
        raise Refused(
            f"cooldown: {left} of {policy.decisions.cooldown_minutes:g} min are left since the last automatic action (decisions.cooldown_minutes)"
        )


def _need_closed_incidents(state: StateWriter, rollout: Rollout) -> None:
    mine = [row for row in state.incidents() if row.rollout_id == rollout.rollout_id]
    still_open = [row.incident_id for row in mine if row.state not in ("resolved", "reviewed")]
    if still_open:
        raise Refused(
            f"incident {', '.join(still_open)} is not resolved: `controlplane incident resolve ID --reason ...` first"
        )


def act(
    state: StateWriter,
    policy: Policy,
    event: Event,
    actor: str,
    reason: str,
    now: datetime,
    expected_version: int | None = None,
    incident_id: str = "",
    of_rollout: str = "",
    **more: Any,
) -> Rollout:
    """Send a person's event; `incident_id`: the incident that the person acts on, if any; `more` are further fields of its `Change`.

    Each open incident of the rollout has it in its timeline, and a rollback is a step of one instead of a second incident (`jobs.incident_join`).

    Raises Refused when the table does not allow it, or when the rollout is no longer what the person saw (`of_rollout`: the one it is meant for).
    """
    for _ in range(ATTEMPTS):
        current = state.rollout()
        if current is None:
            raise Refused("there is no rollout yet: start one with `controlplane release start`")
        if of_rollout not in ("", current.rollout_id):
            raise Refused(f"the rollout is {current.rollout_id} now, not {of_rollout}: look again, then decide")
        if expected_version not in (None, current.version) and event is not Event.ROLLBACK:
            raise Refused(_looked_at(current, expected_version))
        if current.policy_hash != policy.hash and event in _NEEDS_ITS_POLICY:
            raise Refused(
                f"the rollout is judged by policy {current.policy_hash[:12]} now, not {policy.hash[:12]}: try again"
            )
        now = max(now, current.updated_at)  # a clock that was set back is overruled by the record
        try:
            after = apply(current, Change(event, ActorKind.PERSON, f"{reason} ({actor})", now, **more), policy)
        except IllegalTransition as error:
            raise Refused(str(error)) from None
        payload = {"from": str(current.state), "to": str(after.state), "version": after.version, "share": after.share}
        payload |= {"contained": list(after.contained)} if after.contained != current.contained else {}
        audit = AuditEntry(actor, str(event), current.rollout_id, reason, payload)
        commit = Commit(rollout=after, expected_version=current.version, stage_event=str(event), audit=(audit,))
        if event is Event.ROLLBACK:
            commit = _with_incident(commit, current, policy, actor, reason, now)
        commit = incident_join.of_person(state, commit, event, current, actor, reason, now, incident_id)
        try:
            state.commit(commit, now)
        except LostRace:
            continue
        return after
    raise Refused("the rollout kept changing while this was tried; look at `controlplane status` and try again")


def _looked_at(current: Rollout, version: int | None) -> str:
    return f"the rollout is at version {current.version} now, not {version}: look again, then decide"


def _with_incident(commit: Commit, rollout: Rollout, policy: Policy, actor: str, reason: str, now: datetime) -> Commit:
    title = f"{rollout.release} rolled back by {actor}"
    incident = IncidentRow(
        incident_id=f"{rollout.rollout_id}-v{rollout.version + 1}",
        rollout_id=rollout.rollout_id,
        release=rollout.release,
        state="open",
        severity="critical",
        title=title,
        trigger="person",
        detected_at=now,
        cut_at=now,
        containments=contained(Event.ROLLBACK, now),
        timeline=({"at": to_text(now), "actor": actor, "text": f"rollback: {reason}", "event": "rollback"},),
    )
    alert = Alert(
        alert_id=f"{incident.incident_id}:opened",
        labels={
            "alertname": "rollback",
            "release": rollout.release,
            "rollout_id": rollout.rollout_id,
            "trigger": "person",
        },
        annotations={"title": title, "summary": reason},
        severity=Severity.CRITICAL,
        starts_at=now,
        incident_id=incident.incident_id,
        times=Times(detected=now, cut=now),
        done=(f"all traffic cut to {fallback(rollout, policy)}, execution of workflows switched off",),
    )
    message = NewMessage(alert.alert_id, "alert", alert.to_dict(), incident.incident_id)
    return replace(commit, incident=incident, messages=(message,))


def promote(deps: Deps, actor: str, reason: str, now: datetime, expected_version: int | None = None) -> Rollout:
    """Approve as `actor` and go one stage further when the gate passes. Raises Refused with what is missing.

    Where nothing but the approval of another person is missing, this one is recorded and counts when that person promotes. The gate is that of
    the stage seen here: when the rollout changes meanwhile, nobody is promoted through it.
    """
    current = deps.state.rollout()
    if current is None:
        raise Refused("there is no rollout yet: start one with `controlplane release start`")
    if expected_version not in (None, current.version):
        raise Refused(_looked_at(current, expected_version))
    now = max(now, current.updated_at)  # a clock that was set back is overruled by the record
    result = gate(deps, current, now, extra_approver=actor)
    if result.verdict is not Verdict.PASS:
        why = f"{current.release} may not leave stage {current.phase} {current.share:.0%} yet: {describe(result)}"
        if result.without("approvals").verdict is Verdict.PASS and actor in result.approvers:
            deps.state.approve(current, actor, reason, now)
            why += f". The approval of {actor} is recorded: another person, not the release's author, promotes as well"
        raise Refused(why)
    deps.state.approve(current, actor, reason, now)
    return act(deps.state, deps.policy, Event.PROMOTE, actor, reason, now, current.version)


def describe(result: GateResult) -> str:
    """What keeps a gate shut, in one sentence."""
    return "; ".join(f"{line.name}: {line.have}, needs {line.need}" for line in result.missing) or "nothing is missing"


def deploy(state: StateWriter, policy: Policy, what: str, actor: str, now: datetime) -> Rollout:
    """Record a known change of the running release (a knowledge base, a prompt): certificates restart, detectors get fresh weight."""
    return act(state, policy, Event.DEPLOY, actor, what, now)


def incident_event(
    state: StateWriter, incident_id: str, target: str, actor: str, reason: str, now: datetime
) -> IncidentRow:
    """Move an incident along its table with a reason. Raises Refused for an unknown id or an event that it does not take."""
    return incidents.act(state, incident_id, target, actor, reason, now)


def status(state: Any, policy: Policy, now: datetime | None = None) -> dict[str, Any]:
    """What is served now, as plain values; with `now` also which triggers are overridden then."""
    rollout: Rollout | None = state.rollout()
    if rollout is None:
        return {"rollout": None, "served": "baseline", "policy": policy.name}
    verified = state.cut_verified_at(rollout.rollout_id)
    return {
        "rollout": rollout.rollout_id,
        "release": rollout.release,
        "state": str(rollout.state),
        "phase": rollout.phase,
        "share": rollout.share,
        "execution_enabled": rollout.execution_enabled,
        "version": rollout.version,
        "since": to_text(rollout.updated_at),
        "reason": rollout.reason,
        "accepted_release": rollout.accepted_release or None,
        "baseline_release": baseline_release(rollout, policy),
        "contained": list(rollout.contained),
        **_overridden(state, policy, rollout, now),
        "cut_verified_at": None if verified is None else to_text(verified),
        "open_incidents": [row.incident_id for row in state.incidents() if row.state not in ("resolved", "reviewed")],
        "policy": policy.name,
        "policy_hash": rollout.policy_hash,
    }


def _overridden(state: StateReader, policy: Policy, rollout: Rollout, now: datetime | None) -> dict[str, Any]:
    if now is None:
        return {}
    mine = state.overrides(rollout.rollout_id)
    return {"overridden": sorted(muted(policy, mine, rollout.rollout_id, max(now, rollout.updated_at)))}

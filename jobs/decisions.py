"""From a decision to everything that is written for it: the new rollout row, audit, incident and message. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import exp
from typing import Any

from alerts.model import Alert, Reading, Severity, Times, promise_text, reading_of
from controlplane.core import tripwire
from controlplane.core.assignment import baseline_release
from controlplane.core.blocks import QUARTER_WEEKS
from controlplane.core.judge import AUTOMATIC, FACTS_BEHIND, SILENT, SWAPPED, VALIDITY
from controlplane.core.model import Action, BlockCounts, Decision, Rollout, RolloutState, TriggerReading, Verdict
from controlplane.core.policy import Policy, Trigger
from controlplane.core.rollout import ActorKind, Change, Event, apply, history_name
from controlplane.core.streams import is_exact
from controlplane.core.tripwire import Misrouting
from controlplane.store.state_rows import AuditEntry, Commit, Containment, IncidentRow, NewMessage, from_text, to_text
from jobs import links

_SEVERITY = {
    Event.ROLLBACK: Severity.CRITICAL,
    Event.CONTAIN: Severity.CRITICAL,
    Event.DISABLE_EXECUTION: Severity.ERROR,
    Event.HOLD: Severity.WARNING,
}
_NAME = {
    Event.ROLLBACK: "rollback",
    Event.CONTAIN: "contained_category",
    Event.DISABLE_EXECUTION: "execution_disabled",
    Event.HOLD: "hold",
}
_DID = {
    Event.ROLLBACK: "all traffic cut to {fallback}, execution of workflows switched off",
    Event.DISABLE_EXECUTION: "execution of workflows switched off",
    Event.HOLD: "the ramp is held at its share",
    Event.CONTAIN: "the category goes to people in both arms, execution of workflows switched off",
}


def reading_json(reading: TriggerReading) -> dict[str, Any]:
    """A reading as the ledger and the dashboards keep it."""
    return {
        "trigger": reading.trigger,
        "metric": reading.metric,
        "segment": reading.segment,
        "action": str(reading.action),
        "verdict": reading.verdict.name,
        "log_e": None if reading.log_e == float("-inf") else reading.log_e,
        "log_threshold": reading.log_threshold,
        "fired": reading.fired,
        "onset": None if reading.onset is None else to_text(reading.onset),
        "weight_spent": reading.weight_spent,
    } | _account_json(reading)


def _account_json(reading: TriggerReading) -> dict[str, Any]:
    """What is said of a reading only where it is not as usual."""
    found: dict[str, Any] = {} if reading.exact else {"exact": False}
    found |= {"quarter": reading.quarter} if reading.quarter else {}
    return found | ({"owed": reading.owed} if reading.owed else {})


def counts_json(name: str, reading_counts: Any) -> dict[str, Any]:
    """Counts of one stream as the ledger keeps them: integers only, so a replay is exact."""
    c = reading_counts
    plain: dict[str, Any] = {"stream": name, "segment": c.segment, "metric": c.metric}
    plain |= {"nT": c.n_t, "xT": c.x_t, "nC": c.n_c, "xC": c.x_c}
    if any(c.k_t) or any(c.k_c):
        plain |= {"kT": list(c.k_t), "kC": list(c.k_c)}
    return plain


def reading_of_ledger(
    plain: Mapping[str, Any], counts: Mapping[str, Any], start: datetime, span_seconds: int
) -> TriggerReading:
    """The reading that `reading_json` and `counts_json` were made of, with a reason for today."""
    metric, segment = str(plain["metric"]), str(plain["segment"])
    none = (0, 0, 0, 0, 0)
    where = "" if segment == "all" else f" in segment {segment}"
    return TriggerReading(
        trigger=str(plain["trigger"]),
        metric=metric,
        segment=segment,
        action=Action(plain["action"]),
        verdict=Verdict[plain["verdict"]],
        block_start=start,
        log_e=float("-inf") if plain["log_e"] is None else float(plain["log_e"]),
        log_threshold=float(plain["log_threshold"]),
        fired=bool(plain["fired"]),
        counts=BlockCounts(
            metric=metric,
            segment=segment,
            start=start,
            span_seconds=span_seconds,
            n_t=counts["nT"],
            x_t=counts["xT"],
            n_c=counts["nC"],
            x_c=counts["xC"],
            k_t=tuple(counts.get("kT", none)),
            k_c=tuple(counts.get("kC", none)),
        ),
        reason=f"{metric}{where} was found beyond its limit at {to_text(start)}, and nobody has let go of it",
        onset=None if plain["onset"] is None else from_text(plain["onset"]),
        weight_spent=float(plain["weight_spent"]),
        exact=bool(plain.get("exact", True)),
        quarter=int(plain.get("quarter", 0)),
        owed=float(plain.get("owed", 0.0)),
    )


def trigger_of(policy: Policy, name: str) -> Trigger:
    """The policy's trigger of that name."""
    return next(trigger for trigger in policy.triggers if trigger.name == name)


def promise(policy: Policy, name: str, segment: str, readings: Iterable[TriggerReading] = ()) -> str:
    """The error budget in words for one stream; validity checks and the tripwire are outside it.

    `readings`: that of the stream says what its account really is, after changes of the policy and in a quarter after the completion.
    """
    if not any(trigger.name == name for trigger in policy.triggers):
        return promise_text(0, 0, 0, counted=False)
    alpha, quarter = policy.alpha(trigger_of(policy, name), segment), 0
    for reading in readings:
        if (reading.trigger, reading.segment) == (name, segment):
            alpha, quarter = exp(-reading.log_threshold) + reading.owed, reading.quarter
    weeks = QUARTER_WEEKS if quarter else policy.budget.horizon_weeks
    exact = is_exact(trigger_of(policy, name))
    return promise_text(alpha, policy.budget.false_rollback, weeks, exact=exact, quarter=quarter)


def automatic_commit(
    decision: Decision,
    rollout: Rollout,
    policy: Policy,
    fired: Sequence[TriggerReading],
    exposed: int | None,
    estimates: Mapping[tuple[str, str], tuple[str, str]],
    dashboard_url: str | None,
    tripped: Sequence[Misrouting] = (),
) -> tuple[Commit, Rollout]:
    """Everything that an automatic decision writes, and the rollout after it. `tripped`: what a containment is for."""
    event = Event(decision.event)
    categories = tuple(sorted({tripwire.category(item) for item in tripped})) if event is Event.CONTAIN else ()
    change = Change(event, ActorKind.AUTOMATIC, decision.reason, decision.decided_at, categories=categories)
    after = apply(rollout, change, policy)
    payload = {
        "from": str(rollout.state),
        "to": str(after.state),
        "version": after.version,
        "share": after.share,
        "evidence": decision.evidence,
    }
    audit = AuditEntry(AUTOMATIC, str(event), rollout.rollout_id, decision.reason, payload)
    stage_event = history_name(event, ActorKind.AUTOMATIC)
    if event is Event.RESUME:
        return Commit(rollout=after, expected_version=rollout.version, stage_event=stage_event, audit=(audit,)), after
    incident = _incident(event, decision, rollout, fired, exposed)
    incident = replace(incident, containments=contained(event, decision.decided_at, categories))
    alert = opening_alert(event, decision, rollout, policy, fired, incident, estimates, dashboard_url)
    message = NewMessage(f"{incident.incident_id}:opened", "alert", alert.to_dict(), incident.incident_id)
    commit = Commit(
        rollout=after,
        expected_version=rollout.version,
        stage_event=stage_event,
        audit=(audit,),
        messages=(message,),
        incident=incident,
        containments=containments(tripped, rollout, decision.decided_at) if event is Event.CONTAIN else (),
    )
    return commit, after


def containments(tripped: Sequence[Misrouting], rollout: Rollout, now: datetime) -> tuple[Containment, ...]:
    """What is kept of the evaluations that tripped the wire, so that each acts once."""
    return tuple(
        Containment(
            item.evaluation_id, tripwire.category(item), item.conversation_id, rollout.rollout_id, item.evaluator, now
        )
        for item in tripped
    )


def contained(event: Event, now: datetime, categories: Sequence[str] = ()) -> tuple[dict[str, Any], ...]:
    """What an act has contained, still to be verified (`jobs.verify`): one entry, or none for an act that takes nothing from customers."""
    if event not in (Event.ROLLBACK, Event.DISABLE_EXECUTION, Event.CONTAIN):
        return ()
    entry: dict[str, Any] = {"action": str(event), "done_at": to_text(now), "verified_at": None, "how": ""}
    return (entry | ({"categories": list(categories)} if categories else {}),)


def _incident(
    event: Event, decision: Decision, rollout: Rollout, fired: Sequence[TriggerReading], exposed: int | None
) -> IncidentRow:
    onsets = [reading.onset for reading in fired if reading.onset is not None]
    now = decision.decided_at
    onset = min(onsets) if onsets else None
    did = f"{event}: {decision.reason}"
    timeline = [{"at": to_text(now), "actor": AUTOMATIC, "text": did, "event": str(event)}]
    if onset is not None:
        looked_back = "likely onset (selected by looking back)"
        timeline.insert(0, {"at": to_text(onset), "actor": AUTOMATIC, "text": looked_back, "event": "onset"})
    return IncidentRow(
        incident_id=f"{rollout.rollout_id}-v{rollout.version + 1}",
        rollout_id=rollout.rollout_id,
        release=rollout.release,
        state="open",
        severity=str(severity(decision)),
        title=_title(event, rollout, decision),
        trigger=cause(decision),
        detected_at=now,
        onset_at=onset,
        cut_at=now if event is Event.ROLLBACK else None,
        customers_exposed=exposed,
        evidence={
            **decision.evidence,
            "readings": [
                reading_json(reading) | {"counts": counts_json(reading.trigger, reading.counts)} for reading in fired
            ],
        },
        timeline=tuple(timeline),
    )


def severity(decision: Decision) -> Severity:
    """How urgent it is; a rollback that was weakened to a hold is for a person to decide, at once."""
    return Severity.CRITICAL if "weakened" in decision.evidence else _SEVERITY[Event(decision.event)]


def fallback(rollout: Rollout, policy: Policy) -> str:
    """What serves everybody after a rollback, in words."""
    served = baseline_release(replace(rollout, state=RolloutState.ROLLED_BACK), policy)
    return f"the {served}" if served == policy.baseline else f"release {served}"


def cause(decision: Decision) -> str:
    """The trigger, or which doubt about the data it was."""
    if decision.trigger:
        return decision.trigger
    doubts = {FACTS_BEHIND: "facts_behind", SWAPPED: "swapped_arms", SILENT: "silent_metric"}
    return next((name for words, name in doubts.items() if decision.reason.startswith(words)), "freshness")


def _title(event: Event, rollout: Rollout, decision: Decision) -> str:
    did = {
        Event.ROLLBACK: "rolled back",
        Event.HOLD: "ramp held",
        Event.DISABLE_EXECUTION: "execution disabled",
        Event.CONTAIN: "category contained",
    }[event]
    why = cause(decision)
    return f"{rollout.release} {did}: {'stale data' if why == 'freshness' else why.replace('_', ' ')}"


def opening_alert(
    event: Event,
    decision: Decision,
    rollout: Rollout,
    policy: Policy,
    fired: Sequence[TriggerReading],
    incident: IncidentRow,
    estimates: Mapping[tuple[str, str], tuple[str, str]],
    dashboard_url: str | None,
) -> Alert:
    """The first message of an incident."""
    labels = {
        "alertname": _NAME[event],
        "release": rollout.release,
        "rollout_id": rollout.rollout_id,
        "phase": rollout.phase,
    }
    labels |= {"action": str(event), "trigger": cause(decision)}
    metrics = [trigger.metric for trigger in policy.triggers if trigger.name == decision.trigger]
    labels |= {"metric": metrics[0]} if metrics else {}
    if event is Event.CONTAIN:
        labels |= {"category": "safety", "safety": "confirmed"}
    elif decision.trigger in VALIDITY or cause(decision) in ("swapped_arms", "facts_behind", "silent_metric"):
        labels["category"] = "validity"
    elif event is not Event.ROLLBACK and decision.trigger:
        labels["category"] = "metric"
    segment = str(decision.evidence.get("segment", "all"))
    return Alert(
        alert_id=f"{incident.incident_id}:opened",
        labels=labels,
        annotations={"title": incident.title, "summary": decision.reason},
        severity=severity(decision),
        starts_at=decision.decided_at,
        incident_id=incident.incident_id,
        readings=alert_readings(fired, estimates),
        promise=promise(policy, decision.trigger, segment, fired)
        if decision.trigger
        else promise_text(0, 0, 0, counted=False),
        times=Times(onset=incident.onset_at, detected=incident.detected_at, cut=incident.cut_at),
        customers_exposed=incident.customers_exposed,
        done=(_DID[event].format(fallback=fallback(rollout, policy)),),
        links=links.of_incident(dashboard_url, incident.incident_id),
    )


def alert_readings(
    fired: Iterable[TriggerReading], estimates: Mapping[tuple[str, str], tuple[str, str]]
) -> tuple[Reading, ...]:
    """Readings with their estimates ("", "" where there is none)."""
    return tuple(reading_of(reading, *estimates.get((reading.trigger, reading.segment), ("", ""))) for reading in fired)

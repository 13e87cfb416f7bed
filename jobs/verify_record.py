"""What is written when a containment has been verified, was let go of before that, or could not be verified in time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from alerts.model import Alert, Severity, Status, Times, promise_text, resolved
from controlplane.core.incident import IncidentEvent, IncidentState, advance
from controlplane.core.judge import AUTOMATIC
from controlplane.core.model import Rollout
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, NewMessage, OutboxItem, to_text
from jobs.incident_alerts import alert_from, message_of
from jobs.incidents import Step, with_step
from jobs.verify_checks import CONTAIN, DISABLE, ROLLBACK, Entry, Verification

_SEEN = {
    ROLLBACK: "cut verified: read-back, {probes} probes, no assistant exposure since the cut",
    DISABLE: "execution verified to be off: read-back, {probes} probes, no workflow of the assistant executed since",
    CONTAIN: "containment verified: read-back, {probes} probes, no assistant exposure in the category since",
}
_CALLED = {ROLLBACK: "rollback", DISABLE: "switching off of execution", CONTAIN: "containment"}
_VERIFIED = {ROLLBACK: "cut_verified", DISABLE: "containment_verified", CONTAIN: "containment_verified"}
_NOT_VERIFIED = {ROLLBACK: "cut_not_verified", DISABLE: "containment_not_verified", CONTAIN: "containment_not_verified"}


def entries_of(incident: IncidentRow) -> tuple[dict[str, Any], ...]:
    """The containments of an incident; that of a cut which was recorded before containments were, is added."""
    found = incident.containments
    if incident.cut_at is not None and not any(entry["action"] == ROLLBACK for entry in found):
        done = {"done_at": to_text(incident.cut_at), "verified_at": None, "how": ""}
        if incident.verified_at is not None:
            done |= {"verified_at": to_text(incident.verified_at), "how": "verified"}
        found = (*found, {"action": ROLLBACK, **done})
    return found


def is_pending(entry: Entry) -> bool:
    """Whether it still has to be verified."""
    return not entry["how"]


def page_id(incident: IncidentRow, entry: Entry) -> str:
    """Id of the message that a containment is not verified: one per containment."""
    first = f"{incident.incident_id}:unverified"
    return first if entry["action"] == ROLLBACK else f"{first}:{entry['action']}:{entry['done_at']}"


def refuted_id(incident: IncidentRow, entry: Entry) -> str:
    """Id of the message that a verified containment did not hold: one per containment."""
    return f"{incident.incident_id}:refuted:{entry['action']}:{entry['done_at']}"


def verified_commit(
    incident: IncidentRow,
    entry: Entry,
    result: Verification,
    messages: Sequence[OutboxItem],
    now: datetime,
    facts: Mapping[str, Any],
) -> Commit:
    """The containment is verified: the incident is contained once all of its containments are, and its message is updated.

    `messages`: of the incident. A page that it was NOT verified is over now. `facts`: probes, customers_exposed (None: not counted anew), version.
    """
    line = _SEEN[result.action].format(probes=result.probes)
    entries = _with(incident, entry, {"verified_at": to_text(now), "how": line})
    values: dict[str, Any] = {"containments": entries}
    if facts.get("customers_exposed") is not None:
        values["customers_exposed"] = facts["customers_exposed"]
    if not any(map(is_pending, entries)):
        values["verified_at"] = now
        if incident.state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
            values["state"] = str(advance(IncidentState(incident.state), IncidentEvent.CONTAIN))
    after = with_step(incident, Step(str(IncidentEvent.CONTAIN), line, line, values), AUTOMATIC, now)
    told: tuple[NewMessage, ...] = ()
    if messages:
        base = alert_from(after, messages, line)
        told = (message_of(replace(base, done=(*base.done, line)), after, _name(messages, result)),)
    paged = next((item for item in messages if item.outbox_id == page_id(incident, entry)), None)
    if paged is not None:
        over = resolved(Alert.from_dict(paged.payload), now, (line,))
        told += (message_of(over, after, f"verified-after-all:{entry['done_at']}"),)
    audit = AuditEntry(AUTOMATIC, _VERIFIED[result.action], incident.rollout_id, line, _said(incident, entry, facts))
    return Commit(audit=(audit,), incident=after, messages=told)


def _name(messages: Sequence[OutboxItem], result: Verification) -> str:
    """The cut has a name of its own in the outbox; what else is verified is a step like others."""
    taken = any(item.outbox_id.endswith(":contained") for item in messages)
    return "contained" if result.action == ROLLBACK and not taken else ""


def ended_commit(
    incident: IncidentRow, entry: Entry, why: str, messages: Sequence[OutboxItem], now: datetime
) -> Commit:
    """A person let go of the containment before it was verified: nobody will know whether it held, and the record says so."""
    line = f"the {_CALLED[entry['action']]} was not verified before it ended: {why}"
    after = with_step(
        incident, Step("ended", line, line, {"containments": _with(incident, entry, {"how": line})}), AUTOMATIC, now
    )
    paged = next((item for item in messages if item.outbox_id == page_id(incident, entry)), None)
    told: tuple[NewMessage, ...] = ()
    if paged is not None:
        told = (message_of(resolved(Alert.from_dict(paged.payload), now, (line,)), after, f"ended:{entry['done_at']}"),)
    audit = AuditEntry(AUTOMATIC, _NOT_VERIFIED[entry["action"]], incident.rollout_id, line, _said(incident, entry, {}))
    return Commit(audit=(audit,), incident=after, messages=told)


def unverified_commit(incident: IncidentRow, entry: Entry, rollout: Rollout, now: datetime, why: str) -> Commit:
    """The containment could not be verified in time: it pages, once, and is looked at further."""
    called = _CALLED[entry["action"]]
    return _paging(
        incident,
        entry,
        rollout,
        now,
        (page_id(incident, entry), "not_verified"),
        f"{called} NOT verified",
        why,
        f"the {called} is committed, but its effect could not be seen from outside",
    )


def refuted_commit(incident: IncidentRow, entry: Entry, rollout: Rollout, now: datetime, why: str) -> Commit:
    """A containment was verified, and what has landed since says that it did not hold: it pages, once, whatever the incident's state."""
    called = _CALLED[entry["action"]]
    return _paging(
        incident,
        entry,
        rollout,
        now,
        (refuted_id(incident, entry), "refuted"),
        f"{called} was verified and did NOT hold",
        f"{why}; that landed after the verification",
        f"the {called} was verified at {entry['verified_at']}, from what had landed by then",
    )


def _paging(
    incident: IncidentRow,
    entry: Entry,
    rollout: Rollout,
    now: datetime,
    key: tuple[str, str],
    what: str,
    why: str,
    done: str,
) -> Commit:
    """A critical page beside the incident's own alert. `key`: id of the message and name of the step."""
    action = entry["action"]
    name = "rollback_not_verified" if action == ROLLBACK else "containment_not_verified"
    labels = {"alertname": name, "release": rollout.release, "rollout_id": rollout.rollout_id}
    line = f"{what}: {why}"
    after = with_step(incident, Step(key[1], line, line), AUTOMATIC, now)
    alert = Alert(
        alert_id=key[0],
        labels=labels if action == ROLLBACK else labels | {"action": action},
        annotations={"title": f"{rollout.release}: {what}", "summary": why},
        severity=Severity.CRITICAL,
        starts_at=now,
        incident_id=incident.incident_id,
        status=Status.FIRING,
        promise=promise_text(0, 0, 0, counted=False),
        times=Times(incident.onset_at, incident.detected_at, incident.cut_at),
        done=(done,),
        step=line,
    )
    audit = AuditEntry(AUTOMATIC, _NOT_VERIFIED[action], rollout.rollout_id, why, _said(incident, entry, {}))
    message = NewMessage(alert.alert_id, "alert", alert.to_dict(), incident.incident_id)
    return Commit(audit=(audit,), incident=after, messages=(message,))


def _with(incident: IncidentRow, entry: Entry, news: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    same = (entry["action"], entry["done_at"])
    return tuple({**one, **news} if (one["action"], one["done_at"]) == same else one for one in entries_of(incident))


def _said(incident: IncidentRow, entry: Entry, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts, "incident": incident.incident_id, "action": entry["action"], "done_at": entry["done_at"]}

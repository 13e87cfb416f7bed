"""Serious incidents: until when they must be reported, who said so, and that nobody forgets it.

A person calls an incident serious and says since when the organisation has been aware of it; from then on the clock of
`controlplane.core.incident_clock` runs. People are reminded when half of the time has gone, and paged when it is over, each once; both end when the
report has been made or a person withdraws the word. An incident may be resolved long before its report is due: the clock does not stop for that.
"""

from __future__ import annotations

from datetime import datetime

from alerts.model import Alert, Severity, Times
from controlplane.core.incident_clock import SERIOUS_DAYS, Due, due_at, standing
from controlplane.core.judge import AUTOMATIC
from controlplane.core.masking import mask
from controlplane.core.policy import Policy
from controlplane.store.state import StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, from_text, to_text
from jobs.deps import Deps
from jobs.incident_alerts import message_of
from jobs.incidents import Step, take, with_step
from jobs.refused import Refused

ALERT = "serious_incident_report"


def mark(
    state: StateWriter,
    policy: Policy,
    incident_id: str,
    kind: str,
    actor: str,
    reason: str,
    now: datetime,
    aware: datetime | None = None,
) -> IncidentRow:
    """Call an incident serious, of a kind of `SERIOUS_DAYS`, known since `aware` (default: now). Said again, the earlier awareness counts.

    Raises Refused for an unknown kind or incident, for an awareness in the future, and where the report has been made.
    """
    reason = mask(reason)
    if kind not in SERIOUS_DAYS:
        raise Refused(f"'{kind}' is no kind of serious incident: {', '.join(SERIOUS_DAYS)}")
    since = now if aware is None else aware
    if since > now:
        raise Refused(f"nobody is aware of anything at {since:%Y-%m-%d %H:%M} UTC yet: give a time that has passed")

    def step(row: IncidentRow) -> Step | None:
        if row.serious.get("reported_at"):
            raise Refused(f"incident {row.incident_id} was reported at {row.serious['reported_at']}")
        known = row.serious.get("since")
        first = since if known is None else min(since, from_text(known))
        due = due_at(kind, first, policy.incidents.serious_days)
        serious = {"kind": kind, "since": to_text(first), "due_at": to_text(due), "reported_at": None}
        if row.serious == serious:
            return None
        told = f"{actor} calls it serious ({kind}): the report is due by {due:%Y-%m-%d %H:%M}Z. {reason}"
        line = f"serious: {kind}: {reason}; report due by {due:%Y-%m-%d %H:%M} UTC"
        return Step("serious", line, told, {"serious": serious}, serious)

    return take(state, incident_id, actor, reason, now, step)


def reported(state: StateWriter, incident_id: str, reference: str, actor: str, now: datetime) -> IncidentRow:
    """Record that the report was made; `reference`: what the authority, or whoever took it, calls it. Raises Refused where none is owed."""

    reference = mask(reference)

    def step(row: IncidentRow) -> Step | None:
        _need_serious(row)
        if row.serious.get("reported_at"):
            raise Refused(f"incident {row.incident_id} was reported at {row.serious['reported_at']} already")
        serious = {**row.serious, "reported_at": to_text(now), "reference": reference}
        late = " (late)" if now > from_text(row.serious["due_at"]) else ""
        told = f"{actor} reported it{late}: {reference}"
        line = f"serious_reported{late}: {reference}"
        return Step("serious_reported", line, told, {"serious": serious}, serious, frozenset({ALERT}))

    return take(state, incident_id, actor, reference, now, step)


def withdraw(state: StateWriter, incident_id: str, actor: str, reason: str, now: datetime) -> IncidentRow:
    """Record that an incident is not a serious one after all. Raises Refused where nobody has called it so, or the report has been made."""

    reason = mask(reason)

    def step(row: IncidentRow) -> Step | None:
        _need_serious(row)
        if row.serious.get("reported_at"):
            raise Refused(f"incident {row.incident_id} has been reported: withdraw the report where it was made")
        told = f"{actor}: not a serious incident after all: {reason}"
        line = f"serious_withdrawn: {reason}"
        return Step("serious_withdrawn", line, told, {"serious": {}}, {"before": row.serious}, frozenset({ALERT}))

    return take(state, incident_id, actor, reason, now, step)


def _need_serious(row: IncidentRow) -> None:
    if not row.serious:
        raise Refused(
            f"nobody has called incident {row.incident_id} serious: `controlplane incident serious ID --kind`"
        )


def due_of(row: IncidentRow, now: datetime) -> Due:
    """Where the report of an incident stands at `now`."""
    if not row.serious:
        return Due.NONE
    done = row.serious.get("reported_at")
    since, due = from_text(row.serious["since"]), from_text(row.serious["due_at"])
    return standing(since, due, None if done is None else from_text(done), now)


def run(deps: Deps, now: datetime) -> int:
    """Remind and page where a report is due; how many were told. A row that somebody changes meanwhile is looked at with the next heartbeat."""
    told = 0
    for row in deps.state.serious_incidents():
        found = due_of(row, now)
        if found not in (Due.SOON, Due.OVERDUE):
            continue
        name = f"report-{found}:{row.serious['due_at']}"
        if deps.state.has_message(f"{row.incident_id}:{name}"):
            continue
        try:
            deps.state.commit(_reminder(row, found, name, now), now)
        except LostRace:
            continue
        told += 1
    return told


def _reminder(row: IncidentRow, found: Due, name: str, now: datetime) -> Commit:
    due = from_text(row.serious["due_at"])
    overdue = found is Due.OVERDUE
    line = f"the report of this serious incident {'was' if overdue else 'is'} due by {due:%Y-%m-%d %H:%M}Z"
    after = with_step(row, Step(f"report_{found}", line, line), AUTOMATIC, now)
    alert = Alert(
        alert_id=name,
        labels={
            "alertname": ALERT,
            "release": row.release,
            "rollout_id": row.rollout_id,
            "category": "governance",
        },
        annotations={
            "title": f"{row.title}: serious-incident report {'OVERDUE' if overdue else 'due soon'}",
            "summary": f"{line} and has not been recorded: `controlplane incident serious {row.incident_id} --reported REFERENCE`",
        },
        severity=Severity.CRITICAL if overdue else Severity.WARNING,
        starts_at=now,
        incident_id=row.incident_id,
        times=Times(detected=row.detected_at),
        done=("nothing: a person makes the report",),
    )
    audit = AuditEntry(AUTOMATIC, f"incident_report_{found}", row.incident_id, line, dict(row.serious))
    return Commit(audit=(audit,), incident=after, messages=(message_of(alert, row, name),))

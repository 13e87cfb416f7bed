"""The alert of an incident: one for its whole life, told again with every step. Pure.

Its labels, evidence and promise are those of the machine's newest act for the incident (a hold that became a rollback is a rollback), what was done
adds up, and where the incident stands is read from its row. So everybody who tells a step (a person's press, the ladder, the verification) tells the
same alert, and people see one parent message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from alerts.model import Alert, AlertFormatError, Severity, Status, Times, fingerprint, resolved
from alerts.pipeline import STEP
from controlplane.core.incident import is_over
from controlplane.store.state_rows import IncidentRow, NewMessage, OutboxItem, from_text

MAIN = frozenset({"rollback", "hold", "execution_disabled", "contained_category", "incident"})
"""`alertname` of an incident's own alert; others of the same incident stand beside it (a cut that is not verified, a report that is due)."""


def standing_of(row: IncidentRow) -> dict[str, str]:
    """Where an incident stands, as its parent message shows it."""
    found = {"state": row.state}
    found |= {"owner": row.owner} if row.owner else {}
    if row.acknowledged_at is not None:
        found["acknowledged_at"] = row.acknowledged_at.isoformat()
    if row.serious.get("due_at") and not row.serious.get("reported_at"):
        found["due"] = from_text(row.serious["due_at"]).isoformat()
    return found


def alert_from(row: IncidentRow, messages: Iterable[OutboxItem], step: str = "") -> Alert:
    """The incident's alert as it is now, with the `step` that is told. `messages`: of the incident, oldest first."""
    return standing_in(_newest(row, messages), row, step)


def standing_in(base: Alert, row: IncidentRow, step: str) -> Alert:
    """The alert `base` with everything that the row knows better."""
    over = is_over(row.state)
    return replace(
        base,
        alert_id=f"{row.incident_id}:step:{len(row.timeline)}",
        annotations={**base.annotations, "title": row.title},
        severity=Severity(row.severity),
        incident_id=row.incident_id,
        status=Status.RESOLVED if over else Status.FIRING,
        ends_at=row.resolved_at if over else None,
        times=Times(row.onset_at, row.detected_at, row.cut_at, row.verified_at, row.alerted_at or base.times.alerted),
        customers_exposed=row.customers_exposed,
        step=step,
        standing=standing_of(row),
    )


def message_of(alert: Alert, row: IncidentRow, name: str = "", *, by_person: bool = False) -> NewMessage:
    """The message that tells a step; the same step of the same incident always has the same id. What a person did waits for no grouping."""
    key = f"{row.incident_id}:{name}" if name else alert.alert_id
    automatic = "resolve" if alert.status is Status.RESOLVED else "alert"
    kind = STEP if by_person else automatic
    return NewMessage(key, kind, replace(alert, alert_id=key).to_dict(), row.incident_id)


def ended_beside(
    row: IncidentRow, messages: Iterable[OutboxItem], told: Alert, now: datetime, *, names: frozenset[str] | None = None
) -> tuple[NewMessage, ...]:
    """What ends the other alerts of an incident beside `told`: all of them, or those with an `alertname` of `names`."""
    newest: dict[str, Alert] = {}
    for item in messages:
        alert = _read(item)
        if alert is not None and (names is None or alert.labels.get("alertname") in names):
            newest[fingerprint(alert.labels)] = alert
    newest.pop(fingerprint(told.labels), None)
    return tuple(
        message_of(resolved(alert, now), row, f"over:{len(row.timeline)}:{key[:8]}")
        for key, alert in newest.items()
        if alert.status is Status.FIRING
    )


def _read(item: OutboxItem) -> Alert | None:
    try:
        return Alert.from_dict(item.payload)
    except AlertFormatError:
        return None  # delivery tells people of a payload that cannot be read; here there is nothing to learn from it


def _newest(row: IncidentRow, messages: Iterable[OutboxItem]) -> Alert:
    found = [(item.created_at, alert) for item in messages if (alert := _read(item)) is not None]
    mine = [(at, len(alert.done), alert) for at, alert in found if alert.labels.get("alertname") in MAIN]
    if mine:
        return max(mine, key=lambda one: one[:2])[2]  # what was done only ever grows
    labels = {"alertname": "rollback" if row.cut_at else "incident", "release": row.release}
    return Alert(
        alert_id=row.incident_id,
        labels=labels | {"rollout_id": row.rollout_id, "trigger": row.trigger},
        annotations={"title": row.title, "summary": row.title},
        severity=Severity(row.severity),
        starts_at=row.detected_at,
        incident_id=row.incident_id,
    )

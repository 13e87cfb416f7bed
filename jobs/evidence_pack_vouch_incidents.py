"""Incidents, what was to be done after them, and silences of a pack against its audit log. Part of `jobs.evidence_pack_vouch`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from controlplane.core.incident import IncidentEvent

if TYPE_CHECKING:
    from jobs.evidence_pack_vouch import Row, Vouching

_BESIDE = (
    *("own", "note", "disagree", "triage", "learned", "taught_nothing"),
    *("serious", "serious_reported", "serious_withdrawn", "report_soon", "report_overdue"),
)
INCIDENT_EVENTS = tuple(f"incident_{name}" for name in (*map(str, IncidentEvent), *_BESIDE))
"""What the log says of an incident, by its id: in a pack that has any of it the incident is there."""
_CLOCK = {
    "acknowledged_at": ("incident_acknowledge",),
    "resolved_at": ("incident_resolve", "incident_clear"),
    "reviewed_at": ("incident_review",),
}
"""Moments of an incident, and the events at which the log has them."""


def vouch_incident(v: Vouching, _: str, row: Row) -> Iterator[str]:
    """An incident: its clocks are at the moments at which the log has their events."""
    subject = str(row["incident_id"])
    v.note("incident", subject)
    for name, events in _CLOCK.items():
        at = row.get(name)
        if at is None or not v.inside(at):
            continue  # packs of older programs have no such column; another time than the period's is vouched for elsewhere
        if any(one["_at"] == at for event in events for one in v.log.said.get((event, subject), [])):
            v.checked += 1
        else:
            yield f"the audit log of the pack does not vouch for its {name} ({at}: no {' or '.join(events)})"
    yield from _serious(v, subject, row.get("serious") or {})


def _serious(v: Vouching, subject: str, said: Mapping[str, Any]) -> Iterator[str]:
    """The clock of a serious incident is as the log has it; where the log of the pack has none, it is of another time."""
    told = [
        one
        for event in ("incident_serious", "incident_serious_reported", "incident_serious_withdrawn")
        for one in v.log.said.get((event, subject), [])
    ]
    if not told:
        if said:
            v.before["incidents"] = v.before.get("incidents", 0) + 1
        return
    plain = ("kind", "since", "due_at", "reported_at")
    if said and not any(all(one.get(name) == said.get(name) for name in plain) for one in told):
        yield "the audit log of the pack does not vouch for what it says of a serious incident"


def vouch_action(v: Vouching, _: str, row: Row) -> Iterator[str]:
    """A row of an action item: opened or closed as the log says, by whom and with what outcome."""
    if v.inside(row["at"]):
        v.note("action", f"{row['action_id']} {row['event']}")
    values = {"action_id": row["action_id"], "kind": row["kind"], "_actor": row["actor"], "_at": row["at"]}
    more = ("outcome", "evidence") if row["event"] == "closed" else ("owner",)
    values |= {name: row[name] for name in more}
    values |= {"_reason": row["text"]} if row["event"] == "opened" else {}
    event = f"action_{row['event']}"
    yield from v.said("incident_actions", event, row["incident_id"], row["at"], shared=True, values=values)


def vouch_silence(v: Vouching, _: str, row: Row) -> Iterator[str]:
    """A silence: who asked for it, why, for what and until when, as the log says."""
    if v.inside(row["at"]):
        v.note("silence", f"{row['silence_id']} {row['event']}")
    values = {"_actor": row["actor"], "_at": row["at"], "_reason": row["reason"]}
    if row["event"] == "added":
        values |= {name: row[name] for name in ("matchers", "starts_at", "expires_at")}
    yield from v.said("silences", f"silence_{row['event']}", row["silence_id"], row["at"], values=values)

"""Call the next tier when nobody has acknowledged an incident. A step of the heartbeat, before people are told.

Each call is one commit: the line of the timeline, the audit row and the message. The message of a tier of one incident always has the same id, and
the timeline says which tiers were told, so a crash between any two steps neither skips a tier nor calls it twice. What is silenced or inhibited
calls nobody until that ends.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from alerts.config import Alerting
from alerts.config_values import said
from alerts.held import held_back
from alerts.ladder import Call, Waiting, calls
from alerts.model import Severity
from controlplane.core.incident import IncidentEvent
from controlplane.core.judge import AUTOMATIC
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, from_text, to_text
from jobs import silences
from jobs.deps import Deps
from jobs.incident_alerts import message_of
from jobs.incident_view import asked_since
from jobs.incidents import alert_of

TIER = "tier"
_AGAIN = frozenset({str(IncidentEvent.RECUR), str(IncidentEvent.REOPEN)})


def run(deps: Deps, now: datetime) -> list[Call]:
    """Tell the tiers whose time has come; the calls that were written."""
    alerting = deps.alerting
    if alerting is None or not alerting.ladder:
        return []
    rows = {row.incident_id: row for row in deps.state.open_incidents() if is_waiting(row)}
    found = calls(map(waiting_of, rows.values()), alerting.ladder, alerting.quiet, now)
    if not found:
        return []
    rules = alerting.rules_at(now, silences.in_force(deps.state, now))
    active = silences.standing(deps.state)

    def held(call: Call) -> bool:
        own = alert_of(deps.state, rows[call.incident_id], "")
        return bool(held_back(own, call.tier.kind, rules, now, active))

    return [call for call in found if not held(call) and _tell(deps, alerting, rows[call.incident_id], call, now)]


def is_waiting(row: IncidentRow) -> bool:
    """Whether nobody has said yet that they look after it."""
    return row.acknowledged_at is None and row.state in ("open", "contained")


def waiting_of(row: IncidentRow) -> Waiting:
    """What the ladder has to know of an incident, from its timeline."""
    return Waiting(row.incident_id, Severity(row.severity), asked_since(row), _told(row))


def _told(row: IncidentRow) -> dict[int, datetime]:
    """The tiers that were told since people were asked the last time."""
    told: dict[int, datetime] = {}
    for entry in row.timeline:
        if entry.get("event") in _AGAIN:
            told = {}
        elif entry.get("event") == TIER:
            told[int(entry["tier"])] = from_text(entry["at"])
    return told


def _tell(deps: Deps, alerting: Alerting, row: IncidentRow, call: Call, now: datetime) -> bool:
    people = alerting.on_call(call.tier.people, now)
    names = ", ".join(person.name for person in people)
    whom = f"{call.tier.name}{f' ({names})' if names else ''}"
    span = said(now.replace(microsecond=0) - asked_since(row).replace(microsecond=0))
    text = f"nobody has acknowledged for {span}: {whom} is told"
    entry = {"at": to_text(now), "actor": AUTOMATIC, "text": text, "event": TIER, "tier": str(call.number)}
    after = replace(row, timeline=(*row.timeline, entry))
    alert = alert_of(deps.state, after, f"{text[0].upper()}{text[1:]}")
    mention = ",".join(person.slack for person in people if person.slack)
    if mention:
        alert = replace(alert, annotations={**alert.annotations, "mention": mention})
    again = sum(entry.get("event") in _AGAIN for entry in row.timeline)
    name = f"tier{call.number}" + (f":{again}" if again else "")
    message = replace(message_of(alert, after, name), kind=call.tier.kind)
    told = {"tier": call.number, "name": call.tier.name, "receivers": list(call.tier.receivers)}
    told |= {"people": [person.name for person in people]}
    audit = AuditEntry(AUTOMATIC, "tier_told", row.incident_id, text, told)
    try:
        deps.state.commit(Commit(incident=after, audit=(audit,), messages=(message,)), now)
    except LostRace:
        return False  # somebody did something to it just now, perhaps acknowledged it: it is looked at again with the next heartbeat
    return True

"""Where an incident stands, in words: its state, who has it, what is due, and whom a message calls by name. Pure; plain text.

An alert that says nothing of its incident (`standing` is empty) is drawn as its status alone says: open while it fires, resolved after.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from alerts.model import Alert, Status

OPEN, ACKNOWLEDGED, CONTAINED, RESOLVED, REVIEWED = "open", "acknowledged", "contained", "resolved", "reviewed"
OVER = frozenset({RESOLVED, REVIEWED})
_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_NAMES = {
    OPEN: "Open",
    ACKNOWLEDGED: "Acknowledged",
    CONTAINED: "Contained",
    RESOLVED: "Resolved, review to be done",
    REVIEWED: "Reviewed and closed",
}


def state_of(alert: Alert) -> str:
    """The incident's state; one that is not in the table is returned as it is."""
    state = alert.standing.get("state", "").strip().lower()
    if state:
        return state
    return RESOLVED if alert.status is Status.RESOLVED else OPEN


def is_acknowledged(alert: Alert) -> bool:
    """Whether a person has said that they are on it."""
    return bool(alert.standing.get("acknowledged_at")) or state_of(alert) == ACKNOWLEDGED


def is_over(alert: Alert) -> bool:
    """Whether there is nothing left to press: the incident is resolved or reviewed."""
    return alert.status is Status.RESOLVED or state_of(alert) in OVER


def standing_facts(alert: Alert) -> list[tuple[str, str]]:
    """Name and value of where the incident stands, at most three; empty for an alert without an incident."""
    if not alert.standing and alert.incident_id is None:
        return []
    found = [("State", _state(alert)), ("Owner", alert.standing.get("owner", "") or "nobody yet")]
    due = alert.standing.get("due", "")
    return [*found, ("Report due", moment(due))] if due else found


def _state(alert: Alert) -> str:
    state = state_of(alert)
    word = _NAMES.get(state, state)
    if state == CONTAINED:
        word += ", NOT verified" if alert.standing.get("verified") == "no" else ", verified"
    when = alert.standing.get("acknowledged_at", "")
    if state in OVER:
        return word
    if not is_acknowledged(alert):
        return f"{word}, not acknowledged"
    who = alert.standing.get("acknowledged_by", "")
    told = "" if state == ACKNOWLEDGED else ", acknowledged"
    return word + told + (f" by {who}" if who else "") + (f" at {moment(when)}" if when else "")


def moment(text: str) -> str:
    """An ISO-8601 time as people read it, in UTC; any other text as it is."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def by_command(alert: Alert) -> str:
    """How to acknowledge where there is nothing to press; "" where nothing is to be acknowledged."""
    if alert.incident_id is None or is_acknowledged(alert) or is_over(alert):
        return ""
    return f"controlplane incident ack {alert.incident_id} --actor YOU"


def mentions(alert: Alert) -> list[str]:
    """Slack user ids whom the message calls by name (annotation `mention`, by commas or spaces); anything that is no user id is dropped."""
    words = alert.annotations.get("mention", "").replace(",", " ").split()
    return list(dict.fromkeys(word for word in words if _USER.fullmatch(word)))[:20]

"""An incident as a person reads it: where it stands, its times, and one timeline of everything that was done and told.

The row's own timeline has what was a step of the incident. What happened beside it is on record elsewhere and joins it here: what was done to the
rollout and to the incident's action items (the audit log), and what was told (the outbox). A row of the log that the timeline tells already is
left out. Nobody is named by an id of a chat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from controlplane.core.incident import asked_at
from controlplane.core.incident_clock import Times, times
from controlplane.store.state import StateReader
from controlplane.store.state_rows import IncidentRow, OutboxItem, from_text, to_text
from jobs.incident_serious import due_of
from jobs.refused import Refused

_QUIET = frozenset({"cut_verified"})  # told by the incident's own timeline, a moment apart
_BESIDE = frozenset(
    {"action_opened", "action_closed", "incident_learned", "incident_taught_nothing"}
)  # never in the incident's own timeline


def find(state: StateReader, incident_id: str) -> IncidentRow:
    """The incident. Raises Refused for an unknown id; a unique beginning of an id is enough."""
    found = state.incident(incident_id)
    if found is not None:
        return found
    rows = [row for row in state.incidents() if incident_id and row.incident_id.startswith(incident_id)]
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise Refused(
            f"{incident_id!r} begins {len(rows)} incidents: {', '.join(row.incident_id for row in rows[-5:])}"
        )
    raise Refused(f"there is no incident {incident_id!r}: `controlplane incident list` shows them")


def asked_since(row: IncidentRow) -> datetime:
    """Since when people are asked: the detection, or when the incident came back after it was contained or resolved."""
    return max(asked(row))


def asked(row: IncidentRow) -> list[datetime]:
    """Every moment at which people were asked (`controlplane.core.incident.asked_at`)."""
    return asked_at(row.detected_at, ((str(one.get("event")), from_text(one["at"])) for one in row.timeline))


def times_of(row: IncidentRow) -> Times:
    """Seconds to detect, acknowledge, contain and resolve."""
    return times(
        onset=row.onset_at,
        detected=row.detected_at,
        asked=asked(row),
        acknowledged=row.acknowledged_at,
        verified=row.verified_at,
        resolved=row.resolved_at,
    )


def timeline_of(
    state: StateReader, row: IncidentRow, messages: Sequence[OutboxItem] | None = None
) -> list[dict[str, str]]:
    """Everything on record about the incident, in the order of time: `at` (ISO-8601 UTC), `actor`, `text`, `event`."""
    told = state.incident_messages(row.incident_id) if messages is None else messages
    own = [{"event": "", **entry} for entry in row.timeline]
    known = {(entry["at"], entry["actor"]) for entry in own}
    found = [*own, *_audited(state, row, known), *_told(told)]
    return sorted(found, key=lambda entry: entry["at"])


def _audited(state: StateReader, row: IncidentRow, known: set[tuple[str, str]]) -> Iterator[dict[str, str]]:
    end = to_text(row.resolved_at) if row.resolved_at is not None else None
    for one in state.audit_about((row.incident_id, row.rollout_id)):
        beside = one["subject"] == row.rollout_id
        if beside and (one["at"] < to_text(row.detected_at) or (end is not None and one["at"] > end)):
            continue
        if one["event"] in _QUIET or (one["event"] not in _BESIDE and (one["at"], one["actor"]) in known):
            continue
        event = str(one["event"])
        yield {
            "at": one["at"],
            "actor": one["actor"],
            "text": f"{event.replace('_', ' ')}: {one['reason']}",
            "event": event,
        }


def _told(messages: Sequence[OutboxItem]) -> Iterator[dict[str, str]]:
    """When people were first told, by which receiver, and what could not be told."""
    sent = [(str(item.receipt["sent_at"]), item) for item in messages if item.receipt and "sent_at" in item.receipt]
    for at, item in sorted(sent, key=lambda one: one[0])[:1]:
        yield {"at": at, "actor": str(item.receiver), "text": "people were told first", "event": "alerted"}
    for item in messages:
        if item.status == "dead":
            text = f"message {item.outbox_id} could not be delivered"
            yield {"at": to_text(item.created_at), "actor": str(item.receiver), "text": text, "event": "undelivered"}


def shown(state: StateReader, incident_id: str, now: datetime) -> dict[str, Any]:
    """All of an incident as plain values: the row, its times, the whole timeline, what was told, the action items, and where its report stands."""
    row = find(state, incident_id)
    messages = state.incident_messages(row.incident_id)
    plain = asdict(row)
    plain |= {"times": asdict(times_of(row)), "timeline": timeline_of(state, row, messages)}
    plain["report"] = str(due_of(row, now))
    plain["messages"] = [
        {"outbox_id": item.outbox_id, "status": item.status, "receiver": item.receiver, "route": item.route}
        for item in messages
    ]
    plain["actions"] = [asdict(item) for item in state.action_items(row.incident_id)]
    return plain


def listed(state: StateReader, now: datetime, *, only_open: bool = False) -> list[dict[str, Any]]:
    """All incidents, oldest first, with their times and where their report stands."""
    rows = [row for row in state.incidents() if not only_open or row.state not in ("resolved", "reviewed")]
    return [asdict(row) | {"times": asdict(times_of(row)), "report": str(due_of(row, now))} for row in rows]


def span(seconds: float | None) -> str:
    """A time as a person says it: "38 s", "12 min", "3.5 h", "not yet"."""
    if seconds is None:
        return "not yet"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def text(value: dict[str, Any]) -> str:
    """`shown` for people: the answer first, then the times, then the timeline."""
    owner = value["owner"] or "nobody yet"
    lines = [
        f"{value['incident_id']}: {value['title']}",
        f"{value['state']}, {value['severity']}; owned by {owner}; release {value['release']}, cause {value['trigger']}",
        "  ".join(f"{name.replace('_', ' ')}: {span(seconds)}" for name, seconds in value["times"].items()),
    ]
    if value["customers_exposed"] is not None:
        lines.append(f"{value['customers_exposed']} customers exposed")
    lines += [_containment(one) for one in value["containments"]]
    if value["serious"]:
        lines.append(_report(value))
    open_items = [item for item in value["actions"] if not item["outcome"]]
    lines += [f"to do ({item['kind']}, {item['owner']}): {item['text']}" for item in open_items]
    lines.append("")
    lines += [f"{entry['at'][:19]}Z  {entry['actor']:14} {entry['text']}" for entry in value["timeline"]]
    return "\n".join(lines)


def _containment(one: dict[str, Any]) -> str:
    verified = f"verified {one['verified_at'][:19]}Z" if one.get("verified_at") else "NOT verified"
    return f"{str(one.get('action', '')).replace('_', ' ')} at {str(one.get('done_at', ''))[:19]}Z, {verified}"


def _report(value: dict[str, Any]) -> str:
    serious = value["serious"]
    if serious.get("reported_at"):
        return f"serious ({serious['kind']}), reported {serious['reported_at'][:19]}Z: {serious.get('reference', '')}"
    word = "OVERDUE since" if value["report"] == "overdue" else "report due by"
    return f"serious ({serious['kind']}), {word} {serious['due_at'][:19]}Z"

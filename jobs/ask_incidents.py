"""What the Incidents page asks of the control process: why it happened, and what people do to an incident and to what is to be done after it.

Everything that is done goes the way of the command line: the same refusals, the same rows of the audit log, in the name of who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.settings import SettingsError
from jobs import after_actions, after_report, cause, incident_serious, incidents
from jobs.deps import Deps
from jobs.incident_view import find, shown

Plain = Mapping[str, Any]


def show(deps: Deps, now: datetime, incident: str) -> Plain:
    """All of an incident as `controlplane incident show` has it: row, times, whole timeline, messages, actions, where its report stands."""
    return shown(deps.state, incident, now)


def causes(deps: Deps, now: datetime, incident: str) -> Plain:
    """The causes of an incident, most points first, with the evidence for and against each (`jobs.cause.causes_of`)."""
    return cause.causes_of(deps, find(deps.state, incident), now)


def act(deps: Deps, now: datetime, incident: str, event: str, reason: str, actor: str, owner: str = "") -> Plain:
    """Acknowledge, own, note, resolve, review or reopen. Raises Refused for what the incident does not take in its state."""
    after = incidents.act(deps.state, find(deps.state, incident).incident_id, event, actor, reason, now, owner=owner)
    return {"incident": after.incident_id, "state": after.state, "owner": after.owner}


def disagree(deps: Deps, now: datetime, incident: str, cause_kind: str, reason: str, actor: str, ranked: str) -> Plain:
    """Record that a person holds another cause for the right one; `ranked`: what the ranking had first."""
    return cause.disagree(deps.state, incident, cause_kind, actor, reason, now, ranked)


def report(deps: Deps, now: datetime, incident: str, actor: str) -> Plain:
    """Write the post-incident report. Paths are relative to the workspace."""
    found = after_report.write(deps, now, incident=incident, actor=actor)
    paths = {name: Path(found[name]).relative_to(deps.home).as_posix() for name in ("html", "markdown")}
    return {"incident": found["document"]["incident_id"], "state": found["document"]["state"], **paths}


def add_action(
    deps: Deps, now: datetime, incident: str, kind: str, reason: str, owner: str, due: str | None, actor: str
) -> Plain:
    """Write down what is to be done (`reason`), by whom and until when: `due` is a day, YYYY-MM-DD, whose end counts (UTC), or None."""
    item = after_actions.add(deps.state, incident, kind, reason, owner, _end_of(due), actor, now)
    return {"action": item.action_id, "incident": item.incident_id}


def close_action(deps: Deps, now: datetime, action: str, outcome: str, reason: str, actor: str) -> Plain:
    """Say what became of it; `reason` is what shows it."""
    item = after_actions.close(deps.state, action, outcome, reason, actor, now)
    return {"action": item.action_id, "outcome": item.outcome}


def serious(deps: Deps, now: datetime, incident: str, kind: str, reason: str, actor: str) -> Plain:
    """Call an incident serious, known since now: its reporting clock starts."""
    row = incident_serious.mark(deps.state, deps.policy, _id(deps, incident), kind, actor, reason, now)
    return {"incident": row.incident_id, "serious": row.serious}


def reported(deps: Deps, now: datetime, incident: str, reason: str, actor: str) -> Plain:
    """Record that the serious incident was reported; `reason` is the reference that whoever took the report gave it."""
    row = incident_serious.reported(deps.state, _id(deps, incident), reason, actor, now)
    return {"incident": row.incident_id, "serious": row.serious}


def not_serious(deps: Deps, now: datetime, incident: str, reason: str, actor: str) -> Plain:
    """Record that it is no serious incident after all."""
    row = incident_serious.withdraw(deps.state, _id(deps, incident), actor, reason, now)
    return {"incident": row.incident_id, "serious": row.serious}


def _id(deps: Deps, incident: str) -> str:
    return find(deps.state, incident).incident_id


def _end_of(day: str | None) -> datetime | None:
    if not day:
        return None
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except ValueError:
        raise SettingsError(f"due {day!r} is no day: write YYYY-MM-DD") from None

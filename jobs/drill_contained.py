"""Whether what was done in a drill was done: by what customers were served afterwards, and by the control plane's own verification.

Customers count twice here. The producer of the drill knows what each of them was really served (the arm, the share, whether workflows ran); that
says whether harm was contained. When it was *verified* is what the control plane itself says, where it verifies (a cut, execution, a category);
a held ramp takes nothing from anybody, so the first customer behind the clients' poll limit who was served at no higher share is its verification.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.judge import AUTOMATIC
from controlplane.core.rollout import Event
from controlplane.simulation.lines import Served
from controlplane.store.state_rows import IncidentRow, from_text
from jobs.drill_stage import BEGIN, Stage

CONTAINING = (Event.ROLLBACK, Event.DISABLE_EXECUTION, Event.CONTAIN, Event.HOLD)
BY_CUSTOMERS, BY_CONTROL_PLANE = "customers", "control plane"
TOO_EARLY = "nobody: it was called verified before the clients' poll limit was over, when nothing could be seen yet"


@dataclass(frozen=True, slots=True)
class Contained:
    """One thing that the machine did: at which minute, whether customers saw it, and at which minute it was verified by whom."""

    action: str
    trigger: str
    done: float
    contained: bool
    verified: float | None
    by: str
    why: str = ""


def containments(stage: Stage, incidents: list[IncidentRow]) -> tuple[Contained, ...]:
    """Everything that the automatic actor did against harm, oldest first."""
    rows = [row for row in stage.deps.state.audit_rows() if row["actor"] == AUTOMATIC and row["event"] in CONTAINING]
    return tuple(_contained(stage, row, incidents) for row in rows)


def _contained(stage: Stage, row: dict[str, Any], incidents: list[IncidentRow]) -> Contained:
    done, version = from_text(row["at"]), json.loads(row["payload"])["version"]
    until = _let_go(stage, row["event"], done)
    behind = done + timedelta(seconds=stage.policy.watch.client_poll_seconds)
    served = [one for one in stage.lines.treated if behind < one.at <= until]
    incident = _incident_of(incidents, f"{row['subject']}-v{version}", done)
    why = _uncontained(stage, row["event"], done, served, incident)
    moment, by = _verified(row["event"], incident, served)
    if moment is not None and moment <= behind:
        moment, by = None, TOO_EARLY
    trigger = "" if incident is None else incident.trigger
    return Contained(
        str(row["event"]), trigger, _minute(done), not why, None if moment is None else _minute(moment), by, why
    )


def _minute(moment: datetime) -> float:
    return round((moment - BEGIN) / timedelta(minutes=1), 2)


def _let_go(stage: Stage, event: str, done: datetime) -> datetime:
    """Until when it is to hold: the next step that lets go of it, else the end of the drill."""
    lets = {
        Event.HOLD: (Event.RESUME, Event.ROLLBACK),
        Event.DISABLE_EXECUTION: (Event.ENABLE_EXECUTION, Event.RESUME),
    }.get(Event(event), (Event.RESTART,))
    moments = [from_text(row["at"]) for row in stage.deps.state.audit_rows() if row["event"] in lets]
    return min((moment for moment in moments if moment > done), default=stage.now)


def _incident_of(incidents: list[IncidentRow], incident_id: str, done: datetime) -> IncidentRow | None:
    """The incident that the step opened, or the one of its rollout that it joined: the newest that was there by then."""
    found = [row for row in incidents if row.incident_id == incident_id]
    earlier = [row for row in incidents if row.detected_at <= done]
    return next(iter(found or earlier[-1:]), None)


def _uncontained(stage: Stage, event: str, done: datetime, served: list[Served], incident: IncidentRow | None) -> str:
    """What customers were still served behind the clients' poll limit; "" when what was done was done."""
    if event == Event.ROLLBACK:
        return f"{len(served)} conversations reached the assistant behind the cut" if served else ""
    if event == Event.HOLD:
        before = [one.share for one in stage.lines.treated if one.at <= done]
        higher = [one for one in served if before and one.share > before[-1]]
        return f"{len(higher)} conversations were served at a higher share behind the hold" if higher else ""
    executed = [one for one in served if one.execution]
    if executed:
        return f"{len(executed)} conversations might still execute workflows"
    if event == Event.CONTAIN:
        categories = {row.category for row in stage.deps.state.containments() if row.contained_at <= done}
        through = [one for one in served if one.intent in categories]
        return f"{len(through)} conversations of a contained category reached the assistant" if through else ""
    return ""


def _verified(event: str, incident: IncidentRow | None, served: list[Served]) -> tuple[datetime | None, str]:
    """When and by whom: the control plane, as its incident says; of a held ramp the first customer who was served behind it."""
    if event == Event.HOLD:
        return (served[0].at if served else None), BY_CUSTOMERS
    found = [] if incident is None else [one for one in incident.containments if one.get("action") == event]
    moments = [from_text(one["verified_at"]) for one in found if one.get("verified_at")]
    if event == Event.ROLLBACK and incident is not None and incident.verified_at is not None:
        moments.append(incident.verified_at)
    return (min(moments) if moments else None), BY_CONTROL_PLANE

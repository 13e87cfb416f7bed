"""Messages for what a stream found where the machine does nothing itself: a trigger that only pages, one that is overridden, and a rollback
that was weakened to a hold while the ramp is held already. Each is told once between two resumptions, or once per override; where its trigger has
an open incident, in the thread of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from alerts.model import Alert, Severity
from controlplane.core import overrides
from controlplane.core.blocks import StageEvent
from controlplane.core.incident import IncidentEvent
from controlplane.core.judge import Ask, Situation, asks
from controlplane.core.model import Action, Decision, Rollout, RolloutState, TriggerReading
from controlplane.core.rollout import Event
from controlplane.store.state_rows import IncidentRow, NewMessage, from_text
from jobs import links
from jobs.decisions import alert_readings, promise, trigger_of
from jobs.deps import Deps


def messages(
    deps: Deps,
    rollout: Rollout,
    situation: Situation,
    decision: Decision | None,
    history: Sequence[StageEvent],
    readings: Sequence[TriggerReading],
) -> tuple[NewMessage, ...]:
    """What is to be told and was not yet. A decision tells its own trigger."""
    if rollout.state is RolloutState.ROLLED_BACK or (decision is not None and decision.event == Event.ROLLBACK):
        return ()
    resumed = [row for row in history if row.event == Event.RESUME]
    since = resumed[-1] if resumed else None
    found = []
    for ask in asks(deps.policy, situation):
        reason = _why(deps, rollout, ask, situation.now)
        if reason is None or (decision is not None and decision.trigger == ask.key[0]):
            continue
        name, segment = ask.key
        key = f"{rollout.rollout_id}:page:{name}|{segment}:{0 if since is None else since.version}:{reason}"
        if deps.state.has_message(key) or (ask.action is not Action.PAGE and _has_incident(deps, rollout, name, since)):
            continue
        newest = [reading for reading in readings if reading.fired and (reading.trigger, reading.segment) == ask.key]
        alert = _alert(deps, rollout, ask, key, situation.now, newest[-1:])
        mine = [row for row in deps.state.open_incidents(rollout.rollout_id) if row.trigger == name]
        incident_id = mine[-1].incident_id if mine else None
        base = deps.dashboard_url
        where = links.of_incident(base, incident_id) if incident_id else links.of_live(base)
        payload = replace(alert, incident_id=incident_id, links=where).to_dict()
        found.append(NewMessage(key, "alert", payload, incident_id))
    return tuple(found)


def _why(deps: Deps, rollout: Rollout, ask: Ask, now: datetime) -> str | None:
    """What the message is for, as a part of its identity; None when there is nothing to tell."""
    if ask.action is Action.PAGE:
        active = overrides.active(deps.state.overrides(rollout.rollout_id), rollout.rollout_id, now)
        mine = [item.override_id for item in active if item.trigger == ask.key[0]]
        return mine[0] if ask.weakened and mine else "page"
    return "weakened" if ask.weakened else None


def _has_incident(deps: Deps, rollout: Rollout, name: str, since: StageEvent | None) -> bool:
    mine = [row for row in deps.state.incidents() if row.rollout_id == rollout.rollout_id and row.trigger == name]
    return any(since is None or _acted(row) >= since.started_at for row in mine)


def _acted(row: IncidentRow) -> datetime:
    """When the machine acted for an incident the last time."""
    again = [from_text(entry["at"]) for entry in row.timeline if entry.get("event") == IncidentEvent.RECUR]
    return max([row.detected_at, *again])


def _alert(
    deps: Deps, rollout: Rollout, ask: Ask, key: str, now: datetime, readings: Sequence[TriggerReading]
) -> Alert:
    name, segment = ask.key
    trigger = trigger_of(deps.policy, name)
    where = "" if segment == "all" else f" in segment {segment}"
    labels = {
        "alertname": "trigger",
        "release": rollout.release,
        "rollout_id": rollout.rollout_id,
        "phase": rollout.phase,
        "trigger": name,
        "metric": trigger.metric,
        "segment": segment,
        "action": str(ask.action),
        "category": "metric",
    }
    found = f"{trigger.metric}{where} is beyond its limit of {trigger.limit:g}"
    return Alert(
        alert_id=key,
        labels=labels,
        annotations={
            "title": f"{rollout.release}: {name.replace('_', ' ')}{where}",
            "summary": f"{found}; {ask.weakened}" if ask.weakened else found,
        },
        severity=Severity.CRITICAL if ask.weakened and trigger.action is Action.ROLLBACK else Severity.ERROR,
        starts_at=now,
        readings=alert_readings(readings, {}),
        promise=promise(deps.policy, name, segment, readings),
        done=(
            f"nothing was changed: {ask.weakened}" if ask.weakened else "nothing was changed: the trigger only pages",
        ),
    )

"""Root cause of an incident: windows and change log read, causes ranked by `core.cause`, and what people said who see it otherwise.

The window ends where the assistant's traffic was cut (afterwards there is nothing to compare), and begins at most a day before the onset, not before
the rollout served anybody. A disagreement is an artefact with its audit row first, then a step of the incident; a repeat writes nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.cause import rank
from controlplane.core.cause_changes import closeness
from controlplane.core.cause_model import MEASURE_OF, MEASURES, TITLES, Cause, Change, Facts, Kind, Ranking, Shift
from controlplane.core.cause_words import shift_words, size
from controlplane.core.masking import mask
from controlplane.core.policy import Policy
from controlplane.settings import SettingsError
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_rows import IncidentRow, from_text
from jobs.cause_facts import change_log, read
from jobs.deps import Deps
from jobs.incident_view import find
from jobs.incidents import Step, take

KIND, EVENT = "cause", "cause_disagreed"
BEFORE = timedelta(hours=24)
LOG_BEFORE = timedelta(hours=24)  # of the change log shown, before the window
OBJECTIVE_MS = 4_000.0  # where no trigger of the policy has a latency objective

Plain = dict[str, Any]


def measure(deps: Deps, now: datetime, *, incident_id: str, onset: str | None = None) -> Plain:
    """The ranking of an incident by its id, for `jobs.work`; `onset` (ISO time) instead of the recorded one."""
    return causes_of(deps, _found(deps.state, incident_id), now, onset=None if onset is None else from_text(onset))


def causes_of(deps: Deps, incident: IncidentRow, now: datetime, onset: datetime | None = None) -> Plain:
    """What explains an incident, JSON-ready: `line` (one sentence), `standing`, `causes` (most points first), `slices`, `shifts`, `changes`,
    `notes`, `window` and `disagreements`. Raises SettingsError for an onset that lies behind the end of what can be compared."""
    window, notes = window_of(deps.state, incident, now, onset)
    audit = deps.state.audit_rows()
    log = change_log(audit)
    cursor = deps.warehouse.cursor()
    try:
        found = read(
            cursor,
            window,
            log,
            slo_ms=objective(deps.policy),
            measure=MEASURE_OF.get(_metric(deps.policy, incident)),
        )
    finally:
        cursor.close()
    answer = ranking_json(rank(found), found)
    near = [change for change in log if window[0] - LOG_BEFORE <= change.at <= window[2]]
    answer["changes"] = [_change(change, window) for change in near]
    answer["notes"] = [*notes, *answer["notes"]]
    head = {"incident": incident.incident_id, "title": incident.title, "release": incident.release, "made_at": now}
    head |= {"trigger": incident.trigger, "window": dict(zip(("since", "onset", "until"), window, strict=True))}
    return {**head, **answer, "disagreements": disagreements(deps.state, incident.incident_id)}


def window_of(
    state: StateReader, incident: IncidentRow, now: datetime, onset: datetime | None = None
) -> tuple[tuple[datetime, datetime, datetime], list[str]]:
    """Since, onset and until, and what has to be said about them."""
    notes = []
    at = onset or incident.onset_at
    if at is None:
        at = incident.detected_at
        notes.append(
            "no onset is recorded: the time of the detection stands for it, and part of the harm lies before it"
        )
    ends = [moment for moment in (incident.cut_at, incident.resolved_at) if moment is not None and moment > at]
    until = min([*ends, at + BEFORE, max(now, at)])
    if until <= at:
        raise SettingsError(f"the onset {at.isoformat()} lies behind the end of the incident: name one by --onset")
    stages = state.stages(incident.rollout_id)
    began = min((row.started_at for row in stages), default=at - BEFORE)
    if began > at - timedelta(minutes=10):
        notes.append(
            "the rollout began at the onset: before it another release served, or nobody was served by the assistant"
        )
        began = at - BEFORE
    return (max(at - BEFORE, began), at, until), notes


def objective(policy: Policy) -> float:
    """The latency in ms above which a conversation is slow."""
    found = [trigger.slo_ms for trigger in policy.triggers if trigger.slo_ms is not None]
    return min(found, default=OBJECTIVE_MS)


def _metric(policy: Policy, incident: IncidentRow) -> str:
    return next((trigger.metric for trigger in policy.triggers if trigger.name == incident.trigger), incident.trigger)


def _change(change: Change, window: tuple[datetime, datetime, datetime]) -> Plain:
    minutes = (change.at - window[1]).total_seconds() / 60
    fits = closeness(change.at, window[1], window[0])
    return {
        **asdict(change),
        "kinds": [str(k) for k in change.kinds],
        "minutes": round(minutes, 1),
        "fits": round(fits, 2),
    }


def ranking_json(found: Ranking, facts: Facts) -> Plain:
    """The ranking as plain values, with each number in words beside it."""
    causes = [_cause(cause) for cause in found.causes]
    title = MEASURES[found.measure].title if found.measure else ""
    return {
        "standing": str(found.standing),
        "measure": found.measure,
        "measure_title": title,
        "scope": found.scope,
        "line": line_of(found),
        "causes": causes,
        "slices": [dict(item) for item in found.slices],
        "shifts": {name: {side: _shift(name, s) for side, s in sides.items()} for name, sides in found.shifts.items()},
        "conversations": {
            arm: [
                facts.cells[key].n if (key := ("escalated", "", "", arm, late)) in facts.cells else 0 for late in (0, 1)
            ]
            for arm in ("assistant", "baseline")
        },
        "notes": list(found.notes),
    }


def _cause(cause: Cause) -> Plain:
    where = None
    if cause.slice is not None:
        how = MEASURES[cause.slice.measure]
        where = (
            asdict(cause.slice)
            | {"title": how.title}
            | {f"{name}_text": size(getattr(cause.slice, name), how) for name in ("inside", "low", "high", "outside")}
        )
    return {
        "kind": str(cause.kind),
        "title": TITLES[cause.kind],
        "points": cause.points,
        "standing": f"{cause.points:+.1f} points",
        "named": cause.named,
        "slice": where,
        "evidence": [
            f"{i.points:+.1f} {i.text}" for i in sorted(cause.lines, key=lambda i: -abs(i.points)) if i.points
        ],
        "lines": [{**asdict(item), "says": str(item.says)} for item in cause.lines],
        "changes_mind": list(cause.changes_mind),
    }


def _shift(name: str, shift: Shift) -> Plain:
    text = shift_words(name, shift, MEASURES[name])
    return {"value": shift.value, "low": shift.low, "high": shift.high, "state": str(shift.state), "text": text}


def line_of(found: Ranking) -> str:
    """The ranking in one sentence, for the thread of an incident."""
    if not found.causes:
        return "Cause: unknown; " + "; ".join(found.notes)
    first, second = found.causes[0], found.causes[1]
    if found.standing == "unknown":
        return "Cause: unknown; no kind of cause has enough evidence"
    what = f"{TITLES[first.kind]}{f' ({first.named})' if first.named else ''}"
    where = (
        f", in {first.slice.dimension} {first.slice.value}" if first.slice and first.slice.value != first.named else ""
    )
    why = max(first.lines, key=lambda item: item.points).text
    sure = "likely" if found.standing == "likely" else f"contested (next: {second.kind})"
    return f"Cause, {sure}: {what}{where}; {why}"


# people who see it otherwise


def disagree(
    state: StateWriter, incident_id: str, cause: str, actor: str, reason: str, now: datetime, ranked: str = ""
) -> Plain:
    """Record that a person holds another cause (or `unknown`) for the right one. Raises Refused for an unknown incident, SettingsError for a kind
    that there is not. Saying the same again changes nothing."""
    known = [*map(str, Kind), "unknown"]
    if cause not in known:
        raise SettingsError(f"--cause {cause!r} is no kind of cause; give one of {', '.join(known)}")
    incident_id, reason = _found(state, incident_id).incident_id, mask(reason)
    said = {"incident": incident_id, "cause": cause, "actor": actor, "reason": reason, "ranked_first": ranked}
    name = f"cause-{sha256_text(canonical({**said, 'ranked_first': ''}))[:12]}"
    if not any(row.artefact_id == name for row in state.artefacts(KIND)):
        state.record_artefact(name, KIND, "", said, now)
    kept = next(row.summary for row in state.artefacts(KIND) if row.artefact_id == name)
    if not any(row["event"] == EVENT and row["subject"] == name for row in state.audit_rows()):
        _vouch(state, name, kept, now)
    text = f"disagree: the cause is {cause}: {reason}"

    def step(row: IncidentRow) -> Step | None:
        if any(entry.get("text") == text and entry.get("actor") == actor for entry in row.timeline):
            return None
        return Step("disagree", text, f"{actor} sees another cause, {cause}: {reason}", payload={"artefact": name})

    take(state, incident_id, actor, reason, now, step)
    return {"id": name, **kept, "at": now}


def disagreements(state: StateReader, incident_id: str) -> list[Plain]:
    """What people said about the cause of an incident, oldest first."""
    rows: Iterable[Any] = state.artefacts(KIND)
    mine = [row for row in rows if row.summary.get("incident") == incident_id]
    return [
        {"id": row.artefact_id, "at": row.created_at, **row.summary}
        for row in sorted(mine, key=lambda row: (row.created_at, row.artefact_id))
    ]


def _vouch(state: StateWriter, name: str, kept: Mapping[str, Any], now: datetime) -> None:
    from controlplane.store.state_rows import AuditEntry, Commit

    payload = {"incident": kept["incident"], "cause": kept["cause"], "result_hash": sha256_text(canonical(dict(kept)))}
    state.commit(Commit(audit=[AuditEntry(str(kept["actor"]), EVENT, name, str(kept["reason"]), payload)]), now)


def _found(state: StateReader, incident_id: str) -> IncidentRow:
    return find(state, incident_id)

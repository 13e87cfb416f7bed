"""The likely cause of an incident, told in its thread once, by itself: a job beside the heartbeat, because ranking reads hours of facts.

Told `WAIT` after the detection, so that what was under way has landed, and again when the incident has come back. What cannot be ranked is told as
unknown, with the reason; a person may disagree (`controlplane incident disagree`). Nothing is decided from it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from controlplane.core.incident import IncidentEvent
from controlplane.core.judge import AUTOMATIC
from controlplane.settings import SettingsError
from controlplane.store.state_rows import IncidentRow, from_text
from jobs.deps import Deps
from jobs.incidents import Step, take

EVENT = "triage"
WAIT = timedelta(seconds=30)
_AGAIN = frozenset({str(IncidentEvent.RECUR), str(IncidentEvent.REOPEN)})


def run(deps: Deps, now: datetime) -> list[str]:
    """Tell the likely cause of every open incident that waits for it; the sentences told."""
    return [_tell(deps, row, now) for row in deps.state.open_incidents() if is_due(row, now)]


def is_due(row: IncidentRow, now: datetime) -> bool:
    """Whether nothing was told of the cause since the incident began, or came back, and that is long enough ago."""
    since = row.detected_at
    for entry in row.timeline:
        if entry.get("event") in _AGAIN:
            since = from_text(entry["at"])
    told = any(entry.get("event") == EVENT and from_text(entry["at"]) >= since for entry in row.timeline)
    return not told and now - since >= WAIT


def _tell(deps: Deps, row: IncidentRow, now: datetime) -> str:
    from jobs.cause import causes_of  # SciPy's distributions: a process without an incident needs none

    try:
        said = str(causes_of(deps, row, now)["line"])
    except SettingsError as problem:
        said = f"Cause: unknown; {problem}"

    def step(found: IncidentRow) -> Step | None:
        return Step(EVENT, said, said) if is_due(found, now) else None

    take(deps.state, row.incident_id, AUTOMATIC, said, now, step)
    return said

"""Is it really contained? After a rollback, a switching off of execution or a containment: read back, probe every flag server, see what was logged.

What must be seen is said in `jobs.verify_checks`. Until it is, each containment is looked at again with every heartbeat; one that is not verified
`watch.verify_seconds` after it was done pages (critical), once, and is looked at further. Each has its own entry in its incident, with the time at
which it was verified and how.

A producer may log late, so what was verified can be refuted by what lands afterwards: while the containment stands, the log is looked at again every
`LOOK_AGAIN`, and what it forbids pages (critical), once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from controlplane.core.model import Rollout
from controlplane.store.queries import load
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import IncidentRow, OutboxItem, from_text
from controlplane.store.utc import to_naive as utc
from jobs.deps import Deps
from jobs.verify_checks import ROLLBACK, Entry, check, refuted
from jobs.verify_checks import Verification as Verification
from jobs.verify_record import (
    ended_commit,
    entries_of,
    is_pending,
    page_id,
    refuted_commit,
    refuted_id,
    unverified_commit,
    verified_commit,
)

LOOK_AGAIN = timedelta(seconds=30)


def run(deps: Deps, now: datetime) -> Verification | None:
    """Verify what is pending for the rollout; how the newest of it stands, the cut before all others. None when there is nothing."""
    rollout = deps.state.rollout()
    if rollout is None:
        return None
    found: list[Verification] = []
    for incident_id, entry in _pending(deps, rollout):
        result = check(deps, rollout, entry)
        found.append(result)
        try:
            _record(deps, rollout, incident_id, entry, result, now)
        except LostRace:
            continue  # somebody has written to the incident meanwhile: the next heartbeat looks again
    _look_again(deps, rollout, now)
    cuts = [result for result in found if result.action == ROLLBACK]
    newest = cuts or found
    return newest[-1] if newest else None


def _pending(deps: Deps, rollout: Rollout) -> list[tuple[str, Entry]]:
    rows = deps.state.uncontained_incidents(rollout.rollout_id)
    return [(row.incident_id, entry) for row in rows for entry in entries_of(row) if is_pending(entry)]


def _look_again(deps: Deps, rollout: Rollout, now: datetime) -> None:
    """Hold what was verified against what has landed since."""
    last = deps.refutations_looked_at
    if last is not None and last <= now < last + LOOK_AGAIN:
        return
    deps.refutations_looked_at = now
    for incident in deps.state.incidents():
        for entry in entries_of(incident) if incident.rollout_id == rollout.rollout_id else ():
            if not entry["verified_at"] or deps.state.has_message(refuted_id(incident, entry)):
                continue
            if why := refuted(deps, rollout, entry):
                try:
                    deps.state.commit(refuted_commit(incident, entry, rollout, now, why), now)
                except LostRace:
                    return  # the next look sees what was written meanwhile


def _record(deps: Deps, rollout: Rollout, incident_id: str, entry: Entry, result: Verification, now: datetime) -> None:
    incident = deps.state.incident(incident_id)
    if incident is None:
        return
    late = now - from_text(str(entry["done_at"])) > timedelta(seconds=deps.policy.watch.verify_seconds)
    if result.ended:
        deps.state.commit(ended_commit(incident, entry, result.reason, _messages(deps, incident), now), now)
    elif result.verified:
        _verified(deps, rollout, incident, entry, result, now)
    elif late and not deps.state.has_message(page_id(incident, entry)):
        deps.state.commit(unverified_commit(incident, entry, rollout, now, result.reason), now)


def _messages(deps: Deps, incident: IncidentRow) -> Sequence[OutboxItem]:
    return deps.state.incident_messages(incident.incident_id)


def _verified(
    deps: Deps, rollout: Rollout, incident: IncidentRow, entry: Entry, result: Verification, now: datetime
) -> None:
    cut = result.action == ROLLBACK
    exposed = _exposed(deps, incident, now) if cut else None
    facts = {"probes": result.probes, "customers_exposed": exposed, "version": rollout.version}
    commit = verified_commit(incident, entry, result, _messages(deps, incident), now, facts)
    if cut:
        deps.state.record_cut_verified(rollout.rollout_id, commit, now)
    else:
        deps.state.commit(commit, now)


def _exposed(deps: Deps, incident: IncidentRow, now: datetime) -> int:
    """Customers whom the assistant served between the likely onset and now."""
    window = {"since": utc(incident.onset_at or incident.detected_at), "until": utc(now)}
    with deps.warehouse.cursor() as cursor:
        return int(cursor.execute(load("decisions/customers_exposed"), window).fetchall()[0][0])

"""Is the traffic really cut? After a rollback: read back, probe every flag server, and see that no one was exposed since.

A cut is verified when (1) a fresh read of the state says ROLLED_BACK, (2) every flag server serves the baseline for synthetic
keys, from this version of the row or a newer one, and (3) the sources' watermark has passed the cut plus the clients' poll
limit and no record of an exposure to the assistant lies behind that. Until then it is looked at again with every heartbeat; when it is not
verified `watch.verify_seconds` after the cut, it pages, once, and is looked at further.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.model import Alert
from controlplane.core.assignment import Unit
from controlplane.core.model import Rollout, RolloutState
from controlplane.store.queries import load
from controlplane.store.rollups import watermark
from controlplane.store.state_rows import IncidentRow
from controlplane.store.utc import to_naive as utc
from jobs.decisions import unverified_commit, verified_commit
from jobs.deps import Deps


@dataclass(frozen=True, slots=True)
class Verification:
    """Where the verification of a cut stands: `None` pending, else whether it holds, and why not."""

    verified: bool | None
    reason: str
    probes: int = 0


def run(deps: Deps, now: datetime) -> Verification | None:
    """Verify a pending cut; None when there is none."""
    rollout = deps.state.rollout()
    if rollout is None or rollout.state is not RolloutState.ROLLED_BACK:
        return None
    if deps.state.cut_verified_at(rollout.rollout_id) is not None:
        return None
    incident = _incident(deps, rollout)
    if incident is None or incident.cut_at is None:
        return None
    cut_at = incident.cut_at
    result = check(deps, rollout, cut_at)
    if result.verified:
        _record_verified(deps, rollout, incident, result, now)
    elif now - cut_at > timedelta(seconds=deps.policy.watch.verify_seconds) and not _already_paged(deps, incident):
        deps.state.commit(unverified_commit(incident, rollout, now, result.reason), now)
    return result


def check(deps: Deps, rollout: Rollout, cut_at: datetime) -> Verification:
    """Read-back, probes and exposures, in that order; the first that fails gives the reason."""
    current = deps.state.rollout()
    if current is None or current.state is not RolloutState.ROLLED_BACK:
        return Verification(False, f"read-back: the rollout is {current.state if current else 'gone'}, not ROLLED_BACK")
    probes, wrong = _probe(deps, rollout)
    if wrong:
        return Verification(False, wrong, probes)
    deadline = cut_at + timedelta(seconds=deps.policy.watch.client_poll_seconds)
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(load("decisions/exposures_after_cut"), {"deadline": utc(deadline)}).fetchall()
    if rows[0][0]:
        return Verification(
            False, f"{rows[0][0]} exposures to the assistant are logged after {deadline.isoformat()}", probes
        )
    mark = watermark(deps.warehouse, 0)
    if mark is None or mark <= deadline:
        return Verification(None, f"waiting for records up to {deadline.isoformat()}", probes)
    return Verification(True, "read-back, probes and exposures agree", probes)


def _probe(deps: Deps, rollout: Rollout) -> tuple[int, str]:
    if deps.probe is None or not deps.flag_urls:
        return 0, "no flag server is known to probe"
    probes = 0
    for url in deps.flag_urls:
        for number in range(deps.policy.watch.probes):
            key = f"probe-{rollout.rollout_id}-{number}"
            try:
                answer = deps.probe(url, Unit(key, employee=number % 2 == 1, low_risk=True))
            except Exception as error:
                return probes, f"flag server {url} does not answer: {error}"
            probes += 1
            if answer["arm"] != "baseline" or int(answer["version"]) < rollout.version:
                return probes, f"flag server {url} serves {answer['arm']} from version {answer['version']} to {key}"
    return probes, ""


def _incident(deps: Deps, rollout: Rollout) -> IncidentRow | None:
    mine = [row for row in deps.state.incidents() if row.rollout_id == rollout.rollout_id and row.cut_at is not None]
    return mine[-1] if mine else None


def _already_paged(deps: Deps, incident: IncidentRow) -> bool:
    return any(item.outbox_id == f"{incident.incident_id}:unverified" for item in deps.state.outbox())


def _record_verified(deps: Deps, rollout: Rollout, incident: IncidentRow, result: Verification, now: datetime) -> None:
    with deps.warehouse.cursor() as cursor:
        since = incident.onset_at or incident.detected_at
        window = {"since": utc(since), "until": utc(now)}
        exposed = int(cursor.execute(load("decisions/customers_exposed"), window).fetchall()[0][0])
    told = {item.outbox_id: Alert.from_dict(item.payload) for item in deps.state.outbox() if item.incident_id}
    opened, paged = (told.get(f"{incident.incident_id}:{name}") for name in ("opened", "unverified"))
    facts = {"probes": result.probes, "customers_exposed": exposed, "version": rollout.version}
    commit = verified_commit(incident, opened, paged, now, facts)
    deps.state.record_cut_verified(rollout.rollout_id, commit, now)

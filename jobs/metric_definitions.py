"""Registered versions of the metric definitions: who changed what a number means, why, and what last month's numbers would have been.

Rules
- The catalogue of the program is what counts. What is registered says since when, by whom and why it is as it is; `register` compares the two.
- The first start registers the shipped catalogue, as "controlplane". From then on a change is a person's, with a reason.
- Versions are artefacts of the kind `metric_definitions`, each vouched for by a row of the audit log; one whose hash no longer agrees is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.metric_versions import Change, Definition, catalogue, catalogue_hash, changes
from controlplane.core.metrics import METRICS, Metric
from controlplane.store.metric_recount import Sql
from controlplane.store.queries import load
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_evaluation import ArtefactRow
from controlplane.store.state_rows import to_text
from jobs.artefacts import keep
from jobs.deps import Deps
from jobs.metric_impact import impact
from jobs.refused import Refused

KIND = "metric_definitions"
EVENT = "metric_definitions_registered"
SHIPPED_BY, SHIPPED_WHY = "controlplane", "the catalogue that this program ships with"


def versions(state: StateReader) -> list[ArtefactRow]:
    """Every registered version, oldest first. Raises Refused for one of which the audit log says something else.

    One of which the log says nothing was begun and not ended (a crash between both), and is none.
    """
    found = []
    for row in sorted(state.artefacts(KIND), key=lambda row: int(row.summary["version"])):
        logged = state.vouched(EVENT, row.artefact_id)
        said = {"result_hash": sha256_text(canonical(row.summary)), "catalogue_hash": row.summary["catalogue_hash"]}
        if logged and said not in logged:
            raise Refused(f"{row.artefact_id} was changed after it was registered: restore the state from a backup")
        found += [row] if logged else []
    return found


def newest(state: StateReader) -> dict[str, Any] | None:
    """The newest version: version, catalogue_hash, definitions, actor, reason, registered_at, changes, impact; None while there is none."""
    found = versions(state)
    return found[-1].summary if found else None


def register(
    deps: Deps,
    now: datetime,
    actor: str,
    reason: str,
    metrics: Mapping[str, Metric] = METRICS,
    sql: Sql = load,
) -> dict[str, Any]:
    """Register the catalogue as it is, with what its changes do to last month's numbers. Raises Refused without a reason."""
    if not reason.strip():
        raise Refused("a change of what numbers mean needs a reason: --reason")
    before = newest(deps.state)
    now_defined = catalogue(metrics.values(), sql)
    if before is not None and before["catalogue_hash"] == catalogue_hash(now_defined):
        return {"new": False, **_told(before)}
    found = [] if before is None else changes(before["definitions"], now_defined)
    told = impact(deps.warehouse, before["definitions"], metrics, found, now, sql) if before is not None else None
    return {"new": True, **_told(_record(deps.state, now_defined, before, found, told, actor, reason.strip(), now))}


def register_shipped(state: StateWriter, now: datetime) -> bool:
    """Register the catalogue that ships, where none is registered yet; whether it did."""
    if newest(state) is not None:
        return False
    _record(state, catalogue(METRICS.values(), load), None, [], None, SHIPPED_BY, SHIPPED_WHY, now)
    return True


def unregistered(state: StateReader) -> list[Change]:
    """How the program's catalogue differs from the newest registered one; empty also while none is registered."""
    before = newest(state)
    return [] if before is None else changes(before["definitions"], catalogue(METRICS.values(), load))


def note(state: StateReader) -> str | None:
    """A sentence for who starts or reviews, where definitions have changed and nobody has said why."""
    found = unregistered(state)
    if not found:
        return None
    names = ", ".join(change.name for change in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return (
        f"unregistered definitions changed: {names} mean something else than what is registered; say who and why with "
        "`controlplane metric register --actor NAME --reason WHY`"
    )


def at_start(state: StateWriter, now: datetime) -> str | None:
    """Register what ships where nothing is registered; else what is to be said. A record that was changed is told and stops no control process."""
    try:
        return None if register_shipped(state, now) else note(state)
    except Refused as error:
        return str(error)


def _record(
    state: StateWriter,
    definitions: Mapping[str, Definition],
    before: Mapping[str, Any] | None,
    found: list[Change],
    told: Mapping[str, Any] | None,
    actor: str,
    reason: str,
    now: datetime,
) -> dict[str, Any]:
    number = 1 if before is None else int(before["version"]) + 1
    summary = {
        "version": number,
        "catalogue_hash": catalogue_hash(definitions),
        "parent": None if before is None else before["catalogue_hash"],
        "actor": actor,
        "reason": reason,
        "registered_at": to_text(now),
        "definitions": dict(definitions),
        "changes": [change.to_dict() for change in found],
        "impact": None if told is None else dict(told),
    }
    name = f"metrics-v{number}-{sha256_text(canonical(summary))[:8]}"
    said = {"catalogue_hash": summary["catalogue_hash"]}
    keep(state, (name, KIND, ""), summary, (EVENT, actor, reason), said, now)
    return summary


def _told(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "definitions"}

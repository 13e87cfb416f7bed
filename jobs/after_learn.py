"""What an incident teaches the evaluation: its failed conversations, with what people said about them, become the next version of a data set.

A row carries what a person has said (the intent, that it had to reach a person) and in its note who said so; else the true intent that the producer
logged, if any. A row without an expectation of its own is still asked by measures that need none: is the answer grounded, does it pass the guards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from controlplane.core.masking import mask
from controlplane.evaluation.cases import Case
from controlplane.evaluation.rows_from import cases_of_facts
from controlplane.store.queries import load
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, to_text
from controlplane.store.utc import to_naive
from jobs import datasets
from jobs.dataset_command import find_incident, incident_span
from jobs.deps import Deps
from jobs.refused import Refused
from jobs.restart_gate import LEARNED_EVENT, NOTHING_EVENT

EVERY = 1_000_000
_LOGGED = "intent as the producer logged it"
_UNSAID = ("", _LOGGED)


def learn(deps: Deps, now: datetime, *, incident: str, data: str, limit: int, actor: str) -> Mapping[str, Any]:
    """Append the incident's failed conversations to data set `data`. Raises Refused where there are none, or no such data set."""
    row = find_incident(deps.state, incident)
    incident = row.incident_id
    cases, labelled, failed = failures(deps, row, limit)
    if not cases:
        since, until = incident_span(row)
        raise Refused(
            f"no failed conversation was found between {to_text(since)} and {to_text(until)}: name some with "
            "`controlplane dataset append NAME --from-conversation ID`, or say that there is nothing to learn with --nothing --reason ..."
        )
    folder = deps.settings.workspace.datasets
    try:
        version, added = datasets.append(deps.state, folder, data, cases, f"incident:{incident}", actor, now, _joined)
    except LostRace as error:
        raise Refused(str(error)) from None
    value = {
        "incident": incident,
        "dataset": version.name,
        "version": version.version,
        "rows": version.rows,
        "failed": failed,
        "found": len(cases),
        "added": added,
        "labelled": labelled,
    }
    said = f"{added} of {failed} failed conversations joined {version.name}@{version.version[: datasets.SHOWN]}"
    deps.state.commit(Commit(audit=[AuditEntry(actor, LEARNED_EVENT, incident, said, value)]), now)
    return value


def nothing(state: StateWriter, incident: str, actor: str, reason: str, now: datetime) -> Mapping[str, Any]:
    """Put on record that the incident left no conversation to learn from, and why."""
    row, reason = find_incident(state, incident), mask(reason)
    entry = AuditEntry(actor, NOTHING_EVENT, row.incident_id, reason, {"trigger": row.trigger})
    state.commit(Commit(audit=[entry]), now)
    return {"incident": row.incident_id, "nothing": reason, "actor": actor}


def failures(deps: Deps, incident: IncidentRow, limit: int) -> tuple[list[Case], int, int]:
    """The incident's first `limit` failed conversations with what people said about them; of how many anybody said anything; how many failed."""
    since, until = (to_naive(moment) for moment in incident_span(incident))
    with deps.warehouse.cursor() as cursor:
        span = {"since": since, "until": until, "limit": EVERY}
        rows = cursor.execute(load("datasets/failures"), span).fetchall()
        said = cursor.execute(load("datasets/failures_labelled"), {"since": since}).fetchall()
    labels = {str(found[0]): found[1:] for found in said}
    cases = cases_of_facts(rows[:limit], f"incident:{incident.incident_id}")
    found = [_labelled(case, labels.get(case.id)) for case in cases]
    return found, sum(case.id in labels for case in cases), len(rows)


def _joined(held: Case, found: Case) -> Case:
    """The row of a conversation that the data set has already: people's words are added where it has none, and what was taken as a single
    conversation is the incident's from now on. What a person wrote into the data set stays."""
    if held.origin == found.origin and held.note in _UNSAID:
        return found
    return replace(held, origin=found.origin) if held.origin.startswith("conversation:") else held


def _labelled(case: Case, said: tuple[Any, ...] | None) -> Case:
    if said is None:
        return replace(case, note=_LOGGED if case.expected_intent else "")
    intent, route, grounded, reviewer = said
    words = [f"intent {intent}"] if intent else []
    words += ["had to reach a person"] if route == "misrouted" else []
    words += [f"answer {grounded}"] if grounded else []
    must = (intent or case.slices.get("topic") or "safety") if route == "misrouted" else None
    note = f"{str(reviewer).removeprefix('human:')}: {', '.join(words)}" if words else ""
    return replace(case, expected_intent=intent or case.expected_intent, mandatory_route=must, note=note)


def learned(state: StateReader, incident_id: str) -> list[dict[str, Any]]:
    """Every time that an incident was learned from, oldest first."""
    return state.vouched(LEARNED_EVENT, incident_id)

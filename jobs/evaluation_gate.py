"""The gate into the first phase: a release enters only with a passing evaluation of exactly its artefacts.

Rules
- What counts is a finished run of these artefact hashes under the criteria in force: the newest registration of a name. Criteria that
  were registered again (for more data, with another line) replace the ones before, and a run under the old ones no longer opens anything.
- Every finished run under the criteria in force must have passed. Repeating a run until it passes opens nothing: more data, registered as a
  new data-set version with criteria for it, does.
- Whoever changes a run, its verdict or its criteria in the database no longer agrees with the audit log, and the gate stays shut. So it
  does for whoever takes one out: what the log has seen must be there.
"""

from __future__ import annotations

import json

from controlplane.core.audit import canonical, sha256_text, verify
from controlplane.core.model import Verdict
from controlplane.core.policy import Policy
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import (
    CRITERIA_EVENT,
    FINISHED_EVENT,
    STARTED_EVENT,
    CriteriaRow,
    RunRow,
    criteria_identity,
    result_identity,
)
from controlplane.store.state_rows import to_text

SHORTEST_HASH = 8


def missing_evaluation(state: StateReader, policy: Policy, release_hash: str) -> str | None:
    """What is missing before a release of this hash may enter, with the remedy; None when nothing is."""
    if not policy.evaluation.required:
        return None
    wanted = policy.evaluation.criteria
    registered = [row for row in state.criteria() if not wanted or is_named(row, wanted)]
    if not registered:
        which = f"acceptance criteria '{wanted}'" if wanted else "acceptance criteria"
        return f"policy '{policy.name}' needs an evaluation, and no {which} are registered: `controlplane eval register FILE`"
    if (broken := verify(state.audit_rows())) is not None:
        return f"the audit log is broken at row {broken.seq}, so nothing vouches for an evaluation: `controlplane audit verify`"
    if (lost := lost_evaluation(state, release_hash)) is not None:
        return lost
    hashes = _in_force(state, policy)
    runs = counting_runs(state, policy, release_hash)
    if not runs:
        return _none_counts(state.evaluation_runs(release_hash), release_hash, list(hashes.values()))
    problems = [found for run in runs if (found := _problem(state, run, hashes[run.criteria_hash])) is not None]
    return problems[-1] if problems else None


def counting_runs(state: StateReader, policy: Policy, release_hash: str) -> list[RunRow]:
    """Finished runs of these artefacts under the criteria in force, whatever their verdict, oldest first."""
    hashes = _in_force(state, policy)
    mine = state.evaluation_runs(release_hash)
    return [run for run in mine if run.finished_at is not None and run.criteria_hash in hashes]


def _in_force(state: StateReader, policy: Policy) -> dict[str, CriteriaRow]:
    """By hash: the newest registration of every name that the policy asks for."""
    wanted = policy.evaluation.criteria
    newest = {row.name: row for row in state.criteria() if not wanted or is_named(row, wanted)}
    return {row.criteria_hash: row for row in newest.values()}


def is_named(row: CriteriaRow, wanted: str) -> bool:
    """Whether criteria are meant by a name or by the beginning of their hash."""
    return row.name == wanted or (len(wanted) >= SHORTEST_HASH and row.criteria_hash.startswith(wanted))


def untrusted_criteria(state: StateReader, row: CriteriaRow) -> str | None:
    """Why a row of registered criteria cannot be trusted; None when it is as it was registered."""
    if criteria_identity(row.text, row.datasets) != row.criteria_hash:
        return f"criteria {row.criteria_hash[:12]} were changed after they were registered: restore them, or register them anew"
    said = state.vouched(CRITERIA_EVENT, row.criteria_hash)
    wanted = {"name": row.name, "datasets": row.datasets, "registered_at": to_text(row.registered_at)}
    if wanted not in said:
        return (
            f"the audit log does not say that criteria {row.criteria_hash[:12]} were registered so: register them anew"
        )
    return None


def lost_evaluation(state: StateReader, release_hash: str) -> str | None:
    """What the audit log knows and the state no longer has: a run of this release, or the newest criteria of a name; None when all is there."""
    newest = {row.name: row.criteria_hash for row in state.criteria()}
    runs = {run.run_id: run for run in state.evaluation_runs(release_hash)}
    logged: dict[str, str] = {}
    for entry in state.audit_rows():
        if entry["event"] not in (CRITERIA_EVENT, STARTED_EVENT, FINISHED_EVENT):
            continue
        subject, said = str(entry["subject"]), json.loads(entry["payload"])
        if entry["event"] == CRITERIA_EVENT:
            logged[said["name"]] = subject
        elif said["release_hash"] == release_hash:
            run = runs.get(subject)
            if run is None or (entry["event"] == FINISHED_EVENT and run.finished_at is None):
                return f"evaluation {subject}, which the audit log knows, was changed or taken out of the state: restore it from a backup"
    for name, hash_ in logged.items():
        if newest.get(name) != hash_:
            return (
                f"criteria {name} ({hash_[:12]}), which the audit log knows as the newest, were changed or taken out of the state: "
                "restore them, or register them anew"
            )
    return None


def _problem(state: StateReader, run: RunRow, criteria: CriteriaRow) -> str | None:
    if (found := untrusted_criteria(state, criteria)) is not None:
        return found
    if (found := vouched_run(state, run)) is not None:
        return found
    if run.verdict != Verdict.PASS.name:
        return (
            f"evaluation {run.run_id} of artefacts {run.release_hash[:12]} under criteria {run.criteria_name} "
            f"({run.criteria_hash[:12]}) says {run.verdict}: {failing(run)}; `controlplane eval show {run.run_id}`"
        )
    return None


def vouched_run(state: StateReader, run: RunRow) -> str | None:
    """Why a finished run cannot be trusted; None when it is as the audit log says."""
    said = {"verdict": run.verdict, "result_hash": run.result_hash, "release_hash": run.release_hash}
    named = sha256_text(canonical(run.artefacts)) == run.release_hash
    if not named or result_identity(run) != run.result_hash or said not in state.vouched(FINISHED_EVENT, run.run_id):
        return f"evaluation {run.run_id} was changed after it was recorded: it does not agree with the audit log"
    return None


def failing(run: RunRow) -> str:
    """The criteria of a run that did not pass, in words."""
    items = (run.result or {}).get("criteria", [])
    found = [f"{item['name']} {item['verdict']}" for item in items if item["applied"] and item["verdict"] != "PASS"]
    return ", ".join(found) or "no criterion was judged"


def _none_counts(mine: list[RunRow], release_hash: str, in_force: list[CriteriaRow]) -> str:
    criteria = in_force[-1]
    remedy = f"`controlplane eval run --data NAME --criteria {criteria.criteria_hash[:12]}` of exactly this release"
    head = f"artefacts {release_hash[:12]} have no finished evaluation under the criteria in force"
    older = [run for run in mine if run.finished_at is not None]
    if older:
        last = older[-1]
        return (
            f"{head}: evaluation {last.run_id} ({last.verdict}) was under {last.criteria_hash[:12]}, "
            f"which {criteria.criteria_hash[:12]} has replaced; do {remedy}"
        )
    if mine:
        return f"{head}: evaluation {mine[-1].run_id} was begun and not ended; do {remedy}"
    return f"{head}; do {remedy}"

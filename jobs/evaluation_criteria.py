"""Versions of acceptance criteria: who changed them, why, and what the last runs would have been under the new ones.

Rules
- A new version of a name needs a reason. What differs is taken from both texts, not from anybody's word.
- What it does is shown on what was recorded: outcomes of the last month's runs under that name, else of the last `LAST` ones, are judged again by the
  new lines. Nothing is run. A run whose outcomes are gone, or were changed, is unknown.
- `not_worse` is judged against the run that the recorded one was compared with.
- It is a record about the past and opens no gate: a run counts under the criteria that it was run under.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.core.acceptance import Criteria
from controlplane.core.acceptance_changes import Difference, dataset_differences, differences
from controlplane.core.acceptance_file import parse_criteria
from controlplane.core.audit import canonical, sha256_text
from controlplane.store.content_files import ContentError
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_evaluation import CriteriaRow, RunRow
from controlplane.store.state_rows import to_text
from jobs.artefacts import keep
from jobs.compose import open_state, workspace_settings
from jobs.refused import Refused

KIND, EVENT = "criteria_change", "criteria_changed"
MONTH, LAST = timedelta(days=31), 10


def need_reason(state: StateReader, row: CriteriaRow, reason: str) -> CriteriaRow | None:
    """The version that a new one replaces; None for the first of its name. Raises Refused for a change without a reason."""
    before = [item for item in state.criteria() if item.name == row.name]
    if not before or any(item.criteria_hash == row.criteria_hash for item in before):
        return None
    if not reason.strip():
        raise Refused(
            f"{row.name} is registered already ({before[-1].criteria_hash[:12]}), and this differs from it: say why it changes with --reason"
        )
    return before[-1]


def record_change(
    state: StateWriter, row: CriteriaRow, before: CriteriaRow | None, reason: str, outcomes: Path, now: datetime
) -> dict[str, Any]:
    """Keep who, why and what it does; what is kept. `outcomes`: the folder of recorded outcomes."""
    after = parse_criteria(row.text, row.name)
    found: list[Difference] = []
    if before is not None:
        found = differences(parse_criteria(before.text, before.name), after)
    again = _impact(state, row.name, after, outcomes, now) if found else []
    found += dataset_differences({} if before is None else before.datasets, row.datasets) if before is not None else []
    summary: dict[str, Any] = {
        "name": row.name,
        "criteria_hash": row.criteria_hash,
        "parent": None if before is None else before.criteria_hash,
        "actor": row.actor,
        "reason": reason.strip(),
        "registered_at": to_text(row.registered_at),
        "differences": [one.to_dict() for one in found],
        "text": [one.text() for one in found],
        "runs": again,
    }
    name = f"criteria-{row.criteria_hash[:16]}"
    said = {"criteria_hash": row.criteria_hash}
    keep(state, (name, KIND, ""), summary, (EVENT, row.actor, summary["reason"]), said, now)
    return summary


def recent(runs: Sequence[RunRow], name: str, now: datetime) -> list[RunRow]:
    """Finished runs under criteria of that name: those of the last month, else the last ones."""
    mine = [run for run in runs if run.criteria_name == name and run.finished_at is not None]
    month = [run for run in mine if run.finished_at is not None and run.finished_at >= now - MONTH]
    return month or mine[-LAST:]


def _impact(state: StateReader, name: str, after: Criteria, outcomes: Path, now: datetime) -> list[dict[str, Any]]:
    return [_again(state, run, after, outcomes) for run in recent(state.evaluation_runs(), name, now)]


def _again(state: StateReader, run: RunRow, after: Criteria, folder: Path) -> dict[str, Any]:
    """A recorded run by the new lines: its verdict then and now, and the criteria whose verdict differs or is new."""
    from controlplane.evaluation.verdicts import Baseline, judge
    from jobs.evaluation_run import correction, outcomes_of

    result = run.result or {}
    told: dict[str, Any] = {
        "run_id": run.run_id,
        "release": run.release,
        "finished_at": to_text(run.finished_at or run.started_at),
    }
    told |= {"then": run.verdict}
    try:
        found = outcomes_of(state, folder, run)
        compared = (result.get("comparison") or {}).get("run")
        other = next((one for one in state.evaluation_runs() if one.run_id == compared), None)
        baseline = None if other is None else Baseline(other.run_id, other.release, outcomes_of(state, folder, other))
    except (ContentError, Refused) as error:
        return told | {"now": "unknown", "reason": str(error), "criteria": []}
    judged = judge(after, found, baseline, run.seed, correct=correction())
    before = {item["name"]: item["verdict"] for item in result.get("criteria", [])}
    moved = [
        {
            "name": item.criterion.label,
            "then": before.get(item.criterion.label),
            "now": item.verdict.name,
            "reason": item.reason,
        }
        for item in judged.results
        if before.get(item.criterion.label) != item.verdict.name
    ]
    return told | {"now": judged.verdict.name, "reason": "", "criteria": moved}


def criteria_command(home: str | None, name: str | None, now: datetime) -> list[dict[str, Any]]:
    """Every registered version, of one name or of all, oldest first, with who, why and what it did. Raises Refused for an unknown name."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        rows = state.criteria(name)
        if name is not None and not rows:
            known = ", ".join(sorted({row.name for row in state.criteria()})) or "none"
            raise Refused(f"no criteria {name!r} are registered; there are {known}")
        changes = {row.summary["criteria_hash"]: row for row in state.artefacts(KIND)}
        for one in changes.values():
            logged = state.vouched(EVENT, one.artefact_id)
            said = {"criteria_hash": one.summary["criteria_hash"], "result_hash": sha256_text(canonical(one.summary))}
            if logged and said not in logged:
                raise Refused(f"{one.artefact_id} was changed after it was recorded: restore the state from a backup")
    newest = {row.name: row.criteria_hash for row in rows}
    told = []
    for row in rows:
        plain = {key: getattr(row, key) for key in ("name", "criteria_hash", "owner", "datasets", "actor")}
        plain |= {"registered_at": to_text(row.registered_at), "in_force": newest[row.name] == row.criteria_hash}
        change = changes[row.criteria_hash].summary if row.criteria_hash in changes else {}
        plain |= {key: change.get(key) for key in ("reason", "parent", "differences", "text", "runs")}
        told.append(plain)
    return told


def change_text(change: Mapping[str, Any]) -> list[str]:
    """What a version changed and did, for people."""
    lines = [f"  {line}" for line in change.get("text") or ()]
    for run in change.get("runs") or ():
        same = run["then"] == run["now"]
        tail = f" ({run['reason']})" if run["reason"] else ""
        lines.append(
            f"  run {run['run_id']} of {run['release']}: {run['then']}, {'still' if same else 'would have been'} {run['now']}{tail}"
        )
        lines += [
            f"    {one['name']}: {one['then'] or 'not asked'} -> {one['now']}, {one['reason']}"
            for one in run["criteria"]
        ]
    return lines


def criteria_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """All versions for people."""
    lines = []
    for row in rows:
        state = "in force" if row["in_force"] else "replaced"
        why = f": {row['reason']}" if row["reason"] else ""
        lines.append(
            f"{row['criteria_hash'][:12]}  {row['name']}  {row['registered_at'][:16]}Z  {state}  {row['actor']}{why}"
        )
        lines += change_text(row)
    return "\n".join(lines) or "no criteria are registered: `controlplane eval register FILE`"

"""The demo's offline evaluations: criteria and data first, every release before it is let in, and what an incident teaches the data set.

The first data set has what a team writes before it has customers: workflows, routing, and questions of a few topics. The bad import touches the
others, so it gets past its evaluation. After the incident the customers' own failed questions join the set, and the same artefacts fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.core.acceptance_file import parse_criteria
from controlplane.evaluation.cases import Case
from controlplane.evaluation.shipped import shipped_cases
from controlplane.settings import shipped_policy
from controlplane.store.state_evaluation import CriteriaRow, RunRow
from controlplane.store.state_rows import IncidentRow
from jobs import datasets
from jobs.after_learn import learn
from jobs.deps import Deps
from jobs.evaluation_run import Candidate, register, run

QUALITY = "Ada (simulated quality owner)"
DATASET = "support"
BROKEN_TOPICS = ("Cards", "Fees", "Refunds", "Transfers", "Statements and balance", "Security")
INCIDENT_ROWS = 40


@dataclass
class OfflineEvaluation:
    """Registers, evaluates and learns on the story's clock; `runs` holds what was found, in order."""

    deps: Deps
    seed: int
    clock: Callable[[], datetime]
    runs: list[RunRow] = field(default_factory=list)
    criteria: CriteriaRow | None = None

    def begin(self) -> str:
        """The first data set, and criteria for it; says what was registered."""
        row, _ = datasets.add(
            self.deps.state, self._folders[0], DATASET, first_cases(), "written before launch", QUALITY, self.clock()
        )
        self._register()
        lines = len(parse_criteria(self.criteria.text).criteria) if self.criteria is not None else 0
        return (
            f"data set {DATASET}: {row.rows} rows, no question yet on {', '.join(unasked(first_cases()))}; "
            f"{lines} acceptance criteria registered for it, before any release is run"
        )

    def evaluate(self, candidate: Candidate) -> RunRow:
        """One recorded run under the criteria in force."""
        assert self.criteria is not None, "criteria come first"
        done = run(
            self.deps.state,
            self._folders,
            candidate,
            [DATASET],
            self.criteria.criteria_hash,
            self.seed,
            QUALITY,
            self.clock,
        )
        self.runs.append(done.run)
        return done.run

    def learn(self, incident: IncidentRow) -> str:
        """Append the incident's failed conversations and register the same criteria for the new version; says how many rows."""
        found = learn(
            self.deps, self.clock(), incident=incident.incident_id, data=DATASET, limit=INCIDENT_ROWS, actor=QUALITY
        )
        self._register(f"the data set has learned from {incident.incident_id}; the lines are the same")
        return (
            f"learned: {found['added']} conversations that failed in the incident join data set {DATASET} ({found['rows']} rows); "
            "the same criteria, with the same lines, are registered for the new version"
        )

    def _register(self, reason: str = "") -> None:
        text = shipped_policy("demo_criteria")
        now = self.clock()
        self.criteria, _ = register(self.deps.state, text, "demo_criteria.toml", QUALITY, now, reason=reason)

    @property
    def _folders(self) -> tuple[Path, Path]:
        workspace = self.deps.settings.workspace
        return workspace.datasets, workspace.evaluations


def first_cases() -> list[Case]:
    """The shipped rows without the questions about the topics that the import will break; their workflows and routing are there."""
    return [
        case
        for case in shipped_cases()
        if case.must_reach_person
        or case.out_of_scope
        or (case.goal is not None and case.goal.operations)
        or case.slices.get("topic") not in BROKEN_TOPICS
    ]


def unasked(cases: Sequence[Case]) -> list[str]:
    """Topics that the shipped questions know and these rows ask nothing about."""
    return sorted(_asked(shipped_cases()) - _asked(cases))


def _asked(cases: Sequence[Case]) -> set[str]:
    plain = [case for case in cases if not (case.must_reach_person or case.out_of_scope)]
    return {case.slices.get("topic", "") for case in plain if case.goal is None or not case.goal.operations}


def told(row: RunRow) -> str:
    """A run in one line of the timeline."""
    result = row.result or {}
    judged = [item for item in result.get("criteria", []) if item["applied"]]
    passed = sum(item["verdict"] == "PASS" for item in judged)
    left_out = len(result.get("criteria", [])) - len(judged)
    apart = f" ({left_out} not applied: no accepted release to compare with)" if left_out else ""
    reasons = "; ".join(f"{item['name']} {item['reason']}" for item in judged if item["verdict"] != "PASS")
    return (
        f"offline evaluation of {row.release} (artefacts {row.release_hash[: datasets.SHOWN]}): {row.verdict}, "
        f"{passed} of {len(judged)} criteria on {result['rows']} rows{apart}{f': {reasons}' if reasons else ''}"
    )


def evaluation_json(row: RunRow) -> dict[str, Any]:
    """A run of the story as plain values."""
    result = row.result or {}
    judged = [item for item in result.get("criteria", []) if item["applied"]]
    return {
        "release": row.release,
        "verdict": row.verdict,
        "rows": result.get("rows"),
        "dataset": f"{DATASET}@{row.datasets[DATASET][: datasets.SHOWN]}",
        "criteria": row.criteria_hash[: datasets.SHOWN],
        "failed": [item["name"] for item in judged if item["verdict"] != "PASS"],
        "at": row.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "run": row.run_id,
    }

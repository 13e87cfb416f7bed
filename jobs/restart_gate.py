"""What a restart after a rollback asks for: the incident reviewed, and an evaluation that has seen what went wrong.

Rules (`[incidents]` of the policy)
- `review_before_restart`: every incident of the rolled-back rollout that cut traffic is reviewed; the others are resolved.
- `learn_before_restart`, where an evaluation is required: a passing run of the new artefacts, under the criteria in force, had a data-set version
  with conversations of each of these incidents. What is counted is the version's own summary, made from its rows when it was registered.
- An incident that left no failed conversation (slow answers, an outage) teaches nothing by rows. A person says so on the record
  (`controlplane incident learn ID --nothing --reason`), and that counts instead.
"""

from __future__ import annotations

from controlplane.core.model import Rollout
from controlplane.core.policy import Policy
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import RunRow
from controlplane.store.state_rows import IncidentRow
from jobs.evaluation_gate import counting_runs

NOTHING_EVENT = "incident_taught_nothing"
_OVER = ("resolved", "reviewed")


def missing_aftermath(state: StateReader, policy: Policy, rolled_back: Rollout, release_hash: str) -> str | None:
    """What is missing before artefacts of this hash may follow a rolled-back rollout, with the remedy; None when nothing is."""
    mine = [row for row in state.incidents() if row.rollout_id == rolled_back.rollout_id]
    cut = [row for row in mine if row.cut_at is not None]
    if policy.incidents.review_before_restart:
        waiting = [row.incident_id for row in cut if row.state != "reviewed"]
        if waiting:
            return (
                f"incident {', '.join(waiting)} is resolved and not reviewed: "
                "`controlplane incident review ID --reason ...` with what was learned"
            )
    if not policy.incidents.learn_before_restart or not policy.evaluation.required:
        return None
    runs = counting_runs(state, policy, release_hash)
    for row in cut:
        if not taught_nothing(state, row.incident_id) and not any(has_seen(state, run, row) for run in runs):
            return (
                f"no evaluation of artefacts {release_hash[:12]} has passed on data with the conversations of incident {row.incident_id}: "
                f"`controlplane incident learn {row.incident_id} --data NAME`, register the criteria for that version, and evaluate; "
                "where nothing was said wrong, `--nothing --reason ...`"
            )
    return None


def still_open(state: StateReader, rollout_id: str) -> list[str]:
    """Incidents of a rollout that nobody has resolved."""
    return [row.incident_id for row in state.incidents() if row.rollout_id == rollout_id and row.state not in _OVER]


def has_seen(state: StateReader, run: RunRow, incident: IncidentRow) -> bool:
    """Whether the data of a run held conversations of an incident."""
    wanted = set(run.datasets.values())
    versions = [row for row in state.dataset_versions() if row.version in wanted]
    return any(row.summary.get("incidents", {}).get(incident.incident_id, 0) > 0 for row in versions)


def taught_nothing(state: StateReader, incident_id: str) -> bool:
    """Whether a person has said on the record that the incident left no conversation to learn from."""
    return bool(state.vouched(NOTHING_EVENT, incident_id))

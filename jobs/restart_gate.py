"""What a restart after a rollback asks for: the incident reviewed, and an evaluation that has seen what went wrong.

Rules (`[incidents]` of the policy)
- `review_before_restart`: every incident of the rolled-back rollout that cut traffic, or that contained a confirmed misrouting, is reviewed; the
  others are resolved.
- `learn_before_restart`, where an evaluation is required: a passing run of the new artefacts, under the criteria in force, had a data-set version
  with the conversations of each of these incidents: as many as `incident learn` put there by the record. What is counted is the version's own
  summary, made from its rows when it was registered; rows that nobody learned from the facts count for nothing.
- What was learned stays learned: the conversations of earlier incidents are asked for as well, of every rollout and also of a release that follows
  an accepted one, so that a data set that was replaced does not forget them.
- An incident that left no failed conversation (slow answers, an outage) teaches nothing by rows. A person says so on the record
  (`controlplane incident learn ID --nothing --reason`), and that counts instead.
"""

from __future__ import annotations

from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import Policy
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import RunRow
from controlplane.store.state_rows import IncidentRow
from jobs.evaluation_gate import counting_runs

LEARNED_EVENT = "incident_learned"
NOTHING_EVENT = "incident_taught_nothing"
_OVER = ("resolved", "reviewed")


def missing_aftermath(state: StateReader, policy: Policy, before: Rollout, release_hash: str) -> str | None:
    """What is missing before artefacts of this hash may follow the rollout `before`, with the remedy; None when nothing is."""
    back = before.state is RolloutState.ROLLED_BACK
    grave = [row for row in state.incidents() if row.rollout_id == before.rollout_id and is_grave(row)] if back else []
    if policy.incidents.review_before_restart:
        waiting = [row.incident_id for row in grave if row.state != "reviewed"]
        if waiting:
            return (
                f"incident {', '.join(waiting)} is resolved and not reviewed: "
                "`controlplane incident review ID --reason ...` with what was learned"
            )
    if not policy.incidents.learn_before_restart or not policy.evaluation.required:
        return None
    runs = counting_runs(state, policy, release_hash)
    asked = {row.incident_id for row in grave} | state.subjects_of(LEARNED_EVENT)
    for incident_id in sorted(asked):
        if not taught_nothing(state, incident_id) and not any(has_learned(state, run, incident_id) for run in runs):
            return _not_learned(state, incident_id, release_hash)
    return None


def is_grave(row: IncidentRow) -> bool:
    """Whether an incident took the assistant from customers for a reason that a restart must have understood."""
    return row.cut_at is not None or any(one.get("action") == "contain" for one in row.containments)


def _not_learned(state: StateReader, incident_id: str, release_hash: str) -> str:
    learned = state.vouched(LEARNED_EVENT, incident_id)
    most = max((_rows_of(state, str(said["version"]), incident_id) for said in learned), default=0)
    which = f" (the {most} that were learned)" if most else ""
    return (
        f"no evaluation of artefacts {release_hash[:12]} has passed on data with the conversations of incident {incident_id}{which}: "
        f"`controlplane incident learn {incident_id} --data NAME`, register the criteria for that version, and evaluate; "
        "where nothing was said wrong, or nothing can be asked again, `--nothing --reason ...`"
    )


def has_learned(state: StateReader, run: RunRow, incident_id: str) -> bool:
    """Whether a run's data had the conversations of an incident: the version of `incident learn` with most of them, or one with as many.

    Where conversations are those of another incident too, a version counts them for that one, and only the very version that was made counts here.
    """
    learned = {str(said["version"]) for said in state.vouched(LEARNED_EVENT, incident_id)}
    rows = {version: _rows_of(state, version, incident_id) for version in {*learned, *run.datasets.values()}}
    most = max((rows[version] for version in learned), default=0)
    full = {version for version in rows if rows[version] >= most > 0 or (version in learned and rows[version] == most)}
    return bool(full & set(run.datasets.values()))


def has_seen(state: StateReader, run: RunRow, incident: IncidentRow) -> bool:
    """Whether the data of a run held any conversation of an incident."""
    return any(_rows_of(state, version, incident.incident_id) > 0 for version in run.datasets.values())


def _rows_of(state: StateReader, version: str, incident_id: str) -> int:
    """How many conversations of an incident a data-set version holds."""
    found = [
        row.summary.get("incidents", {}).get(incident_id, 0)
        for row in state.dataset_versions()
        if row.version == version
    ]
    return int(max(found, default=0))


def taught_nothing(state: StateReader, incident_id: str) -> bool:
    """Whether a person has said on the record that the incident left no conversation to learn from."""
    return bool(state.vouched(NOTHING_EVENT, incident_id))

"""What counts as learned before a restart, and what does not: another data set, rows taken out, an incident of an earlier rollout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import Policy, parse
from controlplane.store.state import StateWriter
from controlplane.store.state_evaluation import DatasetVersion, RunRow
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow
from jobs.after_learn import nothing
from jobs.restart_gate import LEARNED_EVENT, has_learned, is_grave, missing_aftermath
from tests.jobs.conftest import POLICY, START

ASKS = POLICY.replace("required = false", "required = true")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateWriter]:
    found = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
    found.migrate(START)
    yield found
    found.close()


@pytest.fixture
def policy() -> Policy:
    return parse(ASKS)


def cut(incident_id: str = "r1-v2", rollout_id: str = "r1") -> IncidentRow:
    return IncidentRow(incident_id, rollout_id, "v1", "reviewed", "critical", "cut", "csat_drop", START, cut_at=START)


def version(state: StateWriter, name: str, hash_: str, **incidents: int) -> None:
    before = state.dataset_versions(name)
    said = {"incidents": {key.replace("_", "-"): n for key, n in incidents.items()}}
    parent = before[-1].version if before else None
    state.add_dataset_version(DatasetVersion(name, hash_, 60, parent, "o", "ada", START, said))


def learned(state: StateWriter, incident_id: str, hash_: str) -> None:
    state.commit(Commit(audit=[AuditEntry("ada", LEARNED_EVENT, incident_id, "joined", {"version": hash_})]), START)


def run(hash_: str) -> RunRow:
    return RunRow("ev-1", "v2", "h2", {}, "c", "quality", {"support": hash_}, 0, "", "ada", START)


def rollout(state: RolloutState, rollout_id: str = "r1") -> Rollout:
    return Rollout(rollout_id, "v1", "h", state, "ramp", 0, 0.0, False, "p", 3, START, START, "go")


def test_only_what_was_learned_from_the_facts_counts_and_all_of_it(state: StateWriter) -> None:
    version(state, "support", "before")
    version(state, "support", "claimed", r1_v2=5)
    assert not has_learned(state, run("claimed"), "r1-v2"), "rows that call themselves the incident's"
    version(state, "toy", "one", r1_v2=1)
    learned(state, "r1-v2", "one")
    version(state, "support", "all", r1_v2=37)
    learned(state, "r1-v2", "all")
    version(state, "support", "more", r1_v2=37, r3_v9=4)
    version(state, "support", "fewer", r1_v2=3)
    seen = [
        name for name in ("before", "claimed", "one", "all", "more", "fewer") if has_learned(state, run(name), "r1-v2")
    ]
    assert seen == ["all", "more"]


def test_conversations_that_are_another_incidents_too_are_found_in_the_version_that_was_made(
    state: StateWriter,
) -> None:
    version(state, "support", "shared", r1_v2=9)
    learned(state, "r1-v5", "shared")
    version(state, "support", "next")
    assert has_learned(state, run("shared"), "r1-v5")
    assert not has_learned(state, run("next"), "r1-v5")


@pytest.mark.parametrize("before", [RolloutState.ROLLED_BACK, RolloutState.COMPLETE])
def test_what_an_earlier_rollout_taught_is_asked_for_again_also_behind_an_accepted_release(
    state: StateWriter, policy: Policy, before: RolloutState
) -> None:
    state.commit(Commit(incident=cut()), START)
    assert missing_aftermath(state, policy, rollout(before, "r2"), "h3") is None, "nothing was learned from it"
    version(state, "support", "all", r1_v2=37)
    learned(state, "r1-v2", "all")
    said = missing_aftermath(state, policy, rollout(before, "r2"), "h3")
    assert said is not None
    assert "with the conversations of incident r1-v2 (the 37 that were learned)" in said
    nothing(state, "r1-v2", "ana", "that product is gone", START)
    assert missing_aftermath(state, policy, rollout(before, "r2"), "h3") is None


def test_a_confirmed_misrouting_is_reviewed_and_learned_from_although_nothing_was_cut(
    state: StateWriter, policy: Policy
) -> None:
    held = replace(cut(), cut_at=None, state="resolved")
    assert not is_grave(held)
    contained = replace(held, containments=({"action": "contain", "done_at": "", "verified_at": None, "how": ""},))
    state.commit(Commit(incident=contained), START)
    back = rollout(RolloutState.ROLLED_BACK)
    assert "not reviewed" in (missing_aftermath(state, policy, back, "h2") or "")
    state.commit(Commit(incident=replace(contained, state="reviewed")), START)
    assert "no evaluation of artefacts h2" in (missing_aftermath(state, policy, back, "h2") or "")
    assert missing_aftermath(state, policy, rollout(RolloutState.COMPLETE), "h2") is None

"""Every event of a rollout stands in its history and in the audit log alike, so that a replay can hold one against the other."""

from __future__ import annotations

from controlplane.core.policy import parse
from controlplane.core.rollout import Event
from jobs import actions, evaluate, governing
from jobs.deps import Deps
from jobs.evidence_decisions import compare_history
from tests.jobs.conftest import POLICY, FactsByHand, Minutes
from tests.jobs.test_evidence_replay import live


def agree(deps: Deps) -> dict[str, list[str]]:
    """The events of every rollout, after nothing was found to differ."""
    audit, found = deps.state.audit_rows(), {}
    for rollout_id in deps.state.rollout_ids():
        stages = deps.state.stages(rollout_id)
        assert list(compare_history(rollout_id, stages, audit)) == []
        found[rollout_id] = [row.event for row in stages]
    return found


def test_what_people_and_the_machine_do_is_in_both(deps: Deps, started: str, at: Minutes) -> None:
    def act(event: Event, minute: float) -> None:
        actions.act(deps.state, deps.policy, event, "kim", "because", at(minute))

    live(deps, FactsByHand(deps.warehouse), 0, 2, 0.1)
    for minute, event in enumerate(("hold", "resume", "disable_execution", "enable_execution", "deploy"), start=3):
        act(Event(event), minute)
    actions.act(deps.state, deps.policy, Event.CONTAIN, "kim", "a report", at(9), categories=("card",))
    actions.act(deps.state, deps.policy, Event.RELEASE_CATEGORY, "kim", "mended", at(10), categories=("card",))
    other = parse(POLICY.replace("limit = 0.03", "limit = 0.04"))
    governing.apply_policy(deps.state, deps.policy, other, "ana", "looser", at(11))
    evaluate.run(deps, at(12))
    evaluate.run(deps, at(60))  # stale: the machine holds
    act(Event.RESUME, 61)
    act(Event.PROMOTE, 62)
    for incident in deps.state.incidents():
        actions.incident_event(deps.state, incident.incident_id, "acknowledge", "kim", "seen", at(62.2))
        actions.incident_event(deps.state, incident.incident_id, "resolve", "kim", "late producer", at(62.5))
    second = actions.start_release(deps.state, deps.policy, "v2", {"model": "m2"}, "ben", "ana", at(63))
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "kim", "no", at(64))
    found = agree(deps)
    assert {"policy", "contain", "release_category", "deploy", "hold", "promote"} <= set(found[started])
    assert found[second.rollout_id] == ["start", "rollback"]

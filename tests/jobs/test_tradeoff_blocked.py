"""What speaks against growing whatever the three measurements say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.core.model import RolloutState
from controlplane.core.rollout import Event
from controlplane.store.state_rows import Commit, LaneState, LedgerEntry
from jobs import actions
from jobs.deps import Deps
from jobs.tradeoff_command import Assumptions, Question, blocked, judge, question
from tests.jobs.conftest import START, Minutes

SHINING = {
    "csat_blocks": [[block, 1, 0, 0, 0, 0, 10, 10, 0, 0, 0, 0] for block in range(10)],
    "latency": [[500, 1, 900.0]],
    "cost": [["assistant", 200, 200, 200, 0, 2.0, 0.0201, 2.0, 0.0, 200, 0]],
    "requests": [],
    "repeats": [],
    "hours": [],
    "judged": [[0, 0]],
    "labels": [["rows", 0]],
}


@pytest.fixture
def asked(deps: Deps) -> Question:
    assumed = Assumptions(target_cost=0.05, slo_ms=4000, slow_limit=0.05)
    return question(deps.policy, START, START + timedelta(hours=3), "r", "v1", assumed)


def test_what_would_grow_holds_while_something_speaks_against_it(asked: Question) -> None:
    assert judge(asked, SHINING)["verdict"] == "grow"
    found = judge(replace(asked, blocked="it has fired: csat_drop"), SHINING)
    assert (found["verdict"], "csat_drop" in found["reason"]) == ("hold", True)
    worse = SHINING | {"csat_blocks": [[b, 1, *row[7:12], *row[2:7]] for b, row in enumerate(SHINING["csat_blocks"])]}
    bad = judge(replace(asked, blocked="the rollout is HELD"), worse)
    assert bad["verdict"] == "roll back, then smaller model or caching"  # never softened


def test_a_question_survives_its_way_through_json(asked: Question) -> None:
    whole = replace(asked, assumptions=replace(asked.assumptions, small_price=(0.1, 0.2, 0.3)), blocked="x")
    assert Question.from_dict(whole.to_dict()) == whole


def test_a_fired_stream_and_a_held_rollout_speak_against_growing(deps: Deps, started: str, at: Minutes) -> None:
    def now() -> str:
        return blocked(deps.state, deps.state.rollout())

    assert now() == ""
    assert blocked(deps.state, None) == ""
    lane = LaneState("60s+300s", at(1), {"fired": ["trigger:escalation_increase|all"]})
    row = LedgerEntry(started, deps.policy.hash, lane.lane, START, 60, 1, [], [])
    deps.state.commit(Commit(ledger=[row], lanes=[lane]), at(1))
    assert now() == "it has fired: escalation_increase"
    actions.act(deps.state, deps.policy, Event.HOLD, "ana", "look first", at(2))
    assert now() == f"the rollout is {RolloutState.HELD}"

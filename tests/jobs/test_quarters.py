"""A complete release lives on: quarters as a workspace has them, live, in bulk, in a replay, and in the words that people read.

A quarter lasts six minutes here; the accounts are those of 13 weeks.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from controlplane.core import blocks as blocks_module
from controlplane.core.model import RolloutState
from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import Event
from controlplane.store.utc import to_naive
from jobs import actions, evaluate, evidence_replay, explain, governing
from jobs.decisions import promise
from jobs.deps import Deps
from tests.jobs.conftest import POLICY as POLICY_TEXT
from tests.jobs.conftest import START, FactsByHand, Minutes
from tests.jobs.test_evidence_replay import live

QUIET = POLICY_TEXT + "[validity]\nblock_seconds = 300\n"


@pytest.fixture
def policy() -> Policy:
    return parse(QUIET)


@pytest.fixture(autouse=True)
def short_quarters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "QUARTER", timedelta(minutes=6))


def complete(deps: Deps, at: Minutes) -> str:
    """A release at its last stage at minute 6; a batch stands for its records."""
    started = actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", START).rollout_id
    with deps.warehouse.cursor() as cursor:
        row = "INSERT INTO batches VALUES (1, 's', 'p', 'k', 0, 0, 1, 1, 0, 0, NULL, NULL, ?)"
        cursor.execute(row, [to_naive(START)])
    live(deps, FactsByHand(deps.warehouse), 0, 6, 0.1)
    after = actions.act(deps.state, deps.policy, Event.PROMOTE, "kim", "good", at(6))
    assert after.state is RolloutState.COMPLETE
    return started


def readings(deps: Deps, name: str) -> list[dict[str, Any]]:
    rows = deps.state.ledger_rows()
    found = [(row["block_start"], one) for row in rows for one in json.loads(row["readings"]) if one["trigger"] == name]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def facts_of(deps: Deps, customers: int = 100_000) -> FactsByHand:
    return FactsByHand(deps.warehouse, customers=customers)


def test_quarters_live_held_and_resumed_and_all_of_it_replayed(deps: Deps, at: Minutes) -> None:
    started = complete(deps, at)
    facts = facts_of(deps)
    live(deps, facts, 6, 10, 0.1)
    actions.act(deps.state, deps.policy, Event.HOLD, "kim", "a doubt", at(10))
    actions.act(deps.state, deps.policy, Event.RESUME, "kim", "no doubt", at(11))
    live(deps, facts, 11, 25, 0.1)
    found = readings(deps, "escalation_increase")
    assert [one.get("quarter", 0) for one in found] == sorted(one.get("quarter", 0) for one in found)
    assert {one.get("quarter", 0) for one in found} == {0, 1, 2, 3}
    for before, one in pairwise(found):
        rises = one["weight_spent"] >= before["weight_spent"]
        assert rises == (one.get("quarter", 0) == before.get("quarter", 0)) or one["verdict"] == "NO_DATA"
    said = explain.explanation(str(deps.home), at(25))["promise"]
    assert said.endswith("over this quarter, the 3. of 13 weeks since the completion")
    deps.warehouse.close()
    value = evidence_replay.run(str(deps.home), started, facts=True, ledger=True)
    assert value["differences"] == []


def test_what_closes_in_bulk_after_a_downtime_is_what_closes_live(deps: Deps, at: Minutes) -> None:
    complete(deps, at)
    facts = facts_of(deps)
    rollout = deps.state.rollout()
    assert rollout is not None
    for minute in range(6, 24):
        facts.minute(at(minute), 40, rollout.share, 0.1, 0.1, rollout.rollout_id)
    facts.heard(at(25))
    evaluate.run(deps, at(25))
    quarters = [one.get("quarter", 0) for one in readings(deps, "escalation_increase")]
    assert [quarters.count(number) for number in (0, 1, 2, 3)] == [6, 6, 6, 2]
    lanes = {row["lane"] for row in deps.state.ledger_rows()}
    assert len(lanes) > 2
    deps.warehouse.close()
    assert evidence_replay.run(str(deps.home), None, facts=True, ledger=True)["differences"] == []


def test_harm_after_the_completion_is_cut_and_the_alert_speaks_of_the_quarter(deps: Deps, at: Minutes) -> None:
    complete(deps, at)
    facts = facts_of(deps)
    live(deps, facts, 6, 12, 0.1)
    live(deps, facts, 12, 29, 0.7)
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.state is RolloutState.ROLLED_BACK
    (alert,) = [row.payload for row in deps.state.outbox() if row.payload["labels"]["alertname"] == "rollback"]
    assert "in this quarter, of 13 weeks, with probability" in alert["promise"]
    deps.warehouse.close()
    value = evidence_replay.run(str(deps.home), None, facts=False, ledger=True)
    assert value["differences"] == []
    assert value["rollouts"][0]["decisions"] == 1


def test_a_quarter_that_was_edited_away_is_found(deps: Deps, at: Minutes) -> None:
    complete(deps, at)
    live(deps, facts_of(deps), 6, 14, 0.1)
    with sqlite3.connect(deps.home / "state.sqlite") as connection:
        query = "SELECT seq, readings FROM ledger WHERE readings LIKE '%quarter%' ORDER BY seq LIMIT 1"
        ((seq, text),) = connection.execute(query).fetchall()
        edited = [{name: one[name] for name in one if name != "quarter"} for one in json.loads(text)]
        connection.execute("UPDATE ledger SET readings = ? WHERE seq = ?", (json.dumps(edited), seq))
    deps.warehouse.close()
    value = evidence_replay.run(str(deps.home), None, facts=False, ledger=True)
    assert any("quarter" in one["replayed"] for one in value["differences"] if one["what"] == "evidence")


def test_a_policy_that_promises_less_than_was_risked_is_refused(deps: Deps, started: str, at: Minutes) -> None:
    live(deps, FactsByHand(deps.warehouse), 0, 12, 0.1)
    less = parse(QUIET.replace("[budget]", "[budget]\nfalse_rollback = 0.00001"))
    with pytest.raises(actions.Refused, match="with what its streams have risked already it would come to"):
        governing.apply_policy(deps.state, deps.policy, less, "ana", "stricter", at(12))
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.policy_hash == deps.policy.hash


def test_the_promise_of_an_alert_is_that_of_its_streams_account(deps: Deps, started: str, at: Minutes) -> None:
    """After weight was moved to another trigger: today's alpha and what was risked at the higher one before."""
    live(deps, FactsByHand(deps.warehouse), 0, 12, 0.1)
    state = next(
        lane.state for lane in deps.state.lanes(started).values() if "trigger:escalation_increase|all" in lane.state
    )
    before = state["trigger:escalation_increase|all"]
    text = QUIET.replace("weight = 0.6", "weight = 0.2").replace("weight = 0.4", "weight = 0.8")
    governing.apply_policy(deps.state, deps.policy, parse(text), "ana", "other weights", at(12))
    evaluate.run(deps, at(12))
    live(deps, facts_of(deps), 12, 30, 0.8)
    (alert,) = [row.payload for row in deps.state.outbox() if row.payload["labels"]["alertname"] == "rollback"]
    after = deps.policy.alpha(deps.policy.triggers[0], "all")
    assert after < before["alpha"]
    bound = after + (before["alpha"] - after) * before["account"]["spent"]
    assert f"probability <= {100 * bound:.3g} %" in alert["promise"]
    assert f"probability <= {100 * after:.3g} %" in promise(deps.policy, "escalation_increase", "all")

"""Closing blocks from facts: validity checks, order and duplicates, causality, many blocks at once, and a policy changed mid-release."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import jobs.closing
from controlplane import settings as settings_module
from controlplane.core.blocks import StageEvent
from controlplane.core.model import Rollout
from controlplane.core.policy import Policy, parse
from controlplane.core.policy_switch import POLICY as POLICY_NOTE
from controlplane.core.triggers import BEFORE_POLICY
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import AuditEntry, Commit
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse
from jobs import actions
from jobs.closing import Closing, close
from jobs.deps import Deps
from jobs.evaluate import stage_events
from tests.jobs.conftest import POLICY, START, FactsByHand, Minutes

LATER = POLICY.replace("[watch]", "[validity]\nblock_seconds = 300\n[watch]")


def closed(deps: Deps, until: int) -> Closing:
    """What closes up to a minute, recorded, without a decision."""
    rollout = deps.state.rollout()
    assert rollout is not None
    closing = Closing()
    close(deps, rollout, stage_events(deps, rollout), START + timedelta(minutes=until), closing)
    if closing.ledger:
        deps.state.commit(Commit(ledger=closing.ledger, lanes=closing.lanes), START + timedelta(minutes=until))
    return closing


def written(deps: Deps) -> list[tuple[str, str, str]]:
    return sorted((row["block_key"], row["counts"], row["readings"]) for row in deps.state.ledger_rows())


def evidence(closing: Closing, name: str) -> list[tuple[Any, ...]]:
    return [(r.segment, r.block_start, r.counts.n_t, r.counts.n_c) for r in closing.readings if r.trigger == name]


def test_fair_customers_raise_no_check_and_are_counted_once(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    for minute in range(45):
        facts.minute(at(minute), 40, 0.2, 0.1, 0.1, started)
    closing = closed(deps, 45)
    ratio = evidence(closing, "sample_ratio")
    assert [start for _, start, _, _ in ratio] == [at(0), at(15), at(30)]
    grace = deps.policy.watch.client_poll_seconds + deps.policy.watch.flag_max_age_seconds
    assert sum(n_t + n_c for _, _, n_t, n_c in ratio) == 45 * 40 - 40 * grace // 60 - 1
    shadow = evidence(closing, "aa_shadow")
    assert {segment for segment, *_ in shadow} == {"escalation_increase", "csat_drop"}
    halves = [(start, n_t, n_c) for segment, start, n_t, n_c in shadow if segment == "escalation_increase"]
    with deps.warehouse.cursor() as cursor:
        query = "SELECT count(*) FROM units WHERE arm = 'baseline' AND started_at < ?"
        ((controls,),) = cursor.execute(query, [to_naive(halves[-1][0] + timedelta(minutes=15))]).fetchall()
    assert sum(n_t + n_c for _, n_t, n_c in halves) == controls, "the control's customers, and nobody else"
    assert 0.4 * controls < sum(n_t for _, n_t, _ in halves) < 0.6 * controls
    assert {segment for segment, *_ in evidence(closing, "response_rate")} == {"answers_less", "answers_more"}
    assert not [reading for reading in closing.readings if reading.fired]


def test_customers_on_the_wrong_arm_hold(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    for minute in range(60):
        facts.minute(at(minute), 60, 0.35, 0.1, 0.1, started)  # the configured share is 0.2
    fired = [reading for reading in closed(deps, 60).readings if reading.fired]
    assert {(reading.trigger, str(reading.action)) for reading in fired} == {("sample_ratio", "hold")}


def shuffled_world(folder: Path, policy: Policy, order: Sequence[int], repeats: int) -> list[tuple[str, str, str]]:
    """The same conversations, stored in some order, some of them told of twice as an update that says nothing new."""
    settings = settings_module.load(folder, env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(START)
    with Warehouse.open(settings.workspace.facts) as warehouse:
        deps = Deps(settings, warehouse, state, policy)
        rollout = actions.start_release(state, policy, "v1", {"model": "m1"}, "ben", "ana", START).rollout_id
        facts = FactsByHand(warehouse)
        for minute in order:
            facts.rng, facts.customers = random.Random(minute), 1000 * minute
            facts.minute(START + timedelta(minutes=minute), 30, 0.2, 0.15, 0.1, rollout)
        with warehouse.cursor() as cursor:
            for _ in range(repeats):
                cursor.execute("UPDATE conversations SET turns = turns WHERE id_hash % 3 = 0")
        closed(deps, 30)
        found = written(deps)
    state.close()
    return found


def test_the_order_in_which_records_arrive_before_the_close_does_not_matter(tmp_path: Path, policy: Policy) -> None:
    minutes = list(range(20))
    told = shuffled_world(tmp_path / "a", policy, minutes, 0)
    random.Random(1).shuffle(minutes)
    assert shuffled_world(tmp_path / "b", policy, minutes, 2) == told


def test_blocks_closed_one_by_one_say_what_they_say_at_once_and_nothing_later_changes_them(
    tmp_path: Path, policy: Policy
) -> None:
    """Causality: with the facts cut after a heartbeat the ledger up to there is the same."""
    worlds = []
    for name, heartbeats in (("once", [40]), ("many", [1, 2, 6, 7, 15, 16, 23, 31, 32, 40])):
        settings = settings_module.load(tmp_path / name, env={})
        settings.workspace.create("live")
        state = StateWriter(settings.state_url)
        state.migrate(START)
        with Warehouse.open(settings.workspace.facts) as warehouse:
            deps = Deps(settings, warehouse, state, policy)
            rollout = actions.start_release(state, policy, "v1", {"model": "m1"}, "ben", "ana", START).rollout_id
            facts = FactsByHand(warehouse)
            for since, until in pairwise([0, *heartbeats]):
                for minute in range(since, until):
                    facts.minute(START + timedelta(minutes=minute), 20, 0.2, 0.15, 0.1, rollout)
                closed(deps, until)
            worlds.append(written(deps))
        state.close()
    assert worlds[0] == worlds[1]


def test_after_a_long_downtime_blocks_are_caught_up_in_several_heartbeats(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(120):
        facts.minute(at(minute), 5, 0.2, 0.1, 0.1, started)
    monkeypatch.setattr(jobs.closing, "READINGS_AT_ONCE", 1)
    closings = [closed(deps, 120) for _ in range(4)]
    found = [[entry.block_start for entry in closing.ledger if entry.lane == "60s+300s"] for closing in closings]
    assert [len(blocks) for blocks in found] == [50, 50, 15, 0]
    assert [block for blocks in found for block in blocks] == [at(n) for n in range(115)]


# --- a policy changed mid-release ------------------------------------------------------------------------------------------


def put_in_force(deps: Deps, text: str, minute: float) -> None:
    """As `policy apply` records it: the rollout's row names the policy, its history has the event."""
    rollout = deps.state.rollout()
    assert rollout is not None
    moment = START + timedelta(minutes=minute)
    deps.policy = parse(text)
    deps.state.register_policy(deps.policy.hash, deps.policy.name, text, moment)
    after = replace(rollout, policy_hash=deps.policy.hash, version=rollout.version + 1, updated_at=moment)
    audit = AuditEntry("ana", "policy", rollout.rollout_id, "another one", {"version": after.version})
    commit = Commit(rollout=after, expected_version=rollout.version, stage_event="policy", audit=(audit,))
    deps.state.commit(commit, moment)


def state_of(deps: Deps, rollout_id: str) -> dict[str, dict[str, Any]]:
    return {key: lane.state for key, lane in deps.state.lanes(rollout_id).items()}


def test_lanes_without_a_block_are_begun_so_that_a_change_knows_what_was_promised(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    facts.minute(at(0), 40, 0.2, 0.1, 0.1, started)
    assert state_of(deps, started) == {}
    closed(deps, 6)
    states = state_of(deps, started)
    assert "last" in states["60s+300s"]
    assert "last" not in states["60s+600s"]
    assert states["60s+600s"]["trigger:csat_drop|all"]["alpha"] == deps.policy.alpha(deps.policy.triggers[1], "all")


def test_a_policy_changed_mid_release_keeps_what_it_can_and_judges_the_rest_from_then_on(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    for minute in range(40):
        facts.minute(at(minute), 40, 0.2, 0.1, 0.1, started)
    closed(deps, 20)
    before = state_of(deps, started)["60s+300s"]["trigger:escalation_increase|all"]
    put_in_force(deps, LATER.replace("limit = 0.03", "limit = 0.04"), 20.5)
    closing = closed(deps, 40)
    mine = [r for r in closing.readings if r.trigger == "escalation_increase"]
    void = [r for r in mine if r.reason == BEFORE_POLICY]
    assert [r.block_start for r in void] == [at(15 + n) for n in range(6)], "they had opened before the change"
    assert {r.block_start for r in mine} - {r.block_start for r in void} == {
        at(20) + timedelta(seconds=30 + 60 * n) for n in range(14)
    }
    after = state_of(deps, started)["60s+300s"]["trigger:escalation_increase|all"]
    assert after["limit"] == 0.04
    assert after["account"]["starts"] == before["account"]["starts"] == 1
    assert after["account"]["deploys"] == 1
    other = [r for r in closing.readings if r.trigger == "csat_drop"]
    assert not [r for r in other if r.reason == BEFORE_POLICY]
    assert state_of(deps, started)["60s+600s"]["trigger:csat_drop|all"]["account"]["deploys"] == 1
    assert {state[POLICY_NOTE] for state in state_of(deps, started).values()} == {deps.policy.hash}
    assert {row["policy_hash"] for row in deps.state.ledger_rows()[-3:]} == {deps.policy.hash}


def test_a_change_before_the_first_block_closed_makes_everything_begin_at_it(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    for minute in range(20):
        facts.minute(at(minute), 40, 0.2, 0.1, 0.1, started)
    put_in_force(deps, LATER, 4)
    closing = closed(deps, 20)
    starts = {
        r.block_start for r in closing.readings if r.trigger == "escalation_increase" and r.reason != BEFORE_POLICY
    }
    assert min(starts) == at(4)


def test_lanes_of_another_length_begin_at_the_change(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    for minute in range(60):
        facts.minute(at(minute), 40, 0.2, 0.1, 0.1, started)
    closed(deps, 30)
    put_in_force(deps, POLICY.replace("maturity_minutes = 5", "maturity_minutes = 5\nblock_seconds = 120"), 30)
    closing = closed(deps, 60)
    moved = [r.block_start for r in closing.readings if r.trigger == "escalation_increase"]
    assert moved == [at(30 + 2 * n) for n in range(12)]
    spent = [r.weight_spent for r in closing.readings if r.trigger == "escalation_increase"]
    assert spent == sorted(spent)
    assert spent[0] > 0.125 + 0.125, "the account goes on: a start, a deploy and the blocks of before"


def test_counting_says_which_share_a_stage_had(deps: Deps, started: str) -> None:
    rollout = deps.state.rollout()
    assert isinstance(rollout, Rollout)
    (first,) = stage_events(deps, rollout)
    assert first == StageEvent(1, "start", rollout.state, START, 0.2)


@pytest.mark.parametrize("name", ["sample_ratio", "aa_shadow"])
def test_ledger_rows_of_checks_are_like_the_others(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes, name: str
) -> None:
    for minute in range(30):
        facts.minute(at(minute), 40, 0.2, 0.1, 0.1, started)
    closed(deps, 30)
    rows = [row for row in deps.state.ledger_rows() if row["lane"].startswith("checks ")]
    found = [item for row in rows for item in json.loads(row["counts"]) if item["stream"] == name]
    read = [item for row in rows for item in json.loads(row["readings"]) if item["trigger"] == name]
    assert found
    assert {item["action"] for item in read} == {"hold"}
    assert deps.state.verify_chains()["ledger"] is None

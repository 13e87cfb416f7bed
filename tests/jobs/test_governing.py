"""Overrides, the tripwire, doubts about the data and changes of policy, from facts to what is decided and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from controlplane.core.assignment import bucket, decide_exposure
from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import parse
from controlplane.core.policy_model import Decisions, Overrides
from controlplane.core.rollout import Event
from controlplane.store.utc import to_naive
from jobs import actions, arms, evaluate, governing, tick
from jobs.deps import Deps
from tests.jobs.conftest import POLICY as POLICY_TEXT
from tests.jobs.conftest import START, FactsByHand, Minutes
from tests.jobs.test_evaluate import run_minutes

HARM = (0.6, 0.1)
NAME = "escalation_increase"


def rollout_of(deps: Deps) -> Rollout:
    found = deps.state.rollout()
    assert found is not None
    return found


def insert(deps: Deps, table: str, *rows: dict[str, Any]) -> None:
    with deps.warehouse.cursor() as cursor:
        for number, row in enumerate(rows):
            whole = row | {"id_hash": number, "raw_hash": number, "batch_id": 1, "line": number}
            if table == "conversations":
                whole = row | {"id_hash": number, "turns": 1, "batch_id": 1}
            names, marks = ", ".join(whole), ", ".join("?" * len(whole))
            cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(whole.values()))


def until(deps: Deps, facts: FactsByHand, reached: Callable[[], bool], rollout_id: str, first: int = 0) -> datetime:
    """Harmful minutes until something is so; the time then."""
    for minute in range(first, 60):
        facts.minute(START + timedelta(minutes=minute), 100, rollout_of(deps).share, *HARM, rollout_id)
        now = START + timedelta(minutes=minute + 1)
        facts.heard(now)
        evaluate.run(deps, now)
        if reached():
            return now
    raise AssertionError("never seen")


def pages(deps: Deps) -> list[str]:
    return [item.outbox_id for item in deps.state.outbox() if ":page:" in item.outbox_id]


# overrides


def test_an_overridden_trigger_pages_once_and_rolls_back_when_the_override_ends(
    deps: Deps, facts: FactsByHand, started: str
) -> None:
    item = governing.add_override(deps.state, deps.policy, NAME, 1, "ana", "planned test", START)
    governing.add_override(deps.state, deps.policy, "csat_drop", 1, "ana", "planned test", START)
    now = until(deps, facts, lambda: bool(pages(deps)), started)
    assert rollout_of(deps).state is RolloutState.RUNNING
    assert evaluate.run(deps, now).decision is None
    (page,) = pages(deps)
    assert page == f"{started}:page:{NAME}|all:0:{item.override_id}"
    (message,) = deps.state.outbox()
    assert message.payload["severity"] == "critical"
    assert "overridden" in message.payload["annotations"]["summary"]
    end = START + timedelta(hours=1)
    facts.heard(end)  # no traffic since: no block of it fires again
    assert evaluate.run(deps, end - timedelta(microseconds=1)).decision is None
    done = evaluate.run(deps, end)
    assert done.decision is not None
    assert done.decision.event == "rollback"
    assert done.readings == ()
    assert sorted(page.split("|")[0].split(":")[-1] for page in pages(deps)) == ["csat_drop", NAME]
    (incident,) = deps.state.incidents()
    assert {reading["trigger"] for reading in incident.evidence["readings"]} == {"csat_drop", NAME}
    assert incident.onset_at is not None  # the evidence comes from the ledger


def test_a_person_ends_an_override_and_the_next_heartbeat_acts(deps: Deps, facts: FactsByHand, started: str) -> None:
    item = governing.add_override(deps.state, deps.policy, NAME, 1, "ana", "planned test", START)
    now = until(deps, facts, lambda: bool(pages(deps)), started)
    governing.end_override(deps.state, deps.policy, item.override_id, "ben", "not planned so", now)
    with pytest.raises(actions.Refused, match="is not in force: it ended at"):
        governing.end_override(deps.state, deps.policy, item.override_id, "ben", "again", now)
    decision = evaluate.run(deps, now).decision
    assert decision is not None
    assert decision.event == "rollback"
    assert deps.state.verify_chains() == {"audit": None, "ledger": None}


def test_what_may_not_be_overridden_is_refused_and_leaves_nothing(deps: Deps, started: str) -> None:
    policy = replace(deps.policy, overrides=Overrides(who=("ana",), max_hours=2, never=("csat_drop",)))
    before = deps.state.version()
    for trigger, hours, actor in ((NAME, 3, "ana"), (NAME, 1, "eve"), ("csat_drop", 1, "ana"), ("tripwire", 1, "ana")):
        with pytest.raises(actions.Refused):
            governing.add_override(deps.state, policy, trigger, hours, actor, "because", START)
    assert deps.state.version() == before
    governing.add_override(deps.state, policy, NAME, 1, "ana", "because", START)
    with pytest.raises(actions.Refused, match="is overridden until"):
        governing.add_override(deps.state, policy, NAME, 1, "ana", "because", START)


# the tripwire


def misrouting(deps: Deps, rollout_id: str | None, **more: Any) -> None:
    """A conversation of the treated arm whose routing a person has judged."""
    known = {
        "arm": "assistant",
        "intent_first": "card_stolen",
        "score": 1.0,
        "label": "misrouted",
        "evaluator": "human:eve",
    }
    values = {**known, "key": "e1", "at": START, **more}
    key = str(values["key"])
    conversation = {
        "conversation_id": f"c-{key}",
        "user_id": "u",
        "rollout_id": rollout_id,
        "started_at": to_naive(values["at"]),
    }
    insert(deps, "conversations", conversation | {name: values[name] for name in ("arm", "intent_first")})
    judged = {"evaluation_id": key, "ts": to_naive(values["at"]), "conversation_id": f"c-{key}", "name": "safety_route"}
    insert(deps, "evaluations", judged | {name: values[name] for name in ("score", "label", "evaluator")})


def test_one_confirmed_severe_misrouting_contains_its_category_once(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    facts.heard(at(1))
    misrouting(deps, started)
    first = evaluate.run(deps, at(1))
    assert first.decision is not None
    assert (first.decision.event, first.decision.trigger) == ("contain", "tripwire")
    after = rollout_of(deps)
    assert (after.contained, after.execution_enabled, after.state) == (("card_stolen",), False, RolloutState.RUNNING)
    (incident,) = deps.state.incidents()
    assert (incident.severity, incident.trigger) == ("critical", "tripwire")
    (message,) = deps.state.outbox()
    assert (message.payload["severity"], message.payload["labels"]["safety"]) == ("critical", "confirmed")
    assert "outside the false-alarm budget" in message.payload["promise"]
    assert evaluate.run(deps, at(2)).decision is None
    misrouting(deps, started, key="e2", intent_first=None, at=at(2))
    again = evaluate.run(deps, at(3))
    assert again.decision is not None
    assert rollout_of(deps).contained == ("", "card_stolen")


@pytest.mark.parametrize(
    "more",
    [
        {"score": None},
        {"score": 0.5},
        {"evaluator": "judge:m1"},
        {"label": "ok"},
        {"arm": "baseline"},
        {"of": "another rollout"},
        {"of": None, "at": START - timedelta(days=3)},
    ],
)
def test_what_is_not_confirmed_severe_or_ours_does_not_trip(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes, more: dict[str, Any]
) -> None:
    facts.heard(at(1))
    misrouting(deps, more.pop("of", started), **more)
    assert evaluate.run(deps, at(1)).decision is None
    assert rollout_of(deps).contained == ()


def test_a_label_that_comes_before_its_conversation_is_acted_upon_when_that_has_come(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    facts.heard(at(1))
    judged = {"evaluation_id": "e1", "ts": to_naive(START), "conversation_id": "c-e2", "name": "safety_route"}
    insert(deps, "evaluations", judged | {"score": 1.0, "label": "misrouted", "evaluator": "human:eve"})
    assert evaluate.run(deps, at(1)).decision is None
    misrouting(deps, started, key="e2", score=None, label="ok")  # its conversation c-e2
    assert evaluate.run(deps, at(1) + timedelta(seconds=1)).decision is None  # looked up again after half a minute
    decision = evaluate.run(deps, at(1) + timedelta(seconds=30)).decision
    assert decision is not None
    assert decision.event == "contain"


def test_the_tripwire_can_be_left_out_by_the_policy_alone(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    deps.policy = replace(deps.policy, decisions=Decisions(tripwire=False))
    facts.heard(at(1))
    misrouting(deps, started)
    assert evaluate.run(deps, at(1)).decision is None


def test_a_late_confirmation_contains_after_the_rollback_and_for_the_next_release(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "no", at(1))
    misrouting(deps, started)
    decision = evaluate.run(deps, at(2)).decision
    assert decision is not None
    assert decision.event == "contain"
    assert rollout_of(deps).state is RolloutState.ROLLED_BACK
    for row in deps.state.incidents():
        actions.incident_event(deps.state, row.incident_id, "acknowledge", "ana", "on it", at(3))
        for step in ("resolve", "review"):
            actions.incident_event(deps.state, row.incident_id, step, "ana", "fixed", at(3))
    actions.start_release(deps.state, deps.policy, "v2", {"model": "m2"}, "ben", "ana", at(4))
    assert rollout_of(deps).contained == ("card_stolen",)
    with pytest.raises(actions.Refused, match="'fees'"):
        governing.release_category(deps.state, deps.policy, "fees", "ana", "mistaken", at(5))
    governing.release_category(deps.state, deps.policy, "card_stolen", "ana", "rule restored", at(5))
    assert rollout_of(deps).contained == ()
    assert evaluate.run(deps, at(6)).decision is None  # it has acted once
    (row,) = governing.containments_json(deps.state)
    assert (row["contained"], row["evaluation_id"]) == (False, "e1")


# arms


def honest(deps: Deps) -> None:
    """A flag server that serves what the assignment says."""

    def probe(_url: str, unit: Any) -> dict[str, Any]:
        row = rollout_of(deps)
        return {"arm": str(decide_exposure(row, deps.policy, unit, START, START).arm), "version": row.version}

    deps.probe = probe


def test_flag_servers_that_serve_the_right_arms_are_asked_once_a_version(deps: Deps, started: str, at: Minutes) -> None:
    honest(deps)
    asked, real = [], deps.probe
    deps.probe = lambda url, unit: asked.append(unit) or real(url, unit)  # type: ignore[func-returns-value, misc]
    assert arms.swapped(deps, rollout_of(deps), at(0)) == ""
    treated = [bucket("s", unit.user_id) < 0.2 for unit in asked if not unit.mandatory_person]
    assert treated.count(True) == treated.count(False) == deps.policy.watch.probes // 2
    before = len(asked)
    assert arms.swapped(deps, rollout_of(deps), at(1)) == ""
    assert len(asked) == before
    actions.act(deps.state, deps.policy, Event.HOLD, "ana", "look", at(1))
    assert arms.swapped(deps, rollout_of(deps), at(1)) == ""
    assert len(asked) == 2 * before


def test_a_flag_server_with_swapped_arms_holds_the_ramp(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    honest(deps)
    real = deps.probe
    other = {"assistant": "baseline", "baseline": "assistant"}
    deps.probe = lambda url, unit: real(url, unit) | {"arm": other[real(url, unit)["arm"]]}  # type: ignore[misc]
    facts.heard(at(1))
    decision = evaluate.run(deps, at(1)).decision
    assert decision is not None
    assert decision.event == "hold"
    assert "serves assistant to arms-" in decision.reason
    assert deps.state.incidents()[0].trigger == "swapped_arms"


def test_a_flag_server_is_given_time_and_then_named(deps: Deps, started: str, at: Minutes) -> None:
    def silent(_url: str, _unit: object) -> dict[str, Any]:
        raise OSError("connection refused")

    for probe, words in (
        (silent, "does not answer"),
        (lambda _url, _unit: {"arm": "baseline", "version": 0}, "still serves"),
    ):
        deps.probe = probe
        assert arms.swapped(deps, rollout_of(deps), START + timedelta(seconds=60)) == ""
        assert words in arms.swapped(deps, rollout_of(deps), START + timedelta(seconds=61))
    deps.probe = lambda _url, _unit: {"arm": "assistant", "version": 99}
    assert arms.swapped(deps, rollout_of(deps), at(9)) == ""  # another write: looked at with the next heartbeat
    assert deps.arms_seen is None


def exposure(
    number: int, rollout_id: str | None, version: int | None, swap: bool = False, **more: Any
) -> dict[str, Any]:
    treated = (bucket("s", f"u{number}") < 0.2) != swap
    known = {
        "exposure_id": f"x{number}",
        "ts": to_naive(START + timedelta(seconds=number)),
        "conversation_id": f"c{number}",
    }
    logged = {"user_id": f"u{number}", "variant": "assistant" if treated else "baseline", "eligible": True}
    return known | logged | {"rollout_id": rollout_id, "flag_version": version} | more


def test_exposures_that_agree_with_the_hash_are_believed(deps: Deps, started: str, at: Minutes) -> None:
    insert(deps, "exposures", *(exposure(number, started, 1) for number in range(60)))
    assert arms.swapped(deps, rollout_of(deps), at(2)) == ""


def test_an_exposure_with_the_other_arm_holds_and_is_named(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    insert(deps, "exposures", *(exposure(number, started, 1, swap=number == 7) for number in range(20)))
    facts.heard(at(1))
    decision = evaluate.run(deps, at(1)).decision
    assert decision is not None
    assert decision.event == "hold"
    assert "1 of the newest 20 exposures of version 1" in decision.reason
    assert "x7 says" in decision.reason
    gate = evaluate.gate(deps, rollout_of(deps), at(2))
    assert "state" in [line.name for line in gate.missing]
    actions.act(deps.state, deps.policy, Event.RESUME, "ana", "the client is mended", at(2))
    assert evaluate.run(deps, at(2)).decision is None  # what was logged of the version before is the past


@pytest.mark.parametrize(
    "more",
    [
        {"rollout_id": None},
        {"rollout_id": "other"},
        {"flag_version": None},
        {"flag_version": 9},
        {"eligible": False},
        {"user_id": None},
    ],
)
def test_a_client_that_draws_by_itself_is_not_accused(
    deps: Deps, started: str, at: Minutes, more: dict[str, Any]
) -> None:
    insert(deps, "exposures", *(exposure(number, started, 1, swap=True) | more for number in range(20)))
    assert arms.swapped(deps, rollout_of(deps), at(2)) == ""


# facts older than the state, clocks, halves


def batch(deps: Deps, number: int) -> None:
    moment = to_naive(START)
    with deps.warehouse.cursor() as cursor:
        cursor.execute(
            "INSERT INTO batches VALUES (?, 's', 'p', 'k', 0, 1, 1, 1, 0, 0, ?, ?, ?)", [number, *[moment] * 3]
        )


def test_facts_restored_older_than_the_state_hold_and_close_nothing(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    batch(deps, 1)
    batch(deps, 7)
    run_minutes(deps, facts, 0, 8, 0.1, 0.1, started)
    closed = len(deps.state.ledger_rows())
    with deps.warehouse.cursor() as cursor:
        cursor.execute("DELETE FROM batches WHERE batch_id = 7")
    facts.heard(at(12))
    done = evaluate.run(deps, at(12))
    assert done.decision is not None
    assert done.decision.event == "hold"
    assert "judged with ingest batch 7, the facts end at batch 1" in done.decision.reason
    assert len(deps.state.ledger_rows()) == closed
    gate = {line.name: line for line in evaluate.gate(deps, rollout_of(deps), at(12)).missing}
    assert "batch 7" in gate["facts as old as the state"].have
    batch(deps, 8)
    assert evaluate.run(deps, at(13)).decision is None
    assert rollout_of(deps).state is RolloutState.HELD  # only a person resumes
    assert len(deps.state.ledger_rows()) == closed, "batch 8 does not bring back what was in batch 7"
    actions.act(deps.state, deps.policy, Event.RESUME, "ana", "the logs were ingested again", at(13))
    evaluate.run(deps, at(13))
    assert len(deps.state.ledger_rows()) > closed


def test_a_batch_number_that_is_used_again_after_a_restore_is_noticed(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    batch(deps, 1)
    batch(deps, 2)
    run_minutes(deps, facts, 0, 8, 0.1, 0.1, started)
    closed = len(deps.state.ledger_rows())
    with deps.warehouse.cursor() as cursor:
        cursor.execute("UPDATE batches SET from_offset = 5, stored = 3 WHERE batch_id = 2")
    facts.heard(at(12))
    done = evaluate.run(deps, at(12))
    assert done.decision is not None
    assert done.decision.event == "hold"
    assert "batch 2 that is not the one in the facts" in done.decision.reason
    assert deps.state.incidents()[-1].trigger == "facts_behind"
    assert len(deps.state.ledger_rows()) == closed


def test_a_clock_that_was_set_back_never_dates_a_decision_before_the_record(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    actions.act(deps.state, deps.policy, Event.HOLD, "ana", "look", at(30))
    actions.act(deps.state, deps.policy, Event.RESUME, "ana", "fine", at(10))
    misrouting(deps, started)
    assert evaluate.run(deps, at(5)).decision is not None
    times = [row.started_at for row in deps.state.stages(started)]
    assert times == sorted(times)
    assert rollout_of(deps).updated_at == at(30)


@pytest.mark.parametrize("table", ["ledger", "audit", "incidents", "outbox", "stages"])
def test_a_state_that_fails_half_way_writes_nothing_and_the_next_heartbeat_catches_up(
    deps: Deps, facts: FactsByHand, started: str, table: str
) -> None:
    """The database refuses one table of the decision's transaction, as a full disk or a broken page would."""
    minute = next(
        minute
        for minute in range(60)
        if run_minutes(deps, facts, minute, minute + 1, 0.1, 0.1, started) is None and minute == 6
    )
    before = deps.state.export()
    broken = True

    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if broken and statement.startswith(f"INSERT INTO {table}"):
            raise OSError("no space left on device")

    misrouting(deps, started)
    facts.minute(START + timedelta(minutes=minute + 1), 100, 0.2, 0.1, 0.1, started)
    now = START + timedelta(minutes=minute + 2)
    facts.heard(now)
    event.listen(deps.state._write_engine, "before_cursor_execute", refuse)
    with pytest.raises(OSError, match="no space left"):
        evaluate.run(deps, now)
    assert deps.state.export() == before
    broken = False
    done = evaluate.run(deps, now)
    assert done.decision is not None
    assert (done.decision.event, done.blocks > 0) == ("contain", True)
    assert deps.state.verify_chains() == {"audit": None, "ledger": None}
    assert len(deps.state.containments()) == len(deps.state.incidents()) == 1


def test_a_heartbeat_that_cannot_judge_still_verifies_and_tells(deps: Deps, started: str, at: Minutes) -> None:
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "no", at(1))
    with deps.warehouse.cursor() as cursor:
        cursor.execute("ALTER TABLE evaluations RENAME TO gone")
    with pytest.raises(Exception, match="evaluations"):
        tick.run(deps, at(2))
    assert {item.status for item in deps.state.outbox()} == {"sent"}


# cooldown, releases that the policy is not for, the release behind the accepted one


def cooled(deps: Deps, minutes: float = 30) -> None:
    deps.policy = replace(deps.policy, decisions=Decisions(cooldown_minutes=minutes))


def test_nobody_grows_before_the_cooldown_has_passed(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    cooled(deps)
    assert run_minutes(deps, facts, 0, 12, 0.1, 0.1, started) is None
    held = evaluate.run(deps, at(20)).decision
    assert held is not None
    assert held.event == "hold"
    facts.heard(at(21))
    assert evaluate.run(deps, at(21)).decision is not None  # fresh again
    cooldown = [line for line in evaluate.gate(deps, rollout_of(deps), at(21)).missing if line.name == "cooldown"]
    assert [line.have for line in cooldown] == ["29 min left"]
    with pytest.raises(actions.Refused, match="cooldown: 29 min left"):
        actions.promote(deps, "cleo", "go on", at(21))
    late = evaluate.gate(deps, rollout_of(deps), at(50)).requirements
    assert next(line for line in late if line.name == "cooldown").have == "passed"


def test_no_restart_before_the_cooldown_has_passed(deps: Deps, facts: FactsByHand, started: str) -> None:
    minute = run_minutes(deps, facts, 0, 60, *HARM, started)
    assert minute is not None
    cut = START + timedelta(minutes=minute + 1)
    cooled(deps)
    for name in ("acknowledge", "resolve", "review"):
        actions.incident_event(deps.state, deps.state.incidents()[0].incident_id, name, "ana", "fixed", cut)

    def restart(now: datetime) -> Rollout:
        return actions.start_release(deps.state, deps.policy, "v2", {"model": "m2"}, "ben", "ana", now)

    with pytest.raises(actions.Refused, match="cooldown: 1 of 30 min are left"):
        restart(cut + timedelta(minutes=29, seconds=1))
    assert restart(cut + timedelta(minutes=30)).release == "v2"


def test_a_policy_starts_the_releases_that_it_is_for(deps: Deps, at: Minutes) -> None:
    policy = replace(deps.policy, release="v2.*")
    with pytest.raises(actions.Refused, match=r"is for releases named v2\.\*, not for v1"):
        actions.start_release(deps.state, policy, "v1", {"model": "m1"}, "ben", "ana", START)
    assert actions.start_release(deps.state, policy, "v2.1", {"model": "m1"}, "ben", "ana", START).release == "v2.1"


def test_a_release_after_full_is_compared_with_the_accepted_one(deps: Deps, started: str, at: Minutes) -> None:
    actions.act(deps.state, deps.policy, Event.PROMOTE, "cleo", "certified", at(1))
    assert rollout_of(deps).state is RolloutState.COMPLETE
    with pytest.raises(actions.Refused, match="served to everybody"):
        actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", at(2))
    text = POLICY_TEXT + '[serving]\ncompare_with = "accepted"\nrollback_to = "accepted"\n'
    policy = parse(text)
    after = actions.start_release(deps.state, policy, "v2", {"model": "m2"}, "ben", "ana", at(2))
    assert (after.accepted_release, after.version, after.state) == ("v1", 3, RolloutState.RUNNING)
    assert [row.event for row in deps.state.stages(after.rollout_id)] == ["start"]
    assert actions.status(deps.state, policy)["baseline_release"] == "v1"
    evaluate.run(deps, at(3))
    assert deps.policy.hash == policy.hash  # the heartbeat follows the rollout's own policy
    actions.act(deps.state, policy, Event.ROLLBACK, "ana", "no", at(4))
    assert actions.status(deps.state, policy)["baseline_release"] == "v1"
    (message,) = deps.state.outbox()
    assert message.payload["done"] == ["all traffic cut to release v1, execution of workflows switched off"]
    assert actions.status(deps.state, deps.policy)["accepted_release"] == "v1"


# a change of policy


def test_a_policy_changes_mid_release_with_both_hashes_and_the_differences(
    deps: Deps, started: str, at: Minutes
) -> None:
    new = parse(POLICY_TEXT.replace("limit = 0.03", "limit = 0.02"))
    after = governing.apply_policy(deps.state, deps.policy, new, "ana", "after the review", at(3))
    assert (after.policy_hash, after.version, after.stage) == (new.hash, 2, 0)
    row = deps.state.audit_rows()[-1]
    assert (row["event"], row["policy_hash"]) == ("policy", new.hash)
    for words in (deps.policy.hash, new.hash, "0.02"):
        assert words in row["payload"]
    assert [stage.event for stage in deps.state.stages(started)] == ["start", "policy"]
    old = deps.policy
    with pytest.raises(actions.Refused, match="the policy in force is"):
        governing.apply_policy(deps.state, old, new, "ana", "twice", at(4))
    with pytest.raises(actions.Refused, match="try again"):
        actions.act(deps.state, old, Event.PROMOTE, "ana", "by the old stages", at(4))
    evaluate.run(deps, at(4))
    assert deps.policy.hash == new.hash


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('salt = "s"', 'salt = "t"'), "draws all customers anew"),
        (("[0.2, 0.5]", "[0.1, 0.5]"), "stages already passed"),
        (("[0.2, 0.5]", "[0.2]"), "followed by another"),
        (("", ""), "in force already"),
    ],
)
def test_a_policy_that_changes_what_was_served_is_refused(
    deps: Deps, started: str, at: Minutes, change: tuple[str, str], words: str
) -> None:
    new = parse(POLICY_TEXT.replace(*change) if change[0] else POLICY_TEXT)
    before = rollout_of(deps)
    with pytest.raises(actions.Refused, match=words):
        governing.apply_policy(deps.state, deps.policy, new, "ana", "because", at(1))
    assert rollout_of(deps) == before


def test_the_next_policy_does_not_shorten_the_cooldown_of_the_one_before(deps: Deps, at: Minutes) -> None:
    patient = parse(POLICY_TEXT + "[decisions]\ncooldown_minutes = 60\n")
    started = actions.start_release(deps.state, patient, "v1", {"model": "m1"}, "ben", "ana", START)
    evaluate.run(deps, at(10))  # no data: held
    actions.act(deps.state, patient, Event.ROLLBACK, "ana", "no", at(11))
    for row in deps.state.incidents():
        actions.incident_event(deps.state, row.incident_id, "acknowledge", "ana", "on it", at(12))
        actions.incident_event(deps.state, row.incident_id, "resolve", "ana", "fixed", at(12))
    with pytest.raises(actions.Refused, match="cooldown: 57 of 60 min"):
        actions.start_release(deps.state, parse(POLICY_TEXT), "v2", {"model": "m2"}, "ben", "ana", at(13))
    assert rollout_of(deps).rollout_id == started.rollout_id


def test_a_policy_without_the_backtest_that_it_asks_for_neither_starts_nor_takes_over(deps: Deps, at: Minutes) -> None:
    asking = parse(POLICY_TEXT + "[decisions]\nbacktest_required = true\n")
    named = ("v1", {"model": "m1"}, "ben", "ana", START)
    with pytest.raises(actions.Refused, match=r"may not start: policy 'test' .* asks for a backtest"):
        actions.start_release(deps.state, asking, *named)
    assert deps.state.rollout() is None
    actions.start_release(deps.state, asking, *named, override_backtest="no history yet")
    payload = json.loads(deps.state.audit_rows()[-1]["payload"])
    assert payload["override_backtest"] == "no history yet"
    assert "none is recorded" in payload["backtest"]
    tighter = parse(asking.text.replace("limit = 0.03", "limit = 0.02"))
    with pytest.raises(actions.Refused, match="may not take over"):
        governing.apply_policy(deps.state, asking, tighter, "ana", "tighter", at(1))
    assert deps.state.policy_text(tighter.hash) is None
    governing.apply_policy(deps.state, asking, tighter, "ana", "tighter", at(1), "no history yet")
    assert rollout_of(deps).policy_hash == tighter.hash
